/**
 * Natives as they were before any page script ran. Hooks call these and nothing else, so that a page
 * that patches prototypes can neither break nor watch them.
 */

/** `uncurry(method)(self, ...args)`: looks nothing up on any prototype when called. */
export const uncurry = Function.prototype.bind.bind(Function.prototype.call) as unknown as <
  This,
  Args extends unknown[],
  Result,
>(
  method: (this: This, ...args: Args) => Result,
) => (self: This, ...args: Args) => Result;

export type AnyFunction = (...args: never[]) => unknown;

export const {
  apply,
  construct,
  get: getProperty,
} = Reflect as {
  construct: (target: AnyFunction, args: ArrayLike<unknown>, newTarget: unknown) => object;
  apply: (target: AnyFunction, self: unknown, args: ArrayLike<unknown>) => unknown;
  get: (target: object, key: PropertyKey) => unknown;
};
export const { create, defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf } = Object;
export const keysOf = Object.keys;

/** The getter of an accessor as `(self) => value`; undefined values where the browser has none. */
export function capturedGetter<This extends object, Value>(
  prototype: object,
  name: string,
): (self: This) => Value {
  const get = getOwnPropertyDescriptor(prototype, name)?.get;
  return get === undefined ? () => undefined as Value : (uncurry(get) as (self: This) => Value);
}

/** The setter of an accessor as `(self, value) => void`. */
export function capturedSetter<This extends object, Value>(
  prototype: object,
  name: string,
): (self: This, value: Value) => void {
  const set = getOwnPropertyDescriptor(prototype, name)?.set;
  return set === undefined ? () => undefined : uncurry(set as (this: This, value: Value) => void);
}

export const page = window;
export const pageDocument = document;
export const NativeString = String;
export const NativeNumber = Number;
export const NativeProxy = Proxy;
export const NativeWeakMap = WeakMap;
export const NativePromise = Promise;
export const NativeError = Error;
export const NativeTypeError = TypeError;
export const NativeDOMException = DOMException;
export const NativeUint8Array = Uint8Array;
export const NativeUint16Array = Uint16Array;
export const NativeRegExp = RegExp;
export const NativeURL = URL;
export const NativeRequest = Request;
export const NativeResponse = Response;
export const NativeReadableStream = ReadableStream;
export const NativeHeaders = Headers;
export const NativeBlob = Blob;
export const NativeAbortController = AbortController;
export const NativeXMLHttpRequest = XMLHttpRequest;
export const NativeEvent = Event;
export const NativeMutationObserver = MutationObserver;
export const NativeProgressEvent = ProgressEvent;
export const NativeTextDecoder = TextDecoder;
export const NativeDOMParser = DOMParser;
/** Insecure pages have none. */
export const NativeCache = typeof Cache === "undefined" ? undefined : Cache;
export const NativeWebAssembly = typeof WebAssembly === "undefined" ? undefined : WebAssembly;
/** Rejects where the page's content security policy forbids WebAssembly. */
export const compileWasm: (bytes: Uint8Array<ArrayBuffer>) => Promise<WebAssembly.Module> =
  NativeWebAssembly === undefined
    ? () => Promise.reject(new Error("WebAssembly is turned off in this browser."))
    : NativeWebAssembly.compile.bind(NativeWebAssembly);

export const now = Date.now;
const fromCharCode = String.fromCharCode;
const fromHex = parseInt;
/** The letter whose number two hexadecimal digits are. */
export const letterOf = (hex: string): string => fromCharCode(fromHex(hex, 16));
export const encodeUriPart: (text: string) => string = encodeURIComponent;
export const parseJson = JSON.parse as (text: string) => unknown;
export const isArray = Array.isArray;

const textOf = JSON.stringify as (value: unknown) => string | undefined;
const objects: object = Object.prototype;
const lists: object = Array.prototype;
/** As JSON. A `toJSON` that the page has put on all objects is asked for nothing. */
export function stringify(value: unknown): string {
  const isUsual =
    getOwnPropertyDescriptor(objects, "toJSON") === undefined &&
    getOwnPropertyDescriptor(lists, "toJSON") === undefined;
  return (isUsual ? textOf(value) : plainText(value)) as string;
}

