import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { makeVectors } from "./vectors.ts";

test("the vectors that others are given are what their keys make", () => {
  const file = new URL(
    "../../core/room-state/tests/vectors/names_pictures_relations.json",
    import.meta.url,
  );
  assert.deepEqual(makeVectors(), JSON.parse(readFileSync(file, "utf8")));
});
