import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { yieldToPage, eachInSteps, TimeSlicer } from "./time-slicing.ts";

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
    assert.equal(slicer.most, 512);
    slicer.took(1e9);
    assert.equal(slicer.most, 4);
  });

  test("a clock that goes back, or stands still, does no harm", () => {
    for (const time of [-1000, 0, Number.MIN_VALUE, Number.POSITIVE_INFINITY, Number.NaN]) {
      const slicer = new TimeSlicer();
      slicer.took(time);
      assert.ok(slicer.most >= 4 && slicer.most <= 512, String(time));
      assert.ok(Number.isInteger(slicer.most), String(time));
    }
  });
});

describe("work in steps", () => {
  test("is all done, in order, and others have their turn in between", async () => {
    const done: number[] = [];
    let turns = 0;
    const others = setInterval(() => (turns += 1), 0);
    await eachInSteps([1, 2, 3, 4], (item) => {
      const until = performance.now() + 20;
      while (performance.now() < until);
      done.push(item);
    });
    clearInterval(others);
    assert.deepEqual(done, [1, 2, 3, 4]);
    assert.ok(turns > 0);
  });

  test("that fails ends there, and says so", async () => {
    const done: number[] = [];
    const work = (item: number): void => {
      if (item === 2) throw new Error("no");
      done.push(item);
    };
    await assert.rejects(eachInSteps([1, 2, 3], work), /no/);
    assert.deepEqual(done, [1]);
    await eachInSteps([], work);
  });

  test("breaths come one after the other", async () => {
    const order: number[] = [];
    await Promise.all([1, 2, 3].map((item) => yieldToPage().then(() => order.push(item))));
    assert.deepEqual(order, [1, 2, 3]);
  });
});