function plainText(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return textOf(value);
  let text = "";
  if (isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      text += `${index === 0 ? "" : ","}${plainText(value[index]) ?? "null"}`;
    }
    return `[${text}]`;
  }
  const names = keysOf(value);
  for (let index = 0; index < names.length; index += 1) {
    const name = names[index] as string;
    const member = plainText((value as Record<string, unknown>)[name]);
    if (member === undefined) continue;
    text += `${text === "" ? "" : ","}${textOf(name) as string}:${member}`;
  }
  return `{${text}}`;
}
export const quoteJson: (value: unknown) => string = stringify;

/** What JSON calls an object. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !isArray(value);
}

export const iteratorKey: typeof Symbol.iterator = Symbol.iterator;
export const isView = ArrayBuffer.isView;
export const reject = Promise.reject.bind(Promise) as (reason: unknown) => Promise<never>;
export const decodeBase64 = atob.bind(window);
export const encodeBase64 = btoa.bind(window);
export const setTimer = window.setTimeout.bind(window) as (
  task: () => void,
  milliseconds: number,
) => number;
export const clearTimer = window.clearTimeout.bind(window) as (timer: number) => void;

const defineOwn = Reflect.defineProperty;
const ownConstructor = {
  __proto__: null,
  value: NativePromise,
  configurable: true,
} as PropertyDescriptor;
/**
 * A promise of Mantle's own, as it is to be awaited: `await` asks it for its constructor, and where
 * the page replaced that, calls the `then` that the page put in place. Not for promises of the page.
 */
export function pinned<Value>(promise: Promise<Value>): Promise<Value> {
  defineOwn(promise, "constructor", ownConstructor);
  return promise;
}

const ownThen = { __proto__: null, value: Promise.prototype.then } as PropertyDescriptor;
/** A promise of Mantle's own that is handed to the browser, which asks what it waits for by its `then`. */
export function withOwnThen<Value>(promise: Promise<Value>): Promise<Value> {
  defineOwn(promise, "then", ownThen);
  return pinned(promise);
}

const thenAsked = uncurry(
  Promise.prototype.then as (
    this: Promise<unknown>,
    fulfilled: (value: never) => void,
    rejected: (reason: unknown) => void,
  ) => Promise<unknown>,
);
const deleteOwn = Reflect.deleteProperty;
const ofNoKind = { __proto__: null, value: undefined, configurable: true } as PropertyDescriptor;
/**
 * As the `then` there was, but neither the promise nor `Promise` is asked which kind the result, which
 * nobody gets, is to be of. The promise, which may be the page's, is afterwards as it was.
 */
export function thenNative(
  promise: Promise<unknown>,
  fulfilled: (value: never) => void,
  rejected: (reason: unknown) => void,
): void {
  const was = getOwnPropertyDescriptor(promise, "constructor");
  const isSet =
    (was === undefined || was.configurable === true) && defineOwn(promise, "constructor", ofNoKind);
  try {
    thenAsked(promise, fulfilled, rejected);
  } finally {
    if (isSet && was === undefined) deleteOwn(promise, "constructor");
    else if (isSet)
      defineOwn(promise, "constructor", { __proto__: null, ...was } as PropertyDescriptor);
  }
}
const promisePrototype: object = Promise.prototype;
/**
 * As `promise.then`. What the engine makes for the result comes from a constructor that the page may
 * have put in place, and what a handler returns it would ask for a `then` of the page's: neither is
 * used, so that the page is given no result and gives none.
 */
