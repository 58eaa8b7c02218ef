import "../../testing/page.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace } from "./time-slicing.ts";
test("x", () => {
  assert.equal(new Pace().most, 32);
});
