import {
  addListener,
  apply,
  blobSize,
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
  reject,
  removeListener,
  requestBlob,
  requestBuffer,
  requestCache,
  requestClone,
  requestCredentials,
  requestHeaders,
  requestIntegrity,
  requestKeepalive,
  requestMethod,
  requestMode,
  requestRedirect,
  requestReferrer,
  requestReferrerPolicy,
  requestSignal,
  requestUrl,
  capturedGetter,
  responseStatus,
  responseType,
  runInTask,
  signalAborted,
  signalReason,
  startsWith,
  pinned,
  then,
  toUpperCase,
  urlHref,
} from "../primordials/primordials.ts";
import { NEEDS_BODY, UNREADABLE, INSPECT_RESPONSE } from "./decision.ts";
import type { RequestPolicy, SyntheticReply } from "./decision.ts";
import { beforeSending, delegateResponse, delegateRequest } from "./handlers.ts";
import type { AnsweredRequest, Handled, PausedRequest } from "./handlers.ts";
import { headersFrom, pairsOf, withOwnIterator } from "../primordials/header-list.ts";
import { takePlan } from "./plan.ts";
import { resolve } from "./resolve.ts";
import type { Plan } from "./plan.ts";
import { networkError, readWhole, replyResponse, showUrl, withBody } from "./response.ts";
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

