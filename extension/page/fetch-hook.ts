import {
  addListener,
  apply,
  baseUri,
  create,
  decodeText,
  encodeText,
  getProperty,
  headersForEach,
  isArray,
  iteratorKey,
  headersGet,
  NativeHeaders,
  NativePromise,
  NativeProxy,
  NativeRequest,
  NativeString,
  NativeUint8Array,
  NativeURL,
  page,
  pageDocument,
  reject,
  removeListener,
  requestBuffer,
  requestClone,
  requestHeaders,
  requestMethod,
  requestMode,
  requestReferrer,
  requestReferrerPolicy,
  requestSignal,
  requestUrl,
  capturedGetter,
  responseBuffer,
  responseClone,
  responseStatus,
  responseType,
  runInTask,
  signalAborted,
  signalReason,
  startsWith,
  then,
  toUpperCase,
  urlHref,
} from "./captured.ts";
import { FAIL, NEEDS_BODY, REPLY, REWRITTEN, WATCH } from "./decision.ts";
import type { Gate, SyntheticReply } from "./decision.ts";
import { networkError, replyResponse, withBody } from "./synthetic-response.ts";
import { replaceMethod } from "./wrap.ts";

/** A call of `fetch`, read without changing anything. */
interface FetchCall {
  readonly input: string | URL | Request;
  readonly init: RequestInit | undefined;
  readonly method: string;
  readonly url: string;
}

type NativeFetch = (input: unknown, init?: unknown) => Promise<Response>;

const windowSelf = capturedGetter<Window, unknown>(page, "self");

export function installFetchHook(gate: Gate): void {
  replaceMethod(page, "fetch", (native, self, args) => {
    let call: FetchCall | undefined;
    try {
      call = readCall(self, args);
    } catch {
      // The browser meets the same problem and words it itself.
    }
    if (call === undefined) return apply(native, self, args);
    const flags = gate.decide(call.method, call.url);
    if (flags === 0) return apply(native, self, args);
    const send: NativeFetch = (input, init) =>
      apply(native, self, init === undefined ? [input] : [input, init]) as Promise<Response>;
    return new FetchInHand(
      gate,
      call,
      send,
      () => apply(native, self, args) as Promise<Response>,
    ).start(flags);
  });
}

/** undefined when the browser itself will refuse the call, or when nothing goes over the network. */
function readCall(self: unknown, args: unknown[]): FetchCall | undefined {
  if (args.length === 0 || !isWindow(self)) return undefined;
  const init = args[1] as RequestInit | null | undefined;
  if (
    init !== undefined &&
    init !== null &&
    typeof init !== "object" &&
    typeof init !== "function"
  ) {
    return undefined;
  }
  let input = args[0] as string | URL | Request;
  let url: string;
  let method = "GET";
  if (typeof input === "string") {
    url = resolve(input);
  } else if (input instanceof NativeURL) {
    url = urlHref(input);
  } else {
    const request = asRequest(input);
    if (request !== undefined) {
      url = requestUrl(request);
      method = requestMethod(request);
    } else {
      // Anything else becomes a string, once, as the browser would do it.
      input = NativeString(input);
      args[0] = input;
      url = resolve(input);
    }
  }
  if (!startsWith(url, "http")) return undefined;
  const given = init?.method;
  if (given !== undefined) method = NativeString(given);
  return { input, init: init ?? undefined, method: toUpperCase(method), url };
}

/** One intercepted call, from decision to answer. */
class FetchInHand {
  readonly #gate: Gate;
  readonly #call: FetchCall;
  readonly #send: NativeFetch;
  readonly #sendAsCalled: () => Promise<Response>;

  constructor(
    gate: Gate,
    call: FetchCall,
    send: NativeFetch,
    sendAsCalled: () => Promise<Response>,
  ) {
    this.#gate = gate;
    this.#call = call;
    this.#send = send;
    this.#sendAsCalled = sendAsCalled;
  }

