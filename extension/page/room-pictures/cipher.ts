/** Encrypts and decrypts the bytes of pictures by the browser's own cryptography. */
import { bytesOfBase64 } from "../primordials/base64.ts";
import { encodeBase64, fillRandom, NativeUint8Array, page } from "../primordials/primordials.ts";
import type { PictureFile } from "./file.ts";

/** undefined outside secure contexts. */
const subtle = page.crypto.subtle as SubtleCrypto | undefined;
/** Of a counter's 16 bytes the first, which are random; the others count blocks. */
const NONCE_BYTES = 8;
const KEY_BYTES = 32;

/** What was fetched is not what the picture was set to. */
export class WrongBytes extends Error {}

/** Rejects with `WrongBytes` before anything is decrypted. */
export async function decrypted(
  file: PictureFile,
  ciphertext: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  if (subtle === undefined) throw new WrongBytes("no cryptography");
  const hash = new NativeUint8Array(await subtle.digest("SHA-256", ciphertext));
  const wanted = bytesOfBase64(`${file.sha256}=`);
  if (!hash.every((byte, index) => byte === wanted[index])) throw new WrongBytes("hash");
  const raw = bytesOfBase64(`${file.key.replaceAll("-", "+").replaceAll("_", "/")}=`);
  if (raw.length !== KEY_BYTES) throw new WrongBytes("key");
  const key = await subtle.importKey("raw", raw, "AES-CTR", false, ["decrypt"]);
  const counter = bytesOfBase64(`${file.iv}==`);
  return new NativeUint8Array(
    await subtle.decrypt({ name: "AES-CTR", counter, length: 64 }, key, ciphertext),
  );
}

/** `EncryptedFile` of version 2 (client-server API, "Sending encrypted attachments"), not uploaded yet. */
export interface SealedPicture {
  readonly ciphertext: Uint8Array<ArrayBuffer>;
  readonly file: Readonly<Record<string, unknown>>;
}

/** With a key and a counter of its own, so that nobody can tell that two are the same picture. */
export async function encrypted(bytes: Uint8Array<ArrayBuffer>): Promise<SealedPicture> {
  if (subtle === undefined) throw new WrongBytes("no cryptography");
  const counter = new NativeUint8Array(16);
  fillRandom(counter.subarray(0, NONCE_BYTES));
  // Of a JSON Web Key the browser asks members that it has not, and so the page's prototype of objects.
  const raw = new NativeUint8Array(KEY_BYTES);
  fillRandom(raw);
  const key = await subtle.importKey("raw", raw, "AES-CTR", false, ["encrypt"]);
  const k = unpadded(raw).replaceAll("+", "-").replaceAll("/", "_");
  const ciphertext = new NativeUint8Array(
    await subtle.encrypt({ name: "AES-CTR", counter, length: 64 }, key, bytes),
  );
  const sha256 = unpadded(new NativeUint8Array(await subtle.digest("SHA-256", ciphertext)));
  return {
    ciphertext,
    file: {
      v: "v2",
      key: { alg: "A256CTR", ext: true, k, key_ops: ["encrypt", "decrypt"], kty: "oct" },
      iv: unpadded(counter),
      hashes: { sha256 },
    },
  };
}

function unpadded(bytes: Uint8Array): string {
  return encodeBase64(String.fromCharCode(...bytes)).replaceAll("=", "");
}
