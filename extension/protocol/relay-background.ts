/** A relay → the background, and its replies. */
import { type PageStatus, type Effect, readEffects, isStatus } from "./reports.ts";
import {
  type ModuleName,
  type StoreArea,
  MAX_VALUE_LENGTH,
  readMediaUrls,
  areStatuses,
  isArea,
  isKey,
  isModule,
  isRun,
} from "./requests.ts";
import {
  type CallServerQuery,
  type CallServerCheck,
  type CallServerVerdict,
  readCallServerCheck,
  readCallServerQuestion,
  readCallServerVerdict,
} from "./call-server.ts";
import { type Plain, isCount, isHost, isPlain, isText, isTextOrNull, isTexts } from "./shapes.ts";

/** relay → background: the bytes of a module, answered by `ModuleBytes`. */
export interface ModuleQuery {
  kind: "module-query";
  relay: string;
  name: ModuleName;
}

/** relay → background: media to fetch without credentials, answered by `ProbeAnswer`. */
export interface ProbeQuery {
  kind: "probe-query";
  relay: string;
  urls: string[];
}

/** relay → background: which run of the browser this is, answered by `BrowserRun`. */
export interface RunQuery {
  kind: "run-query";
  relay: string;
}

/** relay → background: whether the person paused Mantle on this site, answered by `PauseAnswer`. */
export interface PauseQuery {
  kind: "pause-query";
  relay: string;
}

/** background → relay. */
export interface BrowserRun {
  kind: "browser-run";
  run: string;
}

/** background → relay. */
export interface PauseAnswer {
  kind: "pause-answer";
  /** What is in force instead of the person's own, as JSON text; `null`: there is no pause. */
  settings: string | null;
  /** When to ask again, in milliseconds since the epoch; `null`: when told so. */
  until: number | null;
}

/** background → relay. */
export interface ProbeAnswer {
  kind: "probe-answer";
  statuses: number[];
}

/** background → relay. */
export interface ModuleBytes {
  kind: "module-bytes";
  base64: string;
}

/** relay → background: effects with a mark, so that a repeated delivery is counted once. */
export interface EffectBatch {
  kind: "effect-batch";
  /** Random id of the document's relay. */
  relay: string;
  /** Rises by one with each batch of that relay. */
  batch: number;
  effects: Effect[];
  /** Name of the page's own storage, which goes when the person signs out. */
  part?: string;
  /** Hosts that the page's session uses, such as its homeserver. */
  inUse: string[];
}

/** relay → background: the session is over, and the page's own storage with it. */
export interface SignedOut {
  kind: "signed-out";
  relay: string;
  part: string;
}

/** relay → background: entries of a page in a private window, which only memory may hold. */
export type PrivateQuery =
  | {
      kind: "private-store";
      relay: string;
      part?: string;
      area: StoreArea;
      key: string;
      value: string | null;
    }
  | { kind: "private-load"; relay: string; part?: string; area: StoreArea };

/** background → relay: what is there now, or why not. */
export type PrivateAnswer =
  | { kind: "private-entries"; entries: Record<string, string> }
  | { kind: "private-refused"; why: string };

/** relay → background: how Mantle fares in a document. */
export interface PageReport {
  kind: "page-report";
  relay: string;
  /** `undefined` while the page's hooks have not reported. */
  status: PageStatus | undefined;
}

/** background → relay: the batch is in the ledger. */
export interface Receipt {
  kind: "receipt";
  relay: string;
  batch: number;
}