  start(flags: number): Promise<Response> {
    const { method, url } = this.#call;
    const isReady = this.#gate.isReady();
    if (isReady && (flags & NEEDS_BODY) !== 0) {
      const text = this.#textBody();
      if (text !== undefined) {
        const final = this.#gate.decideBody(method, url, text.headerLines, encodeText(text.body));
        if ((final & (REPLY | FAIL)) === 0) return this.#sendText(text.headers, final);
        return this.#settleHere(undefined, final);
      }
    }
    if (isReady && (flags & (NEEDS_BODY | REPLY | FAIL)) === 0) {
      return this.#watched(this.#sendAsCalled());
    }
    if (!isReady) this.#gate.forgetDecision();
    const reply = isReady && (flags & REPLY) !== 0 ? this.#gate.takeReply() : undefined;
    // Taken at once: what the page does to its body or headers from here on changes nothing.
    const snapshot = this.#snapshot();
    if (snapshot === undefined) return this.#sendAsCalled();
    if (!isReady) return this.#held(snapshot);
    if ((flags & NEEDS_BODY) !== 0) return this.#withBodyRead(snapshot);
    return this.#settle(snapshot, reply);
  }

  /** undefined when the call is one the browser refuses; it will say so itself. */
  #snapshot(): Request | undefined {
    try {
      return new NativeRequest(this.#call.input, this.#call.init);
    } catch {
      return undefined;
    }
  }

  /** A string body can be looked at without copying the request. `headers`: to send instead. */
  #textBody(): { body: string; headers: Headers | undefined; headerLines: string } | undefined {
    const { input, init } = this.#call;
    if (typeof input !== "string" && !(input instanceof NativeURL)) return undefined;
    try {
      const body = init?.body ?? "";
      if (typeof body !== "string") return undefined;
      const signal = init?.signal;
      if (signal !== undefined && signal !== null && signalAborted(signal)) return undefined;
      const given = init?.headers;
      const headers = given === undefined ? undefined : new NativeHeaders(given);
      const headerLines = linesOf(headers, "text/plain;charset=UTF-8");
      return { body, headerLines, headers: isReadOnce(given) ? headers : undefined };
    } catch {
      return undefined;
    }
  }

  #sendText(headers: Headers | undefined, flags: number): Promise<Response> {
    const { input, init } = this.#call;
    const changes = create(null) as Record<string, unknown>;
    if (headers !== undefined) changes["headers"] = headers;
    if ((flags & REWRITTEN) !== 0) changes["body"] = decodeText(this.#gate.takeBody());
    const sent =
      headers === undefined && (flags & REWRITTEN) === 0
        ? this.#sendAsCalled()
        : this.#send(input, overlaid(init ?? {}, changes));
    return (flags & WATCH) === 0 ? sent : this.#watched(sent);
  }

  async #withBodyRead(snapshot: Request): Promise<Response> {
    const signal = requestSignal(snapshot);
    const buffer = await abortable(signal, () => requestBuffer(requestClone(snapshot)));
    const { method, url } = this.#call;
    const body = new NativeUint8Array(buffer);
    const headerLines = linesOf(requestHeaders(snapshot));
    const flags = this.#gate.decideBody(method, url, headerLines, body);
    if ((flags & (REPLY | FAIL)) !== 0) return this.#settleHere(snapshot, flags);
    let request = snapshot;
    if ((flags & REWRITTEN) !== 0) {
      // Any init resets the referrer, so it is given again.
      request = new NativeRequest(snapshot, {
        body: this.#gate.takeBody() as Uint8Array<ArrayBuffer>,
        referrer: requestReferrer(snapshot),
        referrerPolicy: requestReferrerPolicy(snapshot),
      });
    }
    const sent = this.#send(request);
    return (flags & WATCH) === 0 ? sent : this.#watched(sent);
  }

  /** Settings have not arrived: wait, and decide anew. */
  async #held(snapshot: Request): Promise<Response> {
    await abortable(requestSignal(snapshot), () => this.#gate.whenReady());
    const flags = this.#gate.decide(this.#call.method, this.#call.url);
    if ((flags & NEEDS_BODY) !== 0) return this.#withBodyRead(snapshot);
    if ((flags & (REPLY | FAIL)) !== 0) return this.#settleHere(snapshot, flags);
    const sent = this.#send(snapshot);
    return (flags & WATCH) === 0 ? sent : this.#watched(sent);
  }

  /** Right after a decision with REPLY or FAIL. */
  #settleHere(taken: Request | undefined, flags: number): Promise<Response> {
    // Taken first: making the snapshot may run code of the page, and with it other decisions.
    const reply = (flags & REPLY) === 0 ? undefined : this.#gate.takeReply();
    const snapshot = taken ?? this.#snapshot();
    return snapshot === undefined ? this.#sendAsCalled() : this.#settle(snapshot, reply);
  }

  /** Nothing is sent. Settles in a later task, as an answer from the network would. */
  async #settle(snapshot: Request, reply: SyntheticReply | undefined): Promise<Response> {
    await abortable(
      requestSignal(snapshot),
      () => new NativePromise<void>((done) => runInTask(done)),
    );
    if (reply === undefined) throw networkError();
    return replyResponse(reply, this.#call.url, requestMode(snapshot));
  }

  #isAborted(): boolean {
    try {
      const { input, init } = this.#call;
      const signal = init?.signal ?? requestSignal(input as Request);
      return signalAborted(signal);
    } catch {
      // No signal at all.
      return false;
    }
  }

  /** The whole answer goes through the core; unchanged ones are handed on as the browser made them. */
  async #watched(sent: Promise<Response>): Promise<Response> {
    const response = await sent;
    const type = responseType(response);
    if (type === "opaque" || type === "opaqueredirect" || type === "error") return response;
    let buffer: ArrayBuffer;
    try {
      buffer = await responseBuffer(responseClone(response));
    } catch (error) {
      if (this.#isAborted()) throw error;
      // Broken off: reading this response says so.
      return response;
    }
    const { method, url } = this.#call;
    const changed = this.#gate.answer(
      method,
      url,
      responseStatus(response),
      new NativeUint8Array(buffer),
    );
    return changed === undefined ? response : withBody(response, changed);
  }
}

