import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { ShieldView } from "../../browser/settings-core.ts";
import { shields } from "../../generated/tables.json";
import { familiesOf, foundBy } from "./shields.ts";

const view = (id: string, mode: ShieldView["mode"]): ShieldView =>
  ({ id, mode, name: id, purpose: "", loses: "" }) as ShieldView;

describe("shields", () => {
  test("are each in one family, and no family is empty", () => {
    const families = familiesOf(shields.map(({ id }) => view(id, "on")));
    const ids = families.flatMap(({ members }) => members.map(({ id }) => id));
    assert.deepEqual(ids.sort(), shields.map(({ id }) => id).sort());
    assert.ok(families.every(({ members }) => members.length > 0));
    assert.deepEqual(
      familiesOf([view("identity", "on"), view("of-a-later-version", "on")]).map(
        ({ name }) => name,
      ),
      ["familyServices", "familyElement"],
    );
    assert.deepEqual(familiesOf([]), []);
  });

  test("are counted where they do something", () => {
    const [family] = familiesOf([
      view("identity", "on"),
      view("integrations", "ask"),
      view("telemetry", "off"),
      view("extras", "flag"),
    ]);
    assert.deepEqual([family?.members.length, family?.acting], [4, 2]);
  });

  test("are found by all words of a search, in whatever they say", () => {
    const all = [
      { id: "receipts", name: "Read receipts", purpose: "Keeps them private", loses: "Nothing" },
      { id: "typing", name: "Typing", purpose: "Nobody sees it", loses: "Nothing, receipts stay" },
    ];
    // Without a table, what a person loses by it is said by the text's name alone.
    const found = (query: string): string[] => [...(foundBy(query, all) ?? ["all"])];
    assert.deepEqual(found("READ  receipts"), ["receipts"]);
    assert.deepEqual(found("private read"), ["receipts"]);
    assert.deepEqual(found("s"), ["receipts", "typing"]);
    assert.deepEqual(found("receipts typing"), []);
    assert.deepEqual(found(" "), ["all"]);
  });
});
