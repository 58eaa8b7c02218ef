/**
 * Which calls, reads and names the build has go by what there was before any script of the page ran:
 * see `scripts/unpatched.ts`, which rewrites them, and `unpatched.ts`, which they then mean.
 */

/**
 * What the methods below are taken from. A call of any other method that one of these has fails the
 * build, since a page would hear it.
 */
export const KINDS: readonly string[] = [
  ...["Map", "Set", "WeakMap", "WeakSet", "WeakRef", "FinalizationRegistry", "RegExp", "Date"],
  ...["Uint8Array", "Uint16Array", "Uint32Array", "Float64Array", "DataView", "ArrayBuffer"],
  ...["TextDecoder", "TextEncoder", "Headers", "URLSearchParams", "Response", "Request", "Blob"],
  ...["URL", "FormData", "Storage", "LockManager", "Crypto", "SubtleCrypto"],
  ...["AbortController", "AbortSignal", "BroadcastChannel", "ImageBitmap"],
];

/** Methods of the language's and the browser's own objects. */
export const METHODS: readonly string[] = [
  // Lists, and what has entries.
  ...["add", "at", "clear", "concat", "delete", "entries", "every", "fill", "filter", "find"],
  ...["findIndex", "findLast", "flat", "flatMap", "forEach", "get", "has", "includes", "indexOf"],
  ...["join", "keys", "lastIndexOf", "map", "next", "pop", "push", "reduce", "reverse", "set"],
  ...["shift", "slice", "some", "sort", "splice", "subarray", "unshift", "values"],
  ...["with", "drop"],
  // Texts.
  ...["charAt", "charCodeAt", "codePointAt", "endsWith", "localeCompare", "match", "padStart"],
  ...["repeat", "replace", "replaceAll", "split", "startsWith", "substring", "toLowerCase"],
  ...["toUpperCase", "trim", "exec", "test", "link", "toString"],
  // Promises and functions.
  ...["then", "catch", "finally", "apply", "call", "bind", "deref", "register", "unregister"],
  // Bytes.
  ...["decode", "encode", "encodeInto", "getInt32", "setInt32", "getUint32", "setUint32"],
  ...["getUint8", "getUint16", "setBigInt64"],
  ...["getFloat64", "setFloat64", "arrayBuffer", "text", "json"],
  // The browser's.
  ...["getItem", "setItem", "removeItem", "request", "getRandomValues", "digest", "importKey"],
  ...[
    "encrypt",
    "decrypt",
    "append",
    "abort",
    "postMessage",
    "close",
    "toISOString",
    "randomUUID",
    "generateKey",
    "exportKey",
    "sign",
  ],
];

/** Accessors of theirs; of other objects they are members as any. */
export const READS: readonly string[] = [
  "size",
  "byteLength",
  "byteOffset",
  "buffer",
  "status",
  "aborted",
];

/** The same in the modules' glue, whose `length` is that of bytes. */
export const READS_IN_GLUE: readonly string[] = [...READS, "length", "exports", "detached"];

/** Names of the language or the browser that the page could give another meaning. */
export const GLOBALS: readonly string[] = [
  ...["Map", "Set", "WeakMap", "WeakSet", "WeakRef", "FinalizationRegistry"],
  ...["Error", "TypeError", "Uint8Array", "Uint16Array", "Uint32Array", "Float64Array"],
  ...["DataView", "TextDecoder", "TextEncoder"],
  ...["String", "Number", "Boolean", "Promise", "Blob", "URL", "Response", "Request"],
  ...["encodeURIComponent", "decodeURIComponent", "parseInt", "crypto"],
  ...["BroadcastChannel"],
];

/** Those whose own functions are called. */
export const STATICS: readonly string[] = [
  ...["Object", "Array", "JSON", "Math", "Reflect", "String", "Number", "Promise", "Date"],
  ...["Symbol", "WebAssembly"],
];
