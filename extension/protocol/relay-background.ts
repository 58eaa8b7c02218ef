/** A relay → the background, and its replies. */
import { type PageStatus, type Effect, readEffects, isStatus } from "./reports.ts";
import { type ModuleName, isModule, areMediaUrls, areStatuses } from "./requests.ts";
import { isPlain, isText, isCount } from "./shapes.ts";

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
}

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
): EffectBatch | PageReport | ModuleQuery | ProbeQuery | undefined {
  if (!isPlain(value) || !isText(value["relay"], 64) || value["relay"] === "") {
    return undefined;
  }
  const { relay } = value;
  if (value["kind"] === "effect-batch") {
    const effects = readEffects(value["effects"]);
    const batch = value["batch"];
    return effects && isCount(batch) ? { kind: "effect-batch", relay, batch, effects } : undefined;
  }
  if (value["kind"] === "module-query") {
    const { name } = value;
    return isModule(name) ? { kind: "module-query", relay, name } : undefined;
  }
  if (value["kind"] === "probe-query") {
    const { urls } = value;
    return areMediaUrls(urls) ? { kind: "probe-query", relay, urls } : undefined;
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

/** The background's answer to a `ProbeQuery`, or `undefined` when it is none. */
export function readProbeAnswer(value: unknown): ProbeAnswer | undefined {
  return isPlain(value) && value["kind"] === "probe-answer" && areStatuses(value["statuses"])
    ? { kind: "probe-answer", statuses: value["statuses"] }
    : undefined;
}

/** The background's answer to a `ModuleQuery`, or `undefined` when it is none. */
export function readModuleBytes(value: unknown): ModuleBytes | undefined {
  return isPlain(value) && value["kind"] === "module-bytes" && typeof value["base64"] === "string"
    ? { kind: "module-bytes", base64: value["base64"] }
    : undefined;
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
