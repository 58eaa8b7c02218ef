import "../../testing/page.ts";

import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { decrypted, encrypted, WrongBytes } from "./cipher.ts";
import { pictureFile } from "./file.ts";

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

describe("a picture that is encrypted", () => {
  const withUrl = async (text: string) => {
    const sealed = await encrypted(new TextEncoder().encode(text));
    const file = pictureFile({ file: { ...sealed.file, url: "mxc://hs.example.org/abc" } });
    assert.ok(file !== undefined);
    return { file, ciphertext: sealed.ciphertext };
  };

  test("is read as it was, here and by others", async () => {
    for (const text of ["", "a", "sixteen letters.", "picture ".repeat(1_000)]) {
      const { file, ciphertext } = await withUrl(text);
      assert.equal(ciphertext.length, text.length);
      assert.equal(Buffer.from(await decrypted(file, ciphertext)).toString(), text);
      const key = Buffer.from(file.key, "base64url");
      const cipher = createDecipheriv("aes-256-ctr", key, Buffer.from(file.iv, "base64"));
      const clear = Buffer.concat([cipher.update(ciphertext), cipher.final()]);
      assert.equal(clear.toString(), text);
    }
  });

  test("has a key and a counter of its own each time, and room to count", async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => withUrl("the same")));
    for (const part of ["key", "iv", "sha256"] as const) {
      assert.equal(new Set(all.map(({ file }) => file[part])).size, all.length, part);
    }
    for (const { file } of all) {
      const counter = Buffer.from(file.iv, "base64");
      assert.deepEqual([...counter.subarray(8)], Array(8).fill(0));
    }
  });
});

test("the vector that others are given is read as it was", async () => {
  const path = new URL(
    "../../../core/room-state/tests/vectors/names_pictures_relations.json",
    import.meta.url,
  );
  const { room_picture: vector } = JSON.parse(readFileSync(path, "utf8")) as {
    room_picture: { picture: string; ciphertext: string; payload: string };
  };
  const { content } = JSON.parse(vector.payload) as { content: unknown };
  const file = pictureFile(content);
  assert.ok(file !== undefined);
  const shown = await decrypted(file, new Uint8Array(Buffer.from(vector.ciphertext, "base64")));
  assert.deepEqual(shown, new Uint8Array(Buffer.from(vector.picture, "base64")));
  // A writer of ours writes the same members.
  const own = await encrypted(shown);
  const { file: theirs } = content as { file: Record<string, unknown> };
  const members = (of: object): string[] => Object.keys(of).sort();
  assert.deepEqual(members({ ...own.file, url: "" }), members(theirs));
  assert.deepEqual(members(own.file["key"] as object), members(theirs["key"] as object));
});
