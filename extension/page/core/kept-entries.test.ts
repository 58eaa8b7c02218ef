import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { textOfEntries, withEntry } from "./kept-entries.ts";

test("entries of any name are put in, changed and taken out", () => {
  let entries = withEntry(undefined, "@a:hs/type", "{}");
  for (const key of ["__proto__", "constructor", "", "a/b", "\u0000"]) {
    entries = withEntry(entries, key, `"${key.length}"`);
  }
  entries = withEntry(entries, "a/b", "[1]");
  assert.deepEqual(Object.entries(JSON.parse(textOfEntries(entries)) as object), [
    ["@a:hs/type", {}],
    ["__proto__", "9"],
    ["constructor", "11"],
    ["", "0"],
    ["a/b", [1]],
    ["\u0000", "1"],
  ]);
  for (const key of Object.keys(entries)) entries = withEntry(entries, key, null);
  assert.equal(textOfEntries(entries), "{}");
});

test("an entry that is no JSON costs itself alone", () => {
  for (const broken of ["", "{", "undefined", '{"a":1}}', '1,"b":2', "NaN"]) {
    const entries = { first: "1", broken, last: "2" };
    assert.equal(textOfEntries(entries), '{"first":1,"last":2}', broken);
  }
});
