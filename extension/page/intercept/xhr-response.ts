import {
  apply,
  capturedGetter,
  charCodeAt,
  copyBytes,
  decodeText,
  decodeWith,
  encodeText,
  findElement,
  headersForEach,
  headersGet,
  indexOf,
  isGecko,
  join,
  NativeBlob,
  NativeDOMException,
  NativeDOMParser,
  NativeString,
  NativeTextDecoder,
  NativeUint8Array,
  parseDocument,
  parseJson,
  push,
  slice,
  sort,
  toLowerCase,
  trim,
  uncurry,
  viewBuffer,
  weakGet,
} from "../primordials/primordials.ts";
import { UNREADABLE } from "./decision.ts";
import type { RequestPolicy } from "./decision.ts";
import { withoutFragment } from "./response.ts";
import { replaceAccessor, replaceMethod } from "./wrap.ts";
import {
  DONE,
  isSettable,
  LOADING,
  nativeState,
  nativeType,
  openedBy,
  prototype,
  unsent,
} from "./xhr-state.ts";
import type { Opened, SeenText, Xhr } from "./xhr-state.ts";

const nativeStatus = capturedGetter<Xhr, number>(prototype, "status");

const nativeHeader = uncurry(prototype.getResponseHeader);

const nativeResponse = capturedGetter<Xhr, unknown>(prototype, "response");

const nativeText = capturedGetter<Xhr, string>(prototype, "responseText");

const decoderEncoding = capturedGetter<TextDecoder, string>(
  NativeTextDecoder.prototype,
  "encoding",
);

const nativeXml = capturedGetter<Xhr, Document | null>(prototype, "responseXML");

