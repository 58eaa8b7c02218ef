import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import type { DayRow } from "../../browser/ledger.ts";
import { PAGE_ROW } from "../../testing/rows.ts";
import { nameOfShield } from "../shared/shield-name.ts";
import {
  EVERYTHING,
  asCsv,
  asJson,
  barsOf,
  daysBack,
  filterOf,
  handledIn,
  hostsOf,
  selected,
  stepsUpTo,
} from "./selection.ts";

const row = (more: Partial<DayRow> = {}): DayRow => ({
  day: "2026-03-28",
  ...PAGE_ROW,
  last: Date.UTC(2026, 2, 28, 10),
  ...more,
});

describe("the ledger's page", () => {
  test("has a name for all that the core counts under none of the shields", () => {
    const decide = new URL("../../../core/shields/src/decide.rs", import.meta.url);
    const counted = [...readFileSync(decide, "utf8").matchAll(/ledger\.add\(\s*"(?<id>[^"]+)"/g)];
    const ids = new Set(counted.map(({ groups }) => groups?.["id"] ?? ""));
    assert.ok(ids.size > 0);
    for (const id of ids) assert.notEqual(nameOfShield(id), id);
  });

  test("selects by every filter at once", () => {
    const rows = [
      row(),
      row({ host: "other.example" }),
      row({ shield: "identity" }),
      row({ day: "2026-03-01" }),
    ];
    const any = { words: [], shield: "", host: "", since: "" };
    const words = ({ shield, host }: DayRow): string => `${shield} ${host}`;
    const of = (filter: object): DayRow[] => selected(rows, { ...any, ...filter }, words);
    assert.equal(of({}).length, 4);
    assert.deepEqual(of({ shield: "identity" }), [rows[2]]);
    assert.deepEqual(of({ host: "other.example" }), [rows[1]]);
    assert.equal(of({ since: "2026-03-28" }).length, 3);
    assert.deepEqual(of({ words: ["typing", "other"] }), [rows[1]]);
    assert.deepEqual(of({ words: ["typing"], host: "other.example", since: "2026-03-29" }), []);
  });

  test("counts what was stopped or changed, by day and host, empty days and clock changes included", () => {
    const rows = [
      row({ count: 2 }),
      row({ action: "flagged", count: 50 }),
      row({ day: "2026-03-30", host: "other.example", count: 3 }),
      row({ host: "", count: 1 }),
    ];
    assert.equal(handledIn(rows), 6);
    assert.deepEqual(
      barsOf(rows, "2026-03-27", "2026-03-30").map(({ from, count }) => [from, count]),
      [
        ["2026-03-27", 0],
        ["2026-03-28", 3],
        ["2026-03-29", 0],
        ["2026-03-30", 3],
      ],
    );
    const long = barsOf(rows, "2026-01-01", "2026-03-31");
    assert.equal(long.length, 30);
    assert.equal(
      long.reduce((sum, { count }) => sum + count, 0),
      6,
    );
    assert.deepEqual(hostsOf(rows, 1), [["other.example", 3]]);
    assert.deepEqual(barsOf([row({ day: "x" })], "x", "2026-03-28"), []);
  });

  test("draws lines at round numbers, none above the highest bar and none of half a request", () => {
    assert.deepEqual(stepsUpTo(0), []);
    assert.deepEqual(stepsUpTo(1), [1]);
    assert.deepEqual(stepsUpTo(3), [1, 2, 3]);
    assert.deepEqual(stepsUpTo(1234), [500, 1000]);
    for (let highest = 1; highest < 5000; highest += 7) {
      const steps = stepsUpTo(highest);
      assert.ok(steps.length >= 1 && steps.length <= 5, `${highest}: ${steps.join()}`);
      assert.ok(steps.every((step) => step <= highest));
    }
  });

  test("takes a query's words apart, and today for one of its days", () => {
    const query = { ...EVERYTHING, search: "  Typing hs ", days: 1 };
    assert.deepEqual(filterOf(query, "2026-03-28"), {
      words: ["typing", "hs"],
      shield: "",
      host: "",
      since: "2026-03-28",
    });
    assert.equal(filterOf({ ...query, days: 0 }, "2026-03-28").since, "");
  });

  test("goes back whole days over the end of a month", () => {
    assert.equal(daysBack("2026-03-01", 1), "2026-03-01");
    assert.equal(daysBack("2026-03-01", 7), "2026-02-23");
  });

  test("exports what is shown, and no formula", () => {
    const rows = [row({ endpoint: '=HYPERLINK("x")', last: Number.NaN }), row()];
    assert.deepEqual(JSON.parse(asJson(rows)), [
      { ...row(), endpoint: '=HYPERLINK("x")', last: "" },
      { ...row(), last: "2026-03-28T10:00:00.000Z" },
    ]);
    const [head, first, second] = asCsv(rows).split("\r\n");
    assert.equal(head, "day,shield,action,host,endpoint,count,last");
    assert.equal(
      first,
      `"2026-03-28","typing","answered","hs.example","'=HYPERLINK(""x"")","1",""`,
    );
    assert.match(second ?? "", /"rooms\/\{\}\/typing\/\{\}","1","2026-03-28T10/);
  });
});