export const then = <Value, Result>(
  promise: Promise<Value>,
  fulfilled: (value: Value) => Result | Promise<Result>,
  rejected?: (reason: unknown) => Result | Promise<Result>,
): Promise<Result> =>
  new NativePromise<Result>((resolve, fail) => {
    const settle = (given: Result | Promise<Result>): void => {
      const isPromise = typeof given === "object" && given !== null;
      if (isPromise && getPrototypeOf(given) === promisePrototype) {
        thenNative(given as Promise<Result>, resolve, fail);
      } else {
        resolve(given);
      }
    };
    thenNative(
      promise,
      (value: Value) => {
        try {
          settle(fulfilled(value));
        } catch (error) {
          fail(error);
        }
      },
      (reason) => {
        if (rejected === undefined) return fail(reason);
        try {
          settle(rejected(reason));
        } catch (error) {
          fail(error);
        }
      },
    );
  });

const noThen = { __proto__: null, value: undefined } as PropertyDescriptor;
/**
 * An object as a promise may be resolved with it, or an asynchronous function return it: otherwise
 * the engine asks every object's prototype for a `then`, with which the page reads and replaces it.
 */
export function result<Value extends object>(value: Value): Value {
  defineOwn(value, "then", noThen);
  return value;
}

/** A copy in which nothing is but what was said: no `then`, and no other value of the page's. */
export const own = <Value extends object>(value: Value): Value =>
  ({ __proto__: null, ...value }) as Value;

export const weakGet = uncurry(WeakMap.prototype.get) as <Key extends object, Value>(
  map: WeakMap<Key, Value>,
  key: unknown,
) => Value | undefined;
export const weakSet = uncurry(WeakMap.prototype.set) as <Key extends object, Value>(
  map: WeakMap<Key, Value>,
  key: Key,
  value: Value,
) => unknown;

export const toUpperCase = uncurry(String.prototype.toUpperCase);
export const toLowerCase = uncurry(String.prototype.toLowerCase);
export const startsWith = uncurry(String.prototype.startsWith) as (
  text: string,
  prefix: string,
) => boolean;
export const indexOf = uncurry(String.prototype.indexOf) as (text: string, part: string) => number;
export const slice = uncurry(String.prototype.slice) as (
  text: string,
  from: number,
  to?: number,
) => string;
export const trim = uncurry(String.prototype.trim);
export const charCodeAt = uncurry(String.prototype.charCodeAt);
/** As an entry of its own: the native method calls what a page set for an index in all lists. */
export function push(list: unknown[], item: unknown): void {
  const entry = { __proto__: null, value: item } as PropertyDescriptor;
  entry.writable = true;
  entry.enumerable = true;
  entry.configurable = true;
  defineProperty(list, list.length, entry);
}
export const shift = uncurry(Array.prototype.shift as (this: unknown[]) => unknown) as <Item>(
  list: Item[],
) => Item | undefined;
export const sort = uncurry(Array.prototype.sort as (this: string[]) => string[]);
export const join = uncurry(Array.prototype.join as (this: string[], between: string) => string);
export const execute = uncurry(RegExp.prototype.exec);

const encoder = new TextEncoder();
const encodeMethod = uncurry(TextEncoder.prototype.encode);
const decoder = new TextDecoder();
export const decodeWith = uncurry(TextDecoder.prototype.decode) as (
  decoder: TextDecoder,
  bytes: Uint8Array | ArrayBuffer,
  options?: TextDecodeOptions,
) => string;
/** Text as UTF-8. */
export const encodeText = (text: string): Uint8Array => encodeMethod(encoder, text);
/** UTF-8 as text; broken bytes become U+FFFD. */
export const decodeText = (bytes: Uint8Array): string => decodeWith(decoder, bytes);

export const urlHost = capturedGetter<URL, string>(URL.prototype, "host");
export const urlHref = capturedGetter<URL, string>(URL.prototype, "href");
export const urlHash = capturedGetter<URL, string>(URL.prototype, "hash");
const urlParameters = capturedGetter<URL, URLSearchParams>(URL.prototype, "searchParams");
const parameterOf = uncurry(URLSearchParams.prototype.get);
/** Unescaped; null where there is none. */
export const urlParameter = (url: URL, name: string): string | null =>
  parameterOf(urlParameters(url), name);
