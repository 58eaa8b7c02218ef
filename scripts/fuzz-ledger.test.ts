import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";

import { FUZZING, type FuzzRun, targetsOf, withRun } from "./fuzz-ledger.ts";
import { root } from "./process.ts";

const DOCUMENT = `# Fuzzing

| target   | minutes |    inputs | findings | last run   |
| -------- | ------: | --------: | -------: | ---------- |
| \`any\`    |     0.0 |         0 |        0 | never      |
| \`routes\` |    59.5 | 1,000,000 |        1 | 2026-01-31 |

Text of \`routes\`.
`;

const run: FuzzRun = {
  target: "routes",
  seconds: 90,
  inputs: 2_345_678,
  findings: 0,
  day: "2026-02-01",
};

describe("the ledger of fuzzing", () => {
  it("adds a run to what was before, and changes nothing else", () => {
    const [before, after] = [DOCUMENT.split("\n"), withRun(DOCUMENT, run).split("\n")];
    assert.equal(after[5], "| `routes` |   61.00 | 3,345,678 |        1 | 2026-02-01 |");
    assert.deepEqual(after.toSpliced(5, 1), before.toSpliced(5, 1));
  });

  it("adds up over runs", () => {
    const first = withRun(DOCUMENT, { ...run, target: "any", findings: 2 });
    const second = withRun(first, { ...run, target: "any", seconds: 30, findings: 1 });
    assert.match(second, /\| `any` +\| +2\.00 \| 4,691,356 \| +3 \| 2026-02-01 \|/);
  });

  it("has no row for a target that is not there", () => {
    assert.throws(() => withRun(DOCUMENT, { ...run, target: "rout" }), /no row for rout/);
  });

  it("has a row for each target, and no other", () => {
    const targets = readdirSync(path.join(root, "core/fuzz/fuzz_targets")).map((file) =>
      path.basename(file, ".rs"),
    );
    const rows = targetsOf(readFileSync(path.join(root, FUZZING), "utf8"));
    assert.deepEqual(rows.toSorted(), targets.toSorted());
  });
});
