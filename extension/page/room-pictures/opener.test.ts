import "../../testing/page.ts";

import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { beforeEach, describe, test } from "node:test";

import { PictureCache } from "./cache.ts";
import type { Picture } from "./cache.ts";
import { TooLong } from "./download.ts";
import { PictureOpener } from "./opener.ts";

const PNG = Buffer.concat([
  Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01", "latin1"),
]);
const KEY = Buffer.alloc(32, 1);
const IV = Buffer.alloc(16);

let cache: PictureCache;
let opened: Picture[] = [];
let asked: string[] = [];
let isEncrypted = true;
/** What is to be done later, and when. */
let later: { run: () => void; after: number }[] = [];
/** What the homeserver gives. */
let serve: (place: string) => Promise<Uint8Array<ArrayBuffer>>;
let opener: PictureOpener;

function seal(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const cipher = createCipheriv("aes-256-ctr", KEY, IV);
  return new Uint8Array(Buffer.concat([cipher.update(bytes), cipher.final()]));
}

function picture(place: string, bytes: Uint8Array = seal(PNG)): Picture {
  const unpadded = (of: Buffer): string => of.toString("base64").replace(/=+$/, "");
  const sha256 = unpadded(createHash("sha256").update(bytes).digest());
  const file = { place, key: KEY.toString("base64url"), iv: unpadded(IV), sha256 };
  return cache.named("!room", file);
}

/** Cryptography of the browser's ends in tasks of their own. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

beforeEach(() => {
  cache = new PictureCache(() => undefined);
  opened = [];
  asked = [];
  isEncrypted = true;
  later = [];
  serve = () => Promise.resolve(seal(PNG));
  opener = new PictureOpener(cache, {
    isEncrypted: () => Promise.resolve(isEncrypted),
    download: (place) => {
      asked.push(place);
      return serve(place);
    },
    thumbnail: () => Promise.resolve(new Blob(["small"])),
    urlOf: () => "blob:it",
    later: (run, after) => later.push({ run, after }),
    opened: (shown) => opened.push(shown),
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !isTrue(); turn += 1) await settled();
  assert.ok(isTrue());
}

describe("a picture that is looked at", () => {
  test("is fetched once, however often it is asked for", async () => {
    const it = picture("hs/a");
    assert.equal(opener.urlOf(it), null);
    assert.equal(opener.urlOf(it), null);
    await until(() => opened.length === 1);
    assert.equal(opener.urlOf(it), "blob:it");
    assert.deepEqual(asked, ["hs/a"]);
    assert.equal(cache.bytes, 5);
  });

  test("is fetched two at a time", async () => {
    const waiting: ((bytes: Uint8Array<ArrayBuffer>) => void)[] = [];
    serve = () => new Promise((resolve) => waiting.push(resolve));
    for (const place of ["hs/1", "hs/2", "hs/3"]) opener.urlOf(picture(place));
    await until(() => asked.length === 2);
    await settled();
    assert.equal(asked.length, 2);
    waiting[0]?.(seal(PNG));
    await until(() => asked.length === 3);
  });

  test("is not fetched for a room whose state Mantle does not read", async () => {
    isEncrypted = false;
    assert.equal(opener.urlOf(picture("hs/a")), null);
    await settled();
    assert.deepEqual(asked, []);
  });

  const final: Record<string, () => Promise<Uint8Array<ArrayBuffer>>> = {
    "other bytes": () => Promise.resolve(new Uint8Array(9)),
    "too many bytes": () => Promise.reject(new TooLong("long")),
  };
  for (const [what, answer] of Object.entries(final)) {
    test(`with ${what} is not asked for again`, async () => {
      serve = answer;
      const it = picture("hs/a");
      opener.urlOf(it);
      await until(() => it.failures === 1);
      opener.urlOf(it);
      await settled();
      assert.deepEqual(later, []);
      assert.deepEqual(asked, ["hs/a"]);
      assert.deepEqual(opened, []);
    });
  }

  test("whose homeserver fails is asked for again, five times and ever later", async () => {
    serve = () => Promise.reject(new Error("502"));
    const it = picture("hs/a");
    opener.urlOf(it);
    const waits: number[] = [];
    for (let failures = 1; failures < 5; failures += 1) {
      await until(() => later.length === 1);
      // Looking at it does not hurry it.
      opener.urlOf(it);
      const [next] = later.splice(0);
      waits.push(next?.after ?? 0);
      next?.run();
    }
    await until(() => it.failures === 5);
    await settled();
    assert.deepEqual(waits, [5_000, 20_000, 80_000, 320_000]);
    assert.deepEqual(later, []);
    assert.equal(asked.length, 5);
  });

  test("comes with the next try where the homeserver has it then", async () => {
    serve = () => Promise.reject(new Error("404"));
    const it = picture("hs/a");
    opener.urlOf(it);
    await until(() => later.length === 1);
    serve = () => Promise.resolve(seal(PNG));
    later[0]?.run();
    await until(() => opened.length === 1);
  });

  test("that is none is not shown", async () => {
    const bytes = seal(Buffer.from("<svg/>"));
    serve = () => Promise.resolve(bytes);
    const it = picture("hs/a", bytes);
    opener.urlOf(it);
    await until(() => it.failures === 1);
    assert.deepEqual(opened, []);
    assert.equal(cache.bytes, 0);
  });

  test("whose homeserver fails costs the others nothing", async () => {
    serve = (place) =>
      place === "hs/bad" ? Promise.reject(new Error("502")) : Promise.resolve(seal(PNG));
    opener.urlOf(picture("hs/bad"));
    for (const place of ["hs/1", "hs/2", "hs/3"]) opener.urlOf(picture(place));
    await until(() => opened.length === 3);
  });

  test("that is forgotten meanwhile is not told of", async () => {
    let give: (bytes: Uint8Array<ArrayBuffer>) => void = () => undefined;
    serve = () => new Promise((resolve) => (give = resolve));
    const it = picture("hs/a");
    opener.urlOf(it);
    await until(() => asked.length === 1);
    cache.clear();
    give(seal(PNG));
    await until(() => !it.isBusy);
    assert.deepEqual(opened, []);
    assert.equal(cache.bytes, 0);
  });
});
