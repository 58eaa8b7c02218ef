import { charCodeAt, decodeBase64, NativeUint8Array } from "./primordials.ts";

/** Not in every browser. */
const fromBase64 = (
  NativeUint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }
).fromBase64?.bind(NativeUint8Array);

export function bytesOfBase64(base64: string): Uint8Array<ArrayBuffer> {
  if (fromBase64 !== undefined) return fromBase64(base64);
  const text = decodeBase64(base64);
  const bytes = new NativeUint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = charCodeAt(text, index);
  return bytes;
}
