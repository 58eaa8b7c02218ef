import {
  apply,
  capturedGetter,
  capturedSetter,
  charCodeAt,
  clearTimer,
  decodeWith,
  dispatch,
  encodeText,
  findElement,
  getOwnPropertyDescriptor,
  headersForEach,
  headersGet,
  indexOf,
  isGecko,
  join,
  NativeBlob,
  NativeDOMException,
  NativeDOMParser,
  NativeEvent,
  NativeProgressEvent,
  NativeString,
  NativeTextDecoder,
  NativeUint8Array,
  NativeWeakMap,
  NativeXMLHttpRequest,
  parseDocument,
  parseJson,
  push,
  runInTask,
  setTimer,
  slice,
  sort,
  startsWith,
  then,
  toLowerCase,
  toUpperCase,
  trim,
  uncurry,
  viewBuffer,
  copyBytes,
  weakGet,
  weakSet,
} from "./captured.ts";
import type { AnyFunction } from "./captured.ts";
import { takeBody } from "./body.ts";
import type { TakenBody } from "./body.ts";
import { FAIL, NEEDS_BODY, REPLY, REWRITTEN, WATCH } from "./decision.ts";
import type { Gate, SyntheticReply } from "./decision.ts";
import { resolve } from "./fetch-hook.ts";
import { headersOf, withoutFragment } from "./synthetic-response.ts";
import { replaceAccessor, replaceMethod } from "./wrap.ts";

type Xhr = XMLHttpRequest;

const prototype = NativeXMLHttpRequest.prototype;
const nativeMethod = (name: string): AnyFunction =>
  getOwnPropertyDescriptor(prototype, name)?.value as AnyFunction;
const nativeSend = nativeMethod("send");
const setHeader = uncurry(prototype.setRequestHeader);
const nativeAbort = uncurry(prototype.abort);
const nativeState = capturedGetter<Xhr, number>(prototype, "readyState");
const nativeStatus = capturedGetter<Xhr, number>(prototype, "status");
const nativeHeader = uncurry(prototype.getResponseHeader);
const nativeResponse = capturedGetter<Xhr, unknown>(prototype, "response");
const nativeText = capturedGetter<Xhr, string>(prototype, "responseText");
const nativeType = capturedGetter<Xhr, XMLHttpRequestResponseType>(prototype, "responseType");
const setNativeType = capturedSetter<Xhr, XMLHttpRequestResponseType>(prototype, "responseType");
const timeoutOf = capturedGetter<Xhr, number>(prototype, "timeout");
const uploadOf = capturedGetter<Xhr, XMLHttpRequestUpload>(prototype, "upload");

const OPENED = 1;
const HEADERS_RECEIVED = 2;
const LOADING = 3;
const DONE = 4;

/** What one `open()` began. */
interface Opened {
  readonly method: string;
  readonly url: string;
  readonly isAsync: boolean;
  /** "name: value\n…" */
  headerLines: string;
  hasContentType: boolean;
  mimeOverride: string | undefined;
  /** native: the browser does it; held: sent by the page, not yet by us; made: answered here. */
  phase: "native" | "held" | "made";
  isSent: boolean;
  /** readyState while made. */
  state: number;
  hasUpload: boolean;
  timer: number | undefined;
  /** The answer while made; undefined: a network error. */
  reply: { status: number; statusText: string; headers: Headers; bytes: Uint8Array } | undefined;
  /** Type the page asked for while the browser collects bytes for the core to see. */
  watchedType: XMLHttpRequestResponseType | undefined;
  isWatched: boolean;
  /** The answer as the page sees it, once looked at. */
  body: { bytes: Uint8Array | null } | undefined;
  value: { type: XMLHttpRequestResponseType; value: unknown } | undefined;
}

const openedBy = new NativeWeakMap<Xhr, Opened>();