export function installAnswerAccessors(gate: RequestPolicy): void {
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
  replaceAccessor(prototype, "responseURL", {
    get: (native, self) => {
      const opened = weakGet(openedBy, self);
      if (opened?.phase === "made") {
        return opened.reply === undefined ? "" : withoutFragment(opened.reply.url ?? opened.url);
      }
      const shown = apply(native, self, []) as string;
      const sentUrl = opened?.sentUrl;
      const isOurs = sentUrl !== undefined && shown === withoutFragment(sentUrl);
      return isOurs ? withoutFragment((opened as Opened).url) : shown;
    },
  });

  replaceAccessor(prototype, "response", {
    get: (native, self) => {
      const opened = takenOver(self);
      if (opened === undefined) return apply(native, self, []);
      return responseOf(gate, self as Xhr, opened, typeOf(self as Xhr, opened));
    },
  });
  replaceAccessor(prototype, "responseText", {
    get: (native, self) => {
      const opened = takenOver(self);
      if (opened === undefined) return apply(native, self, []);
      const type = typeOf(self as Xhr, opened);
      if (type !== "" && type !== "text") return apply(native, unsent(type), []);
      return responseOf(gate, self as Xhr, opened, type);
    },
  });
  replaceAccessor(prototype, "responseXML", {
    get: (native, self) => {
      const opened = takenOver(self);
      if (opened === undefined) return apply(native, self, []);
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
      apply(native, self, [isResponseType(type) ? watchedAs(type) : type]);
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

export function installHeaderMethods(): void {
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

/** A request whose answer is made here or looked at; undefined: the browser's own. */
function takenOver(self: unknown): Opened | undefined {
  const opened = weakGet(openedBy, self);
  return opened?.phase === "made" || opened?.isWatched === true ? opened : undefined;
}

function typeOf(xhr: Xhr, opened: Opened): XMLHttpRequestResponseType {
  return opened.watchedType ?? nativeType(xhr);
}

/**
 * What the browser collects while the core is to see a response. The page's text only the browser can
 * make, as charsets and byte order marks have it; other forms are made of bytes.
 */
export function watchedAs(type: XMLHttpRequestResponseType): XMLHttpRequestResponseType {
  return isText(type) ? type : "arraybuffer";
}

/** Whether the page is given text in the charset that the response or the page names. */
export function readsText(xhr: Xhr): boolean {
  return isText(nativeType(xhr));
}

function isText(type: XMLHttpRequestResponseType): boolean {
  return type === "" || type === "text";
}

/** What the page shall see of a response; null before the end and after an error. */
function seenBy(gate: RequestPolicy, xhr: Xhr, opened: Opened): SeenText | Uint8Array | null {
  if (opened.phase === "made") {
    return opened.state >= LOADING ? (opened.reply?.bytes ?? null) : null;
  }
  if (nativeState(xhr) !== DONE) return null;
  opened.body ??= { seen: nativeStatus(xhr) === 0 ? null : lookedAt(gate, xhr, opened) };
  return opened.body.seen;
}

function lookedAt(gate: RequestPolicy, xhr: Xhr, opened: Opened): SeenText | Uint8Array | null {
  const { method, url } = opened;
  const status = nativeStatus(xhr);
  if (isText(nativeType(xhr))) {
    const text = nativeText(xhr);
    const changed = gate.answer(method, url, status, utf8Of(text));
    if (changed === UNREADABLE) return null;
    return changed === undefined
      ? { text, isChanged: false }
      : { text: decodeText(changed), isChanged: true };
  }
  const buffer = nativeResponse(xhr) as ArrayBuffer | null;
  if (buffer === null) return null;
  const bytes = new NativeUint8Array(buffer);
  const changed = gate.answer(method, url, status, bytes);
  return changed === UNREADABLE ? null : (changed ?? bytes);
}

/** Reads as the text when it is decoded: a mark at its start would be left out. */
export function utf8Of(text: string): Uint8Array {
  return encodeText(charCodeAt(text, 0) === MARK ? `\ufeff${text}` : text);
}

const MARK = 0xfeff;

function responseOf(
  gate: RequestPolicy,
  xhr: Xhr,
  opened: Opened,
  type: XMLHttpRequestResponseType,
): unknown {
  const seen = seenBy(gate, xhr, opened);
  if (isText(type)) {
    if (seen === null) return "";
    if (opened.value?.type !== "text") {
      const value = seen instanceof NativeUint8Array ? madeText(seen, xhr, opened) : seen.text;
      opened.value = { type: "text", value };
    }
    return opened.value.value;
  }
  const isDone = opened.phase === "made" ? opened.state === DONE : true;
  if (!(seen instanceof NativeUint8Array) || !isDone) return null;
  if (opened.value?.type !== type) {
    const value = valueOf(xhr, opened, type, seen);
    // Chromium parses anew each time it is asked.
    if (type === "json" && !isGecko) return value;
    opened.value = { type, value };
  }
  return opened.value.value;
}

function madeText(bytes: Uint8Array, xhr: Xhr, opened: Opened): string {
  const isUtf8 = opened.phase === "made" && opened.reply?.isUtf8 === true;
  return textOf(bytes, isUtf8 ? "utf-8" : charsetOf(mimeShown(xhr, opened)));
}

function valueOf(
  xhr: Xhr,
  opened: Opened,
  type: XMLHttpRequestResponseType,
  bytes: Uint8Array,
): unknown {
  const mime = mimeShown(xhr, opened);
  switch (type) {
    case "arraybuffer":
      return viewBuffer(copyBytes(bytes));
    case "blob":
      return new NativeBlob([bytes as Uint8Array<ArrayBuffer>], {
        type: blobTypeOf(mime, opened),
      });
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
  gate: RequestPolicy,
  xhr: Xhr,
  opened: Opened,
  type: XMLHttpRequestResponseType,
): unknown {
  if (type === "document") return responseOf(gate, xhr, opened, type);
  const seen = seenBy(gate, xhr, opened);
  const isDone = opened.phase === "made" ? opened.state === DONE : true;
  if (seen === null || !isDone) return null;
  const mime = mimeShown(xhr, opened);
  if (seen instanceof NativeUint8Array) return parsed(seen, mime, false);
  return seen.isChanged ? parsed(utf8Of(seen.text), essenceOf(mime), false) : nativeXml(xhr);
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

function mimeShown(xhr: Xhr, opened: Opened): string {
  if (opened.phase === "made") return mimeOf(opened, opened.reply?.headers);
  return opened.mimeOverride ?? nativeHeader(xhr, "content-type") ?? "";
}

/** The type that counts for a response made here. */
export function mimeOf(opened: Opened, headers: Headers | undefined): string {
  return opened.mimeOverride ?? (headers && headersGet(headers, "content-type")) ?? "";
}

/** A header's type is without its parameters; those of the page's own only Firefox keeps. */
function blobTypeOf(mime: string, opened: Opened): string {
  const isOwn = opened.mimeOverride !== undefined;
  const list = indexOf(mime, ",");
  const essence = essenceOf(list === -1 ? mime : slice(mime, 0, list));
  if (indexOf(essence, "/") === -1) return isOwn ? "application/octet-stream" : "text/xml";
  return isOwn && isGecko ? mime : essence;
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

/**
 * The page's text of bytes that are not UTF-8 to it: a mark counts before the charset that is named
 * (XMLHttpRequest, 'text response'), and a charset that nobody knows is UTF-8. undefined: they are.
 */
export function otherText(bytes: Uint8Array, mime: string): string | undefined {
  const first = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
  let charset = charsetOf(mime);
  if (first === 0xfeff) charset = "utf-16be";
  else if (first === 0xfffe) charset = "utf-16le";
  else if (first === 0xefbb && bytes[2] === 0xbf) charset = "utf-8";
  const decoder = decoderOf(charset);
  return decoderEncoding(decoder) === "utf-8" ? undefined : decodeWith(decoder, bytes);
}

function textOf(bytes: Uint8Array, charset: string): string {
  return decodeWith(decoderOf(charset), bytes);
}

function decoderOf(charset: string): TextDecoder {
  try {
    return new NativeTextDecoder(charset);
  } catch {
    return new NativeTextDecoder();
  }
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