export const searchParamsText = uncurry(URLSearchParams.prototype.toString);
export const baseUri = capturedGetter<Node, string>(Node.prototype, "baseURI");

const fetchAsGiven = uncurry(
  window.fetch as (this: Window, input: RequestInfo, init?: RequestInit) => Promise<Response>,
);
/**
 * A request of what was said and nothing else: the browser looks for each member that is missing, and
 * would take it from the prototype of all objects, where a page can put a body or a signal.
 */
export function nativeFetch(
  self: Window,
  input: RequestInfo,
  init?: RequestInit,
): Promise<Response> {
  if (init === undefined) return fetchAsGiven(self, input);
  const said = own(init);
  const { headers } = said;
  if (typeof headers === "object" && getPrototypeOf(headers) === objects) {
    said.headers = own(headers);
  }
  return fetchAsGiven(self, input, said);
}
export const requestUrl = capturedGetter<Request, string>(Request.prototype, "url");
export const requestMethod = capturedGetter<Request, string>(Request.prototype, "method");
export const requestMode = capturedGetter<Request, RequestMode>(Request.prototype, "mode");
export const requestHeaders = capturedGetter<Request, Headers>(Request.prototype, "headers");
export const requestSignal = capturedGetter<Request, AbortSignal>(Request.prototype, "signal");
export const requestReferrer = capturedGetter<Request, string>(Request.prototype, "referrer");
export const requestReferrerPolicy = capturedGetter<Request, ReferrerPolicy>(
  Request.prototype,
  "referrerPolicy",
);
export const requestCredentials = capturedGetter<Request, RequestCredentials>(
  Request.prototype,
  "credentials",
);
export const requestCache = capturedGetter<Request, RequestCache>(Request.prototype, "cache");
export const requestRedirect = capturedGetter<Request, RequestRedirect>(
  Request.prototype,
  "redirect",
);
export const requestIntegrity = capturedGetter<Request, string>(Request.prototype, "integrity");
export const requestKeepalive = capturedGetter<Request, boolean>(Request.prototype, "keepalive");
export const requestBlob = uncurry(Request.prototype.blob);
export const requestBuffer = uncurry(Request.prototype.arrayBuffer);
export const requestClone = uncurry(Request.prototype.clone);

export const responseType = capturedGetter<Response, ResponseType>(Response.prototype, "type");
export const responseUrl = capturedGetter<Response, string>(Response.prototype, "url");
export const responseRedirected = capturedGetter<Response, boolean>(
  Response.prototype,
  "redirected",
);
export const responseStatus = capturedGetter<Response, number>(Response.prototype, "status");
export const responseStatusText = capturedGetter<Response, string>(
  Response.prototype,
  "statusText",
);
export const responseHeaders = capturedGetter<Response, Headers>(Response.prototype, "headers");
export const responseBody = capturedGetter<Response, ReadableStream<Uint8Array> | null>(
  Response.prototype,
  "body",
);
export const responseBuffer = uncurry(Response.prototype.arrayBuffer);
export const responseText = uncurry(Response.prototype.text);
export const responseError = Response.error.bind(Response);

export const streamReader = uncurry(
  ReadableStream.prototype.getReader as (
    this: ReadableStream<Uint8Array>,
  ) => ReadableStreamDefaultReader<Uint8Array>,
);
export const readChunk = uncurry(ReadableStreamDefaultReader.prototype.read) as (
  reader: ReadableStreamDefaultReader<Uint8Array>,
) => Promise<ReadableStreamReadResult<Uint8Array>>;
export const addChunk = uncurry(ReadableStreamDefaultController.prototype.enqueue);
export const failStream = uncurry(ReadableStreamDefaultController.prototype.error);

export const headersForEach = uncurry(Headers.prototype.forEach);
export const headersGet = uncurry(Headers.prototype.get);
export const headersSet = uncurry(Headers.prototype.set);
export const headersHas = uncurry(Headers.prototype.has);
export const headersAppend = uncurry(Headers.prototype.append);

