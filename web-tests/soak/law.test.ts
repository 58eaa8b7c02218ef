import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { growth, judge, MIN_SAMPLES, type Sample } from "./law.ts";

const series = (length: number, value: (index: number) => number): Sample[] =>
  Array.from({ length }, (_, index) => ({ at: index * 10, value: value(index) }));

/** Between -1 and 1, the same in every run. */
const noise = (index: number): number => Math.sin(index * 12.9898) * Math.cos(index * 78.233);

describe("growth over the last two thirds", () => {
  it("is none where a figure stays, falls, or only warms up", () => {
    assert.equal(growth(series(30, () => 5_000)), 0);
    assert.ok(growth(series(30, (index) => 5_000 - index)) < 0);
    assert.equal(growth(series(30, (index) => Math.min(index, 9) * 1_000)), 0);
  });

  it("is that of a line, whatever lies around it", () => {
    assert.equal(growth(series(30, (index) => index * 100)), 1_900);
    const noisy = growth(series(30, (index) => index * 100 + noise(index) * 200));
    assert.ok(Math.abs(noisy - 1_900) < 300, String(noisy));
  });

  it("takes neither noise nor what rises and falls again for growth", () => {
    assert.ok(growth(series(30, (index) => 50_000 + noise(index) * 500)) < 300);
    assert.ok(growth(series(30, (index) => 50_000 + (index % 3) * 400)) <= 400);
  });

  it("is not moved by one odd sample", () => {
    assert.equal(growth(series(30, (index) => (index === 20 ? 90_000 : 1_000))), 0);
  });

  it("sees one large step that stays", () => {
    assert.equal(growth(series(30, (index) => (index < 24 ? 1_000 : 65_000))), 64_000);
  });

  it("wants enough samples, and takes no figure that is none for flat", () => {
    assert.throws(() => growth(series(MIN_SAMPLES - 1, () => 1)), /too few/);
    const judged = judge({
      what: "a figure",
      unit: "bytes",
      samples: series(30, () => Number.NaN),
      bound: 10,
    });
    assert.equal(judged.isFlat, false);
  });

  it("is held against the bound", () => {
    const judged = (bound: number) =>
      judge({ what: "", unit: "", samples: series(30, (index) => index * 100), bound });
    assert.equal(judged(1_900).isFlat, true);
    assert.equal(judged(1_899).isFlat, false);
    assert.deepEqual([judged(0).first, judged(0).warm, judged(0).last], [0, 1_000, 2_900]);
  });
});
