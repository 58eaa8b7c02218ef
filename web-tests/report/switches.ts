/** A session's requests put through the core once more, with any settings: what would be seen then. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type * as CoreGlue from "../../extension/generated/mantle_core.js";
import type * as PagesGlue from "../../extension/generated/mantle_pages.js";
import { FAIL, DELEGATE, NEEDS_BODY, REPLY } from "../../extension/page/intercept/decision.ts";
import { REDIRECT, REWRITTEN, INSPECT_RESPONSE } from "../../extension/page/intercept/decision.ts";
import { builtCoreWasm } from "../../scripts/core-wasm.ts";
import { GPS_BYTES, holds } from "../support/canaries.ts";
import type { Canaries } from "../support/canaries.ts";
import type { Exchange } from "../support/recorder.ts";
import { countLeaks, ROWS } from "./rows.ts";
import type { Seen } from "./rows.ts";
import type { Tables } from "./run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SITE = "https://chat.example.org/";
const OPEN_HOMESERVER = "open.example.org";

/** Rows that more than a request's words decides, and the spec that switches their shield off. */
export const SWITCHED_IN: Readonly<Record<string, string>> = {
  referer: "web-tests/e2e/backstop.spec.ts",
  "jitsi-referer": "web-tests/e2e/backstop.spec.ts",
  "element-call-frame": "web-tests/e2e/popup.spec.ts",
  // Delegates in the page do these.
  "device-name-token": "web-tests/e2e/shields/device-name.spec.ts",
  "history-keys": "web-tests/e2e/shields/history-keys.spec.ts",
  // What an upload is for, only the page knows.
  "room-avatar-upload": "web-tests/e2e/setting-room-pictures.spec.ts",
  "room-nickname-encrypted": "web-tests/e2e/room-names.spec.ts",
  "room-own-picture-encrypted": "web-tests/e2e/room-names.spec.ts",
  captcha: "web-tests/e2e/shields/third-party.spec.ts",
  "matrix-to": "web-tests/e2e/shields/permalinks.spec.ts",
  "homeserver-discovery": "web-tests/e2e/shields/config.spec.ts",
  // Rules of the browser do it, or what Element reads in its configuration.
  "accept-language": "web-tests/e2e/shields/third-party.spec.ts",
  "user-agent": "web-tests/e2e/shields/third-party.spec.ts",
  "custom-page": "web-tests/e2e/shields/third-party.spec.ts",
  "custom-translations": "web-tests/e2e/shields/third-party.spec.ts",
  "remote-module": "web-tests/e2e/shields/third-party.spec.ts",
};

/** Modes by shield id; the defaults where a shield is not named. */
export type Modes = Readonly<Record<string, string>>;

/** What servers would have seen of a session without Mantle if Mantle had been there. */
export type Replay = (seen: Seen, modes: Modes) => Seen;

/** What is in force, by the modules of the last build. */
interface Rust {
  readonly core: typeof CoreGlue;
  readonly pages: typeof PagesGlue;
}

/** Loads the modules of the last build. */
export async function openReplay(): Promise<Replay> {
  const { modules } = builtCoreWasm();
  const [core, pages] = await Promise.all([
    import(pathToFileURL(join(ROOT, modules.core.glue)).href) as Promise<typeof CoreGlue>,
    import(pathToFileURL(join(ROOT, modules.pages.glue)).href) as Promise<typeof PagesGlue>,
  ]);
  core.initSync({ module: readFileSync(join(ROOT, modules.core.wasm)) });
  pages.initSync({ module: readFileSync(join(ROOT, modules.pages.wasm)) });
  return (seen, modes) => replay({ core, pages }, seen, modes);
}

/** A shield whose switch does something else than it says. */
export interface Odd {
  readonly shield: string;
  /** Its own leaks that stay closed when it is off. */
  readonly closed: string[];
  /** Its own leaks that stay open when it is on. */
  readonly open: string[];
  /** Others' leaks that open or close with it. */
  readonly foreign: string[];
}

