import {
  addChunk,
  apply,
  create,
  decodeText,
  decodeWith,
  encodeText,
  failStream,
  headersAppend,
  headersGet,
  headersHas,
  headersSet,
  indexOf,
  isGecko,
  NativeCache,
  NativeHeaders,
  NativePromise,
  NativeDOMException,
  NativeReadableStream,
  NativeResponse,
  NativeTextDecoder,
  NativeTypeError,
  NativeUint8Array,
  NativeWeakMap,
  page,
  parseJson,
  readChunk,
  reject,
  responseBody,
  responseBuffer,
  responseError,
  responseHeaders,
  responseRedirected,
  responseStatus,
  responseStatusText,
  responseText,
  responseType,
  responseUrl,
  runInNextTask,
  setBytes,
  signalAborted,
  signalReason,
  slice,
  streamReader,
  subarray,
  then,
  NativeURL,
  NativeWebAssembly,
  capturedGetter,
  weakGet,
  weakSet,
  withOwnThen,
} from "../primordials/primordials.ts";
import type { SyntheticReply } from "./decision.ts";
import { headersFrom, pairsOf, withOwnIterator } from "../primordials/header-list.ts";
import { replaceAccessor, replaceMethod } from "./wrap.ts";

/** What the constructor of Response cannot set. */
interface Seen {
  readonly url: string;
  readonly type: ResponseType;
  readonly redirected: boolean;
}

const seen = new NativeWeakMap<Response, Seen>();
const urlOrigin = capturedGetter<URL, string>(NativeURL.prototype, "origin");
const ownOrigin = page.origin;

/** Of answers made here: a page cannot change those of what it fetched. */
const fixedHeaders = new NativeWeakMap<Headers, true>();
/** Headers of that kind, which say so in the browser's own words. */
const refusing = responseHeaders(responseError());

/** The body of an answer whose own was read here; what comes after `bytes` is `error`, if any. */
interface ReadBody {
  bytes: Uint8Array;
  /** The same, where it was decoded as it came in. */
  text: string | undefined;
  readonly error: Reason | undefined;
  readonly signal: AbortSignal | undefined;
  /** What the answer's body reads as, once it is more than bytes. */
  stand: Response | undefined;
}

interface Reason {
  readonly reason: unknown;
}

const readBodies = new NativeWeakMap<Response, ReadBody>();

/** Makes answers made or read here as real: what they are, their copies, headers and bodies. */
export function installResponseAccessors(): void {
  const { prototype } = NativeResponse;
  for (const name of ["url", "type", "redirected"] as const) {
    replaceAccessor(prototype, name, {
      get: (native, self) => {
        const made = weakGet(seen, self);
        return made === undefined ? apply(native, self, []) : made[name];
      },
    });
  }
  replaceMethod(prototype, "clone", (native, self, args) => {
    const read = weakGet(readBodies, self);
    const copy = apply(native, standFor(self), args) as Response;
    const made = weakGet(seen, self) ?? (read && seenOf(self as Response));
    if (made !== undefined) showAs(copy, made);
    return copy;
  });
  for (const name of ["append", "delete", "set"]) {
    replaceMethod(NativeHeaders.prototype, name, (native, self, args) =>
      apply(native, weakGet(fixedHeaders, self) === true ? refusing : self, args),
    );
  }
  for (const name of ["body", "bodyUsed"]) {
    replaceAccessor(prototype, name, { get: (native, self) => apply(native, standFor(self), []) });
  }
  for (const name of ["arrayBuffer", "blob", "bytes", "formData"]) {
    replaceMethod(prototype, name, (native, self, args) => {
      const failure = takeFailure(self);
      return failure ? reject(failure.reason) : apply(native, standFor(self), args);
    });
  }
  // Who else takes a body.
  if (NativeCache !== undefined) {
    replaceMethod(NativeCache.prototype, "put", (native, self, args) => {
      if (args.length > 1) args[1] = standFor(args[1]);
      return apply(native, self, args);
    });
  }
  for (const name of ["compileStreaming", "instantiateStreaming"]) {
    if (NativeWebAssembly === undefined) break;
    replaceMethod(NativeWebAssembly, name, (native, self, args) => {
      if (args.length > 0) {
        const source = then(new NativePromise((resolve) => resolve(args[0])), standFor);
        args[0] = withOwnThen(source);
      }
      return apply(native, self, args);
    });
  }
  // Most answers are read in one of these ways, for which the browser need not have the bytes again.
  for (const name of ["text", "json"]) {
    replaceMethod(prototype, name, (native, self, args) => {
      const failure = takeFailure(self);
      if (failure !== undefined) return reject(failure.reason);
      const body = takeBody(self);
      if (body === undefined) return apply(native, standFor(self), args);
      return handedOut(() => {
        const text = body.text ?? decodeText(body.bytes);
        return name === "text" ? text : parseJson(text);
      });
    });
  }
}

