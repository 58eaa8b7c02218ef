import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { fakeApi, type FakeApi } from "../testing/extension-api.ts";
import {
  MAX_PARTS,
  adoptEntries,
  forgetPart,
  forgetPrivatePages,
  loadForPage,
  notePartUsed,
  putForPage,
  rememberedAnswers,
  takeAnswerBack,
  type PagePlace,
} from "./page-store.ts";

const ORIGIN = "https://chat.example.org";
const DAY = 24 * 60 * 60 * 1000;
const partOf = (number: number): string => number.toString(16).padStart(32, "0");
const place = (number: number | undefined, more: Partial<PagePlace> = {}): PagePlace => ({
  origin: ORIGIN,
  part: number === undefined ? undefined : partOf(number),
  isPrivate: false,
  ...more,
});

let api: FakeApi;
beforeEach(() => {
  api = fakeApi();
});

describe("what pages keep", () => {
  test("each storage of an origin has its own entries, and forgets nobody else's", async () => {
    await putForPage(place(1), "state", "room/!a:hs", "one");
    await putForPage(place(2), "state", "room/!a:hs", "two");
    await putForPage(place(2), "account-data", "@b:hs/type", "kept");
    assert.deepEqual(await loadForPage(place(1), "state"), { "room/!a:hs": "one" });
    await forgetPart(place(1));
    assert.deepEqual(await loadForPage(place(1), "state"), {});
    assert.deepEqual(await loadForPage(place(2), "state"), { "room/!a:hs": "two" });
    assert.deepEqual(await loadForPage(place(2), "account-data"), { "@b:hs/type": "kept" });
  });

  test("origins cannot name each other's entries", async () => {
    const names = ["https://a.example", "https://a.example:8448", "http://a.example"];
    for (const origin of names) await putForPage(place(1, { origin }), "media", "k", origin);
    for (const origin of names) {
      assert.deepEqual(await loadForPage(place(1, { origin }), "media"), { k: origin });
    }
    for (const origin of ["null", "", "https://a.example/media", "file://"]) {
      await assert.rejects(putForPage(place(1, { origin }), "media", "k", "v"), /address/, origin);
    }
  });

  test("a name of a storage that is none reaches nothing", async () => {
    await putForPage(place(1), "state", "k", "v");
    for (const part of ["", "..", `${partOf(1)}/state`, "media", partOf(1).toUpperCase() + "g"]) {
      assert.deepEqual(await loadForPage(place(1, { part }), "state"), {}, part);
      await assert.rejects(putForPage(place(1, { part }), "state", "k", "x"), /storage/, part);
      await forgetPart(place(1, { part }));
    }
    assert.deepEqual(await loadForPage(place(1), "state"), { k: "v" });
  });

  test("keys of any shape come back, and are no properties of objects", async () => {
    for (const key of ["__proto__", "constructor", "a/b", "used", " ", "\u0000", "🙂"]) {
      await putForPage(place(1), "state", key, `value of ${key}`);
      const entries = await loadForPage(place(1), "state");
      assert.equal(Object.getOwnPropertyDescriptor(entries, key)?.value, `value of ${key}`);
    }
    await putForPage(place(1), "state", "a/b", null);
    assert.equal("a/b" in (await loadForPage(place(1), "state")), false);
  });

  test("private windows leave nothing on disk, and nothing at all once they are gone", async () => {
    const hidden = place(7, { isPrivate: true });
    for (const area of ["state", "account-data", "media", "answers"] as const) {
      await putForPage(hidden, area, "k", "v");
      assert.deepEqual(await loadForPage(hidden, area), { k: "v" });
    }
    await notePartUsed(hidden, Date.now());
    assert.deepEqual(api.local.values, {});
    assert.deepEqual(await loadForPage(place(7), "state"), {});
    await forgetPrivatePages();
    assert.deepEqual(api.session.values, {});
  });

  test("a disk that is full is said, and what was there stays", async () => {
    await putForPage(place(1), "state", "k", "old");
    api.local.failure = new Error("QUOTA_BYTES quota exceeded");
    await assert.rejects(putForPage(place(1), "state", "k", "new"), /quota/);
    api.local.failure = undefined;
    assert.deepEqual(await loadForPage(place(1), "state"), { k: "old" });
  });

  test("of an origin's storages those unused the longest go, at the bound", async () => {
    for (let number = 0; number < MAX_PARTS; number += 1) {
      await putForPage(place(number), "state", "k", String(number));
      await notePartUsed(place(number), number * DAY);
    }
    assert.deepEqual(await loadForPage(place(0), "state"), { k: "0" });
    // The first is used again, so the second is the oldest.
    await notePartUsed(place(0), 50 * DAY);
    await notePartUsed(place(99), 51 * DAY);
    assert.deepEqual(await loadForPage(place(0), "state"), { k: "0" });
    assert.deepEqual(await loadForPage(place(1), "state"), {});
    assert.deepEqual(await loadForPage(place(2), "state"), { k: "2" });
    assert.equal(
      Object.keys(api.local.values).filter((n) => n.endsWith("/used")).length,
      MAX_PARTS,
    );
  });

  test("another origin's storages are not counted", async () => {
    for (let number = 0; number < MAX_PARTS + 3; number += 1) {
      await notePartUsed(place(number, { origin: `https://${number}.example` }), number * DAY);
    }
    assert.equal(Object.keys(api.local.values).length, MAX_PARTS + 3);
  });

  test("entries of an earlier Mantle go to the first storage with a session, once", async () => {
    Object.assign(api.local.values, {
      [`page/${ORIGIN}/state/room/!a:hs`]: "old",
      [`page/${ORIGIN}/account-data/@a:hs/t`]: "kept",
      [`page/${ORIGIN}/media/probe/https://hs`]: "stays",
      [`page/${ORIGIN}.evil.example/state/room/!a:hs`]: "another's",
    });
    await adoptEntries(place(1));
    await adoptEntries(place(2));
    assert.deepEqual(await loadForPage(place(1), "state"), { "room/!a:hs": "old" });
    assert.deepEqual(await loadForPage(place(1), "account-data"), { "@a:hs/t": "kept" });
    assert.deepEqual(await loadForPage(place(2), "state"), {});
    assert.deepEqual(await loadForPage(place(2), "media"), { "probe/https://hs": "stays" });
    assert.ok(`page/${ORIGIN}.evil.example/state/room/!a:hs` in api.local.values);
  });
});

