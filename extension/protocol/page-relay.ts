/** The page ⇄ its relay, over a port of their own. */
import { type CommonBrowser, isCommonBrowser } from "./common-browser.ts";
import { type PageStatus, type Effect, effectsIn, isStatus } from "./reports.ts";
import {
  type StoreArea,
  type ModuleName,
  MAX_VALUE_LENGTH,
  isKey,
  isArea,
  isModule,
  isRun,
  readMediaUrls,
  areStatuses,
} from "./requests.ts";
import { type CallServerAnswer, readCallServerAnswer } from "./call-server.ts";
import { type CheckUpAnswer, readCheckUpAnswer } from "./check-up.ts";
import { type OwnNameAnswer, readOwnNameAnswer } from "./own-name.ts";
import { type RoomsSurvey, readRoomsSurvey } from "./rooms.ts";
import { type Plain, isHost, isPlain, isText, isTextOrNull, isCount, isTexts } from "./shapes.ts";

/** relay → page, over the port; again whenever it changes. JSON texts. */
export interface SettingsMessage {
  kind: "settings";
  stored: string | null;
  managed: string | null;
  /** The page's store area "account-data", as it was when the page began. */
  kept: Record<string, string>;
  /** What servers are shown in place of this browser; `null`: itself. */
  browser: CommonBrowser | null;
  /** What the page says to people, JSON; `null`: in English. */
  texts: string | null;
}

/** page → relay, over the port. */
export interface EffectsMessage {
  kind: "effects";
  effects: Effect[];
}

/** page → relay, over the port. */
export interface StatusMessage {
  kind: "status";
  status: PageStatus;
}

/** page → relay, over the port. Each is answered by a `RelayAnswer` with the same id. */
export type PageRequest =
  | { kind: "store"; id: number; area: StoreArea; key: string; value: string | null }
  | { kind: "load"; id: number; area: StoreArea }
  | { kind: "module"; id: number; name: ModuleName }
  /** Which run of the browser this is. */
  | { kind: "run"; id: number }
  /** Whether a stranger's call server may know who calls: asked in the top window. */
  | { kind: "call-server"; id: number; host: string }
  /** Fetches media without credentials, past the page's service worker. */
  | { kind: "probe"; id: number; urls: string[] };

/** relay → page, over the port. */
export type RelayAnswer =
  | { kind: "stored"; id: number }
  | { kind: "loaded"; id: number; entries: Record<string, string> }
  | { kind: "module-bytes"; id: number; base64: string }
  | { kind: "browser-run"; id: number; run: string }
  | { kind: "call-server-allowed"; id: number; isAllowed: boolean }
  /** HTTP status for each URL; 0: no answer that may be read. */
  | { kind: "probed"; id: number; statuses: number[] }
  /** With a sentence for people. */
  | { kind: "refused"; id: number; why: string };

/** A request that waits for an answer but asks for nothing that can be had. */
export interface UnreadableRequest {
  kind: "unreadable";
  id: number;
}

/** page → relay, over the port: all that the hooks say. */
export type PageMessage =
  | EffectsMessage
  | StatusMessage
  | RoomsSurvey
  | CheckUpAnswer
  | OwnNameAnswer
  | CallServerAnswer
  | PageRequest;

/** A message from the page's hooks, or `undefined` when it is none. */
export function readPageMessage(value: unknown): PageMessage | UnreadableRequest | undefined {
  if (!isPlain(value)) {
    return undefined;
  }
  if (isCount(value["id"])) {
    return readPageRequest(value, value["id"]) ?? { kind: "unreadable", id: value["id"] };
  }
  if (value["kind"] === "effects") {
    const effects = effectsIn(value["effects"]);
    return effects && { kind: "effects", effects };
  }
  if (value["kind"] === "status" && isStatus(value["status"])) {
    return { kind: "status", status: value["status"] };
  }
  return (
    readRoomsSurvey(value) ??
    readCheckUpAnswer(value) ??
    readOwnNameAnswer(value) ??
    readCallServerAnswer(value)
  );
}

function readPageRequest(value: Plain, id: number): PageRequest | undefined {
  const { kind, area, key, name } = value;
  const content = value["value"];
  if (kind === "store" && isArea(area) && isKey(key)) {
    return content === null || isText(content, MAX_VALUE_LENGTH)
      ? { kind, id, area, key, value: content }
      : undefined;
  }
  if (kind === "load" && isArea(area)) {
    return { kind, id, area };
  }
  if (kind === "run") {
    return { kind, id };
  }
  if (kind === "call-server") {
    const { host } = value;
    return isHost(host) && host !== "" ? { kind, id, host } : undefined;
  }
  if (kind === "probe") {
    const urls = readMediaUrls(value["urls"]);
    return urls && { kind, id, urls };
  }
  return kind === "module" && isModule(name) ? { kind, id, name } : undefined;
}

/** An answer of the relay to a request of the page's hooks, or `undefined` when it is none. */
export function readRelayAnswer(value: unknown): RelayAnswer | undefined {
  if (!isPlain(value) || !isCount(value["id"])) {
    return undefined;
  }
  const { kind, id, entries, base64, why } = value;
  switch (kind) {
    case "stored":
      return { kind, id };
    case "loaded":
      return isTexts(entries) ? { kind, id, entries } : undefined;
    case "module-bytes":
      return typeof base64 === "string" ? { kind, id, base64 } : undefined;
    case "browser-run":
      return isRun(value["run"]) ? { kind, id, run: value["run"] } : undefined;
    case "call-server-allowed":
      return typeof value["isAllowed"] === "boolean"
        ? { kind, id, isAllowed: value["isAllowed"] }
        : undefined;
    case "probed":
      return areStatuses(value["statuses"]) ? { kind, id, statuses: value["statuses"] } : undefined;
    case "refused":
      return isText(why, 1000) ? { kind, id, why } : undefined;
    default:
      return undefined;
  }
}

/** Settings from the relay, or `undefined` when it is none. For the page's hooks. */
export function readSettingsMessage(value: unknown): SettingsMessage | undefined {
  if (!isPlain(value) || value["kind"] !== "settings") {
    return undefined;
  }
  const { stored, managed, kept } = value;
  const browser = isCommonBrowser(value["browser"]) ? value["browser"] : null;
  const texts = typeof value["texts"] === "string" ? value["texts"] : null;
  return isTextOrNull(stored) && isTextOrNull(managed) && isTexts(kept)
    ? { kind: "settings", stored, managed, kept, browser, texts }
    : undefined;
}