export function installXhrHook(gate: Gate): void {
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
      opened.headerLines += `${name}: ${NativeString(args[1])}\n`;
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
  if (args.length >= 2) {
    // Converted once, as the browser does it; what this throws it would throw too.
    const method = NativeString(args[0]);
    const given = NativeString(args[1]);
    args[0] = method;
    args[1] = given;
    const isAsync = args.length < 3 || Boolean(args[2]);
    try {
      opened = newOpened(toUpperCase(method), resolve(given), isAsync);
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
  if (before !== undefined) stopTimer(before);
  if (weakGet(openedBy, xhr) !== opened) return undefined;
  if (wanted !== undefined && nativeBefore !== DONE && !opened.isSent) setNativeType(xhr, wanted);
  // The browser's own state was OPENED all the while, so it fired nothing.
  if (stateBefore !== undefined && stateBefore !== OPENED && nativeBefore === OPENED) {
    fire(xhr, "readystatechange");
  }
  return undefined;
}

function newOpened(method: string, url: string, isAsync: boolean): Opened {
  return {
    method,
    url,
    isAsync,
    headerLines: "",
    hasContentType: false,
    mimeOverride: undefined,
    phase: "native",
    isSent: false,
    state: OPENED,
    hasUpload: false,
    timer: undefined,
    reply: undefined,
    watchedType: undefined,
    isWatched: false,
    body: undefined,
    value: undefined,
  };
}

function send(gate: Gate, xhr: Xhr, opened: Opened, args: unknown[]): unknown {
  if (!isSettable(opened)) {
    if (opened.isSent && isGecko) throw sendingError("send");
    return apply(nativeSend, unsent(), args);
  }
  const isSendable = opened.phase === "native" && nativeState(xhr) === OPENED && !opened.isSent;
  if (!isSendable || !startsWith(opened.url, "http")) return apply(nativeSend, xhr, args);
  const flags = gate.decide(opened.method, opened.url);
  if (flags === 0) return sendNatively(xhr, opened, args, 0);

  const isEarly = opened.isAsync && !gate.isReady();
  const reply = (flags & REPLY) === 0 ? undefined : gate.takeReply();
  if (isEarly) gate.forgetDecision();
  const hasBody = opened.method !== "GET" && opened.method !== "HEAD";
  const body = takeBody(hasBody ? args[0] : null);
  opened.hasUpload = hasBody && args[0] !== undefined && args[0] !== null;
  if (isEarly) {
    return hold(xhr, opened, () => {
      void then(gate.whenReady(), () => {
        if (!isHeld(xhr, opened)) return;
        const decided = gate.decide(opened.method, opened.url);
        if ((decided & NEEDS_BODY) !== 0) decideHeld(gate, xhr, opened, body);
        else conclude(gate, xhr, opened, body, decided, args);
      });
    });
  }
  if ((flags & NEEDS_BODY) === 0) {
    return concludeWith(gate, xhr, opened, body, flags, args, reply);
  }
  if (body.bytes !== undefined) {
    const { method, url } = opened;
    const decided = gate.decideBody(method, url, headerLines(opened, body), body.bytes);
    return conclude(gate, xhr, opened, body, decided, args);
  }
  // The core wants to see what cannot be read now.
  if (!opened.isAsync) return concludeWith(gate, xhr, opened, body, FAIL, args, undefined);
  return hold(xhr, opened, () => decideHeld(gate, xhr, opened, body));
}

function decideHeld(gate: Gate, xhr: Xhr, opened: Opened, body: TakenBody): void {
  const { method, url } = opened;
  void then(
    body.read(),
    (bytes) => {
      if (!isHeld(xhr, opened)) return;
      const decided = gate.decideBody(method, url, headerLines(opened, body), bytes);
      conclude(gate, xhr, opened, body, decided, undefined);
    },
    () => {
      // An unreadable file: the browser fails the request as well.
      if (isHeld(xhr, opened)) concludeWith(gate, xhr, opened, body, FAIL, undefined, undefined);
    },
  );
}

/** Right after a decision: what it left in the core is taken at once. */
function conclude(
  gate: Gate,
  xhr: Xhr,
  opened: Opened,
  body: TakenBody,
  flags: number,
  args: unknown[] | undefined,
): void {
  const reply = (flags & REPLY) === 0 ? undefined : gate.takeReply();
  concludeWith(gate, xhr, opened, body, flags, args, reply);
}

/** `args` are those of a send that was not held; held ones send what was taken then. */
function concludeWith(
  gate: Gate,
  xhr: Xhr,
  opened: Opened,
  body: TakenBody,
  flags: number,
  args: unknown[] | undefined,
  reply: SyntheticReply | undefined,
): void {
  const wasHeld = opened.phase === "held";
  if ((flags & (REPLY | FAIL)) !== 0) {
    stopTimer(opened);
    make(xhr, opened, body, (flags & REPLY) === 0 ? undefined : reply);
    return;
  }
  let sent = args;
  if ((flags & REWRITTEN) !== 0) {
    sent = [body.replaced(gate.takeBody())];
  } else if (wasHeld || sent === undefined) {
    sent = [body.unchanged];
  }
  const isOtherBody = (flags & REWRITTEN) !== 0 || wasHeld;
  if (wasHeld) {
    stopTimer(opened);
    opened.phase = "native";
    opened.isSent = false;
  }
  if (isOtherBody && opened.hasUpload && !opened.hasContentType && body.contentType !== null) {
    setHeader(xhr, "Content-Type", body.contentType);
  }
  sendNatively(xhr, opened, sent ?? [], flags);
}

function sendNatively(xhr: Xhr, opened: Opened, args: unknown[], flags: number): unknown {
  if ((flags & WATCH) !== 0) {
    opened.isWatched = true;
    if (opened.isAsync) {
      // Bytes are the one form the core can look at; the page's form is made from them.
      opened.watchedType = nativeType(xhr);
      setNativeType(xhr, "arraybuffer");
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
function make(xhr: Xhr, opened: Opened, body: TakenBody, reply: SyntheticReply | undefined): void {
  opened.phase = "made";
  opened.state = OPENED;
  opened.isSent = true;
  const answer = reply === undefined ? undefined : answerOf(reply);
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
  answer: NonNullable<Opened["reply"]>,
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
  stopTimer(opened);
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

function installAnswerAccessors(gate: Gate): void {
  /** Answers made here from their parts, others by the browser. */
  const madeOr = (name: string, value: (opened: Opened) => unknown): void => {
    replaceAccessor(prototype, name, {
      get: (native, self) => {
        const opened = weakGet(openedBy, self);
        return opened?.phase === "made" ? value(opened) : apply(native, self, []);
      },
    });
  };
  madeOr("readyState", (opened) => opened.state);
  madeOr("status", (opened) => opened.reply?.status ?? 0);
  madeOr("statusText", (opened) => opened.reply?.statusText ?? "");
  madeOr("responseURL", (opened) =>
    opened.reply === undefined ? "" : withoutFragment(opened.url),
  );

  replaceAccessor(prototype, "response", {
    get: (native, self) => {
      const opened = weakGet(openedBy, self);
      if (opened === undefined || (opened.phase !== "made" && !opened.isWatched)) {
        return apply(native, self, []);
      }
      return responseOf(gate, self as Xhr, opened, typeOf(self as Xhr, opened));
    },
  });
  replaceAccessor(prototype, "responseText", {
    get: (native, self) => {
      const opened = weakGet(openedBy, self);
      if (opened === undefined || (opened.phase !== "made" && !opened.isWatched)) {
        return apply(native, self, []);
      }
      const type = typeOf(self as Xhr, opened);
      if (type !== "" && type !== "text") return apply(native, unsent(type), []);
      return responseOf(gate, self as Xhr, opened, type);
    },
  });
  replaceAccessor(prototype, "responseXML", {
    get: (native, self) => {
      const opened = weakGet(openedBy, self);
      if (opened === undefined || (opened.phase !== "made" && !opened.isWatched)) {
        return apply(native, self, []);
      }
      const type = typeOf(self as Xhr, opened);
      if (type !== "" && type !== "document") return apply(native, unsent(type), []);
      return documentOf(gate, self as Xhr, opened, type);
    },
  });
  replaceAccessor(prototype, "responseType", {
    get: (native, self) => weakGet(openedBy, self)?.watchedType ?? apply(native, self, []),
    set: (native, self, args) => {
      const opened = weakGet(openedBy, self);
      if (opened?.phase === "made" && opened.state >= LOADING) throw typeError();
      if (opened?.watchedType === undefined) return apply(native, self, args);
      const type = NativeString(args[0]);
      // Throws once the answer is coming in.
      apply(native, self, ["arraybuffer"]);
      if (isResponseType(type)) opened.watchedType = type;
      return undefined;
    },
  });
  replaceAccessor(prototype, "withCredentials", {
    set: (native, self, args) => {
      const opened = weakGet(openedBy, self);
      if (opened !== undefined && !isSettable(opened) && opened.state !== 0) {
        throw credentialsError();
      }
      return apply(native, self, args);
    },
  });
}

function installHeaderMethods(): void {
  replaceMethod(prototype, "getResponseHeader", (native, self, args) => {
    const opened = weakGet(openedBy, self);
    if (opened?.phase !== "made") return apply(native, self, args);
    if (args.length === 0) return apply(native, unsent(), args);
    if (opened.reply === undefined) return null;
    try {
      return headersGet(opened.reply.headers, NativeString(args[0]));
    } catch {
      return null;
    }
  });
  replaceMethod(prototype, "getAllResponseHeaders", (native, self, args) => {
    const opened = weakGet(openedBy, self);
    if (opened?.phase !== "made") return apply(native, self, args);
    if (opened.reply === undefined) return "";
    const lines: string[] = [];
    headersForEach(opened.reply.headers, (value, name) => push(lines, `${name}: ${value}\r\n`));
    return join(sort(lines), "");
  });
}

function typeOf(xhr: Xhr, opened: Opened): XMLHttpRequestResponseType {
  return opened.watchedType ?? nativeType(xhr);
}

/** Whether headers and the like may still be set, as far as this side knows. */
function isSettable(opened: Opened): boolean {
  return opened.phase === "native";
}

function isHeld(xhr: Xhr, opened: Opened): boolean {
  return opened.phase === "held" && weakGet(openedBy, xhr) === opened;
}

/** The answer's bytes as the page shall see them; null before the end and after an error. */
function bytesOf(gate: Gate, xhr: Xhr, opened: Opened): Uint8Array | null {
  if (opened.phase === "made") {
    return opened.state >= LOADING ? (opened.reply?.bytes ?? null) : null;
  }
  if (nativeState(xhr) !== DONE) return null;
  if (opened.body === undefined) {
    const bytes = nativeBytes(xhr, opened);
    const changed =
      bytes === null ? undefined : gate.answer(opened.method, opened.url, nativeStatus(xhr), bytes);
    opened.body = { bytes: changed ?? bytes };
  }
  return opened.body.bytes;
}

function nativeBytes(xhr: Xhr, opened: Opened): Uint8Array | null {
  if (nativeStatus(xhr) === 0) return null;
  if (!opened.isAsync) return encodeText(nativeText(xhr));
  const buffer = nativeResponse(xhr) as ArrayBuffer | null;
  return buffer === null ? null : new NativeUint8Array(buffer);
}

function responseOf(
  gate: Gate,
  xhr: Xhr,
  opened: Opened,
  type: XMLHttpRequestResponseType,
): unknown {
  const bytes = bytesOf(gate, xhr, opened);
  if (type === "" || type === "text") {
    if (bytes === null) return "";
    if (opened.value?.type !== "text") {
      opened.value = { type: "text", value: textOf(bytes, charsetOf(mimeOf(xhr, opened))) };
    }
    return opened.value.value;
  }
  const isDone = opened.phase === "made" ? opened.state === DONE : true;
  if (bytes === null || !isDone) return null;
  if (opened.value?.type !== type) {
    const value = valueOf(xhr, opened, type, bytes);
    // Chromium parses anew each time it is asked.
    if (type === "json" && !isGecko) return value;
    opened.value = { type, value };
  }
  return opened.value.value;
}

function valueOf(
  xhr: Xhr,
  opened: Opened,
  type: XMLHttpRequestResponseType,
  bytes: Uint8Array,
): unknown {
  const mime = mimeOf(xhr, opened);
  switch (type) {
    case "arraybuffer":
      return viewBuffer(copyBytes(bytes));
    case "blob":
      return new NativeBlob([bytes as Uint8Array<ArrayBuffer>], { type: mime || "text/xml" });
    case "json":
      try {
        return parseJson(textOf(bytes, "utf-8"));
      } catch {
        return null;
      }
    case "document":
      return parsed(bytes, mime, true);
    default:
      return null;
  }
}

function documentOf(
  gate: Gate,
  xhr: Xhr,
  opened: Opened,
  type: XMLHttpRequestResponseType,
): unknown {
  if (type === "document") return responseOf(gate, xhr, opened, type);
  const bytes = bytesOf(gate, xhr, opened);
  const isDone = opened.phase === "made" ? opened.state === DONE : true;
  if (bytes === null || !isDone) return null;
  return parsed(bytes, mimeOf(xhr, opened), false);
}

/** A document of HTML, where that is wanted, or XML; null for other types. */
function parsed(bytes: Uint8Array, mime: string, mayBeHtml: boolean): Document | null {
  const essence = essenceOf(mime || "text/xml");
  const isXml =
    essence === "text/xml" || essence === "application/xml" || indexOf(essence, "+xml") > 0;
  if (!isXml && !(mayBeHtml && essence === "text/html")) return null;
  const text = textOf(bytes, charsetOf(mime));
  const type = !isXml
    ? "text/html"
    : essence === "text/xml" || essence === "application/xhtml+xml" || essence === "image/svg+xml"
      ? essence
      : "application/xml";
  const result = parseDocument(new NativeDOMParser(), text, type);
  return isXml && findElement(result, "parsererror") !== null ? null : result;
}

function mimeOf(xhr: Xhr, opened: Opened): string {
  if (opened.mimeOverride !== undefined) return opened.mimeOverride;
  const header =
    opened.phase === "made"
      ? opened.reply && headersGet(opened.reply.headers, "content-type")
      : nativeHeader(xhr, "content-type");
  return header ?? "";
}

function essenceOf(mime: string): string {
  const end = indexOf(mime, ";");
  return toLowerCase(trim(end === -1 ? mime : slice(mime, 0, end)));
}

function charsetOf(mime: string): string {
  const lower = toLowerCase(mime);
  const at = indexOf(lower, "charset=");
  if (at === -1) return "utf-8";
  let value = slice(lower, at + 8);
  const end = indexOf(value, ";");
  if (end !== -1) value = slice(value, 0, end);
  value = trim(value);
  return charCodeAt(value, 0) === 0x22 ? slice(value, 1, -1) : value;
}

function textOf(bytes: Uint8Array, charset: string): string {
  let decoder: TextDecoder;
  try {
    decoder = new NativeTextDecoder(charset);
  } catch {
    decoder = new NativeTextDecoder();
  }
  return decodeWith(decoder, bytes);
}

function answerOf(reply: SyntheticReply): NonNullable<Opened["reply"]> {
  const bytes = encodeText(reply.body);
  const { status, statusText } = reply;
  return { status, statusText, headers: headersOf(reply, bytes.length), bytes };
}

function headerLines(opened: Opened, body: TakenBody): string {
  return opened.hasContentType || body.contentType === null
    ? opened.headerLines
    : `${opened.headerLines}Content-Type: ${body.contentType}\n`;
}

function fire(target: EventTarget, type: string): void {
  dispatch(target, new NativeEvent(type));
}

function fireProgress(target: EventTarget, type: string, loaded: number, total: number): void {
  dispatch(target, new NativeProgressEvent(type, { lengthComputable: total > 0, loaded, total }));
}

function stopTimer(opened: Opened): void {
  if (opened.timer !== undefined) clearTimer(opened.timer);
  opened.timer = undefined;
}

function isResponseType(type: string): type is XMLHttpRequestResponseType {
  return (
    type === "" ||
    type === "arraybuffer" ||
    type === "blob" ||
    type === "document" ||
    type === "json" ||
    type === "text"
  );
}

/** A request on which every call fails as on one in the wrong state, in the browser's own words. */
function unsent(type: XMLHttpRequestResponseType = ""): Xhr {
  const xhr = new NativeXMLHttpRequest();
  if (type !== "") setNativeType(xhr, type);
  return xhr;
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

function typeError(): DOMException {
  return new NativeDOMException(
    isGecko
      ? "XMLHttpRequest.responseType setter: Cannot set 'responseType' property on XMLHttpRequest after 'send()' (when its state is LOADING or DONE)."
      : "Failed to set the 'responseType' property on 'XMLHttpRequest': The response type cannot be set if the object's state is LOADING or DONE.",
    "InvalidStateError",
  );
}

function credentialsError(): DOMException {
  return new NativeDOMException(
    isGecko
      ? "XMLHttpRequest.withCredentials setter: XMLHttpRequest must not be sending."
      : "Failed to set the 'withCredentials' property on 'XMLHttpRequest': The value may only be set if the object's state is UNSENT or OPENED.",
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
