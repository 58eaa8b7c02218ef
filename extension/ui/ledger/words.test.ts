import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { DayRow } from "../../browser/ledger.ts";
import { PAGE_ROW } from "../../testing/rows.ts";
import { EVERYTHING } from "./selection.ts";
import { choicesOf, stillOffered, wordsOf } from "./words.ts";

const row = (more: Partial<DayRow> = {}): DayRow => ({
  day: "2026-03-28",
  ...PAGE_ROW,
  ...more,
});

describe("the ledger's filters", () => {
  test("offer every shield and host once, in order, and no empty one", () => {
    const rows = [row({ host: "b.example" }), row({ host: "a.example" }), row({ host: "" }), row()];
    const { shields, hosts } = choicesOf([...rows, ...rows]);
    assert.deepEqual(
      shields.map(({ value }) => value),
      ["typing"],
    );
    assert.deepEqual(
      hosts.map(({ value }) => value),
      ["a.example", "b.example", "hs.example"],
    );
  });

  test("let go of what is there no more, and of nothing else", () => {
    const query = { ...EVERYTHING, search: "x", shield: "typing", host: "gone.example", days: 7 };
    assert.deepEqual(stillOffered(query, choicesOf([row()])), { ...query, host: "" });
    assert.deepEqual(stillOffered(query, choicesOf([])), { ...query, shield: "", host: "" });
  });

  test("search what a row says, in lower case", () => {
    assert.match(wordsOf(row({ host: "HS.example" })), /typing .*hs\.example rooms\/\{\}/);
  });
});
