import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";

import { root } from "./process.ts";
import { alone, buildsFor, byHand, nodeTests, ownPages, testFiles } from "./spec-files.ts";

describe("what a test file needs", () => {
  const folders = (...files: string[]): string[] => buildsFor(files).map(({ folder }) => folder);

  it("is a build for a spec, one with faults where it names that, and none beside the sources", () => {
    assert.deepEqual(folders("web-tests/e2e/shields/calls.spec.ts"), ["build/test"]);
    assert.deepEqual(folders("web-tests/e2e/fault.spec.ts"), ["build/test", "build/fault"]);
    assert.deepEqual(folders("scripts/spec-files.test.ts"), []);
  });

  it("is found in the tree and not in packages", () => {
    const specs = testFiles(".spec.ts", "web-tests");
    assert.ok(specs.includes("web-tests/e2e/hooks.spec.ts"));
    assert.ok(specs.length >= 20, `only ${specs.length} specs`);
    assert.deepEqual(
      specs.filter((file) => file.includes("node_modules")),
      [],
    );
  });

  it("is a spec that there is, where it is run by itself or once more", () => {
    const specs = testFiles(".spec.ts", "web-tests");
    assert.deepEqual(
      [...ownPages, ...alone, ...byHand].filter((file) => !specs.includes(file)),
      [],
    );
  });

  it("is no look at what a server was told, where a failed assertion is tried once more", () => {
    for (const file of ownPages) {
      const source = readFileSync(path.join(root, file), "utf8");
      const looks =
        /\brecorder\.(?!close|port|ts")\w|\bexchanges\b|\bnameAtLogin\(|(?<!^\s*(?:for \(.*\) )?await )\breaches\(/m;
      assert.doesNotMatch(source, looks, file);
    }
  });

  it("is run by name where only some tests are asked for", () => {
    const command = nodeTests(["a.spec.ts"], { concurrency: 2, only: "rings" });
    assert.ok(command.includes("--test-name-pattern=rings"));
    assert.ok(command.includes("--test-concurrency=2"));
    assert.equal(command.at(-1), "a.spec.ts");
  });

  it("may take as long as is said, and a quarter of an hour where nothing is", () => {
    const limits = [{ limitSeconds: 3_600 }, {}].map((limit) =>
      nodeTests(["a.spec.ts"], { concurrency: 1, ...limit }).find((one) =>
        one.startsWith("--test-timeout"),
      ),
    );
    assert.deepEqual(limits, ["--test-timeout=3600000", "--test-timeout=900000"]);
  });
});
