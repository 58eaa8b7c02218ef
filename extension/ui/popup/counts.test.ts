import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Ledger } from "../../browser/ledger.ts";
import { PAGE_ROW } from "../../testing/rows.ts";
import { countsIn, shieldCounts } from "./counts.ts";

const seen = { ...PAGE_ROW, first: 0 };
const of = (tab: number, relay: string, count: number): Ledger["pages"][number] => ({
  tab,
  relay,
  status: "running",
  handled: { typing: count },
  rows: [{ ...PAGE_ROW, shield: "typing", action: "answered", count }],
});
const LEDGER: Ledger = {
  version: 1,
  rows: [
    { ...seen, shield: "typing", action: "answered", count: 9 },
    { ...seen, shield: "identity", action: "blocked", count: 2 },
    { ...seen, shield: "maps", action: "flagged", count: 5 },
  ],
  pages: [of(1, "before", 3), of(1, "now", 4), of(2, "now", 5)],
  taken: [],
};

describe("the counts of the popup", () => {
  test("are those of the page that is shown now, beside all there are", () => {
    const counts = countsIn(LEDGER, 1, "now");
    assert.deepEqual(
      counts.rows.map(({ count }) => count),
      [4],
    );
    assert.deepEqual(shieldCounts(counts, "typing"), { here: 4, total: 9 });
    assert.deepEqual(shieldCounts(counts, "identity"), { here: 0, total: 2 });
  });

  test("are none on a page in which nothing happened yet", () => {
    const counts = countsIn(LEDGER, 1, "later");
    assert.deepEqual(counts.rows, []);
    assert.deepEqual(shieldCounts(counts, "typing"), { here: 0, total: 9 });
  });

  test("are those of all pages where Mantle has no part in this one", () => {
    for (const tab of [1, undefined]) {
      const counts = countsIn(LEDGER, tab, undefined);
      assert.deepEqual(
        counts.rows.map(({ shield }) => shield),
        ["typing", "identity"],
      );
      assert.deepEqual(shieldCounts(counts, "typing"), { here: undefined, total: 9 });
    }
  });

  test("say whether any are kept", () => {
    assert.equal(countsIn(LEDGER, 1, "now").isKept, true);
    assert.equal(countsIn({ ...LEDGER, days: 0 }, 1, "now").isKept, false);
  });
});
