import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { rangeInView } from "./range-in-view.ts";

describe("the rows in view", () => {
  const view = { scrollTop: 0, clientHeight: 500, height: 50 };

  test("are those that are seen and some around them, never all of a long list", () => {
    assert.deepEqual(rangeInView(view, 10_000), { first: 0, end: 18 });
    assert.deepEqual(rangeInView({ ...view, scrollTop: 5_025 }, 10_000), { first: 92, end: 119 });
    assert.deepEqual(rangeInView({ ...view, scrollTop: 499_500 }, 10_000), {
      first: 9_982,
      end: 10_000,
    });
  });

  test("are there although the list became shorter than what was scrolled", () => {
    assert.deepEqual(rangeInView({ ...view, scrollTop: 499_500 }, 3), { first: 2, end: 3 });
    assert.deepEqual(rangeInView(view, 0), { first: 0, end: 1 });
  });
});