/** The response that has the body of this one; itself, where the body was not read here. */
function standFor(self: unknown): Response {
  const read = weakGet(readBodies, self);
  if (read === undefined) return self as Response;
  if (read.stand === undefined) {
    const { bytes } = read;
    const error = abortOf(read) ?? read.error;
    read.stand = bodied(self as Response, error === undefined ? bytes : brokenOff(bytes, error));
  }
  return read.stand;
}

/** An abort strikes until the body is read, however long everything has been here. */
function abortOf({ signal }: ReadBody): Reason | undefined {
  if (signal === undefined || !signalAborted(signal)) return undefined;
  if (!isGecko) return { reason: signalReason(signal) };
  return { reason: new NativeDOMException("The operation was aborted. ", "AbortError") };
}

/** Why a body cannot be read that was read here; it is used from then on. */
function takeFailure(self: unknown): Reason | undefined {
  const read = weakGet(readBodies, self);
  if (read === undefined || read.stand !== undefined) return undefined;
  // Chromium has other words for what it reads than for what is read in parts: its own say it.
  const failure = abortOf(read) ?? (isGecko ? read.error : undefined);
  if (failure !== undefined) useUp(read);
  return failure;
}

/** The whole body, which is used from then on; undefined where nothing was read here or it is used. */
function takeBody(self: unknown): Pick<ReadBody, "bytes" | "text"> | undefined {
  const read = weakGet(readBodies, self);
  if (read === undefined || read.stand !== undefined || read.error !== undefined) return undefined;
  const { bytes, text } = read;
  useUp(read);
  return { bytes, text };
}

function useUp(read: ReadBody): void {
  read.bytes = new NativeUint8Array(0);
  read.text = undefined;
  read.stand = new NativeResponse(read.bytes as Uint8Array<ArrayBuffer>);
  void responseText(read.stand);
}

/** Bodies come in tasks of their own, which lets the page paint before it has another object. */
function handedOut(read: () => unknown): Promise<unknown> {
  return new NativePromise((resolve, fail) =>
    runInNextTask(() => {
      let value: unknown;
      try {
        value = read();
      } catch (error) {
        fail(error);
        return;
      }
      resolve(value);
    }),
  );
}

function bodied(like: Response, body: Uint8Array | ReadableStream): Response {
  return new NativeResponse(body as BodyInit, {
    status: responseStatus(like),
    statusText: responseStatusText(like),
    headers: headersFrom(pairsOf(responseHeaders(like))),
  });
}

function brokenOff(bytes: Uint8Array, { reason }: Reason): ReadableStream {
  const source = create(null) as UnderlyingDefaultSource<Uint8Array>;
  let isTold = bytes.length === 0;
  source.pull = (controller) => {
    if (isTold) failStream(controller, reason);
    else addChunk(controller, bytes);
    isTold = true;
  };
  return new NativeReadableStream(source);
}

function keepBody(response: Response, body: Omit<ReadBody, "stand">): void {
  weakSet(readBodies, response, { ...body, stand: undefined });
}

const toBeContinued = create(null) as TextDecodeOptions;
toBeContinued.stream = true;

/** The most that is set aside on a server's word, and that is held twice, as bytes and as text. */
const MAX_EXPECTED = 1 << 26;

/**
 * Reads the body as it comes in; afterwards it reads as before. That takes less than a clone, of
 * which the browser keeps each part twice. Where the body broke off, it does so for the page.
 */
