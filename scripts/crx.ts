/**
 * CRX3, Chrome's signed package: a ZIP behind a header with an RSA signature. The format is
 * Chromium's `components/crx_file/crx3.proto`. Own code, so that no dependency sees the key.
 */

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";

import { Failure } from "./process.ts";

const rsaWithSha256 = 2;
const signedHeaderData = 10_000;

/** Reads an RSA key of at least 2048 bits from PEM text; throws a sentence on anything else. */
export function signingKey(pem: string, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new Failure(`${name} holds no unencrypted private key in PEM form.`);
  }
  if (key.asymmetricKeyType !== "rsa" || (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2_048) {
    throw new Failure(`${name} must hold an RSA key of 2048 bits or more, as Chrome asks.`);
  }
  return key;
}

/** Chrome's id of what this key signs: 16 bytes of the public key's hash, in letters a to p. */
export function extensionId(key: KeyObject): string {
  return [...idBytes(key).toString("hex")]
    .map((digit) => String.fromCharCode("a".charCodeAt(0) + Number.parseInt(digit, 16)))
    .join("");
}

/** The signed package. RSA with PKCS #1 v1.5: the same archive and key give the same bytes. */
export function crxOf(archive: Uint8Array, key: KeyObject): Uint8Array {
  const signedData = field(1, idBytes(key));
  const signature = sign(
    "sha256",
    Buffer.concat([Buffer.from("CRX3 SignedData\0"), length(signedData), signedData, archive]),
    key,
  );
  const proof = Buffer.concat([field(1, publicBytes(key)), field(2, signature)]);
  const header = Buffer.concat([field(rsaWithSha256, proof), field(signedHeaderData, signedData)]);
  const version = Buffer.from([3, 0, 0, 0]);
  return Buffer.concat([Buffer.from("Cr24"), version, length(header), header, archive]);
}

function publicBytes(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}

function idBytes(key: KeyObject): Buffer {
  return createHash("sha256").update(publicBytes(key)).digest().subarray(0, 16);
}

/** One length-delimited field of a protocol buffer. */
function field(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint(tag * 8 + 2), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

function length(content: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(content.length);
  return bytes;
}
