/** What was stopped or changed, put together as it is told in people's words. */
import type { PageRow } from "../../browser/ledger.ts";
import type { CountedName } from "../../browser/messages.ts";

/** How requests of a shield are told of; what fits no line is told of by the shield's name. */
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
/** Names the shield: what it is told of in its own words is there already. */
const OTHER = "did_other";

/** What one line says. */
export interface Deed {
  readonly name: CountedName;
  /** Empty where the text names none. */
  readonly host: string;
  /** Only where the text names it. */
  readonly shield?: string;
  readonly count: number;
}

/** Rows put together line by line, the most frequent first and what has no line of its own last. */
export function deedsOf(rows: readonly PageRow[]): Deed[] {
  const deeds = new Map<string, Deed>();
  for (const row of rows) {
    const line = lineFor(row);
    const name = line?.name ?? OTHER;
    const host = line?.namesHost === true ? row.host : "";
    const named = line === undefined ? { shield: row.shield } : {};
    const key = `${name} ${named.shield ?? host}`;
    deeds.set(key, { name, host, ...named, count: (deeds.get(key)?.count ?? 0) + row.count });
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
