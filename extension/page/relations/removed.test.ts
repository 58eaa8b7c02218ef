import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { stored } from "../../testing/stored.ts";
import { MAX_REMOVED, RemovedReactions } from "./removed.ts";

const written = (): string[] => JSON.parse(stored.get("removed") ?? "[]") as string[];

/** Until what was added is stored. */
async function writtenWith(id: string): Promise<string[]> {
  for (let turn = 0; turn < 1_000 && !written().includes(id); turn += 1) {
    await new Promise(setImmediate);
  }
  return written();
}

test("removed reactions are known after a reload, beside those of another tab", async () => {
  stored.clear();
  const first = new RemovedReactions();
  const second = new RemovedReactions();
  first.add("$1");
  await writtenWith("$1");
  second.add("$2");
  assert.deepEqual(await writtenWith("$2"), ["$1", "$2"]);
  const reloaded = new RemovedReactions();
  await reloaded.load();
  assert.deepEqual(
    ["$1", "$2", "$3"].map((id) => reloaded.has(id)),
    [true, true, false],
  );
});

test("only so many are kept, the oldest go", async () => {
  stored.clear();
  const removed = new RemovedReactions();
  for (let count = 0; count <= MAX_REMOVED; count += 1) removed.add(`$${count}`);
  removed.add(`$${"x".repeat(300)}`);
  const ids = await writtenWith(`$${MAX_REMOVED}`);
  assert.equal(ids.length, MAX_REMOVED);
  assert.deepEqual([removed.has("$0"), removed.has("$1"), ids[0]], [false, true, "$1"]);
});

test("what cannot be read is as if nothing were kept", async () => {
  for (const text of ["{", "{}", "[1, null]", "7"]) {
    stored.set("removed", text);
    await new RemovedReactions().load();
    const removed = new RemovedReactions();
    removed.add("$1");
    for (let turn = 0; turn < 1_000 && stored.get("removed") === text; turn += 1) {
      await new Promise(setImmediate);
    }
    assert.equal(stored.get("removed"), '["$1"]');
  }
});
