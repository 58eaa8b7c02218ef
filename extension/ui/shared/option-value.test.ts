import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { OptionValue, OptionView } from "../../browser/settings-core.ts";
import { enteredFor, hostsIn, valueOf } from "./option-value.ts";

const LIST: OptionView["kind"] = { list: { max: 9, item: "type" } };
const NUMBER: OptionView["kind"] = { number: { min: 0, max: 9 } };

describe("the control of an option", () => {
  test("stands for the value it was given", () => {
    const values: readonly (readonly [OptionView["kind"], OptionValue])[] = [
      ["flag", true],
      ["flag", false],
      [{ choice: [["a", "A"]] }, "a"],
      [{ text: { max: 9 } }, "two words "],
      [NUMBER, 0],
      [NUMBER, 7],
      [LIST, []],
      [LIST, ["m.room.avatar", "org.example.plan"]],
    ];
    for (const [kind, value] of values) {
      assert.deepEqual(valueOf(kind, enteredFor(kind, value)), value, JSON.stringify(kind));
    }
  });

  test("stands for no number where nothing, or none, was typed", () => {
    for (const value of ["", " ", "many"]) {
      assert.ok(Number.isNaN(valueOf(NUMBER, { value, checked: false })), value);
    }
  });

  test("takes a list however it is set apart", () => {
    const value = " a.b,c.d\n\ne.f , ";
    assert.deepEqual(valueOf(LIST, { value, checked: false }), ["a.b", "c.d", "e.f"]);
  });
});

test("hosts are one a line, each once, as the browser writes them", () => {
  const list = " Vector.im \n\nid.example.org:8448\nvector.im";
  assert.deepEqual(hostsIn(list), ["vector.im", "id.example.org:8448"]);
  assert.deepEqual(hostsIn("\n"), []);
});
