import {
  apply,
  capturedGetter,
  charCodeAt,
  copyBytes,
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
import type { Opened, Xhr } from "./xhr-state.ts";

const nativeStatus = capturedGetter<Xhr, number>(prototype, "status");

const nativeHeader = uncurry(prototype.getResponseHeader);

const nativeResponse = capturedGetter<Xhr, unknown>(prototype, "response");

const nativeText = capturedGetter<Xhr, string>(prototype, "responseText");

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

/** The answer's bytes as the page shall see them; null before the end and after an error. */
function bytesOf(gate: RequestPolicy, xhr: Xhr, opened: Opened): Uint8Array | null {
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
  gate: RequestPolicy,
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
  gate: RequestPolicy,
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