export function installFetchHook(gate: RequestPolicy): void {
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
    return new InterceptedFetch(
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
      // What is no text either; the browser says so.
      if (typeof input === "symbol") return undefined;
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
class InterceptedFetch {
  readonly #gate: RequestPolicy;
  readonly #call: FetchCall;
  readonly #send: NativeFetch;
  readonly #sendAsCalled: () => Promise<Response>;

  constructor(
    gate: RequestPolicy,
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
    if (!this.#gate.isReady()) {
      this.#gate.forgetDecision();
      const snapshot = this.#snapshot();
      return snapshot === undefined ? this.#sendAsCalled() : this.#held(snapshot);
    }
    let plan: Plan;
    let text: TextBody | undefined;
    if ((flags & NEEDS_BODY) !== 0) {
      text = this.#textBody();
      if (text === undefined) {
        const snapshot = this.#snapshot();
        return snapshot === undefined ? this.#sendAsCalled() : this.#withBodyRead(snapshot);
      }
      const bytes = encodeText(text.body);
      plan = takePlan(this.#gate, this.#gate.decideBody(method, url, text.headerLines, bytes));
    } else {
      if (flags === INSPECT_RESPONSE) return this.#watched(this.#sendAsCalled(), undefined);
      plan = takePlan(this.#gate, flags);
      const isShown = plan.responseDelegate !== undefined && hasBody(method);
      if (plan.delegates !== undefined || isShown) text = this.#textBody();
    }
    const { isSettled, delegates, responseDelegate } = plan;
    if (!isSettled && delegates === undefined && responseDelegate === undefined) {
      return this.#sendAlmostAsCalled(text, plan);
    }
    // Taken at once: what the page does to its body or headers from here on changes nothing.
    const snapshot = this.#snapshot(text?.headers);
    if (snapshot === undefined) return this.#sendAsCalled();
    return this.#carryOut(snapshot, plan, text && encodeText(text.body));
  }

  /** undefined when the call is one the browser refuses; it will say so itself. */
  #snapshot(headers?: Headers): Request | undefined {
    try {
      const { input, init } = this.#call;
      if (headers === undefined) return new NativeRequest(input, init);
      const changes = create(null) as Record<string, unknown>;
      changes["headers"] = headers;
      return new NativeRequest(input, overlaid(init ?? {}, changes));
    } catch {
      return undefined;
    }
  }

  /** A string body can be looked at without copying the request. `headers`: to send instead. */
  #textBody(): TextBody | undefined {
    const { input, init } = this.#call;
    if (typeof input !== "string" && !(input instanceof NativeURL)) return undefined;
    try {
      const body = init?.body ?? "";
      if (typeof body !== "string") return undefined;
      const signal = init?.signal;
      if (signal !== undefined && signal !== null && signalAborted(signal)) return undefined;
      const given = init?.headers;
      const headers = given === undefined ? undefined : withOwnIterator(new NativeHeaders(given));
      const headerLines = linesOf(headers, "text/plain;charset=UTF-8");
      return { body, headerLines, headers: isReadOnce(given) ? headers : undefined };
    } catch {
      return undefined;
    }
  }

  /** With another body or URL, but otherwise what the page gave, read by the browser. */
  #sendAlmostAsCalled(text: TextBody | undefined, plan: Plan): Promise<Response> {
    const { input, init } = this.#call;
    if (plan.url !== undefined && asRequest(input) !== undefined) {
      const snapshot = this.#snapshot();
      return snapshot === undefined ? this.#sendAsCalled() : this.#carryOut(snapshot, plan);
    }
    const changes = create(null) as Record<string, unknown>;
    if (text?.headers !== undefined) changes["headers"] = text.headers;
    if (plan.body !== undefined) changes["body"] = decodeText(plan.body);
    const isOtherInit = text?.headers !== undefined || plan.body !== undefined;
    const sent =
      isOtherInit || plan.url !== undefined
        ? this.#send(plan.url ?? input, isOtherInit ? overlaid(init ?? {}, changes) : init)
        : this.#sendAsCalled();
    return this.#seen(sent, plan, undefined);
  }

  async #withBodyRead(snapshot: Request): Promise<Response> {
    const signal = requestSignal(snapshot);
    const buffer = await abortable(signal, () => requestBuffer(requestClone(snapshot)));
    const { method, url } = this.#call;
    const body = new NativeUint8Array(buffer);
    const headerLines = linesOf(requestHeaders(snapshot));
    const flags = this.#gate.decideBody(method, url, headerLines, body);
    return this.#carryOut(snapshot, takePlan(this.#gate, flags));
  }

  /** Settings have not arrived: wait, and decide anew. */
  async #held(snapshot: Request): Promise<Response> {
    await abortable(requestSignal(snapshot), () => this.#gate.whenReady());
    const flags = this.#gate.decide(this.#call.method, this.#call.url);
    if ((flags & NEEDS_BODY) !== 0) return this.#withBodyRead(snapshot);
    return this.#carryOut(snapshot, takePlan(this.#gate, flags));
  }

  /** Everything a plan can ask for. `bytes`: the page's body where it is at hand. */
  async #carryOut(snapshot: Request, plan: Plan, bytes?: Uint8Array): Promise<Response> {
    if (plan.isSettled) return this.#settle(snapshot, plan.reply);
    if (plan.delegates === undefined && plan.responseDelegate === undefined) {
      const { url, body } = plan;
      const request =
        url === undefined ? withOtherBody(snapshot, body) : await redirected(snapshot, url, body);
      return this.#seen(this.#send(request), plan, undefined);
    }
    const signal = requestSignal(snapshot);
    let held: PausedRequest = {
      method: this.#call.method,
      url: plan.url ?? this.#call.url,
      headers: pairsOf(requestHeaders(snapshot)),
      body: plan.body ?? bytes,
      signal,
    };
    // For a look at the answer alone the browser's own request stays as it is.
    let isRebuilt = plan.delegates !== undefined;
    if (isRebuilt && held.body === undefined && hasBody(held.method)) {
      const blob = await abortable(signal, () => requestBlob(snapshot));
      held = { ...held, body: blobSize(blob) === 0 ? undefined : blob };
    }
    if (plan.delegates !== undefined) {
      const delegates = plan.delegates;
      const handled = await abortable(signal, () => delegateRequest(this.#gate, delegates, held));
      if (handled.kind !== "send") return this.#settle(snapshot, replyIn(handled));
      held = handled.request;
    }
    if (plan.responseDelegate !== undefined && held.body === undefined && hasBody(held.method)) {
      // Read from a copy: unless a handler changes it, the browser's own request is sent.
      const blob = await abortable(signal, () => requestBlob(requestClone(snapshot)));
      if (blobSize(blob) > 0) held = { ...held, body: blob };
    }
    const early = plan.responseDelegate && beforeSending(this.#gate, plan.responseDelegate, held);
    if (early !== undefined) {
      const handled = await abortable(signal, () => early);
      if (handled.kind !== "send") return this.#settle(snapshot, replyIn(handled));
      isRebuilt ||= handled.request.url !== held.url || handled.request.body !== held.body;
      held = handled.request;
    }
    let request: Request;
    if (isRebuilt) request = rebuilt(snapshot, held);
    else if (plan.url !== undefined) request = await redirected(snapshot, plan.url, plan.body);
    else request = withOtherBody(snapshot, plan.body);
    return this.#seen(this.#send(request), plan, held);
  }

  /** What the page sees of an answer. */
  #seen(sent: Promise<Response>, plan: Plan, held: PausedRequest | undefined): Promise<Response> {
    const { responseDelegate } = plan;
    let shown = sent;
    const wanted = held?.url ?? plan.url ?? this.#call.url;
    if (wanted !== this.#call.url) {
      shown = then(sent, (response) => {
        showUrl(response, this.#call.url);
        return response;
      });
    }
    if (responseDelegate !== undefined && held !== undefined) {
      const request: AnsweredRequest = { ...held, url: this.#call.url };
      const open: Opener = (status, bytes) =>
        delegateResponse(responseDelegate, request, status, bytes);
      return this.#watched(shown, open, plan.isWatched);
    }
    return plan.isWatched ? this.#watched(shown, undefined) : shown;
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

  #signal(): AbortSignal | undefined {
    try {
      const { input, init } = this.#call;
      return init?.signal ?? requestSignal(input as Request);
    } catch {
      return undefined;
    }
  }

  /** The whole answer goes through the core; unchanged ones are handed on as the browser made them. */
  async #watched(
    sent: Promise<Response>,
    open: Opener | undefined,
    isWatched = true,
  ): Promise<Response> {
    const signal = this.#signal();
    const response = await sent;
    const type = responseType(response);
    if (type === "opaque" || type === "opaqueredirect" || type === "error") return response;
    const bytes = await readWhole(response, signal);
    if (!(bytes instanceof NativeUint8Array)) {
      if (signal !== undefined && signalAborted(signal)) throw bytes.reason;
      // Broken off: reading this response says so.
      return response;
    }
    const { method, url } = this.#call;
    const status = responseStatus(response);
    const opened = open && (await pinned(open(status, bytes)));
    const shown = opened ?? bytes;
    const seen = isWatched ? this.#gate.answer(method, url, status, shown) : undefined;
    if (seen === UNREADABLE) throw networkError();
    const changed = seen ?? opened;
    return changed === undefined ? response : withBody(response, changed);
  }
}

/** What an answer's handler makes of its bytes; undefined: nothing. */
type Opener = (status: number, bytes: Uint8Array) => Promise<Uint8Array | undefined>;

/** A string body; `headers` to send instead of the page's, where those can be read only once. */
interface TextBody {
  readonly body: string;
  readonly headers: Headers | undefined;
  readonly headerLines: string;
}

function replyIn(handled: Handled): SyntheticReply | undefined {
  return handled.kind === "reply" ? handled.reply : undefined;
}

function hasBody(method: string): boolean {
  return method !== "GET" && method !== "HEAD";
}

function withOtherBody(snapshot: Request, body: Uint8Array | undefined): Request {
  if (body === undefined) return snapshot;
  // Any init resets the referrer, so it is given again.
  return new NativeRequest(snapshot, {
    body: body as Uint8Array<ArrayBuffer>,
    referrer: requestReferrer(snapshot),
    referrerPolicy: requestReferrerPolicy(snapshot),
  });
}

async function redirected(
  snapshot: Request,
  url: string,
  changed: Uint8Array | undefined,
): Promise<Request> {
  const method = requestMethod(snapshot);
  const body = changed ?? (hasBody(method) ? await requestBlob(snapshot) : undefined);
  const headers = pairsOf(requestHeaders(snapshot));
  return rebuilt(snapshot, { method, url, headers, body, signal: undefined });
}

/** A request like the snapshot, with everything a handler may have changed. */
function rebuilt(snapshot: Request, held: PausedRequest): Request {
  const mode = requestMode(snapshot);
  const init = create(null) as RequestInit;
  init.method = held.method;
  init.headers = headersFrom(held.headers);
  if (hasBody(held.method) && held.body !== undefined) init.body = held.body as BodyInit;
  // No page can start a navigation by hand.
  init.mode = mode === "navigate" ? "same-origin" : mode;
  init.credentials = requestCredentials(snapshot);
  init.cache = requestCache(snapshot);
  init.redirect = requestRedirect(snapshot);
  init.referrer = requestReferrer(snapshot);
  init.referrerPolicy = requestReferrerPolicy(snapshot);
  init.integrity = requestIntegrity(snapshot);
  init.keepalive = requestKeepalive(snapshot);
  init.signal = requestSignal(snapshot);
  return new NativeRequest(held.url, init);
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
  const done = new NativePromise<Value>((resolveWith, rejectWith) => {
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
  return pinned(done);
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
