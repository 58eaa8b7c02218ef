/** Pictures and what encrypted rooms make of them, as a client outside any browser does it. */
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { crc32, deflateSync, type ZlibOptions } from "node:zlib";
import type { Account, Synapse } from "./synapse.ts";

export type Colour = readonly [number, number, number];

/** How a pixel of a PNG is written. */
const KIND = { grey: 0, colour: 2 } as const;

/** A PNG of 8 bits a sample. `lines` has a filter's number before each. */
export function pngOf(
  [width, height]: readonly [number, number],
  kind: keyof typeof KIND,
  lines: Buffer,
  options: ZlibOptions = {},
): Buffer {
  const chunk = (name: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, KIND[kind]], 8);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(lines, options)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** A PNG of one colour. */
export function plainPicture([red, green, blue]: Colour, width: number, height = width): Buffer {
  const line = Buffer.alloc(1 + width * 3);
  for (let at = 1; at < line.length; at += 3) line.set([red, green, blue], at);
  return pngOf([width, height], "colour", Buffer.concat(Array<Buffer>(height).fill(line)));
}

/** The same PNG with a remark in it that no pixel shows. */
export function withRemark(png: Buffer, remark: string): Buffer {
  const body = Buffer.concat([Buffer.from("tEXtComment\0", "latin1"), Buffer.from(remark)]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length - 4);
  sum.writeUInt32BE(crc32(body));
  // Behind the head.
  return Buffer.concat([png.subarray(0, 33), length, body, sum, png.subarray(33)]);
}

/** The same PNG, said to be a square of this side, with a checksum that holds. */
export function withSize(png: Buffer, side: number): Buffer {
  const changed = Buffer.from(png);
  changed.writeUInt32BE(side, 16);
  changed.writeUInt32BE(side, 20);
  // Name and data of the first chunk, of 13 bytes; the sum follows.
  changed.writeUInt32BE(crc32(changed.subarray(12, 29)), 29);
  return changed;
}

/** A file's ciphertext, with its key beside it. */
export interface SealedFile {
  readonly ciphertext: Buffer;
  readonly key: string;
  readonly iv: string;
  readonly sha256: string;
}

const unpadded = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");

export function sealFile(bytes: Buffer): SealedFile {
  const key = randomBytes(32);
  const iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)]);
  const cipher = createCipheriv("aes-256-ctr", key, iv);
  const ciphertext = Buffer.concat([cipher.update(bytes), cipher.final()]);
  const sha256 = unpadded(createHash("sha256").update(ciphertext).digest());
  return { ciphertext, key: key.toString("base64url"), iv: unpadded(iv), sha256 };
}

/** Uploads bytes; gives their `mxc` address. */
export async function upload(synapse: Synapse, account: Account, bytes: Buffer): Promise<string> {
  const response = await fetch(`${synapse.baseUrl}/_matrix/media/v3/upload`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${account.accessToken}`,
      "Content-Type": "application/octet-stream",
    },
    body: new Uint8Array(bytes),
  });
  const answer = (await response.json()) as { content_uri?: string };
  if (answer.content_uri === undefined) throw new Error(`upload: ${String(response.status)}`);
  return answer.content_uri;
}

/** The content of an encrypted room's `m.room.avatar`. */
export function avatarContent(
  uri: string,
  { key, iv, sha256 }: Omit<SealedFile, "ciphertext">,
  info: object = { mimetype: "image/png" },
): Record<string, unknown> {
  return {
    file: {
      v: "v2",
      url: uri,
      key: { alg: "A256CTR", ext: true, k: key, key_ops: ["encrypt", "decrypt"], kty: "oct" },
      iv,
      hashes: { sha256 },
    },
    info,
  };
}
