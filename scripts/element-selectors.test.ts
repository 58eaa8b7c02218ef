import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { it } from "node:test";

import { root } from "./process.ts";

const SELECTORS = "web-tests/element/selectors.ts";
/** A class or a mark of Element's own interface, or of Element Call's. */
const NAMED = /\bmx_[A-Z]\w*|data-testid/g;

it("how the tests find things in Element is said in one file, in three sets at most", () => {
  const files = ["web-tests", "scripts"]
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
        path.join(folder, file),
      ),
    )
    // The tests' interface itself is made in `host`.
    .filter(
      (file) =>
        file.endsWith(".ts") && !/node_modules|element\/host\/|element-selectors\.test/.test(file),
    );
  assert.ok(files.includes(SELECTORS));
  const elsewhere = files
    .filter((file) => file !== SELECTORS)
    .flatMap((file) =>
      [...readFileSync(path.join(root, file), "utf8").matchAll(NAMED)].map(([name]) => ({
        file,
        name,
      })),
    );
  assert.deepEqual(elsewhere, []);
  const text = readFileSync(path.join(root, SELECTORS), "utf8");
  assert.ok([...text.matchAll(NAMED)].length > 50);
  assert.ok([...text.matchAll(/^export const /gm)].length <= 3);
});
