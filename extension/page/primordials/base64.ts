import { charCodeAt, decodeBase64, NativeUint8Array } from "./primordials.ts";

export function bytesOfBase64(base64: string): Uint8Array<ArrayBuffer> {
  const native = NativeUint8Array as {
    fromBase64?: (text: string) => Uint8Array<ArrayBuffer>;
  };
  if (native.fromBase64 !== undefined) return native.fromBase64(base64);
  const text = decodeBase64(base64);
  const bytes = new NativeUint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = charCodeAt(text, index);
  return bytes;
}
