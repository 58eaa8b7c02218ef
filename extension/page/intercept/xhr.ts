import {
  abortController,
  apply,
  capturedGetter,
  clearTimer,
  controllerSignal,
  create,
  dispatch,
  encodeText,
  getOwnPropertyDescriptor,
  headersHas,
  headersSet,
  isGecko,
  NativeAbortController,
  NativeDOMException,
  NativeEvent,
  nativeFetch,
  NativeProgressEvent,
  NativeString,
  NativeUint8Array,
  page,
  push,
  responseBuffer,
  responseHeaders,
  responseRedirected,
  responseStatus,
  responseStatusText,
  responseUrl,
  runInTask,
  setTimer,
  startsWith,
  pinned,
  then,
  toLowerCase,
  toUpperCase,
  uncurry,
  weakGet,
  weakSet,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import { takeBody } from "./request-body.ts";
import type { TakenBody } from "./request-body.ts";
import { NEEDS_BODY, UNREADABLE } from "./decision.ts";
import type { RequestPolicy, SyntheticReply, Delegate } from "./decision.ts";
import { refusal } from "./refusal.ts";
import { resolve } from "./resolve.ts";
import { beforeSending, delegateResponse, delegateRequest } from "./handlers.ts";
import type { Handled, PausedRequest } from "./handlers.ts";
import { headersFrom, pairsOf } from "../primordials/header-list.ts";
import type { HeaderList } from "../primordials/header-list.ts";
import { takePlan } from "./plan.ts";
import type { Plan } from "./plan.ts";
import { headersOf } from "./response.ts";
import { replaceMethod } from "./wrap.ts";
import {
  installAnswerAccessors,
  installHeaderMethods,
  mimeOf,
  otherText,
  readsText,
  utf8Of,
  watchedAs,
} from "./xhr-response.ts";
import {
  DONE,
  HEADERS_RECEIVED,
  isSettable,
  LOADING,
  nativeState,
  nativeType,
  OPENED,
  openedBy,
  prototype,
  setNativeType,
  unsent,
} from "./xhr-state.ts";
import type { Answer, Opened, Xhr } from "./xhr-state.ts";

const nativeMethod = (name: string): AnyFunction =>
  getOwnPropertyDescriptor(prototype, name)?.value as AnyFunction;

const nativeOpen = nativeMethod("open");

const nativeSend = nativeMethod("send");

const setHeader = uncurry(prototype.setRequestHeader);

const nativeAbort = uncurry(prototype.abort);

const timeoutOf = capturedGetter<Xhr, number>(prototype, "timeout");

const credentialsOf = capturedGetter<Xhr, boolean>(prototype, "withCredentials");

const uploadOf = capturedGetter<Xhr, XMLHttpRequestUpload>(prototype, "upload");

/**
 * How often a held upload tells of progress. matrix-js-sdk gives one up after 30 seconds without
 * (http-api/index.ts), and a person may take longer to answer a question.
 */
const BEAT = 10_000;

export function installXhrHook(gate: RequestPolicy): void {
  replaceMethod(prototype, "open", (native, self, args) => open(native, self as Xhr, args));
  replaceMethod(prototype, "send", (native, self, args) => {
    const opened = weakGet(openedBy, self);
    if (opened === undefined) return apply(native, self, args);
    return send(gate, self as Xhr, opened, args);
  });
  replaceMethod(prototype, "setRequestHeader", (native, self, args) => {
    const opened = weakGet(openedBy, self);
    // An unsent request words the error as this one would.
    if (opened !== undefined && !isSettable(opened)) {
      if (opened.isSent && isGecko) throw sendingError("setRequestHeader");
      return apply(native, unsent(), args);
    }
    const result = apply(native, self, args);
    if (opened !== undefined) {
      const name = NativeString(args[0]);
      push(opened.headers, [name, NativeString(args[1])]);
      if (toLowerCase(name) === "content-type") opened.hasContentType = true;
    }
    return result;
  });
  replaceMethod(prototype, "abort", (native, self, args) => {
    const opened = weakGet(openedBy, self);
    if (opened !== undefined && opened.phase !== "native") return abort(self as Xhr, opened);
    return apply(native, self, args);
  });
  replaceMethod(prototype, "overrideMimeType", (native, self, args) => {
    const opened = weakGet(openedBy, self);
    if (opened?.phase === "made" && opened.state >= LOADING) throw stateError("overrideMimeType");
    const result = apply(native, self, args);
    if (opened !== undefined) opened.mimeOverride = NativeString(args[0]);
    return result;
  });
  installAnswerAccessors(gate);
  installHeaderMethods();
}

function open(native: AnyFunction, xhr: Xhr, args: unknown[]): unknown {
  const before = weakGet(openedBy, xhr);
  let opened: Opened | undefined;
  // A symbol becomes no text; the browser says so.
  if (args.length >= 2 && typeof args[0] !== "symbol" && typeof args[1] !== "symbol") {
    // Converted once, as the browser does it; what this throws it would throw too.
    const method = NativeString(args[0]);
    const given = NativeString(args[1]);
    args[0] = method;
    args[1] = given;
    const isAsync = args.length < 3 || Boolean(args[2]);
    try {
      opened = newOpened(toUpperCase(method), resolve(given), isAsync, args);
    } catch {
      // The browser refuses the URL in its own words.
    }
  }
  if (opened === undefined) return apply(native, xhr, args);
  const stateBefore = before?.phase === "made" ? before.state : undefined;
  const nativeBefore = nativeState(xhr);
  const wanted = before?.watchedType;
  if (wanted !== undefined && nativeBefore === DONE) {
    nativeAbort(xhr);
    setNativeType(xhr, wanted);
  }
  // In place before the browser fires readystatechange: a listener may go on to send.
  weakSet(openedBy, xhr, opened);
  try {
    apply(native, xhr, args);
  } catch (error) {
    if (before !== undefined) weakSet(openedBy, xhr, before);
    throw error;
  }
  if (before !== undefined) cancel(before);
  if (weakGet(openedBy, xhr) !== opened) return undefined;
  if (wanted !== undefined && nativeBefore !== DONE && !opened.isSent) setNativeType(xhr, wanted);
  // The browser's own state was OPENED all the while, so it fired nothing.
  if (stateBefore !== undefined && stateBefore !== OPENED && nativeBefore === OPENED) {
    fire(xhr, "readystatechange");
  }
  return undefined;
}

function newOpened(
  method: string,
  url: string,
  isAsync: boolean,
  args: readonly unknown[],
): Opened {
  return {
    method,
    url,
    isAsync,
    args,
    headers: [],
    hasContentType: false,
    mimeOverride: undefined,
    phase: "native",
    isSent: false,
    state: OPENED,
    hasUpload: false,
    timer: undefined,
    beat: undefined,
    controller: undefined,
    sentUrl: undefined,
    reply: undefined,
    watchedType: undefined,
    isWatched: false,
    body: undefined,
    value: undefined,
  };
}

function send(gate: RequestPolicy, xhr: Xhr, opened: Opened, args: unknown[]): unknown {
  if (!isSettable(opened)) {
    if (opened.isSent && isGecko) throw sendingError("send");
    return apply(nativeSend, unsent(), args);
  }
  const isSendable = opened.phase === "native" && nativeState(xhr) === OPENED && !opened.isSent;
  if (!isSendable || !startsWith(opened.url, "http")) return apply(nativeSend, xhr, args);
  const flags = gate.decide(opened.method, opened.url);
  if (flags === 0) return sendNatively(xhr, opened, args, false);

  const isEarly = opened.isAsync && !gate.isReady();
  if (isEarly) gate.forgetDecision();
  // Taken first: reading the body may run code of the page, and with it other decisions.
  const plan = isEarly || (flags & NEEDS_BODY) !== 0 ? undefined : takePlan(gate, flags);
  const hasBody = opened.method !== "GET" && opened.method !== "HEAD";
  const body = takeBody(hasBody ? args[0] : null);
  opened.hasUpload = hasBody && args[0] !== undefined && args[0] !== null;
  if (isEarly) {
    return hold(xhr, opened, () => {
      void then(gate.whenReady(), () => {
        if (!isHeld(xhr, opened)) return;
        const decided = gate.decide(opened.method, opened.url);
        if ((decided & NEEDS_BODY) !== 0) decideHeld(gate, xhr, opened, body);
        else conclude(gate, xhr, opened, body, takePlan(gate, decided), undefined);
      });
    });
  }
  if (plan !== undefined) return conclude(gate, xhr, opened, body, plan, args);
  if (body.bytes !== undefined) {
    const { method, url } = opened;
    const decided = gate.decideBody(method, url, headerLines(opened, body), body.bytes);
    return conclude(gate, xhr, opened, body, takePlan(gate, decided), args);
  }
  // The core wants to see what cannot be read now.
  if (!opened.isAsync) return make(xhr, opened, body, undefined);
  return hold(xhr, opened, () => decideHeld(gate, xhr, opened, body));
}

function decideHeld(gate: RequestPolicy, xhr: Xhr, opened: Opened, body: TakenBody): void {
  const { method, url } = opened;
  void then(
    body.read(),
    (bytes) => {
      if (!isHeld(xhr, opened)) return;
      const decided = gate.decideBody(method, url, headerLines(opened, body), bytes);
      conclude(gate, xhr, opened, body, takePlan(gate, decided), undefined);
    },
    () => {
      // An unreadable file: the browser fails the request as well.
      if (isHeld(xhr, opened)) make(xhr, opened, body, undefined);
    },
  );
}

/** `args` are those of a send that was not held; held ones send what was taken then. */
function conclude(
  gate: RequestPolicy,
  xhr: Xhr,
  opened: Opened,
  body: TakenBody,
  plan: Plan,
  args: unknown[] | undefined,
): void {
  if (plan.isSettled) return make(xhr, opened, body, plan.reply && answerOf(plan.reply));
  const isTaken = plan.delegates !== undefined || plan.responseDelegate !== undefined;
  if (isTaken && opened.isAsync) {
    const start = (): void => void takeOver(gate, xhr, opened, body, plan);
    if (opened.phase === "held") start();
    else hold(xhr, opened, start);
    return;
  }
  // No handler can be asked while the page stands still.
  if (plan.delegates !== undefined) return make(xhr, opened, body, answerOf(refusal()));
  const isOtherBody = plan.body !== undefined || opened.phase === "held";
  const sent = isOtherBody
    ? [plan.body === undefined ? body.unchanged : body.replaced(plan.body)]
    : (args ?? []);
  release(opened);
  if (plan.url !== undefined) reopen(xhr, opened, plan.url, opened.headers);
  if (isOtherBody) nameContentType(xhr, opened, body);
  sendNatively(xhr, opened, sent, plan.isWatched);
}

/** Gives the request to its handlers, and carries out what they say. */
async function takeOver(
  gate: RequestPolicy,
  xhr: Xhr,
  opened: Opened,
  body: TakenBody,
  plan: Plan,
): Promise<void> {
  const controller = new NativeAbortController();
  opened.controller = controller;
  const size = body.bytes?.length ?? 0;
  if (opened.hasUpload) beat(xhr, opened, size);
  let held: PausedRequest;
  try {
    held = {
      method: opened.method,
      url: plan.url ?? opened.url,
      headers: headersWithType(opened, body),
      body: plan.body ?? (opened.hasUpload ? await bodyOf(body) : undefined),
      signal: controllerSignal(controller),
    };
  } catch {
    if (isHeld(xhr, opened)) make(xhr, opened, body, undefined);
    return;
  }
  const given = held;
  if (plan.delegates !== undefined) {
    const handled = await pinned(delegateRequest(gate, plan.delegates, held));
    if (!isHeld(xhr, opened)) return;
    if (handled.kind !== "send") return make(xhr, opened, body, answerIn(handled));
    held = handled.request;
  }
  const { responseDelegate } = plan;
  if (responseDelegate !== undefined && !hasCredentialsOfItsOwn(opened)) {
    const early = beforeSending(gate, responseDelegate, held);
    if (early !== undefined) {
      const handled = await pinned(early);
      if (!isHeld(xhr, opened)) return;
      if (handled.kind !== "send") return make(xhr, opened, body, answerIn(handled));
      held = handled.request;
    }
    const answer = await fetched(gate, xhr, opened, held, responseDelegate, plan.isWatched);
    if (isHeld(xhr, opened)) make(xhr, opened, body, answer);
    return;
  }
  release(opened);
  const isOtherBody = held.body !== given.body;
  const isOtherHead = held.url !== opened.url || held.headers !== given.headers;
  if (isOtherHead) reopen(xhr, opened, held.url, held.headers);
  else nameContentType(xhr, opened, body);
  let sent: unknown = body.unchanged;
  if (isOtherBody) sent = held.body;
  else if (plan.body !== undefined) sent = body.replaced(plan.body);
  sendNatively(xhr, opened, [sent], plan.isWatched);
}

/** Sends in the page's stead and gives the whole answer; undefined: a network error. */
async function fetched(
  gate: RequestPolicy,
  xhr: Xhr,
  opened: Opened,
  held: PausedRequest,
  responseDelegate: Delegate,
  isWatched: boolean,
): Promise<Answer | undefined> {
  try {
    const init = create(null) as RequestInit;
    init.method = held.method;
    init.headers = headersFrom(held.headers);
    init.credentials = credentialsOf(xhr) ? "include" : "same-origin";
    if (held.body !== undefined) init.body = held.body as BodyInit;
    if (held.signal !== undefined) init.signal = held.signal;
    const response = await nativeFetch(page, held.url, init);
    const status = responseStatus(response);
    const given = new NativeUint8Array(await responseBuffer(response));
    const headers = headersFrom(pairsOf(responseHeaders(response)));
    const text = readsText(xhr) ? otherText(given, mimeOf(opened, headers)) : undefined;
    const bytes = text === undefined ? given : utf8Of(text);
    const shown = { method: opened.method, url: opened.url, headers: held.headers };
    const seen = (await pinned(delegateResponse(responseDelegate, shown, status, bytes))) ?? bytes;
    const changed = isWatched ? gate.answer(opened.method, opened.url, status, seen) : undefined;
    if (changed === UNREADABLE) return undefined;
    const final = changed ?? seen;
    if (headersHas(headers, "content-length")) {
      headersSet(headers, "content-length", `${final.length}`);
    }
    return {
      status,
      statusText: responseStatusText(response),
      headers,
      bytes: final,
      isUtf8: text !== undefined,
      url: responseRedirected(response) ? responseUrl(response) : undefined,
    };
  } catch {
    return undefined;
  }
}

/** A Blob as it is; bytes otherwise. */
async function bodyOf(body: TakenBody): Promise<Blob | Uint8Array> {
  return body.bytes ?? (body.unchanged as Blob | undefined) ?? body.read();
}

function answerIn(handled: Handled): Answer | undefined {
  return handled.kind === "reply" ? answerOf(handled.reply) : undefined;
}

/** User and password that `open` was given; `fetch` takes none. */
function hasCredentialsOfItsOwn(opened: Opened): boolean {
  const user = opened.args[3];
  return user !== undefined && user !== null;
}

/** A held request goes back to the browser. */
function release(opened: Opened): void {
  if (opened.phase !== "held") return;
  stopTimers(opened);
  opened.phase = "native";
  opened.isSent = false;
}

/** Fires nothing: the browser's own state is and stays OPENED. */
function reopen(xhr: Xhr, opened: Opened, url: string, headers: HeaderList): void {
  const args: unknown[] = [opened.method, url, opened.isAsync];
  for (let index = 3; index < opened.args.length; index += 1) push(args, opened.args[index]);
  apply(nativeOpen, xhr, args);
  for (let index = 0; index < headers.length; index += 1) {
    const header = headers[index] as readonly [string, string];
    setHeader(xhr, header[0], header[1]);
  }
  if (url !== opened.url) opened.sentUrl = url;
}

function nameContentType(xhr: Xhr, opened: Opened, body: TakenBody): void {
  if (opened.hasUpload && !opened.hasContentType && body.contentType !== null) {
    setHeader(xhr, "Content-Type", body.contentType);
  }
}

function headersWithType(opened: Opened, body: TakenBody): HeaderList {
  const headers: [string, string][] = [];
  for (let index = 0; index < opened.headers.length; index += 1) {
    push(headers, opened.headers[index]);
  }
  if (opened.hasUpload && !opened.hasContentType && body.contentType !== null) {
    push(headers, ["Content-Type", body.contentType]);
  }
  return headers;
}

function beat(xhr: Xhr, opened: Opened, total: number): void {
  opened.beat = setTimer(() => {
    if (!isHeld(xhr, opened)) return;
    fireProgress(uploadOf(xhr), "progress", 0, total);
    if (isHeld(xhr, opened)) beat(xhr, opened, total);
  }, BEAT);
}

function sendNatively(xhr: Xhr, opened: Opened, args: unknown[], isWatched: boolean): unknown {
  if (isWatched) {
    opened.isWatched = true;
    if (opened.isAsync) {
      opened.watchedType = nativeType(xhr);
      setNativeType(xhr, watchedAs(opened.watchedType));
    }
  }
  opened.isSent = true;
  try {
    return apply(nativeSend, xhr, args);
  } catch (error) {
    opened.isSent = nativeState(xhr) !== OPENED;
    throw error;
  }
}

/** The page has sent, we have not: everything happens when `release` comes to a decision. */
function hold(xhr: Xhr, opened: Opened, release: () => void): void {
  opened.phase = "held";
  opened.isSent = true;
  const timeout = timeoutOf(xhr);
  if (timeout > 0) {
    opened.timer = setTimer(() => {
      if (isHeld(xhr, opened)) failWith(xhr, opened, "timeout");
    }, timeout);
  }
  release();
}

/** Plays the whole life of a request that never leaves. */
function make(xhr: Xhr, opened: Opened, body: TakenBody, answer: Answer | undefined): void {
  stopTimers(opened);
  opened.phase = "made";
  opened.state = OPENED;
  opened.isSent = true;
  if (!opened.isAsync) {
    opened.state = DONE;
    opened.isSent = false;
    opened.reply = answer;
    if (answer === undefined) throw syncError(opened.url);
    fire(xhr, "readystatechange");
    if (weakGet(openedBy, xhr) !== opened) return;
    fireProgress(xhr, "load", answer.bytes.length, answer.bytes.length);
    fireProgress(xhr, "loadend", answer.bytes.length, answer.bytes.length);
    return;
  }
  const isCurrent = (): boolean => weakGet(openedBy, xhr) === opened && opened.isSent;
  fireProgress(xhr, "loadstart", 0, 0);
  const known = body.bytes?.length;
  if (isCurrent() && opened.hasUpload) fireProgress(uploadOf(xhr), "loadstart", 0, known ?? 0);
  const go = (total: number): void =>
    runInTask(() => {
      if (!isCurrent()) return;
      if (answer === undefined) failWith(xhr, opened, "error");
      else play(lifeOf(xhr, opened, answer.bytes.length, total, answer), isCurrent);
    });
  if (known !== undefined) go(known);
  else
    void then(
      body.read(),
      (bytes) => go(bytes.length),
      () => go(0),
    );
}

/** The events of a request that is answered, one step each. */
function lifeOf(
  xhr: Xhr,
  opened: Opened,
  length: number,
  total: number,
  answer: Answer,
): (() => void)[] {
  const steps: (() => void)[] = [];
  const step = (act: () => void): unknown => push(steps, act);
  if (opened.hasUpload) {
    const upload = uploadOf(xhr);
    step(() => fireProgress(upload, "progress", total, total));
    step(() => {
      opened.hasUpload = false;
      fireProgress(upload, "load", total, total);
    });
    step(() => fireProgress(upload, "loadend", total, total));
  }
  step(() => {
    opened.reply = answer;
    opened.state = HEADERS_RECEIVED;
    fire(xhr, "readystatechange");
  });
  if (length > 0) {
    step(() => {
      opened.state = LOADING;
      fire(xhr, "readystatechange");
    });
    step(() => fireProgress(xhr, "progress", length, length));
  }
  step(() => {
    opened.state = DONE;
    opened.isSent = false;
    fire(xhr, "readystatechange");
  });
  // Chromium fires no more once the last readystatechange aborted; Firefox does.
  const isDone = (): boolean =>
    weakGet(openedBy, xhr) === opened && (opened.state === DONE || isGecko);
  step(() => {
    if (isDone()) fireProgress(xhr, "load", length, length);
  });
  step(() => {
    if (isDone()) fireProgress(xhr, "loadend", length, length);
  });
  return steps;
}

/** A task for each step, so that promises settle in between as they do between the browser's events. */
function play(steps: (() => void)[], isCurrent: () => boolean, at = 0, wasSent = true): void {
  if (at >= steps.length || (wasSent && !isCurrent())) return;
  steps[at]?.();
  runInTask(() => play(steps, isCurrent, at + 1, wasSent && at < steps.length - 3));
}

/** The end of a request that was held or made, without an answer. */
function failWith(xhr: Xhr, opened: Opened, type: "error" | "abort" | "timeout"): void {
  cancel(opened);
  const isCurrent = (): boolean => weakGet(openedBy, xhr) === opened;
  if (opened.phase === "held") {
    // What began now ends, so it has to have begun.
    fireProgress(xhr, "loadstart", 0, 0);
    if (isCurrent() && opened.hasUpload) fireProgress(uploadOf(xhr), "loadstart", 0, 0);
    if (!isCurrent() || opened.phase !== "held") return;
  }
  opened.phase = "made";
  opened.state = DONE;
  opened.isSent = false;
  opened.reply = undefined;
  fire(xhr, "readystatechange");
  if (opened.hasUpload) {
    opened.hasUpload = false;
    const upload = uploadOf(xhr);
    if (isCurrent()) fireProgress(upload, type, 0, 0);
    if (isCurrent()) fireProgress(upload, "loadend", 0, 0);
  }
  if (isCurrent()) fireProgress(xhr, type, 0, 0);
  if (isCurrent()) fireProgress(xhr, "loadend", 0, 0);
}

function abort(xhr: Xhr, opened: Opened): void {
  if (opened.isSent) failWith(xhr, opened, "abort");
  if (weakGet(openedBy, xhr) === opened && opened.state === DONE) {
    opened.state = 0;
    opened.reply = undefined;
    opened.value = undefined;
  }
}

function isHeld(xhr: Xhr, opened: Opened): boolean {
  return opened.phase === "held" && weakGet(openedBy, xhr) === opened;
}

function answerOf(reply: SyntheticReply): Answer {
  const bytes = encodeText(reply.body);
  const { status, statusText } = reply;
  return {
    status,
    statusText,
    headers: headersOf(reply, bytes.length),
    bytes,
    isUtf8: false,
    url: undefined,
  };
}

/** "name: value\n…" */
function headerLines(opened: Opened, body: TakenBody): string {
  let lines = "";
  for (let index = 0; index < opened.headers.length; index += 1) {
    const header = opened.headers[index] as [string, string];
    lines += `${header[0]}: ${header[1]}\n`;
  }
  return opened.hasContentType || body.contentType === null
    ? lines
    : `${lines}Content-Type: ${body.contentType}\n`;
}

function fire(target: EventTarget, type: string): void {
  dispatch(target, new NativeEvent(type));
}

function fireProgress(target: EventTarget, type: string, loaded: number, total: number): void {
  dispatch(target, new NativeProgressEvent(type, { lengthComputable: total > 0, loaded, total }));
}

function stopTimers(opened: Opened): void {
  if (opened.timer !== undefined) clearTimer(opened.timer);
  if (opened.beat !== undefined) clearTimer(opened.beat);
  opened.timer = undefined;
  opened.beat = undefined;
}

/** The page wants no answer any more, or is not to get one. */
function cancel(opened: Opened): void {
  stopTimers(opened);
  if (opened.controller !== undefined) abortController(opened.controller);
  opened.controller = undefined;
}

/** Firefox tells a request under way from one that was never opened; Chromium does not. */
function sendingError(method: string): DOMException {
  return new NativeDOMException(
    `XMLHttpRequest.${method}: XMLHttpRequest must not be sending.`,
    "InvalidStateError",
  );
}

function stateError(method: string): DOMException {
  return new NativeDOMException(
    isGecko
      ? "XMLHttpRequest.overrideMimeType: Cannot call 'overrideMimeType()' on XMLHttpRequest after 'send()' (when its state is LOADING or DONE)."
      : `Failed to execute '${method}' on 'XMLHttpRequest': MimeType cannot be overridden when the state is LOADING or DONE.`,
    "InvalidStateError",
  );
}

function syncError(url: string): DOMException {
  return new NativeDOMException(
    isGecko
      ? "A network error occurred."
      : `Failed to execute 'send' on 'XMLHttpRequest': Failed to load '${url}'.`,
    "NetworkError",
  );
}