export const controllerSignal = capturedGetter<AbortController, AbortSignal>(
  AbortController.prototype,
  "signal",
);
export const abortController = uncurry(
  AbortController.prototype.abort as (this: AbortController) => void,
);
export const signalAborted = capturedGetter<AbortSignal, boolean>(AbortSignal.prototype, "aborted");
export const signalReason = capturedGetter<AbortSignal, unknown>(AbortSignal.prototype, "reason");

export const blobBuffer = uncurry(Blob.prototype.arrayBuffer);
export const blobSlice = uncurry(
  Blob.prototype.slice as (this: Blob, from: number, to: number) => Blob,
);
export const blobSize = capturedGetter<Blob, number>(Blob.prototype, "size");
export const blobType = capturedGetter<Blob, string>(Blob.prototype, "type");
export const bufferLength = capturedGetter<ArrayBuffer, number>(
  ArrayBuffer.prototype,
  "byteLength",
);
const transferNative = (ArrayBuffer.prototype as { transfer?: (this: ArrayBuffer) => ArrayBuffer })
  .transfer;
const transferBuffer =
  transferNative && uncurry(transferNative as (this: ArrayBuffer, length: number) => ArrayBuffer);
/** Takes the memory back now; the buffer and views of it are empty afterwards. */
export const freeBuffer = (buffer: ArrayBuffer): void => void transferBuffer?.(buffer, 0);
export const formHas = uncurry(FormData.prototype.has);
const serialiser = new XMLSerializer();
const serialiseMethod = uncurry(XMLSerializer.prototype.serializeToString);
export const serialise = (node: Node): string => serialiseMethod(serialiser, node);
export const parseDocument = uncurry(DOMParser.prototype.parseFromString);
export const findElement = uncurry(
  Document.prototype.querySelector as (this: Document, selector: string) => Element | null,
);
export const documentType = capturedGetter<Document, string>(Document.prototype, "contentType");

export const viewBuffer = capturedGetter<Uint8Array, ArrayBufferLike>(
  getPrototypeOf(Uint8Array.prototype) as object,
  "buffer",
);
const viewStart = capturedGetter<Uint8Array, number>(
  getPrototypeOf(Uint8Array.prototype) as object,
  "byteOffset",
);
/** From 0 or later to the end or earlier. The native method asks for a constructor of the page's. */
export const subarray = (bytes: Uint8Array, from: number, to: number): Uint8Array<ArrayBuffer> =>
  new NativeUint8Array(viewBuffer(bytes) as ArrayBuffer, viewStart(bytes) + from, to - from);
export const setBytes = uncurry(Uint8Array.prototype.set) as (
  into: Uint8Array,
  from: Uint8Array,
  at: number,
) => void;
export function copyBytes(bytes: Uint8Array): Uint8Array {
  const copy = new NativeUint8Array(bytes.length);
  setBytes(copy, bytes, 0);
  return copy;
}

export const addListener = uncurry(EventTarget.prototype.addEventListener) as (
  target: EventTarget,
  type: string,
  listener: (event: Event) => void,
  options?: AddEventListenerOptions | boolean,
) => void;
export const removeListener = uncurry(EventTarget.prototype.removeEventListener) as (
  target: EventTarget,
  type: string,
  listener: (event: Event) => void,
  options?: EventListenerOptions | boolean,
) => void;
export const dispatch = uncurry(EventTarget.prototype.dispatchEvent);
export const stopEvent = uncurry(Event.prototype.stopImmediatePropagation);
export const preventDefault = uncurry(Event.prototype.preventDefault);
export const isTrusted = (event: Event): boolean => event.isTrusted;
export const messageData = capturedGetter<MessageEvent, unknown>(MessageEvent.prototype, "data");
export const messagePorts = capturedGetter<MessageEvent, readonly MessagePort[]>(
  MessageEvent.prototype,
  "ports",
);
export const messageSource = capturedGetter<MessageEvent, unknown>(
  MessageEvent.prototype,
  "source",
);
export const eventDetail = capturedGetter<CustomEvent, unknown>(CustomEvent.prototype, "detail");
export const postToPort = uncurry(
  MessagePort.prototype.postMessage as (this: MessagePort, message: unknown) => void,
);
export const startPort = uncurry(MessagePort.prototype.start);

