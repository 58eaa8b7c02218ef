/** What was stopped or changed, in people's words with counts: the first thing the popup shows. */
import type { PageRow } from "../../browser/ledger.ts";
import { type CountedName, counted, inDigits, text } from "../../browser/messages.ts";
import { element } from "../shared/dom.ts";

/** How requests of a shield are told of; what fits no line is told of as "other". */
interface Line {
  readonly name: CountedName;
  /** Which of its actions the text is true of. */
  readonly actions: readonly PageRow["action"][];
  /** The text names the host, so each host has its own line. */
  readonly namesHost?: true;
  /** Which of its endpoints (templates of core/wire/src/route.rs) the text is true of. */
  readonly endpoint?: RegExp;
}

const STOPPED = ["blocked", "answered"] as const;
const CHANGED = ["rewritten"] as const;
const ANY = [...STOPPED, ...CHANGED];

const LINES: Readonly<Record<string, Line | readonly Line[]>> = {
  integrations: { name: "did_integrations", actions: STOPPED, namesHost: true },
  identity: { name: "did_identity", actions: ["blocked"], namesHost: true },
  telemetry: { name: "did_telemetry", actions: STOPPED, namesHost: true },
  maps: { name: "did_maps", actions: STOPPED, namesHost: true },
  extras: { name: "did_stopped", actions: STOPPED, namesHost: true },
  captcha: { name: "did_stopped", actions: STOPPED, namesHost: true },
  "third-party": { name: "did_stopped", actions: STOPPED, namesHost: true },
  calls: { name: "did_stopped", actions: ["blocked"], namesHost: true },
  "device-name": {
    name: "did_device_name",
    actions: CHANGED,
    endpoint: /^(?:login|register|devices\/\{\})$/,
  },
  typing: { name: "did_typing", actions: STOPPED },
  receipts: { name: "did_receipts", actions: CHANGED },
  presence: { name: "did_presence", actions: ANY },
  previews: { name: "did_previews", actions: STOPPED },
  directory: { name: "did_directory", actions: STOPPED },
  push: { name: "did_push", actions: CHANGED },
  "welcome-bot": { name: "did_welcome_bot", actions: STOPPED },
  "account-data": { name: "did_account_data", actions: ANY, endpoint: /(?:^|\/)account_data\// },
  media: { name: "did_media", actions: CHANGED },
  search: { name: "did_search", actions: ANY },
  "room-defaults": { name: "did_room_defaults", actions: CHANGED },
  profile: { name: "did_profile", actions: CHANGED },
  "encrypted-state": [
    { name: "did_encrypted_state", actions: CHANGED, endpoint: /^rooms\/\{\}\/state\/\{\}$/ },
    {
      name: "did_encrypted_room",
      actions: CHANGED,
      endpoint: /^(?:createRoom|rooms\/\{\}\/upgrade)$/,
    },
  ],
};
const OTHER = "did_other";
/** Lines that are there at once; a click shows the rest. */
const SHOWN_AT_ONCE = 6;
/** Stands for the number in a text, so that it can be set apart wherever a language puts it. */
const MARK = "\u0001";

/** What one line says. */
export interface Deed {
  readonly name: CountedName;
  /** Empty where the text names none. */
  readonly host: string;
  readonly count: number;
}

/** Rows put together line by line, the most frequent first and what has no line of its own last. */
export function deedsOf(rows: readonly PageRow[]): Deed[] {
  const deeds = new Map<string, Deed>();
  for (const row of rows) {
    const line = lineFor(row);
    const name = line?.name ?? OTHER;
    const host = line?.namesHost === true ? row.host : "";
    const key = `${name} ${host}`;
    deeds.set(key, { name, host, count: (deeds.get(key)?.count ?? 0) + row.count });
  }
  return [...deeds.values()].sort(
    (a, b) => Number(a.name === OTHER) - Number(b.name === OTHER) || b.count - a.count,
  );
}

function lineFor({ shield, action, host, endpoint }: PageRow): Line | undefined {
  const lines = Object.hasOwn(LINES, shield) ? [LINES[shield] ?? []].flat() : [];
  return lines.find(
    (line) =>
      line.actions.includes(action) &&
      (line.endpoint?.test(endpoint) ?? true) &&
      (line.namesHost === undefined || host !== ""),
  );
}

export interface Happened {
  /** `rows` are the page's own, or of all pages where Mantle has no part in this one. */
  show(rows: readonly PageRow[], where: { isHere: boolean; isKept: boolean }): void;
  /** What new sessions are called; undefined while nothing keeps their names plain. */
  nameSessions(name: string | undefined): void;
}

export function happenedCard(section: HTMLElement): Happened {
  let deeds: Deed[] = [];
  let isShown = false;
  let where = { isHere: false, isKept: true };
  let sessions: string | undefined;
  const draw = (): void => {
    const isOpen = section.querySelector("details")?.open ?? false;
    const lines = deeds.map(lineOf);
    const isTold = where.isHere && deeds.some(({ name }) => name === "did_device_name");
    const named = isTold ? sessions : undefined;
    const first = element("ul", {}, ...lines.slice(0, SHOWN_AT_ONCE));
    const rest = lines.slice(SHOWN_AT_ONCE);
    const more = element(
      "details",
      {},
      element("summary", { text: counted("happenedMore", lines.length) }),
      element("ul", {}, ...rest),
    );
    more.open = isOpen;
    section.replaceChildren(
      element("h2", { text: text(where.isHere ? "happenedHere" : "happenedEverywhere") }),
      ...(lines.length === 0
        ? [
            element("p", {
              class: "hint",
              text: text(where.isKept ? "happenedNothing" : "happenedNotKept"),
            }),
          ]
        : [first]),
      ...(rest.length === 0 ? [] : [more]),
      ...(named === undefined
        ? []
        : [element("p", { class: "sessions", text: text("sessionsCalled", named) })]),
    );
    // Where Mantle has no part, an empty list says nothing.
    section.hidden = lines.length === 0 && !where.isHere;
  };
  return {
    show: (rows, shownWhere) => {
      deeds = deedsOf(rows);
      where = shownWhere;
      isShown = true;
      draw();
    },
    nameSessions: (name) => {
      if (name === sessions) return;
      sessions = name;
      if (isShown) draw();
    },
  };
}

function lineOf({ name, host, count }: Deed): HTMLElement {
  const [before = "", after = ""] = counted(name, count, [host], MARK).split(MARK);
  return element(
    "li",
    { "data-deed": name, "data-host": host },
    document.createTextNode(before),
    element("b", { text: inDigits(count) }),
    document.createTextNode(after),
  );
}
