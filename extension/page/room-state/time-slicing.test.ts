import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { TimeSlicer } from "./time-slicing.ts";

describe("how many events a step has", () => {
  test("begins small, and fits what a step took into a frame", () => {
    const slicer = new TimeSlicer();
    assert.equal(slicer.most, 32);
    slicer.took(16);
    assert.equal(slicer.most, 32);
    slicer.took(32);
    assert.equal(slicer.most, 16);
    slicer.took(8);
    assert.equal(slicer.most, 32);
  });

  test("never more than twice the one before, never beyond its bounds", () => {
    const slicer = new TimeSlicer();
    slicer.took(0);
    assert.equal(slicer.most, 64);
    for (let turn = 0; turn < 20; turn += 1) slicer.took(0);
    assert.equal(slicer.most, 256);
    slicer.took(1e9);
    assert.equal(slicer.most, 4);
  });

  test("a clock that goes back, or stands still, does no harm", () => {
    for (const time of [-1000, 0, Number.MIN_VALUE, Number.POSITIVE_INFINITY, Number.NaN]) {
      const slicer = new TimeSlicer();
      slicer.took(time);
      assert.ok(slicer.most >= 4 && slicer.most <= 256, String(time));
      assert.ok(Number.isInteger(slicer.most), String(time));
    }
  });
});
