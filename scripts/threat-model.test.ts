import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";

import { root } from "./process.ts";

/** Rows of the tables of promises: what is promised, and which test in which file holds it. */
function promises(text: string): { promise: string; file: string; name: string }[] {
  const found: { promise: string; file: string; name: string }[] = [];
  let isOfPromises = false;
  for (const line of text.split("\n")) {
    if (!line.startsWith("|")) {
      isOfPromises = false;
      continue;
    }
    if (/^\| promise +\| test +\|$/.test(line)) {
      isOfPromises = true;
      continue;
    }
    if (!isOfPromises || /^\|[ -]+\|[ -]+\|$/.test(line)) continue;
    const [, promise = "", test = ""] = line.split("|");
    const [, file = "", name = ""] = /^ *`([^`]+)`: `([^`]+)` *$/.exec(test) ?? [];
    found.push({ promise: promise.trim(), file, name });
  }
  return found;
}

/** Whether a file has a test of this name, which is run. */
function hasTest(file: string, name: string): boolean {
  const at = path.join(root, file);
  if (!existsSync(at)) return false;
  const text = readFileSync(at, "utf8");
  if (file.endsWith(".rs")) {
    const before = text.split(new RegExp(`fn ${name}\\(`));
    if (before.length !== 2) return false;
    return (
      before[0]?.includes("#[test]") === true && !/#\[ignore[^\]]*\]\s*$/.test(before[0] ?? "")
    );
  }
  return ["it", "test"].some((word) => text.includes(`${word}("${name}"`));
}

describe("the threat model", () => {
  const text = readFileSync(path.join(root, "docs/threat-model.md"), "utf8");

  it("has a test for each promise", () => {
    const all = promises(text);
    assert.ok(all.length >= 30, `only ${all.length} promises`);
    assert.deepEqual(
      all.filter(({ file, name }) => !hasTest(file, name)),
      [],
    );
  });

  it("says of everybody what is promised and what is not", () => {
    const parts = text.split("\n## ").filter((part) => part.includes("| promise"));
    assert.equal(parts.length, 8);
    for (const part of parts) assert.match(part, /\nNot promised: /, part.split("\n")[0]);
  });

  it("would be told of a test that is gone", () => {
    assert.equal(hasTest("core/wire/src/route.rs", "no_such_test"), false);
    assert.equal(hasTest("docs/no-such-file.rs", "a"), false);
    assert.equal(hasTest("web-tests/e2e/question.spec.ts", "cannot be answered"), false);
  });
});
