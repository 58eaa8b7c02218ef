/** A picture's file as encrypted state names it: where its ciphertext is, and how it is decrypted. */
import { execute, isPlain, NativeRegExp } from "../primordials/primordials.ts";

/** Of an `EncryptedFile` of version 2 (client-server API, "Sending encrypted attachments"). */
export interface PictureFile {
  /** `server/mediaId`. */
  readonly place: string;
  /** AES-256 key, Base64 for URLs without padding. */
  readonly key: string;
  /** Of 16 bytes, Base64 without padding. */
  readonly iv: string;
  /** SHA-256 of the ciphertext, Base64 without padding. */
  readonly sha256: string;
}

/** Longest ciphertext that is fetched, in bytes. */
export const MAX_BYTES = 10_000_000;

const MXC = new NativeRegExp(
  "^mxc://([A-Za-z0-9\\[][A-Za-z0-9.:\\[\\]-]{0,254}/[A-Za-z0-9_-]{1,255})$",
);
const KEY = new NativeRegExp("^([A-Za-z0-9_-]{43})=?$");
const IV = new NativeRegExp("^([A-Za-z0-9+/]{22})(?:==)?$");
const HASH = new NativeRegExp("^([A-Za-z0-9+/]{43})=?$");

/**
 * The file of an `m.room.avatar`; undefined where it names none, or one that is not whole. One with a
 * `url` is a readable picture, whatever else it says.
 */
export function pictureFile(content: unknown): PictureFile | undefined {
  if (!isPlain(content) || content["url"] !== undefined) return undefined;
  const { file, info } = content;
  if (!isPlain(file) || file["v"] !== "v2") return undefined;
  const { key, hashes } = file;
  if (!isPlain(key) || key["alg"] !== "A256CTR" || key["kty"] !== "oct") return undefined;
  const size = isPlain(info) ? info["size"] : undefined;
  if (typeof size === "number" && size > MAX_BYTES) return undefined;
  const found = {
    place: partOf(MXC, file["url"]),
    key: partOf(KEY, key["k"]),
    iv: partOf(IV, file["iv"]),
    sha256: partOf(HASH, isPlain(hashes) ? hashes["sha256"] : undefined),
  };
  for (const part of Object.values(found)) if (part === undefined) return undefined;
  return found as PictureFile;
}

/** Whether it is an address of media, and nothing that means something else where it stands. */
export function isMediaAddress(value: unknown): value is string {
  return partOf(MXC, value) !== undefined;
}

function partOf(form: RegExp, value: unknown): string | undefined {
  return typeof value === "string" ? execute(form, value)?.[1] : undefined;
}