describe("answers kept once and for all", () => {
  test("are listed by what they hold for, and only where they are whole", async () => {
    await putForPage(place(1), "media", "server/hs.example.org", "send 2026-01-31");
    await putForPage(place(1), "media", "room/abc", "clean");
    await putForPage(place(1), "answers", "def", "send");
    await putForPage(place(1), "answers", "ghi", "connect sfu.example.net:8443");
    await putForPage(place(1), "answers", "jkl", "connect <b>a</b>/x");
    for (const [key, value] of Object.entries({
      "server/x": "perhaps",
      "room/y": "send yesterday",
      "probe/https://hs": "clean 2026-01-31",
    })) {
      await putForPage(place(1), "media", key, value);
    }
    const answers = await rememberedAnswers();
    assert.deepEqual(
      answers.map(({ about, server, choice, day }) => ({ about, server, choice, day })),
      [
        { about: "server", server: "hs.example.org", choice: "send", day: "2026-01-31" },
        { about: "room", server: "", choice: "clean", day: undefined },
        { about: "other", server: "", choice: "send", day: undefined },
        { about: "call-server", server: "sfu.example.net:8443", choice: "send", day: undefined },
      ],
    );
    for (const answer of answers) await takeAnswerBack(answer);
    assert.deepEqual(await rememberedAnswers(), []);
  });
});
