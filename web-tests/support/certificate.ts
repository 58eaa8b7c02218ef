import { createHash, X509Certificate } from "node:crypto";
import { generate } from "selfsigned";

/** A throw-away key and certificate, kept in memory only. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
  /** Base64 SHA-256 of the public key, as Chromium's `--ignore-certificate-errors-spki-list` wants. */
  readonly spkiHash: string;
}

let made: Promise<Certificate> | undefined;

/** The certificate of this process; one is enough, browsers are told to accept it. */
export function certificate(): Promise<Certificate> {
  made ??= makeCertificate();
  return made;
}

async function makeCertificate(): Promise<Certificate> {
  const { private: key, cert } = await generate([{ name: "commonName", value: "Mantle tests" }], {
    algorithm: "sha256",
    keyType: "ec",
    notAfterDate: new Date(Date.now() + 24 * 60 * 60 * 1000),
  });
  const publicKey = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
  return { key, cert, spkiHash: createHash("sha256").update(publicKey).digest("base64") };
}
