import assert from "node:assert/strict";
import { test } from "node:test";

import { latest } from "./latest.ts";

test("what was read meanwhile is not overwritten by what was begun before", async () => {
  const ends: ((value: string) => void)[] = [];
  const shown: string[] = [];
  const read = latest(
    () => new Promise<string>((resolve) => ends.push(resolve)),
    (value) => shown.push(value),
  );
  const both = [read(), read()];
  ends[1]?.("second");
  ends[0]?.("first");
  await Promise.all(both);
  assert.deepEqual(shown, ["second"]);
});
