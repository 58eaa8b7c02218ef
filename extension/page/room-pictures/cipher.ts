/** Decrypts the bytes of pictures by the browser's own cryptography. */
import { bytesOfBase64 } from "../primordials/base64.ts";
import { NativeUint8Array, page } from "../primordials/primordials.ts";
import type { PictureFile } from "./file.ts";

/** undefined outside secure contexts. */
const subtle = page.crypto.subtle as SubtleCrypto | undefined;

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
  const jwk = { kty: "oct", alg: "A256CTR", ext: true, key_ops: ["decrypt"], k: file.key };
  const key = await subtle.importKey("jwk", jwk, "AES-CTR", false, ["decrypt"]);
  const counter = bytesOfBase64(`${file.iv}==`);
  const algorithm = { name: "AES-CTR", counter, length: 64 };
  return new NativeUint8Array(await subtle.decrypt(algorithm, key, ciphertext));
}
