import assert from "node:assert/strict";
import { beforeEach, describe, mock, test } from "node:test";

import { type FakeApi, fakeApi } from "../testing/extension-api.ts";
import { PAUSE_MS, endPause, mayBePaused, pauseOf, pausesInForce, startPause } from "./pauses.ts";

const SITE = "chat.example.org";
let api: FakeApi;

beforeEach(() => {
  api = fakeApi();
});

describe("a pause", () => {
  test("of five minutes is over after them, or when the clock is set back, and leaves nothing", async () => {
    mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
    try {
      for (const time of [1_000_000 + PAUSE_MS, 999_999]) {
        mock.timers.setTime(1_000_000);
        await startPause(SITE, "minutes");
        assert.deepEqual(await pausesInForce(), [
          { host: SITE, kind: "minutes", until: 1_000_000 + PAUSE_MS },
        ]);
        mock.timers.setTime(time);
        assert.equal(await pauseOf(SITE), undefined);
        assert.deepEqual(await pausesInForce(), []);
        assert.deepEqual(api.local.values, {});
      }
    } finally {
      mock.timers.reset();
    }
  });

  test("until the browser closes is over with its session storage", async () => {
    await startPause(SITE, "session");
    assert.equal((await pauseOf(SITE))?.kind, "session");
    api.session.values = {};
    assert.equal(await pauseOf(SITE), undefined);
    assert.deepEqual(await pausesInForce(), []);
    assert.equal(await mayBePaused(SITE), false);
  });

  test("for always stays until it is taken back", async () => {
    await startPause(SITE, "always");
    api.session.values = {};
    assert.equal((await pauseOf(SITE))?.kind, "always");
    assert.equal(await pauseOf("other.example.org"), undefined);
    await endPause(SITE);
    assert.deepEqual(await pausesInForce(), []);
    assert.deepEqual(api.local.values, {});
  });

  test("that cannot be read is none", async () => {
    for (const value of [1, "x", null, {}, { kind: "minutes" }, { kind: "minutes", until: "9" }]) {
      api.local.values[`pause/${SITE}`] = value;
      assert.equal(await pauseOf(SITE), undefined);
    }
    api.local.values["pause/*"] = { kind: "always" };
    assert.deepEqual(await pausesInForce(), []);
    assert.deepEqual(api.local.values, {});
  });

  test("of one kind takes the place of another", async () => {
    await startPause(SITE, "session");
    await startPause(SITE, "minutes");
    assert.equal((await pauseOf(SITE))?.kind, "minutes");
    await endPause(SITE);
    assert.deepEqual(api.session.values, { pauses: [] });
  });
});
