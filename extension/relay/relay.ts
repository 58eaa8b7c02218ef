/**
 * The one channel between the page's hooks and the extension (isolated world, every frame).
 * Settings go in; effects and status come out. See docs/architecture.md.
 */
import {
  type PageRequest,
  type RelayAnswer,
  type SettingsMessage,
  type UnreadableRequest,
  readPageMessage,
} from "../protocol/page-relay.ts";
import { type PageState, isPageQuery } from "../protocol/popup-relay.ts";
import {
  type ModuleQuery,
  type PauseQuery,
  type PrivateQuery,
  type ProbeQuery,
  type RunQuery,
  isReceipt,
  readBrowserRun,
  readModuleBytes,
  readPauseAnswer,
  readPrivateAnswer,
  readPassedOn,
  readProbeAnswer,
} from "../protocol/relay-background.ts";
import { type Effect, type PageStatus } from "../protocol/reports.ts";
import { type ModuleName, type StoreArea } from "../protocol/requests.ts";
import { type RoomsSurvey, type RoomsCommand, readRoomsQuery } from "../protocol/rooms.ts";
import { type OwnNameOutcome, type OwnNameTask, readOwnNameQuery } from "../protocol/own-name.ts";
import { whyOf } from "../protocol/shapes.ts";
import {
  CALL_SERVER_PATIENCE_MS,
  type CallServerAnswer,
  type CallServerAsked,
  type CallServerCheck,
  type CallServerQuery,
  type CallServerVerdict,
  readCallServerCheck,
  readCallServerAsked,
  readCallServerVerdict,
} from "../protocol/call-server.ts";
import {
  type CheckUpKeeping,
  type CheckUpOutcome,
  type CheckUpTask,
  readCheckUpQuery,
} from "../protocol/check-up.ts";
import { readCommonBrowser, watchCommonBrowser } from "../browser/common-browser-store.ts";
import {
  type PagePlace,
  adoptEntries,
  forgetPart,
  isParted,
  loadForPage,
  notePartUsed,
  putForPage,
} from "../browser/page-store.ts";
import { contextIsValid, isPrivateWindow, onMessage, sendToBackground } from "../browser/api.ts";
import { mayBePaused, watchPauses } from "../browser/pauses.ts";
import { PageStorage } from "./page-storage.ts";
import { readPageTexts, watchPageTexts } from "../browser/page-texts.ts";
import { readSettings, watchSettings } from "../browser/settings-store.ts";

/** Most effects kept while the background does not answer; the oldest go first. */
const MAX_WAITING = 1000;
const RETRY_AFTER_MS = [250, 1000, 4000, 15_000];
/** How often the hooks may ask for a channel before they are connected. */
const MAX_OFFERS = 3;
const SURVEY_TIMEOUT_MS = 5000;
/** For the page's homeserver; encrypting a room waits as often as that asks. */
const CHECK_UP_PATIENCE_MS = {
  account: 45_000,
  ask: 120_000,
  preview: 600_000,
  convert: 1_800_000,
  judge: 45_000,
};
/** A name may have to reach a thousand devices first. */
const OWN_NAME_TIMEOUT_MS = {
  ...{ look: SURVEY_TIMEOUT_MS, "pick-picture": SURVEY_TIMEOUT_MS },
  ...{ set: 60_000, "public-picture": 60_000 },
};
/** Most questions of frames at once. */
const MAX_CALL_SERVERS = 16;
/** How often a frame is looked for that has a question open; an idle background may stop in between. */
const CALL_SERVER_CHECK_MS = 3000;
/** Hooks that have not spoken by then never will. */
const SILENCE_MS = 1000;

/** How often a page with entries is looked at for the end of its session. */
const SIGN_OUT_CHECK_MS = 5000;

