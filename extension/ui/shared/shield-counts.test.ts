import assert from "node:assert/strict";
import { test } from "node:test";

import { PAGE_ROW } from "../../testing/rows.ts";
import { handledByShield } from "./shield-counts.ts";

test("a shield is counted by what it stopped or changed, and by nothing it only saw", () => {
  const of = (shield: string) => ({ ...PAGE_ROW, shield });
  const totals = handledByShield([
    { ...of("typing"), action: "answered", count: 2 },
    { ...of("identity"), action: "blocked", count: 3 },
    { ...of("typing"), action: "rewritten", count: 5 },
    { ...of("maps"), action: "flagged", count: 7 },
  ]);
  assert.deepEqual(
    [...totals],
    [
      ["typing", 7],
      ["identity", 3],
    ],
  );
  assert.deepEqual([...handledByShield([])], []);
});
