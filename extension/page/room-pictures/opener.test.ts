import "../../testing/page.ts";

import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { beforeEach, describe, test } from "node:test";

import { MAX_KEPT_BYTES, PictureCache } from "./cache.ts";
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
/** What the engine says of the room. */
let known: () => Promise<boolean>;
/** Whose client runs, and whose each download was. */
let account = "alice";
let askedOf: string[] = [];
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
  known = () => Promise.resolve(true);
  account = "alice";
  askedOf = [];
  later = [];
  serve = () => Promise.resolve(seal(PNG));
  opener = new PictureOpener(cache, {
    isEncrypted: () => known(),
    downloader: () => {
      const from = account;
      return (place) => {
        asked.push(place);
        askedOf.push(from);
        return serve(place);
      };
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

  test("takes no more memory among 500 rooms than all may together, and is back when looked at", async () => {
    // As a PNG of 192 by 800 pixels of noise, which is what a browser without WebP may write.
    const large = new Blob([new Uint8Array(500_000)]);
    let shown = 0;
    let most = 0;
    const urls = new Set<string>();
    cache = new PictureCache((url) => urls.delete(url));
    opener = new PictureOpener(cache, {
      isEncrypted: () => Promise.resolve(true),
      downloader: () => () => Promise.resolve(seal(PNG)),
      thumbnail: () => Promise.resolve(large),
      urlOf: () => {
        shown += 1;
        urls.add(`blob:${String(shown)}`);
        return `blob:${String(shown)}`;
      },
      later: () => undefined,
      opened: () => {
        most = Math.max(most, cache.bytes);
      },
    });
    const all = Array.from({ length: 500 }, (_, at) => picture(`hs/${String(at)}`));
    for (const one of all) opener.urlOf(one);
    await until(() => shown === 500);
    await settled();
    assert.equal(most, MAX_KEPT_BYTES - (MAX_KEPT_BYTES % large.size));
    // What is no longer kept is given back to the browser.
    assert.equal(urls.size, MAX_KEPT_BYTES / large.size);
    const [first] = all;
    assert.ok(first !== undefined && first.url === undefined);
    assert.equal(opener.urlOf(first), null);
    await until(() => first.url !== undefined);
    assert.ok(cache.bytes <= MAX_KEPT_BYTES);
  });

  test("is not fetched for a room whose state Mantle does not read", async () => {
    known = () => Promise.resolve(false);
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

  /** Fails five times, with what was waited between. */
  async function failFiveTimes(it: Picture): Promise<number[]> {
    serve = () => Promise.reject(new Error("502"));
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
    await until(() => it.failures === 5 && later.length === 1);
    return waits;
  }

  test("whose homeserver fails is asked for again, five times and ever later", async () => {
    assert.deepEqual(await failFiveTimes(picture("hs/a")), [5_000, 20_000, 80_000, 320_000]);
    assert.equal(asked.length, 5);
  });

  test("that failed five times is asked for every ten minutes at most, when it is looked at", async () => {
    const it = picture("hs/a");
    await failFiveTimes(it);
    for (let round = 1; round <= 3; round += 1) {
      opener.urlOf(it);
      await settled();
      assert.equal(asked.length, 4 + round);
      const [rest] = later.splice(0);
      assert.equal(rest?.after, 600_000);
      rest?.run();
      // Nobody looks.
      await settled();
      assert.equal(asked.length, 4 + round);
      opener.urlOf(it);
      await until(() => later.length === 1);
    }
    serve = () => Promise.resolve(seal(PNG));
    later.splice(0)[0]?.run();
    opener.urlOf(it);
    await until(() => opened.length === 1);
  });

  test("that failed comes at once when the device is online again", async () => {
    const it = picture("hs/a");
    await failFiveTimes(it);
    serve = () => Promise.resolve(seal(PNG));
    const [before] = later.splice(0);
    opener.online();
    await until(() => opened.length === 1);
    assert.equal(asked.length, 6);
    // The wait of before does nothing any more.
    before?.run();
    opener.online();
    await settled();
    assert.deepEqual([asked.length, it.failures], [6, 0]);
  });

  test("that will never be one is not asked for when the device is online again", async () => {
    const it = picture("hs/a");
    serve = () => Promise.resolve(new Uint8Array(9));
    opener.urlOf(it);
    await until(() => it.failures === 1);
    opener.online();
    await settled();
    assert.equal(asked.length, 1);
  });

  const unknown: Record<string, () => Promise<boolean>> = {
    "is not known": () => Promise.resolve(false),
    "cannot be said yet": () => Promise.reject(new Error("not started")),
  };
  for (const [what, answer] of Object.entries(unknown)) {
    test(`of a room of which it ${what} to be encrypted has not failed, however often`, async () => {
      known = answer;
      const it = picture("hs/a");
      opener.urlOf(it);
      for (let round = 0; round < 100; round += 1) {
        await until(() => later.length === 1);
        const [next] = later.splice(0);
        assert.equal(next?.after, 5_000);
        next?.run();
        // By itself for some minutes, then when it is looked at.
        if (round >= 59) opener.urlOf(it);
      }
      assert.deepEqual([it.failures, asked.length], [0, 0]);
      known = () => Promise.resolve(true);
      await until(() => later.length === 1);
      later.splice(0)[0]?.run();
      opener.urlOf(it);
      await until(() => opened.length === 1);
    });
  }

  test("is fetched by the client that ran when it was looked at, or not at all", async () => {
    const waiting: ((isIt: boolean) => void)[] = [];
    known = () => new Promise((resolve) => waiting.push(resolve));
    const [it, other] = [picture("hs/a"), picture("hs/b")];
    opener.urlOf(it);
    opener.urlOf(other);
    await until(() => waiting.length === 2);
    account = "bob";
    waiting[0]?.(true);
    await until(() => asked.length === 1);
    assert.deepEqual(askedOf, ["alice"]);
    cache.clear();
    waiting[1]?.(true);
    await until(() => !other.isBusy);
    assert.deepEqual(asked, ["hs/a"]);
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