const relay = crypto.randomUUID();
const nonce = crypto.randomUUID();
const ports = new Set<MessagePort>();
let settings: SettingsMessage | undefined;
/** Times settings were read for the page: what an earlier reading finds late is no longer true. */
let readings = 0;
let pauseTimer: ReturnType<typeof setTimeout> | undefined;
let status: PageStatus | undefined;
let pageAnswered = false;
let offers = 0;
let batch = 0;
let sending = false;
const waiting: Effect[] = [];
const pageStorage = new PageStorage(() => localStorage, location.origin, isPrivateWindow);
let storageOpening: Promise<void> | undefined;
let signOutWatch: ReturnType<typeof setInterval> | undefined;
let wishes = 0;
/** The popup's surveys that the page has not answered. */
const surveys = new Map<number, (survey: RoomsSurvey | undefined) => void>();
/** What the popup wants of a name, as long as the page has not answered. */
const names = new Map<number, (outcome: OwnNameOutcome | undefined) => void>();
/** What this frame asked the top window, as long as the person has not answered. */
const asked = new Map<number, (isAllowed: boolean) => void>();
/** Of the top window: which frame's question stands under which number. */
const callServers = new Map<number, CallServerAsked>();
/** The check-up's tasks that the page has not done. */
const tasks = new Map<number, (outcome: CheckUpOutcome | undefined) => void>();

function offerChannel(): void {
  offers += 1;
  const channel = new MessageChannel();
  const port = channel.port1;
  ports.add(port);
  port.onmessage = (event) => receive(port, event.data as unknown);
  if (settings !== undefined) {
    port.postMessage(settings);
  }
  window.dispatchEvent(new CustomEvent("mantle-relay", { detail: nonce }));
  // To this very window: an opaque origin has no other name than "*".
  window.postMessage({ mantle: nonce }, "*", [channel.port2]);
}

function receive(port: MessagePort, data: unknown): void {
  const message = readPageMessage(data);
  if (message === undefined) {
    return;
  }
  pageAnswered = true;
  if ("id" in message) {
    void answer(port, message);
  } else if (message.kind === "status") {
    status = message.status;
    void report();
  } else if (message.kind === "rooms-survey") {
    surveys.get(message.wish)?.(message);
  } else if (message.kind === "own-name-answer") {
    names.get(message.wish)?.(message.outcome);
  } else if (message.kind === "call-server-answer") {
    void answerFrame(message);
  } else if (message.kind === "check-up-answer") {
    tasks.get(message.wish)?.(message.outcome);
  } else {
    waiting.push(...message.effects);
    waiting.splice(0, Math.max(0, waiting.length - MAX_WAITING));
    void drain();
  }
}

async function answer(port: MessagePort, request: PageRequest | UnreadableRequest): Promise<void> {
  port.postMessage(
    await answerTo(request).catch((error: unknown): RelayAnswer => ({
      kind: "refused",
      id: request.id,
      why: whyOf(error),
    })),
  );
}

async function answerTo(request: PageRequest | UnreadableRequest): Promise<RelayAnswer> {
  const { id } = request;
  if (!contextIsValid()) {
    throw new Error("Mantle was updated; reload the page.");
  }
  switch (request.kind) {
    case "store":
      await put(request.area, request.key, request.value);
      return { kind: "stored", id };
    case "load":
      return { kind: "loaded", id, entries: await load(request.area) };
    case "module":
      return { kind: "module-bytes", id, base64: await loadModule(request.name) };
    case "run":
      return { kind: "browser-run", id, run: await browserRun() };
    case "probe":
      return { kind: "probed", id, statuses: await probe(request.urls) };
    case "call-server":
      return { kind: "call-server-allowed", id, isAllowed: await askTop(request.host) };
    case "unreadable":
      throw new Error(
        "Mantle cannot do this: a name or value is too long, or not what it must be.",
      );
  }
}

async function put(area: StoreArea, key: string, value: string | null): Promise<void> {
  await storageOpened();
  // Taking something out gives no storage a name: it is emptied after signing out, and stays so.
  const isNaming = isParted(area) && value !== null;
  const place = isNaming ? await pageStorage.named() : pageStorage.place();
  if (isParted(area) && !isNaming && place.part === undefined) return;
  watchSignOut();
  if (place.isPrivate) {
    await askForPrivate({ kind: "private-store", relay, area, key, value, ...partIn(place) });
  } else {
    await putForPage(place, area, key, value);
  }
}

async function load(area: StoreArea): Promise<Record<string, string>> {
  await storageOpened();
  const place = pageStorage.place();
  watchSignOut();
  return place.isPrivate
    ? askForPrivate({ kind: "private-load", relay, area, ...partIn(place) })
    : loadForPage(place, area);
}