/** A message to the background, or `undefined` when it is none. */
export function readBackgroundMessage(
  value: unknown,
):
  | EffectBatch
  | PageReport
  | ModuleQuery
  | RunQuery
  | ProbeQuery
  | PauseQuery
  | SignedOut
  | PrivateQuery
  | CallServerQuery
  | CallServerCheck
  | CallServerVerdict
  | undefined {
  if (!isPlain(value) || !isText(value["relay"], 64) || value["relay"] === "") {
    return undefined;
  }
  const { relay } = value;
  if (value["kind"] === "effect-batch") {
    const effects = readEffects(value["effects"]);
    const batch = value["batch"];
    const inUse = value["inUse"] ?? [];
    return effects && isCount(batch) && areHosts(inUse)
      ? { kind: "effect-batch", relay, batch, effects, inUse, ...partOf(value) }
      : undefined;
  }
  if (value["kind"] === "module-query") {
    const { name } = value;
    return isModule(name) ? { kind: "module-query", relay, name } : undefined;
  }
  if (value["kind"] === "run-query") {
    return { kind: "run-query", relay };
  }
  if (value["kind"] === "probe-query") {
    const urls = readMediaUrls(value["urls"]);
    return urls && { kind: "probe-query", relay, urls };
  }
  if (value["kind"] === "pause-query") {
    return { kind: "pause-query", relay };
  }
  if (value["kind"] === "signed-out") {
    const { part } = value;
    return isPart(part) ? { kind: "signed-out", relay, part } : undefined;
  }
  if (value["kind"] === "private-store" || value["kind"] === "private-load") {
    return readPrivateQuery(value, relay);
  }
  if (value["kind"] === "call-server-query") {
    const question = readCallServerQuestion(value);
    return question && { kind: "call-server-query", ...question };
  }
  if (value["kind"] === "call-server-check") {
    return readCallServerCheck(value);
  }
  if (value["kind"] === "call-server-verdict") {
    return readCallServerVerdict(value);
  }
  if (value["kind"] === "page-report") {
    const status = value["status"];
    return status === undefined || status === null
      ? { kind: "page-report", relay, status: undefined }
      : isStatus(status)
        ? { kind: "page-report", relay, status }
        : undefined;
  }
  return undefined;
}

function readPrivateQuery(value: Plain, relay: string): PrivateQuery | undefined {
  const { kind, area, key } = value;
  const content = value["value"];
  if (!isArea(area)) return undefined;
  if (kind === "private-load") return { kind, relay, area, ...partOf(value) };
  return isKey(key) && (content === null || isText(content, MAX_VALUE_LENGTH))
    ? { kind: "private-store", relay, area, key, value: content, ...partOf(value) }
    : undefined;
}

/** The background's answer to a `RunQuery`, or `undefined` when it is none. */
export function readBrowserRun(value: unknown): BrowserRun | undefined {
  if (!isPlain(value)) return undefined;
  const { kind, run } = value;
  return kind === "browser-run" && isRun(run) ? { kind, run } : undefined;
}

/** The background's answer to a `PrivateQuery`, or `undefined` when it is none. */
export function readPrivateAnswer(value: unknown): PrivateAnswer | undefined {
  if (!isPlain(value)) return undefined;
  const { kind, entries, why } = value;
  if (kind === "private-refused") return isText(why, 1000) ? { kind, why } : undefined;
  return kind === "private-entries" && isTexts(entries) ? { kind, entries } : undefined;
}

function partOf({ part }: Plain): { part?: string } {
  return isPart(part) ? { part } : {};
}

/** The name of a page's own storage. */
export function isPart(value: unknown): value is string {
  return isText(value, 32) && /^[0-9a-f]{32}$/.test(value);
}

function areHosts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= 10 && value.every(isHost);
}

/** The background's answer to a `ProbeQuery`, or `undefined` when it is none. */
export function readProbeAnswer(value: unknown): ProbeAnswer | undefined {
  return isPlain(value) && value["kind"] === "probe-answer" && areStatuses(value["statuses"])
    ? { kind: "probe-answer", statuses: value["statuses"] }
    : undefined;
}

/** The background's answer to a `PauseQuery`, or `undefined` when it is none. */
export function readPauseAnswer(value: unknown): PauseAnswer | undefined {
  if (!isPlain(value) || value["kind"] !== "pause-answer") return undefined;
  const { settings, until } = value;
  return isTextOrNull(settings) && (until === null || isCount(until))
    ? { kind: "pause-answer", settings, until }
    : undefined;
}

/** The background's answer to a `ModuleQuery`, or `undefined` when it is none. */
export function readModuleBytes(value: unknown): ModuleBytes | undefined {
  return isPlain(value) && value["kind"] === "module-bytes" && typeof value["base64"] === "string"
    ? { kind: "module-bytes", base64: value["base64"] }
    : undefined;
}

/** Whether the background passed on what it was given; `undefined`: it said nothing. */
export function readPassedOn(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

/** True when the background confirms this very batch. */
export function isReceipt(value: unknown, relay: string, batch: number): boolean {
  return (
    isPlain(value) &&
    value["kind"] === "receipt" &&
    value["relay"] === relay &&
    value["batch"] === batch
  );
}
