import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { isPictureName, MAX_KEPT_BYTES, MAX_PICTURES, PictureCache } from "./cache.ts";
import type { Picture } from "./cache.ts";

let revoked: string[] = [];
let cache: PictureCache;

const file = (place: string, key = "k") => ({ place, key, iv: "i", sha256: "h" });
const named = (place: string): Picture => cache.named("!room", file(place));

beforeEach(() => {
  revoked = [];
  cache = new PictureCache((url) => revoked.push(url));
});

describe("pictures of a page", () => {
  test("have one name each, and are found by it", () => {
    const picture = named("hs/a");
    assert.equal(named("hs/a"), picture);
    assert.ok(picture.name.startsWith("mxc://hs/a#"));
    assert.ok(isPictureName(picture.name));
    assert.ok(!isPictureName("mxc://hs/a"));
    assert.equal(cache.find(picture.name), picture);
    assert.equal(cache.find("mxc://hs/a"), undefined);
  });

  test("are others in another room and with another key", () => {
    const names = [
      named("hs/a"),
      cache.named("!other", file("hs/a")),
      cache.named("!room", file("hs/a", "other")),
    ].map(({ name }) => name);
    assert.equal(new Set(names).size, 3);
  });

  test("take no more bytes than they may; what was looked at last stays", () => {
    const third = Math.floor(MAX_KEPT_BYTES / 3);
    const [first, second, third_] = ["hs/1", "hs/2", "hs/3"].map(named) as [
      Picture,
      Picture,
      Picture,
    ];
    for (const picture of [first, second, third_]) cache.keep(picture, picture.name, third);
    assert.deepEqual(revoked, []);
    cache.find(first.name);
    const fourth = named("hs/4");
    cache.keep(fourth, "4", third);
    assert.deepEqual(revoked, [second.name]);
    assert.equal(second.url, undefined);
    assert.equal(first.url, first.name);
    assert.equal(cache.bytes, 3 * third);
  });

  test("may stay at exactly as many bytes, and one goes for one byte more", () => {
    const [first, second, third] = ["hs/1", "hs/2", "hs/3"].map(named) as [
      Picture,
      Picture,
      Picture,
    ];
    cache.keep(first, "1", 1);
    cache.keep(second, "2", MAX_KEPT_BYTES - 1);
    assert.equal(cache.bytes, MAX_KEPT_BYTES);
    assert.deepEqual(revoked, []);
    cache.keep(third, "3", 1);
    assert.deepEqual(revoked, ["1"]);
  });

  test("put in the place of themselves are counted once", () => {
    const picture = named("hs/a");
    cache.keep(picture, "1", 10);
    cache.keep(picture, "2", 20);
    assert.equal(cache.bytes, 20);
    assert.deepEqual(revoked, ["1"]);
  });

  test("are forgotten when there are too many, the oldest first", () => {
    const first = named("hs/first");
    cache.keep(first, "url", 10);
    for (let index = 1; index < MAX_PICTURES; index += 1) named(`hs/${String(index)}`);
    assert.ok(!first.isForgotten);
    named("hs/last");
    assert.ok(first.isForgotten);
    assert.equal(cache.find(first.name), undefined);
    assert.deepEqual(revoked, ["url"]);
    assert.equal(cache.bytes, 0);
    // It comes back under a name that nobody has.
    assert.notEqual(named("hs/first").name, first.name);
  });

  test("that come when they are forgotten are not kept", () => {
    const picture = named("hs/a");
    cache.clear();
    cache.keep(picture, "late", 10);
    assert.deepEqual(revoked, ["late"]);
    assert.equal(cache.bytes, 0);
  });

  test("go with the session", () => {
    const picture = named("hs/a");
    cache.keep(picture, "url", 10);
    cache.clear();
    assert.deepEqual(revoked, ["url"]);
    assert.equal(cache.find(picture.name), undefined);
    assert.equal(cache.bytes, 0);
  });
});
