import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";

import { root } from "./process.ts";

const folder = mkdtempSync(path.join(tmpdir(), "mantle-fuzz-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const place = (...parts: string[]): string => path.join(folder, ...parts);

function put(file: string, text: string): void {
  mkdirSync(path.dirname(place(file)), { recursive: true });
  writeFileSync(place(file), text);
}

function program(file: string, body: string): void {
  put(file, `#!/usr/bin/env bash\n${body}\n`);
  chmodSync(place(file), 0o755);
}

/** A compiled target that notes what it was called with, tries 42 inputs, and ends like this. */
const target = (name: string, end: string): string => `echo "${name} $*" >> called
[[ "$*" != *-minimize_crash* ]] || { printf s > "$(sed 's/.*-exact_artifact_path=\\([^ ]*\\).*/\\1/' <<< "$*")"; exit 0; }
echo "stat::number_of_executed_units: 42"
${end}`;

const FINDS = `file=build/fuzz/found/breaks/crash-1
printf large > "$file"
echo "artifact_prefix='build/fuzz/found/breaks/'; Test unit written to $file"
exit 77`;

/** A checkout with three targets, and a cargo-fuzz that compiles nothing. */
mkdirSync(place("scripts"));
for (const file of ["fuzz", "versions.env"]) {
  cpSync(path.join(root, "scripts", file), place("scripts", file));
}
const version = /CARGO_FUZZ_VERSION=(?<version>\S+)/.exec(
  readFileSync(place("scripts/versions.env"), "utf8"),
)?.groups?.["version"];
program(
  ".tools/bin/cargo-fuzz",
  `if [ "$1" = --version ]; then echo "cargo-fuzz ${version ?? ""}"; else echo "build $*" >> called; fi`,
);
program("path/node", 'echo "node ${*: -4}" >> called');
put("core/media/tests/vectors/one.png", "");
put("core/media/tests/vectors/kinds/two.png", "");
for (const [name, end] of [
  ["breaks", FINDS],
  ["holds", "exit 0"],
  ["works", "for ((at = 0; at < 400000; at++)); do :; done"],
] as const) {
  put(`core/fuzz/fuzz_targets/${name}.rs`, "");
  program(`target/fuzz/machine/release/${name}`, target(name, end));
}

interface Outcome {
  status: number | null;
  output: string;
  called: string[];
}

function fuzz(...args: string[]): Outcome {
  writeFileSync(place("called"), "");
  const { status, stdout, stderr } = spawnSync(place("scripts/fuzz"), args, {
    encoding: "utf8",
    env: { ...process.env, PATH: `${place("path")}:${process.env["PATH"] ?? ""}` },
  });
  const called = readFileSync(place("called"), "utf8").trim().split("\n");
  return { status, output: stdout + stderr, called };
}

describe("scripts/fuzz", () => {
  it("goes on with the other targets when one breaks its law, and fails at the end", () => {
    const { status, output, called } = fuzz();
    assert.equal(status, 1);
    assert.match(output, /holds: 42 inputs in 0 s/);
    assert.match(output, /the law is broken in: breaks$/m);
    // All are compiled at once.
    assert.equal(called.filter((line) => line.startsWith("build")).length, 1);
    assert.equal(readFileSync(place("build/fuzz/found/breaks/small-crash-1"), "utf8"), "s");
    assert.equal(readFileSync(place("build/fuzz/found/breaks/crash-1"), "utf8"), "large");
  });

  it("takes a part of a minute", () => {
    const { status, called } = fuzz("holds", "--minutes", "0.5");
    assert.equal(status, 0);
    assert.ok(called.some((line) => line.startsWith("holds -max_total_time=30 ")));
  });

  it("adds what was run to the ledger, with the time that the processor spent", () => {
    const { called } = fuzz("--write");
    const rows = called.filter((line) => line.startsWith("node"));
    assert.equal(rows[0], "node breaks 0 42 1");
    assert.equal(rows[1], "node holds 0 42 0");
    assert.match(rows[2] ?? "", /^node works [1-9]\d* 42 0$/);
  });

  it("does not know a target that is not there", () => {
    const { status, output } = fuzz("hold");
    assert.equal(status, 2);
    assert.match(output, /no target hold; there are: breaks holds works/);
  });
});