/** Switches each shield off and on, all others at their defaults; names those that do anything odd. */
export function oddSwitches(replay: Replay, seen: Seen, tables: Tables): Odd[] {
  const shields = new Set(tables.shields.map(({ id }) => id));
  const shieldOf = new Map(tables.leaks.map(({ id, shield }) => [id, shield]));
  // A row nobody closes may count other requests when one of them stays away.
  const isCounted = (id: string): boolean =>
    shields.has(shieldOf.get(id) ?? "") && SWITCHED_IN[id] === undefined;
  const leaking = (modes: Modes): Set<string> => {
    const counts = Object.entries(countLeaks(replay(seen, modes)));
    return new Set(counts.filter(([id, n]) => isCounted(id) && (n ?? 0) > 0).map(([id]) => id));
  };
  const driven = ROWS.filter((row) => !("notDriven" in row) && isCounted(row.id));
  return tables.shields
    .map(({ id: shield, default: mode }) => {
      const isActive = mode === "on" || mode === "ask";
      const on = leaking(isActive ? {} : { [shield]: "on" });
      const off = leaking({ [shield]: "off" });
      const own = driven.map(({ id }) => id).filter((id) => shieldOf.get(id) === shield);
      return {
        shield,
        closed: own.filter((id) => !off.has(id)),
        open: own.filter((id) => on.has(id)),
        foreign: [...on, ...off].filter(
          (id) => shieldOf.get(id) !== shield && on.has(id) !== off.has(id),
        ),
      };
    })
    .filter(({ closed, open, foreign }) => closed.length + open.length + foreign.length > 0);
}

function replay(rust: Rust, seen: Seen, modes: Modes): Seen {
  const settings = JSON.stringify({ version: 1, shields: modes });
  const core = new rust.core.Core(SITE);
  const { problems } = core.applySettings(settings, undefined);
  if (problems.length > 0) throw new Error(problems.join(" "));
  const isBlocked = backstop(rust.pages.describe(settings, undefined).shields);
  const exchanges: Exchange[] = [];
  for (const exchange of seen.exchanges) {
    const sent = pass(core, exchange, seen.canaries, isBlocked);
    if (sent === undefined) continue;
    exchanges.push(sent);
  }
  core.free();
  const answered = withoutUntold(exchanges, seen.canaries);
  return { ...seen, exchanges: answered, elsewhere: elsewhere(seen, answered) };
}

type Block = (url: string) => boolean;

