import assert from "node:assert/strict";
import { test } from "node:test";

import { fakeApi } from "../testing/extension-api.ts";

let loads = 0;

/** The background as it starts: again, as after a pause, or anew with the browser. */
async function background(): Promise<() => Promise<string>> {
  loads += 1;
  const file = `./browser-run.ts?${loads}`;
  return ((await import(file)) as typeof import("./browser-run.ts")).browserRun;
}

test("all who ask in one run of the browser are told the same, a stopped background included", async () => {
  fakeApi();
  const ask = await background();
  const told = await Promise.all([ask(), ask(), ask()]);
  const again = await background();
  told.push(await again());
  assert.equal(new Set(told).size, 1);
  assert.notEqual(told[0], "");
});

test("no disk has it, and the next run has another", async () => {
  const api = fakeApi();
  const first = await (await background())();
  assert.deepEqual(api.local.values, {});
  assert.deepEqual(Object.values(api.session.values), [first]);
  // The browser ends, and memory with it.
  fakeApi();
  assert.notEqual(await (await background())(), first);
});

test("where it cannot be kept nobody is told one, and the next who ask are", async () => {
  const api = fakeApi();
  const ask = await background();
  api.session.failure = new Error("QuotaExceededError");
  await assert.rejects(ask());
  api.session.failure = undefined;
  assert.equal(await ask(), await ask());
});

test("what somebody else wrote there is no name", async () => {
  const api = fakeApi();
  for (const value of ["", 7, null, "x".repeat(65), {}]) {
    api.session.values["run"] = value;
    assert.match(await (await background())(), /^[0-9a-f-]{36}$/);
  }
});