const { port1: heardPort, port2: askedPort } = new MessageChannel();
const tasks: (() => void)[] = [];
addListener(heardPort, "message", () => shift(tasks)?.());
startPort(heardPort);
/** Runs a function in a task of its own, also in hidden tabs where timers are slowed down. */
export function runInTask(task: () => void): void {
  push(tasks, task);
  postToPort(askedPort, 0);
}

/** Of the Prioritized Task Scheduling API: not in every browser. */
interface TaskScheduler {
  postTask(this: TaskScheduler, task: () => void, options: TaskOptions): Promise<void>;
}
interface TaskOptions {
  priority: "user-blocking";
}
const { scheduler } = window as { scheduler?: TaskScheduler };
const postTask = scheduler && uncurry(scheduler.postTask);
const urgent = create(null) as TaskOptions;
urgent.priority = "user-blocking";
/** As `runInTask`, but at once: Chromium may leave a message until the next frame. */
export function runInNextTask(task: () => void): void {
  if (scheduler === undefined || postTask === undefined) runInTask(task);
  else void postTask(scheduler, task, urgent);
}

const fillNative = uncurry(
  crypto.getRandomValues as (this: Crypto, bytes: Uint8Array) => Uint8Array,
);
const { crypto: nativeCrypto } = window;
export const fillRandom = (bytes: Uint8Array): Uint8Array => fillNative(nativeCrypto, bytes);
/** undefined outside secure contexts. */
const nativeSubtle = nativeCrypto.subtle as SubtleCrypto | undefined;
const digest =
  nativeSubtle &&
  uncurry(
    nativeSubtle.digest as (
      this: SubtleCrypto,
      name: string,
      of: Uint8Array,
    ) => Promise<ArrayBuffer>,
  );

/** SHA-256 of a text in hexadecimal; undefined where the browser gives pages no cryptography. */
export async function digestText(text: string): Promise<string | undefined> {
  if (nativeSubtle === undefined || digest === undefined) return undefined;
  const bytes = new NativeUint8Array(
    await pinned(digest(nativeSubtle, "SHA-256", encodeText(text))),
  );
  let hex = "";
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    hex += "0123456789abcdef"[byte >> 4] ?? "";
    hex += "0123456789abcdef"[byte & 15] ?? "";
  }
  return hex;
}

/** undefined outside secure contexts. */
const nativeLocks = window.navigator.locks as LockManager | undefined;
const requestLock =
  nativeLocks &&
  uncurry(
    nativeLocks.request as (
      this: LockManager,
      name: string,
      task: () => Promise<unknown>,
    ) => Promise<unknown>,
  );
/** Runs a task while no other tab of the page runs one of this name. */
export function withLock<Result>(name: string, task: () => Promise<Result>): Promise<Result> {
  if (nativeLocks === undefined || requestLock === undefined) {
    return reject(new NativeError("no navigator.locks"));
  }
  return requestLock(nativeLocks, name, task) as Promise<Result>;
}

const readStorage = getOwnPropertyDescriptor(window, "localStorage")?.get;
/** Throws where the document has none. */
export const localStorageOf = (self: Window): Storage =>
  readStorage === undefined ? self.localStorage : (apply(readStorage, self, []) as Storage);

const NativeDate = Date;
const isoText = uncurry(Date.prototype.toISOString);
/** `2026-01-31` of milliseconds since the epoch. */
export const toIsoDay = (time: number): string => slice(isoText(new NativeDate(time)), 0, 10);

/** Firefox words its errors differently. */
export const isGecko = "mozInnerScreenX" in window;