/** The exchange as it happens under this core; undefined: it does not. */
function pass(
  core: CoreGlue.Core,
  exchange: Exchange,
  canaries: Canaries,
  isBlocked: Block,
): Exchange | undefined {
  const { method, headers } = exchange;
  const url = `${exchange.scheme}://${exchange.host}${exchange.path}`;
  const use = headers["sec-fetch-dest"];
  if (use === "document") {
    const isOwn = exchange.host === new URL(SITE).host || headers["sec-fetch-site"] === "none";
    return !isOwn && core.link(url) !== undefined ? undefined : exchange;
  }
  if (isBlocked(url)) return undefined;
  if (use === "iframe") {
    const verdict = core.frame(url);
    return verdict !== undefined && verdict.url !== url ? undefined : exchange;
  }
  // Hooks see what scripts of the page ask for; a service worker's requests keep their use.
  if (use !== "empty") return exchange;
  let flags = core.decide(method, url);
  if ((flags & NEEDS_BODY) !== 0) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\n`);
    flags = core.decideBody(method, url, lines.join(""), exchange.body);
  }
  if ((flags & (REPLY | FAIL)) !== 0) {
    if ((flags & REPLY) !== 0) core.takeReply();
    return undefined;
  }
  let sent = { ...exchange };
  if ((flags & REWRITTEN) !== 0) sent = { ...sent, body: Buffer.from(core.takeBody()) };
  if ((flags & REDIRECT) !== 0) {
    const { pathname, search } = new URL(core.takeUrl() ?? url);
    sent = { ...sent, path: pathname + search };
  }
  if ((flags & DELEGATE) !== 0) {
    for (const { shield, handler } of core.takeDelegates()) {
      const taken = handled(handler, shield, sent, canaries);
      if (taken === undefined) return undefined;
      sent = taken;
    }
  }
  if ((flags & INSPECT_RESPONSE) !== 0) core.answer(method, url, exchange.status, exchange.answer);
  return sent;
}

/** Handlers need a page. That they hold back what they are for is seen in the browsers' sessions. */
function handled(
  handler: string,
  shield: string,
  exchange: Exchange,
  canaries: Canaries,
): Exchange | undefined {
  // Which rooms are readable is known in the page; the rest is not asked for.
  if (shield === "search") return undefined;
  if (handler === "state") {
    if (!/\/createRoom|\/upgrade|\/state\/m\.room\.(name|topic)/.test(exchange.path)) return exchange;
    const { roomName, newRoomName, topic, newTopic, roomUpgradeName } = canaries;
    const words = [roomName, newRoomName, topic, newTopic, roomUpgradeName];
    return { ...exchange, body: blank(exchange.body, words) };
  }
  if (handler === "media") {
    // A server that gives files to anyone gets none: the person decided so in the session.
    if (exchange.host === OPEN_HOMESERVER) return undefined;
    return {
      ...exchange,
      path: exchange.path.replace(canaries.filename, "file"),
      body: exchange.body.includes(GPS_BYTES) ? Buffer.alloc(0) : exchange.body,
    };
  }
  if (handler === "relations") {
    const { "m.relates_to": _inside, ...body } = JSON.parse(exchange.body.toString("utf8")) as {
      "m.relates_to"?: { rel_type?: string };
    };
    const isKept = !/\/send\/m\.reaction\//.test(exchange.path) && _inside?.rel_type !== undefined;
    return isKept
      ? exchange
      : {
          ...exchange,
          path: exchange.path.replace("/send/m.reaction/", "/send/m.room.encrypted/"),
          body: Buffer.from(JSON.stringify(body)),
        };
  }
  if (handler === "ask") return undefined;
  throw new Error(`The replay does not know the handler "${handler}" of ${shield}.`);
}

function blank(text: Buffer, words: readonly string[]): Buffer {
  const found = words.filter((word) => text.includes(word));
  if (found.length === 0) return text;
  return Buffer.from(
    found.reduce((rest, word) => rest.replaceAll(word, "-"), text.toString("utf8")),
  );
}

/** A homeserver answers with a room's name only when it was told it. */
function withoutUntold(exchanges: readonly Exchange[], canaries: Canaries): Exchange[] {
  const told = exchanges.filter(({ path }) => /\/createRoom|\/state\/m\.room\.name/.test(path));
  const untold = [canaries.roomName, canaries.roomUpgradeName].filter(
    (name) => !told.some(({ body }) => holds(body, name)),
  );
  return exchanges.map((exchange) => ({ ...exchange, answer: blank(exchange.answer, untold) }));
}

/** What the session saw at other places than this browser follows from what was sent. */
function elsewhere(seen: Seen, sent: readonly Exchange[]): Record<string, number> {
  const isTold: Record<string, boolean> = {
    "device-name-peers": sent.some(
      ({ path, body }) => /\/(login|register)(\?|$)/.test(path) && holds(body, "chat.example.org"),
    ),
    "invite-room-name": sent.some(
      ({ path, body }) => path.includes("/createRoom") && holds(body, seen.canaries.roomName),
    ),
    "media-public": sent.some(
      ({ host, body }) => host === OPEN_HOMESERVER && holds(body, seen.canaries.fileContent),
    ),
  };
  return Object.fromEntries(
    Object.entries(seen.elsewhere).map(([id, count]) => [id, isTold[id] === false ? 0 : count]),
  );
}

interface Rule {
  readonly action: { readonly type: string };
  readonly condition: { readonly requestDomains?: string[]; readonly regexFilter?: string };
}

/** The declarativeNetRequest rules of the shields that are on, as far as they block. */
function backstop(shields: readonly { id: string; mode: string }[]): Block {
  const file = join(ROOT, "extension/generated/rules.json");
  const declared = JSON.parse(readFileSync(file, "utf8")) as Record<string, Rule[] | undefined>;
  const conditions = shields
    .filter(({ mode }) => mode === "on" || mode === "ask")
    .flatMap(({ id }) => declared[id] ?? [])
    .filter(({ action }) => action.type === "block")
    .map(({ condition }) => condition);
  return (url) => {
    const { hostname } = new URL(url);
    return conditions.some(
      ({ requestDomains = [], regexFilter }) =>
        requestDomains.some((name) => hostname === name || hostname.endsWith(`.${name}`)) ||
        (regexFilter !== undefined && new RegExp(regexFilter).test(url)),
    );
  };
}
