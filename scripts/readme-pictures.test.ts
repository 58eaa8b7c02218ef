import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { root } from "./process.ts";
import { type ReadmePicture, outdated, readmePictures, says } from "./readme-pictures.ts";

const names = Object.keys(readmePictures) as ReadmePicture[];

test("the README shows these pictures, and each shows something", () => {
  const readme = readFileSync(path.join(root, "README.md"), "utf8");
  const shown = [...readme.matchAll(/docs\/pictures\/([\w-]+)\.png/g)].map(([, name]) => name);
  assert.deepEqual(shown.sort(), [...names].sort());
  for (const name of names) {
    const file = path.join(root, "docs/pictures", `${name}.json`);
    const { texts } = JSON.parse(readFileSync(file, "utf8")) as { texts: object };
    assert.ok(Object.keys(texts).length > 5, name);
  }
});

for (const name of names) {
  test(`the README's ${name} is of today's interface`, () => {
    assert.deepEqual(outdated(name), []);
  });
}

test("a line is known as a text with something put in, and nothing else is", () => {
  assert.ok(says("12 calls home to scalar.vector.im stopped", "$1 calls home to $2 stopped"));
  assert.ok(says("What is this? (all)", "What is this? (all)"));
  assert.ok(!says("12 calls home to scalar.vector.im", "$1 calls home to $2 stopped"));
  assert.ok(!says("anything", "$1 ($2)"));
  assert.ok(!says("Save it", "Save"));
});
