import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { eachInSteps, yieldToPage } from "./steps.ts";

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
