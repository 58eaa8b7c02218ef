import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Finding, FoundItem } from "../../generated/types.ts";
import { nameOf, planOf } from "./words.ts";

const item = (more: Partial<FoundItem>): FoundItem => ({
  name: "!room",
  of: null,
  parts: [],
  since: null,
  repairable: true,
  ...more,
});

/** Without a table of texts, texts are their names. */
const finding = (more: Partial<Finding>): Finding =>
  ({ id: "session-names", count: 3, repair: { steps: 3, undo: true }, ...more }) as Finding;

describe("the check-up's words", () => {
  test("name an item by itself, or with what it is of and which parts of it show", () => {
    assert.equal(nameOf(item({})), "!room");
    assert.notEqual(nameOf(item({ of: "@a:b" })), "!room");
    assert.equal(nameOf(item({ parts: ["no such part"] })), "!room");
    const picture = item({ name: "mxc://hs/picture" });
    assert.equal(nameOf(picture, true), "checkupItemPicture");
    // Anybody may name a room so.
    assert.equal(nameOf(picture), "mxc://hs/picture");
  });

  test("plan nothing where nothing can be repaired", () => {
    assert.deepEqual(planOf(finding({ repair: null }), "Element"), []);
    assert.deepEqual(planOf(finding({ id: "presence" }), "Element"), []);
  });

  test("say how long it takes where nobody would sit and wait for it", () => {
    const rooms = (steps: number): string[] =>
      planOf(finding({ id: "readable-rooms", count: steps, repair: { steps, undo: false } }), "");
    const isSaid = (steps: number): boolean =>
      rooms(steps).some((line) => line.startsWith("checkupPlanMinutes"));
    assert.deepEqual([3, 20, 40, 200].map(isSaid), [false, false, true, true]);
    assert.equal(planOf(finding({ count: 200, repair: { steps: 200, undo: true } }), "").length, 2);
  });

  test("say what is left over, but not of what one change takes out whole", () => {
    const all = planOf(finding({}), "Element");
    assert.equal(all.length, 2);
    assert.equal(planOf(finding({ count: 4 }), "Element").length, 3);
    assert.equal(planOf(finding({ id: "account-widgets", count: 4 }), "Element").length, 2);
    const final = planOf(finding({ repair: { steps: 3, undo: false } }), "Element");
    assert.notDeepEqual(final, all);
  });
});
