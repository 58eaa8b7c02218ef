import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { fakeApi, type FakeApi } from "../testing/extension-api.ts";
import {
  forgetPrivatePages,
  loadForPage,
  putForPage,
  rememberedAnswers,
  takeAnswerBack,
  type PagePlace,
} from "./page-store.ts";

const ORIGIN = "https://chat.example.org";
const place = (more: Partial<PagePlace> = {}): PagePlace => ({
  origin: ORIGIN,
  isPrivate: false,
  ...more,
});

let api: FakeApi;
beforeEach(() => {
  api = fakeApi();
});

describe("what pages keep", () => {
  test("origins cannot name each other's entries", async () => {
    const names = ["https://a.example", "https://a.example:8448", "http://a.example"];
    for (const origin of names) await putForPage(place({ origin }), "media", "k", origin);
    for (const origin of names) {
      assert.deepEqual(await loadForPage(place({ origin }), "media"), { k: origin });
    }
    for (const origin of ["null", "", "https://a.example/media", "file://"]) {
      await assert.rejects(putForPage(place({ origin }), "media", "k", "v"), /address/, origin);
    }
  });

  test("keys of any shape come back, and are no properties of objects", async () => {
    for (const key of ["__proto__", "constructor", "a/b", "used", " ", "\u0000", "🙂"]) {
      await putForPage(place(), "state", key, `value of ${key}`);
      const entries = await loadForPage(place(), "state");
      assert.equal(Object.getOwnPropertyDescriptor(entries, key)?.value, `value of ${key}`);
    }
    await putForPage(place(), "state", "a/b", null);
    assert.equal("a/b" in (await loadForPage(place(), "state")), false);
  });

  test("private windows leave nothing on disk, and nothing at all once they are gone", async () => {
    const hidden = place({ isPrivate: true });
    for (const area of ["state", "account-data", "media", "answers"] as const) {
      await putForPage(hidden, area, "k", "v");
      assert.deepEqual(await loadForPage(hidden, area), { k: "v" });
    }
    assert.deepEqual(api.local.values, {});
    assert.deepEqual(await loadForPage(place(), "state"), {});
    await forgetPrivatePages();
    assert.deepEqual(api.session.values, {});
  });

  test("a disk that is full is said, and what was there stays", async () => {
    await putForPage(place(), "state", "k", "old");
    api.local.failure = new Error("QUOTA_BYTES quota exceeded");
    await assert.rejects(putForPage(place(), "state", "k", "new"), /quota/);
    api.local.failure = undefined;
    assert.deepEqual(await loadForPage(place(), "state"), { k: "old" });
  });
});

describe("answers kept once and for all", () => {
  test("are listed by what they hold for, and only where they are whole", async () => {
    await putForPage(place(), "media", "server/hs.example.org", "send 2026-01-31");
    await putForPage(place(), "media", "room/abc", "clean");
    await putForPage(place(), "answers", "def", "send");
    for (const [key, value] of Object.entries({
      "server/x": "perhaps",
      "room/y": "send yesterday",
      "probe/https://hs": "clean 2026-01-31",
    })) {
      await putForPage(place(), "media", key, value);
    }
    const answers = await rememberedAnswers();
    assert.deepEqual(
      answers.map(({ about, server, choice, day }) => ({ about, server, choice, day })),
      [
        { about: "server", server: "hs.example.org", choice: "send", day: "2026-01-31" },
        { about: "room", server: "", choice: "clean", day: undefined },
        { about: "other", server: "", choice: "send", day: undefined },
      ],
    );
    for (const answer of answers) await takeAnswerBack(answer);
    assert.deepEqual(await rememberedAnswers(), []);
  });
});
