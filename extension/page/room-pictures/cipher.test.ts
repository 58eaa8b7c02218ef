import "../../testing/page.ts";

import assert from "node:assert/strict";
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";

import { decrypted, WrongBytes } from "./cipher.ts";

const unpadded = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");

function sealed(text: string, iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)])) {
  const key = randomBytes(32);
  const cipher = createCipheriv("aes-256-ctr", key, iv);
  const ciphertext = Buffer.concat([cipher.update(text), cipher.final()]);
  const sha256 = unpadded(createHash("sha256").update(ciphertext).digest());
  const file = { place: "x/y", key: key.toString("base64url"), iv: unpadded(iv), sha256 };
  return { file, bytes: new Uint8Array(ciphertext) };
}

describe("the bytes of a picture", () => {
  test("are decrypted as attachments are", async () => {
    for (const text of ["", "a", "sixteen letters.", "picture ".repeat(1_000)]) {
      const { file, bytes } = sealed(text);
      assert.equal(Buffer.from(await decrypted(file, bytes)).toString(), text);
    }
  });

  test("are refused when a single bit is another", async () => {
    const { file, bytes } = sealed("picture");
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = new Uint8Array(bytes);
      changed[index] = (changed[index] ?? 0) ^ 1;
      await assert.rejects(decrypted(file, changed), WrongBytes);
    }
    await assert.rejects(decrypted(file, bytes.subarray(1)), WrongBytes);
    await assert.rejects(decrypted(file, new Uint8Array(0)), WrongBytes);
  });
});
