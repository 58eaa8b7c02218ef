/** Every message between Mantle's parts, its shape, and the check made on receipt. */

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

/** As `Sec-CH-UA-Platform` names them. */
const SYSTEMS = ["Windows", "macOS", "Android"] as const;

/** As servers and pages see the browser. */
export interface CommonBrowser {
  system: (typeof SYSTEMS)[number];
  /** Value of `User-Agent` and of `navigator.userAgent`. */
  userAgent: string;
  /** BCP 47 tags, as in `navigator.languages`; never empty. */
  languages: string[];
}

/** relay → page, over the port; again whenever it changes. JSON texts. */
export interface SettingsMessage {
  kind: "settings";
  stored: string | null;
  managed: string | null;
  /** The page's store area "account-data", as it was when the page began. */
  kept: Record<string, string>;
  /** What servers are shown in place of this browser; `null`: itself. */
  browser: CommonBrowser | null;
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

/** Kinds of values that a page's handlers keep over reloads. */
export type StoreArea = "state" | "media" | "account-data" | "answers";
/** WASM that a page loads when it needs it. */
export type ModuleName = "state" | "media";

/** page → relay, over the port. Each is answered by a `RelayAnswer` with the same id. */
export type PageRequest =
  | { kind: "store"; id: number; area: StoreArea; key: string; value: string | null }
  | { kind: "load"; id: number; area: StoreArea }
  | { kind: "module"; id: number; name: ModuleName }
  /** Fetches media without credentials, past the page's service worker. */
  | { kind: "probe"; id: number; urls: string[] };

/** relay → page, over the port. */
export type RelayAnswer =
  | { kind: "stored"; id: number }
  | { kind: "loaded"; id: number; entries: Record<string, string> }
  | { kind: "module-bytes"; id: number; base64: string }
  /** HTTP status for each URL; 0: no answer that may be read. */
  | { kind: "probed"; id: number; statuses: number[] }
  /** With a sentence for people. */
  | { kind: "refused"; id: number; why: string };

/** relay → page, over the port: what the person wants of encrypted room names, in the popup. */
export interface RoomsWish {
  kind: "rooms-wish";
  /** Comes back with the answer. */
  wish: number;
  /** survey: only tell; room: encrypt the shown room's name and topic; all: those of all rooms. */
  what: "survey" | "room" | "all";
}

/** page → relay → popup: which rooms' names could be encrypted. Counts only; names never leave. */
export interface RoomsSurvey {
  kind: "rooms-survey";
  wish: number;
  /** The room that is shown: encrypted already, can be, cannot be, or none is shown. */
  shown: "encrypted" | "possible" | "impossible" | "none";
  /** Why not, in words; empty otherwise. */
  sentence: string;
  /** Rooms whose name and topic this person can encrypt. */
  possible: number;
}

/** popup → relay of the top frame; a `survey` is answered by a `RoomsSurvey`. */
export interface RoomsQuery {
  kind: "rooms-query";
  what: RoomsWish["what"];
}

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

/** popup → relay of the top frame. */
export interface PageQuery {
  kind: "page-query";
}

/** The relay's answer to a `PageQuery`. */
export interface PageState {
  kind: "page-state";
  relay: string;
  status: PageStatus | undefined;
}

/** background → relay: the batch is in the ledger. */
export interface Receipt {
  kind: "receipt";
  relay: string;
  batch: number;
}

const STATUSES: readonly string[] = ["running", "no-wasm", "trapped"];
const ACTIONS: readonly string[] = [
  "blocked",
  "answered",
  "rewritten",
  "flagged",
  "asked",
  "unknown",
];
const MOST_EFFECTS = 1000;
const AREAS: readonly string[] = ["state", "media", "account-data", "answers"];
const SHOWN: readonly string[] = ["encrypted", "possible", "impossible", "none"];
const MODULES: readonly string[] = ["state", "media"];
/** Longest stored value, in UTF-16 units. */
const LONGEST_VALUE = 1_000_000;
const LONGEST_KEY = 500;

const MEDIA_URL =
  /^https?:\/\/[^/?#\\\s]+(?:\/[^?#\s]*)?\/_matrix\/media\/(?:r0|v1|v3)\/download\/[^/?#\s]+\/[^/?#\s]+$/;

const keysOf = Object.keys;

type Plain = Record<string, unknown>;

/** A message from the page's hooks, or `undefined` when it is none. */
export function readPageMessage(
  value: unknown,
): EffectsMessage | StatusMessage | RoomsSurvey | PageRequest | undefined {
  if (!isPlain(value)) {
    return undefined;
  }
  if (isCount(value["id"])) {
    return readPageRequest(value, value["id"]);
  }
  if (value["kind"] === "effects") {
    const effects = readEffects(value["effects"]);
    return effects && { kind: "effects", effects };
  }
  if (value["kind"] === "status" && isStatus(value["status"])) {
    return { kind: "status", status: value["status"] };
  }
  return readRoomsSurvey(value);
}

/** A page's answer to a survey, or `undefined` when it is none. */
export function readRoomsSurvey(value: unknown): RoomsSurvey | undefined {
  if (!isPlain(value) || value["kind"] !== "rooms-survey") {
    return undefined;
  }
  const { wish, shown, sentence, possible } = value;
  return isCount(wish) && isCount(possible) && isShown(shown) && isText(sentence, 1000)
    ? { kind: "rooms-survey", wish, shown, sentence, possible }
    : undefined;
}

/** The person's wish from the relay, or `undefined` when it is none. For the page's hooks. */
export function readRoomsWish(value: unknown): RoomsWish | undefined {
  if (!isPlain(value) || value["kind"] !== "rooms-wish") {
    return undefined;
  }
  const { wish, what } = value;
  return isCount(wish) && isWhat(what) ? { kind: "rooms-wish", wish, what } : undefined;
}

/** A wish from the popup, or `undefined` when it is none. */
export function readRoomsQuery(value: unknown): RoomsQuery | undefined {
  if (!isPlain(value) || value["kind"] !== "rooms-query" || !isWhat(value["what"])) {
    return undefined;
  }
  return { kind: "rooms-query", what: value["what"] };
}

function readPageRequest(value: Plain, id: number): PageRequest | undefined {
  const { kind, area, key, name } = value;
  const content = value["value"];
  if (kind === "store" && isArea(area) && isText(key, LONGEST_KEY) && key !== "") {
    return content === null || isText(content, LONGEST_VALUE)
      ? { kind, id, area, key, value: content }
      : undefined;
  }
  if (kind === "load" && isArea(area)) {
    return { kind, id, area };
  }
  if (kind === "probe" && areMediaUrls(value["urls"])) {
    return { kind, id, urls: value["urls"] };
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
    case "probed":
      return areStatuses(value["statuses"]) ? { kind, id, statuses: value["statuses"] } : undefined;
    case "refused":
      return isText(why, 1000) ? { kind, id, why } : undefined;
    default:
      return undefined;
  }
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

/** Of what came from storage or over a channel. */
export function isCommonBrowser(value: unknown): value is CommonBrowser {
  if (!isPlain(value)) {
    return false;
  }
  const { system, userAgent, languages } = value;
  return (
    SYSTEMS.some((known) => known === system) &&
    typeof userAgent === "string" &&
    Array.isArray(languages) &&
    languages.length > 0 &&
    languages.every((tag) => typeof tag === "string")
  );
}

/** Settings from the relay, or `undefined` when it is none. For the page's hooks. */
export function readSettingsMessage(value: unknown): SettingsMessage | undefined {
  if (!isPlain(value) || value["kind"] !== "settings") {
    return undefined;
  }
  const { stored, managed, kept } = value;
  const browser = isCommonBrowser(value["browser"]) ? value["browser"] : null;
  return isTextOrNull(stored) && isTextOrNull(managed) && isTexts(kept)
    ? { kind: "settings", stored, managed, kept, browser }
    : undefined;
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

/** True for the popup's question to a relay. */
export function isPageQuery(value: unknown): value is PageQuery {
  return isPlain(value) && value["kind"] === "page-query";
}

/** A relay's answer to the popup, or `undefined` when it is none. */
export function readPageState(value: unknown): PageState | undefined {
  if (!isPlain(value) || value["kind"] !== "page-state" || !isText(value["relay"], 64)) {
    return undefined;
  }
  const { relay, status } = value;
  return { kind: "page-state", relay, status: isStatus(status) ? status : undefined };
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

/** A list is refused whole when one of its members is malformed. */
function readEffects(value: unknown): Effect[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_EFFECTS) {
    return undefined;
  }
  const effects = value.map(readEffect);
  return effects.every((effect) => effect !== undefined) ? effects : undefined;
}

function readEffect(value: unknown): Effect | undefined {
  if (!isPlain(value) || !isName(value["shield"]) || !isHost(value["host"])) {
    return undefined;
  }
  const { shield, host } = value;
  if (value["type"] === "learned") {
    const { pathPrefix } = value;
    return isPathPrefix(pathPrefix) ? { type: "learned", shield, host, pathPrefix } : undefined;
  }
  const { time, action, endpoint, count } = value;
  if (value["type"] !== "record" || !isCount(time) || !isCount(count)) {
    return undefined;
  }
  return isAction(action) && isText(endpoint, 200)
    ? { type: "record", time, shield, action, host, endpoint, count }
    : undefined;
}

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown, longest: number): value is string {
  return typeof value === "string" && value.length <= longest;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function isName(value: unknown): value is string {
  return isText(value, 64) && /^[a-z][a-z0-9-]*$/.test(value);
}

function isHost(value: unknown): value is string {
  return isText(value, 261) && /^[^\s/?#@\\]*$/.test(value);
}

function isPathPrefix(value: unknown): value is string {
  return isText(value, 200) && /^(?:\/[!-~]*)?$/.test(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isTexts(value: unknown): value is Record<string, string> {
  return isPlain(value) && keysOf(value).every((key) => typeof value[key] === "string");
}

/** Media that needs no signing in, and nothing else: pages must not fetch at will through us. */
function areMediaUrls(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= 4 &&
    value.every((url) => isText(url, 2000) && MEDIA_URL.test(url))
  );
}

function areStatuses(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 4 && value.every(isCount);
}

function isArea(value: unknown): value is StoreArea {
  return typeof value === "string" && AREAS.includes(value);
}

function isModule(value: unknown): value is ModuleName {
  return typeof value === "string" && MODULES.includes(value);
}

function isShown(value: unknown): value is RoomsSurvey["shown"] {
  return typeof value === "string" && SHOWN.includes(value);
}

function isWhat(value: unknown): value is RoomsWish["what"] {
  return value === "survey" || value === "room" || value === "all";
}

function isStatus(value: unknown): value is PageStatus {
  return typeof value === "string" && STATUSES.includes(value);
}

function isAction(value: unknown): value is EffectAction {
  return typeof value === "string" && ACTIONS.includes(value);
}
