import {
  apply,
  encodeText,
  headersAppend,
  headersHas,
  headersSet,
  indexOf,
  isGecko,
  NativeHeaders,
  NativeResponse,
  NativeTypeError,
  NativeWeakMap,
  page,
  responseError,
  responseHeaders,
  responseRedirected,
  responseStatus,
  responseStatusText,
  responseType,
  responseUrl,
  slice,
  NativeURL,
  capturedGetter,
  weakGet,
  weakSet,
} from "./captured.ts";
import type { SyntheticReply } from "./decision.ts";
import { headersFrom, pairsOf } from "./header-list.ts";
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

/** Makes `url`, `type`, `redirected` and `clone()` of answers made here read as those of real ones. */
export function installResponseAccessors(): void {
  for (const name of ["url", "type", "redirected"] as const) {
    replaceAccessor(NativeResponse.prototype, name, {
      get: (native, self) => {
        const made = weakGet(seen, self);
        return made === undefined ? apply(native, self, []) : made[name];
      },
    });
  }
  replaceMethod(NativeResponse.prototype, "clone", (native, self, args) => {
    const copy = apply(native, self, args) as Response;
    const made = weakGet(seen, self);
    if (made !== undefined) weakSet(seen, copy, made);
    return copy;
  });
}

/** The headers of an answer made here, as a server would send them. */
export function headersOf(reply: SyntheticReply, length: number): Headers {
  const headers = new NativeHeaders();
  for (let index = 0; index < reply.headers.length; index += 1) {
    const header = reply.headers[index] as readonly [string, string];
    headersAppend(headers, header[0], header[1]);
  }
  if (!headersHas(headers, "content-length")) headersSet(headers, "content-length", `${length}`);
  return headers;
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
  weakSet(seen, response, {
    url: withoutFragment(url),
    type: isSameOrigin ? "basic" : "cors",
    redirected: false,
  });
  return response;
}

/** A real answer with other bytes. */
export function withBody(response: Response, body: Uint8Array): Response {
  const headers = headersFrom(pairsOf(responseHeaders(response)));
  if (headersHas(headers, "content-length")) {
    headersSet(headers, "content-length", `${body.length}`);
  }
  const status = responseStatus(response);
  const made = new NativeResponse(hasNoBody(status) ? null : (body as Uint8Array<ArrayBuffer>), {
    status,
    statusText: responseStatusText(response),
    headers,
  });
  weakSet(seen, made, {
    url: weakGet(seen, response)?.url ?? responseUrl(response),
    type: responseType(response),
    redirected: responseRedirected(response),
  });
  return made;
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