async function askForPrivate(query: PrivateQuery): Promise<Record<string, string>> {
  const answer = await askBackground(query, readPrivateAnswer);
  if (answer.kind === "private-refused") throw new Error(answer.why);
  return answer.entries;
}

function partIn({ part }: PagePlace): { part?: string } {
  return part === undefined ? {} : { part };
}

/** Done once, and before anything is put or loaded. */
function storageOpened(): Promise<void> {
  storageOpening ??= openStorage().catch(() => undefined);
  return storageOpening;
}

/** Gives the storage what was kept before storages had names, and says that it is in use. */
async function openStorage(): Promise<void> {
  if (pageStorage.place().part === undefined) {
    if (!pageStorage.isSignedIn) return;
    await adoptEntries(await pageStorage.named());
  }
  watchSignOut();
  notePartUsed(pageStorage.place(), Date.now()).catch(() => undefined);
}

/** From the first entry on: whether the session it belongs to is still there. */
function watchSignOut(): void {
  if (signOutWatch !== undefined || pageStorage.place().part === undefined) return;
  signOutWatch = setInterval(() => void noticeSignOut(), SIGN_OUT_CHECK_MS);
}

/** Signing out takes the name away; what is stored under it goes too. */
async function noticeSignOut(): Promise<void> {
  const gone = pageStorage.takeGone();
  if (gone?.part === undefined || !contextIsValid()) return;
  try {
    if (!gone.isPrivate) await forgetPart(gone);
    await sendToBackground({ kind: "signed-out", relay, part: gone.part });
  } catch {
    // What is left is taken out with the oldest storages.
  }
}

async function loadModule(name: ModuleName): Promise<string> {
  const message = { kind: "module-query", relay, name } as const;
  return (await askBackground(message, readModuleBytes)).base64;
}

async function browserRun(): Promise<string> {
  return (await askBackground({ kind: "run-query", relay }, readBrowserRun)).run;
}

async function probe(urls: string[]): Promise<number[]> {
  const message = { kind: "probe-query", relay, urls } as const;
  return (await askBackground(message, readProbeAnswer)).statuses;
}

/** Has the person asked in the window around this frame. */
async function askTop(host: string): Promise<boolean> {
  wishes += 1;
  const wish = wishes;
  const answer = new Promise<boolean>((settle) => {
    asked.set(wish, settle);
    setTimeout(() => settle(false), CALL_SERVER_PATIENCE_MS);
  });
  try {
    const query = { kind: "call-server-query", relay, wish, host } as const;
    return (await askBackground(query, readPassedOn)) && (await answer);
  } finally {
    asked.delete(wish);
  }
}

/** A frame of this window's own site wants the person asked; whether they are. */
function askForFrame(question: CallServerAsked): boolean {
  const isOurs = window === window.top && question.origin === location.origin;
  if (!isOurs || ports.size === 0 || callServers.size >= MAX_CALL_SERVERS) return false;
  // The background's question comes again where its answer got lost.
  for (const { relay, wish } of callServers.values()) {
    if (relay === question.relay && wish === question.wish) return true;
  }
  wishes += 1;
  const wish = wishes;
  callServers.set(wish, question);
  for (const port of ports) {
    port.postMessage({ kind: "call-server", wish, host: question.host });
  }
  void withdrawLater(wish, question);
  return true;
}

/** Nobody is asked for a frame that is gone: no event says so to another document in both browsers. */
async function withdrawLater(own: number, question: CallServerAsked): Promise<void> {
  const { relay, wish, frame } = question;
  const check: CallServerCheck = { kind: "call-server-check", relay, wish, frame };
  while (callServers.has(own)) {
    await new Promise((resume) => setTimeout(resume, CALL_SERVER_CHECK_MS));
    // A background that does not answer says nothing of the frame.
    if (await askBackground(check, readPassedOn).catch(() => true)) continue;
    if (!callServers.delete(own)) return;
    for (const port of ports) {
      port.postMessage({ kind: "call-server-withdrawn", wish: own });
    }
  }
}

