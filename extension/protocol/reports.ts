/** What a page reports of itself: how its hooks fare and what its shields did. */
import { isPlain, isText, isName, isHost, isCount } from "./shapes.ts";

export type PageStatus = "running" | "no-wasm" | "trapped";

export type EffectAction = "blocked" | "answered" | "rewritten" | "flagged" | "asked" | "unknown";

/** What a shield did with requests of one kind since the last report. */
export interface RecordEffect {
  type: "record";
  /** Milliseconds since the epoch. */
  time: number;
  shield: string;
  action: EffectAction;
  /** Host, with its port where that is not the scheme's own. */
  host: string;
  /** Path with `{}` for every parameter. */
  endpoint: string;
  count: number;
}

/** A third party that the page's own configuration named. */
export interface LearnedEffect {
  type: "learned";
  shield: string;
  host: string;
  /** Starts with a slash, or is empty for the whole host. */
  pathPrefix: string;
}

export type Effect = RecordEffect | LearnedEffect;

const STATUSES: readonly string[] = ["running", "no-wasm", "trapped"];

const ACTIONS: readonly string[] = [
  "blocked",
  "answered",
  "rewritten",
  "flagged",
  "asked",
  "unknown",
];

const MAX_EFFECTS = 1000;

/** From a page: a malformed member is left out alone; of a list that is too long the newest count. */
export function effectsIn(value: unknown): Effect[] | undefined {
  return Array.isArray(value)
    ? value.slice(-MAX_EFFECTS).flatMap((member) => readEffect(member) ?? [])
    : undefined;
}

/** From a relay, which sends only what is well-formed: refused whole otherwise. */
export function readEffects(value: unknown): Effect[] | undefined {
  const effects = effectsIn(value);
  return Array.isArray(value) && effects?.length === value.length ? effects : undefined;
}

function readEffect(value: unknown): Effect | undefined {
  if (!isPlain(value) || !isName(value["shield"]) || !isHost(value["host"])) {
    return undefined;
  }
  const { shield, host } = value;
  if (value["type"] === "learned") {
    const { pathPrefix } = value;
    return isPathPrefix(pathPrefix) && host !== ""
      ? { type: "learned", shield, host, pathPrefix }
      : undefined;
  }
  const { time, action, endpoint, count } = value;
  if (value["type"] !== "record" || !isCount(time) || !isCount(count)) {
    return undefined;
  }
  return isAction(action) && isText(endpoint, 200)
    ? { type: "record", time, shield, action, host, endpoint, count }
    : undefined;
}

function isPathPrefix(value: unknown): value is string {
  return isText(value, 200) && /^(?:\/[!-~]*)?$/.test(value);
}

export function isStatus(value: unknown): value is PageStatus {
  return typeof value === "string" && STATUSES.includes(value);
}

function isAction(value: unknown): value is EffectAction {
  return typeof value === "string" && ACTIONS.includes(value);
}
