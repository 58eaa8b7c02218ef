import {
  blobSize,
  blobType,
  bufferLength,
  copyBytes,
  decodeText,
  documentType,
  encodeText,
  formHas,
  headersGet,
  isView,
  NativeResponse,
  NativeString,
  NativeUint8Array,
  responseBuffer,
  responseHeaders,
  searchParamsText,
  serialise,
  result,
  then,
} from "../primordials/primordials.ts";

/** A body as XMLHttpRequest or sendBeacon was given it, taken at the time of the call. */
export interface TakenBody {
  /** What the browser would set when the page sets none. */
  readonly contentType: string | null;
  /** Bytes that could be read at once. */
  readonly bytes: Uint8Array | undefined;
  /** Reads the others. */
  read(): Promise<Uint8Array>;
  /** What to send when the bytes stay as they are. */
  readonly unchanged: XMLHttpRequestBodyInit | Document | null;
  /** What to send instead, with these bytes. */
  replaced(bytes: Uint8Array): XMLHttpRequestBodyInit;
}

/** Throws what the page's own conversions to string throw. */
export function takeBody(body: unknown): TakenBody {
  if (body === undefined || body === null) return atOnce(new NativeUint8Array(0), null, null);
  if (typeof body === "object") {
    if (isView(body)) {
      return buffer(new NativeUint8Array(body.buffer, body.byteOffset, body.byteLength));
    }
    if (answers(() => bufferLength(body as ArrayBuffer))) {
      return buffer(new NativeUint8Array(body as ArrayBuffer));
    }
    if (answers(() => blobSize(body as Blob))) return later(body as Blob, body as Blob);
    if (answers(() => formHas(body as FormData, ""))) return later(body as FormData, undefined);
    if (answers(() => searchParamsText(body as URLSearchParams))) {
      const text = searchParamsText(body as URLSearchParams);
      return asText(text, "application/x-www-form-urlencoded;charset=UTF-8", text);
    }
    if (answers(() => documentType(body as Document))) {
      const type = documentType(body as Document) === "text/html" ? "text/html" : "application/xml";
      return asText(serialise(body as Document), `${type};charset=UTF-8`, body as Document);
    }
  }
  const text = NativeString(body);
  return asText(text, "text/plain;charset=UTF-8", text);
}

/** Whether a captured getter or method takes the object for one of its own, of whatever frame. */
function answers(ask: () => unknown): boolean {
  try {
    ask();
    return true;
  } catch {
    return false;
  }
}

function buffer(bytes: Uint8Array): TakenBody {
  const copy = copyBytes(bytes) as Uint8Array<ArrayBuffer>;
  return atOnce(copy, null, copy);
}

function atOnce(
  bytes: Uint8Array,
  contentType: string | null,
  unchanged: XMLHttpRequestBodyInit | Document | null,
): TakenBody {
  return {
    contentType,
    bytes,
    read: async () => bytes,
    unchanged,
    replaced: (changed) => changed as Uint8Array<ArrayBuffer>,
  };
}

function asText(text: string, contentType: string, unchanged: string | Document): TakenBody {
  const bytes = encodeText(text);
  return {
    contentType,
    bytes,
    read: async () => bytes,
    unchanged,
    // A string keeps the browser's own Content-Type.
    replaced: (changed) => decodeText(changed),
  };
}

function later(body: Blob | FormData, unchanged: Blob | undefined): TakenBody {
  // Response reads any body, and names its type with the multipart boundary.
  const carrier = new NativeResponse(body);
  const contentType =
    unchanged === undefined
      ? headersGet(responseHeaders(carrier), "content-type")
      : blobType(unchanged) || null;
  let read: Uint8Array | undefined;
  let reading: Promise<Uint8Array> | undefined;
  return {
    contentType,
    bytes: undefined,
    read: () => {
      reading ??= then(responseBuffer(carrier), (whole) => {
        read = result(new NativeUint8Array(whole));
        return read;
      });
      return reading;
    },
    // A form can change while it is read, and would get another boundary.
    get unchanged() {
      return unchanged ?? (read as Uint8Array<ArrayBuffer>);
    },
    replaced: (changed) => changed as Uint8Array<ArrayBuffer>,
  };
}
