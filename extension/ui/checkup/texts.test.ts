import assert from "node:assert/strict";
import { test } from "node:test";

import { forgetText } from "./texts.ts";

test("what throws open steps away does not say that it closes", () => {
  for (const undoable of [false, true]) {
    assert.equal(forgetText({ state: { is: "paused", why: "asked" }, undoable }), "checkupDiscard");
    // Cut off in the middle.
    assert.equal(forgetText({ state: { is: "running" }, undoable }), "checkupDiscard");
  }
  assert.equal(forgetText({ state: { is: "ended" }, undoable: true }), "checkupForgetUndo");
  assert.equal(forgetText({ state: { is: "ended" }, undoable: false }), "checkupForget");
});