/** Headers from an iterator are gone once they were read. */
function isReadOnce(headers: HeadersInit | undefined): boolean {
  return (
    headers !== undefined &&
    !isArray(headers) &&
    !(headers instanceof NativeHeaders) &&
    iteratorKey in headers
  );
}

/** Starts work unless the signal is aborted; rejects with its reason when it is in the meantime. */
function abortable<Value>(signal: AbortSignal, work: () => Promise<Value>): Promise<Value> {
  if (signalAborted(signal)) return reject(signalReason(signal));
  return new NativePromise<Value>((resolveWith, rejectWith) => {
    const abort = (): void => rejectWith(signalReason(signal));
    addListener(signal, "abort", abort);
    void then(
      work(),
      (value) => {
        removeListener(signal, "abort", abort);
        resolveWith(value);
      },
      (error) => {
        removeListener(signal, "abort", abort);
        rejectWith(error);
      },
    );
  });
}

/** An init that reads like the page's, but for a few members. */
function overlaid(init: RequestInit, changes: Record<string, unknown>): RequestInit {
  const handler = create(null) as ProxyHandler<object>;
  // Members are read from the init itself: it may be a Request, or a class with private fields.
  handler.get = (_target, key) =>
    key in changes ? changes[key as string] : getProperty(init, key);
  return new NativeProxy({}, handler);
}

function linesOf(headers: Headers | undefined, contentType?: string): string {
  let lines = "";
  if (headers !== undefined) {
    headersForEach(headers, (value, name) => {
      lines += `${name}: ${value}\n`;
    });
  }
  if (
    contentType !== undefined &&
    (headers === undefined || headersGet(headers, "content-type") === null)
  ) {
    lines += `content-type: ${contentType}\n`;
  }
  return lines;
}

/** An absolute URL, normalised by the browser; throws where the browser would. */
export function resolve(url: string): string {
  return urlHref(new NativeURL(url, baseUri(pageDocument)));
}

/** Objects of other frames count as well. */
function asRequest(input: unknown): Request | undefined {
  if (typeof input !== "object" || input === null) return undefined;
  try {
    requestUrl(input as Request);
    return input as Request;
  } catch {
    return undefined;
  }
}

function isWindow(self: unknown): boolean {
  if (self === undefined || self === null || self === page) return true;
  try {
    windowSelf(self as Window);
    return true;
  } catch {
    return false;
  }
}
