import {
  capturedGetter,
  capturedSetter,
  NativeWeakMap,
  NativeXMLHttpRequest,
} from "../primordials/primordials.ts";

export type Xhr = XMLHttpRequest;

export const prototype = NativeXMLHttpRequest.prototype;

export const nativeState = capturedGetter<Xhr, number>(prototype, "readyState");

export const nativeType = capturedGetter<Xhr, XMLHttpRequestResponseType>(
  prototype,
  "responseType",
);

export const setNativeType = capturedSetter<Xhr, XMLHttpRequestResponseType>(
  prototype,
  "responseType",
);

export const OPENED = 1;

export const HEADERS_RECEIVED = 2;

export const LOADING = 3;

export const DONE = 4;

/** What one `open()` began. */
export interface Opened {
  readonly method: string;
  readonly url: string;
  readonly isAsync: boolean;
  /** As `open` was called. */
  readonly args: readonly unknown[];
  /** In the page's order, repeated names included. */
  readonly headers: [name: string, value: string][];
  hasContentType: boolean;
  mimeOverride: string | undefined;
  /** native: the browser does it; held: sent by the page, not yet by us; made: answered here. */
  phase: "native" | "held" | "made";
  isSent: boolean;
  /** readyState while made. */
  state: number;
  hasUpload: boolean;
  /** The page's timeout while held. */
  timer: number | undefined;
  /** Tells of progress while a handler has the request. */
  beat: number | undefined;
  /** Aborts what handlers do. */
  controller: AbortController | undefined;
  /** Where it really went. */
  sentUrl: string | undefined;
  /** The answer while made; undefined: a network error. */
  reply: Answer | undefined;
  /** Type the page asked for while the browser collects bytes for the core to see. */
  watchedType: XMLHttpRequestResponseType | undefined;
  isWatched: boolean;
  /** The answer as the page sees it, once looked at. */
  body: { readonly seen: SeenText | Uint8Array | null } | undefined;
  value: { type: XMLHttpRequestResponseType; value: unknown } | undefined;
}

/** What the browser decoded; `isChanged`: and the core changed. */
export interface SeenText {
  readonly text: string;
  readonly isChanged: boolean;
}

/** An answer that this side plays. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  /** They were in the page's charset, and are in UTF-8 now. */
  readonly isUtf8: boolean;
  /** undefined: the one the page asked for. */
  readonly url: string | undefined;
}

export const openedBy = new NativeWeakMap<Xhr, Opened>();

/** Whether headers and the like may still be set, as far as this side knows. */
export function isSettable(opened: Opened): boolean {
  return opened.phase === "native";
}

/** A request on which every call fails as on one in the wrong state, in the browser's own words. */
export function unsent(type: XMLHttpRequestResponseType = ""): Xhr {
  const xhr = new NativeXMLHttpRequest();
  if (type !== "") setNativeType(xhr, type);
  return xhr;
}
