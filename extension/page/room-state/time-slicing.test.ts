import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { breath, eachInSteps, Pace } from "./time-slicing.ts";

describe("how many events a step has", () => {
  test("begins small, and fits what a step took into a frame", () => {
    const pace = new Pace();
    assert.equal(pace.most, 32);
    pace.took(16);
    assert.equal(pace.most, 32);
    pace.took(32);
    assert.equal(pace.most, 16);
    pace.took(8);
    assert.equal(pace.most, 32);
  });

  test("never more than twice the one before, never beyond its bounds", () => {
    const pace = new Pace();
    pace.took(0);
    assert.equal(pace.most, 64);
    for (let turn = 0; turn < 20; turn += 1) pace.took(0);
    assert.equal(pace.most, 512);
    pace.took(1e9);
    assert.equal(pace.most, 4);
  });

  test("a clock that goes back, or stands still, does no harm", () => {
    for (const time of [-1000, 0, Number.MIN_VALUE, Number.POSITIVE_INFINITY, Number.NaN]) {
      const pace = new Pace();
      pace.took(time);
      assert.ok(pace.most >= 4 && pace.most <= 512, String(time));
      assert.ok(Number.isInteger(pace.most), String(time));
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
    await Promise.all([1, 2, 3].map((item) => breath().then(() => order.push(item))));
    assert.deepEqual(order, [1, 2, 3]);
  });
});