async function answerFrame({ wish, isAllowed }: CallServerAnswer): Promise<void> {
  const question = callServers.get(wish);
  if (question === undefined) return;
  callServers.delete(wish);
  const { relay, wish: theirs, frame } = question;
  const verdict = { kind: "call-server-verdict", relay, wish: theirs, frame, isAllowed } as const;
  // Lost at worst is a yes: the frame goes without.
  await askBackground(verdict, readPassedOn).catch(() => undefined);
}

/** The background may be stopped at the very moment it is asked. */
async function askBackground<Answer>(
  message:
    | ModuleQuery
    | ProbeQuery
    | RunQuery
    | PrivateQuery
    | PauseQuery
    | CallServerQuery
    | CallServerCheck
    | CallServerVerdict,
  read: (value: unknown) => Answer | undefined,
): Promise<Answer> {
  for (const pause of [...RETRY_AFTER_MS.slice(0, 3), undefined]) {
    try {
      const answer = read(await sendToBackground(message));
      if (answer !== undefined) {
        return answer;
      }
    } catch {
      // Asked again below.
    }
    if (pause !== undefined) {
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }
  throw new Error("Mantle's background does not answer: reload the page.");
}

async function forwardSettings(): Promise<void> {
  if (!contextIsValid()) {
    return;
  }
  readings += 1;
  const reading = readings;
  let read: SettingsMessage;
  try {
    // With the settings, so that no answer comes in before what belongs into it.
    const [layers, texts, kept, browser, paused] = await Promise.all([
      readSettings(),
      readPageTexts(),
      load("account-data").catch(() => ({})),
      readCommonBrowser(),
      settingsOfPause(),
    ]);
    read =
      paused === null
        ? { kind: "settings", ...layers, kept, browser, texts }
        : { kind: "settings", stored: paused, managed: layers.managed, kept, browser: null, texts };
  } catch {
    // The page keeps what it has; without any it turns to the strictest defaults by itself.
    return;
  }
  if (reading !== readings) return;
  settings = read;
  for (const port of ports) {
    port.postMessage(settings);
  }
}

/** What holds while the person paused Mantle on this site; `null`: they did not. */
async function settingsOfPause(): Promise<string | null> {
  const { hostname } = new URL(origin);
  if (!(await mayBePaused(hostname))) return null;
  try {
    const answer = await askBackground({ kind: "pause-query", relay }, readPauseAnswer);
    clearTimeout(pauseTimer);
    if (answer.until !== null) {
      pauseTimer = setTimeout(() => void forwardSettings(), answer.until - Date.now());
    }
    return answer.settings;
  } catch {
    // Nobody says that it is paused.
    return null;
  }
}

/** One batch under way at a time, repeated until the background confirms that it is stored. */
async function drain(): Promise<void> {
  if (sending) {
    return;
  }
  sending = true;
  while (waiting.length > 0 && contextIsValid()) {
    batch += 1;
    await deliver(waiting.splice(0));
  }
  sending = false;
}

async function deliver(effects: Effect[]): Promise<void> {
  for (const pause of [...RETRY_AFTER_MS, undefined]) {
    try {
      const place = partIn(pageStorage.place());
      const inUse = serversInUse();
      const message = { kind: "effect-batch", relay, batch, effects, inUse, ...place };
      const answer = await sendToBackground(message);
      if (isReceipt(answer, relay, batch)) {
        return;
      }
    } catch {
      // The background was just stopped, or the extension is being replaced.
    }
    if (pause === undefined || !contextIsValid()) {
      return;
    }
    await new Promise((resume) => setTimeout(resume, pause));
  }
}

/** Hosts of the homeserver and the authentication server, where Element keeps them. */
function serversInUse(): string[] {
  return ["mx_hs_url", "mx_oidc_token_issuer"].flatMap((name) => {
    try {
      const url = localStorage.getItem(name);
      return url !== null && URL.canParse(url) ? [new URL(url).host] : [];
    } catch {
      return [];
    }
  });
}

async function report(): Promise<void> {
  try {
    await sendToBackground({ kind: "page-report", relay, status });
  } catch {
    // The popup asks this relay directly, so nothing is lost but the badge.
  }
}

function answerQuery(message: unknown): Promise<unknown> | undefined {
  if (isPageQuery(message)) {
    const isAsking = document.querySelector("[data-mantle-question]") !== null;
    const state: PageState = { kind: "page-state", relay, status, isAsking };
    return Promise.resolve(state);
  }
  const checkUp = readCheckUpQuery(message);
  if (checkUp !== undefined) {
    const { task } = checkUp;
    return task.do === "load" || task.do === "keep" ? keepForCheckUp(task) : passTask(task);
  }
  const question = readCallServerAsked(message);
  if (question !== undefined) return Promise.resolve(askForFrame(question));
  const check = readCallServerCheck(message);
  if (check !== undefined) return Promise.resolve(check.relay === relay && asked.has(check.wish));
  const verdict = readCallServerVerdict(message);
  if (verdict !== undefined) {
    if (verdict.relay === relay) asked.get(verdict.wish)?.(verdict.isAllowed);
    return Promise.resolve(true);
  }
  const ownName = readOwnNameQuery(message);
  if (ownName !== undefined) return passName(ownName.task);
  const query = readRoomsQuery(message);
  return query && passWish(query.what);
}

/** What a repair needs to go on lies with the session's own entries, and goes with them. */
async function keepForCheckUp(task: CheckUpKeeping): Promise<CheckUpOutcome> {
  try {
    if (task.do === "load") return { is: "kept", entries: await load("check-up") };
    await storageOpened();
    // One person's repair is nothing for another's storage.
    if (!pageStorage.isOf(task.user)) return { is: "nobody" };
    await put("check-up", task.key, task.value);
    return { is: "kept", entries: {} };
  } catch (error) {
    return { is: "failed", why: whyOf(error) };
  }
}

/** To the page, whose session asks the homeserver. */
async function passTask(task: CheckUpTask): Promise<CheckUpOutcome | undefined> {
  wishes += 1;
  const wish = wishes;
  for (const port of ports) {
    port.postMessage({ kind: "check-up", wish, task });
  }
  const outcome = await new Promise<CheckUpOutcome | undefined>((settle) => {
    tasks.set(wish, settle);
    setTimeout(() => settle(undefined), CHECK_UP_PATIENCE_MS[task.do]);
  });
  tasks.delete(wish);
  return outcome;
}

/** To the page, which seals the name. */
async function passName(task: OwnNameTask): Promise<OwnNameOutcome | undefined> {
  wishes += 1;
  const wish = wishes;
  for (const port of ports) {
    port.postMessage({ kind: "own-name", wish, task });
  }
  const outcome = await new Promise<OwnNameOutcome | undefined>((settle) => {
    names.set(wish, settle);
    setTimeout(() => settle(undefined), OWN_NAME_TIMEOUT_MS[task.do]);
  });
  names.delete(wish);
  return outcome;
}

/** To the page, which asks the person there; only a survey has an answer. */
async function passWish(what: RoomsCommand["what"]): Promise<RoomsSurvey | undefined> {
  wishes += 1;
  const wish: RoomsCommand = { kind: "rooms-wish", wish: wishes, what };
  for (const port of ports) {
    port.postMessage(wish);
  }
  if (what !== "survey") {
    return undefined;
  }
  const survey = await new Promise<RoomsSurvey | undefined>((settle) => {
    surveys.set(wish.wish, settle);
    setTimeout(() => settle(undefined), SURVEY_TIMEOUT_MS);
  });
  surveys.delete(wish.wish);
  return survey;
}

// The hooks ask when they came after us; nobody else has a reason to once they are connected.
window.addEventListener("mantle-page", () => {
  if (!pageAnswered && offers < MAX_OFFERS) {
    offerChannel();
  }
});
offerChannel();
// The browser takes up to fifteen milliseconds to make the extension's API when it is first touched.
// The page is held up until this script ends and loads its own scripts after it, so it is done then;
// not by a timer, since those of hidden tabs are slow.
const afterwards = new MessageChannel();
afterwards.port1.onmessage = () => {
  afterwards.port1.close();
  watchSettings(() => void forwardSettings());
  watchCommonBrowser(() => void forwardSettings());
  watchPageTexts(() => void forwardSettings());
  watchPauses(() => void forwardSettings());
  void forwardSettings();
  onMessage(answerQuery);
};
afterwards.port2.postMessage(undefined);
// The hooks tell their status at once, and that is reported; this is for a page without them.
setTimeout(() => {
  if (!pageAnswered) void report();
}, SILENCE_MS);
