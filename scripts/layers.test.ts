import assert from "node:assert/strict";
import { test } from "node:test";

import { circles, htmlIn, layerProblems } from "./layers.ts";

test("finds what would read a text as HTML, in code and nowhere else", () => {
  for (const code of [
    "one.innerHTML = text;",
    "<p dangerouslySetInnerHTML={{ __html: text }} />",
    'one.insertAdjacentHTML("beforeend", text);',
  ]) {
    assert.ok(htmlIn(code) !== undefined, code);
  }
  for (const code of ["// not by innerHTML\nshow(text);", 'say("innerHTML");', "/* outerHTML */"]) {
    assert.equal(htmlIn(code), undefined, code);
  }
});

test("finds a circle once, and none where there is none", () => {
  const imports = (of: Record<string, string[]>): Map<string, string[]> =>
    new Map(Object.entries(of));
  assert.deepEqual(circles(imports({ a: ["b"], b: ["c"], c: ["a"] })), [["a", "b", "c", "a"]]);
  assert.deepEqual(circles(imports({ a: ["b", "c"], b: ["c"], c: [] })), []);
});

test("the tree's files use each other in one direction", () => {
  assert.deepEqual(layerProblems(), []);
});