export async function readWhole(
  response: Response,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | Reason> {
  const body = hasNoBody(responseStatus(response)) ? null : responseBody(response);
  let bytes: Uint8Array = new NativeUint8Array(0);
  if (body === null) return bytes;
  const told = +(headersGet(responseHeaders(response), "content-length") ?? 0);
  const expected = told <= MAX_EXPECTED ? told : 0;
  let length = 0;
  let text = isGecko ? undefined : "";
  try {
    // It takes less there than many small parts, and words errors as for the page.
    if (isGecko) bytes = new NativeUint8Array(await responseBuffer(response));
    length = bytes.length;
    const reader = isGecko ? undefined : streamReader(body);
    const decoder = new NativeTextDecoder();
    while (reader !== undefined) {
      const { done, value } = await readChunk(reader);
      if (done) break;
      const wanted = length + value.length;
      if (text !== undefined) {
        // While the next part is under way.
        text = wanted > MAX_EXPECTED ? undefined : text + decodeWith(decoder, value, toBeContinued);
      }
      if (length === 0 && expected <= wanted) {
        bytes = value;
      } else {
        if (wanted > bytes.length) {
          const room = length === 0 ? expected : length * 2;
          const larger = new NativeUint8Array(room < wanted ? wanted : room);
          setBytes(larger, subarray(bytes, 0, length), 0);
          bytes = larger;
        }
        setBytes(bytes, value, length);
      }
      length = wanted;
    }
    if (text !== undefined) text += decodeWith(decoder, new NativeUint8Array(0));
  } catch (reason) {
    const error = { reason };
    keepBody(response, { bytes: subarray(bytes, 0, length), text: undefined, error, signal });
    return error;
  }
  bytes = subarray(bytes, 0, length);
  keepBody(response, { bytes, text, error: undefined, signal });
  return bytes;
}

/** The headers of an answer made here, as a server would send them. */
export function headersOf(reply: SyntheticReply, length: number): Headers {
  const headers = new NativeHeaders();
  for (let index = 0; index < reply.headers.length; index += 1) {
    const header = reply.headers[index] as readonly [string, string];
    headersAppend(headers, header[0], header[1]);
  }
  if (!headersHas(headers, "content-length")) headersSet(headers, "content-length", `${length}`);
  return withOwnIterator(headers);
}

/** The answer `fetch` gives for a request that was answered here; throws as fetch rejects. */
export function replyResponse(reply: SyntheticReply, url: string, mode: RequestMode): Response {
  const origin = urlOrigin(new NativeURL(url));
  const isSameOrigin = origin === ownOrigin;
  if (!isSameOrigin && mode === "no-cors") {
    const opaque = responseError();
    weakSet(seen, opaque, { url: "", type: "opaque", redirected: false });
    return opaque;
  }
  if (!isSameOrigin && mode === "same-origin") throw networkError();
  const body = encodeText(reply.body) as Uint8Array<ArrayBuffer>;
  const response = new NativeResponse(hasNoBody(reply.status) ? null : body, {
    status: reply.status,
    statusText: reply.statusText,
    headers: headersOf(reply, body.length),
  });
  showAs(response, {
    url: withoutFragment(url),
    type: isSameOrigin ? "basic" : "cors",
    redirected: false,
  });
  return response;
}

/** A real answer that was read whole, with other bytes. */
export function withBody(response: Response, body: Uint8Array): Response {
  const read = weakGet(readBodies, response);
  if (read?.bytes.length === body.length) {
    // Its length may stand in its headers, which stay as they were.
    read.bytes = body;
    read.text = undefined;
    return response;
  }
  const headers = headersFrom(pairsOf(responseHeaders(response)));
  if (headersHas(headers, "content-length")) {
    headersSet(headers, "content-length", `${body.length}`);
  }
  const status = responseStatus(response);
  const made = new NativeResponse(null, {
    status,
    statusText: responseStatusText(response),
    headers,
  });
  showAs(made, weakGet(seen, response) ?? seenOf(response));
  if (!hasNoBody(status)) {
    keepBody(made, { bytes: body, text: undefined, error: undefined, signal: read?.signal });
  }
  return made;
}

/** Makes a response look as if it had been fetched. */
function showAs(response: Response, as: Seen): void {
  weakSet(seen, response, as);
  weakSet(fixedHeaders, responseHeaders(response), true);
}

function seenOf(response: Response): Seen {
  return {
    url: responseUrl(response),
    type: responseType(response),
    redirected: responseRedirected(response),
  };
}

/** Makes an answer from elsewhere read as one from the URL the page asked for. */
export function showUrl(response: Response, url: string): void {
  const type = responseType(response);
  if (responseRedirected(response) || type === "opaque" || type === "error") return;
  weakSet(seen, response, { url: withoutFragment(url), type, redirected: false });
}

/** The error of a fetch that never reached a server. */
export function networkError(): TypeError {
  return new NativeTypeError(
    isGecko ? "NetworkError when attempting to fetch resource." : "Failed to fetch",
  );
}

/** The URL an answer shows for a request to `url`. */
export function withoutFragment(url: string): string {
  const at = indexOf(url, "#");
  return at === -1 ? url : slice(url, 0, at);
}

function hasNoBody(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}
