import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";

import { root } from "./process.ts";
import {
  changesOf,
  problemsSince,
  readiness,
  type ReleaseFacts,
  releaseFacts,
  sourceArchive,
} from "./release-ready.ts";

const CHANGELOG = `# Changes

## Unreleased

## 1.2.3 - 2026-01-31

### Added

- Something.

## [1.2.2] - 2026-01-01

- Older.
`;

const ready: ReleaseFacts = {
  cargo: `[workspace]\nmembers = []\n\n[workspace.package]\nversion = "1.2.3"\n\n[workspace.dependencies]\nversion = "9.9.9"\n`,
  cargoLock: `[[package]]\nname = "mantle-wire"\nversion = "1.2.3"\n\n[[package]]\nname = "serde"\nversion = "1.0.0"\n`,
  npm: `{"name": "mantle"}`,
  npmLock: `{"name": "mantle"}`,
  manifest: `{"version": "{{version}}"}`,
  changelog: CHANGELOG,
  project: `{"homepage": "https://example.org/", "repository": "https://example.org/git"}`,
  changed: [],
  commit: "a".repeat(40),
  tags: new Map([["v1.2.2", "b".repeat(40)]]),
};

const problemsWith = (changed: Partial<ReleaseFacts>): readonly string[] =>
  readiness({ ...ready, ...changed }).problems;

describe("a release", () => {
  it("is made of a tree in which all is said once and alike", () => {
    assert.deepEqual(readiness(ready), {
      version: "1.2.3",
      problems: [],
      changes: "### Added\n\n- Something.",
    });
    assert.deepEqual(problemsWith({ manifest: `{"version": "1.2.3"}` }), []);
    assert.deepEqual(problemsWith({ tags: new Map([["v1.2.3", ready.commit]]) }), []);
  });

  const refusals: readonly [string, Partial<ReleaseFacts>, RegExp][] = [
    ["files that no commit has", { changed: ["core/x.rs"] }, /1 files .*core\/x\.rs/],
    ["no version", { cargo: "[workspace]\n" }, /names no version/],
    ["a version that is none", { cargo: ready.cargo.replace("1.2.3", "1.2") }, /three numbers/],
    ["another version in the manifest", { manifest: `{"version": "1.2.2"}` }, /manifest\.json/],
    ["another version in package.json", { npm: `{"version": "1.2.2"}` }, /package\.json/],
    ["another version in package-lock.json", { npmLock: `{"version": "1.0.0"}` }, /-lock\.json/],
    [
      "another version in Cargo.lock",
      { cargoLock: ready.cargoLock.replace("1.2.3", "1.2.2") },
      /mantle-wire/,
    ],
    ["a version that was released", { tags: new Map([["v1.2.3", "c".repeat(40)]]) }, /another/],
    ["no section of the version", { changelog: "## Unreleased\n" }, /no section/],
    [
      "a section without a date",
      { changelog: CHANGELOG.replace(" - 2026-01-31", "") },
      /no section/,
    ],
    [
      "an empty section",
      { changelog: CHANGELOG.replace("### Added\n\n- Something.\n", "") },
      /says nothing/,
    ],
    [
      "changes that are in no version",
      { changelog: CHANGELOG.replace("## Unreleased\n", "## Unreleased\n\n- More.\n") },
      /Unreleased/,
    ],
    ["no homepage", { project: `{"homepage": null, "repository": "x"}` }, /homepage/],
  ];
  for (const [what, changed, sentence] of refusals) {
    it(`is refused with ${what}`, () => {
      const problems = problemsWith(changed);
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0] ?? "", sentence);
    });
  }

  it("says all that is wrong at once", () => {
    assert.equal(problemsWith({ changed: ["a"], manifest: "{}", changelog: "" }).length, 3);
  });

  it("is of the commit that the gate saw", () => {
    assert.deepEqual(problemsSince(ready, ready), []);
    assert.equal(problemsSince(ready, { ...ready, changed: ["a"] }).length, 1);
    const other = { ...ready, commit: "d".repeat(40) };
    assert.deepEqual(readiness(other).problems, []);
    assert.match(problemsSince(ready, other).join(), /begin again/);
  });

  it("finds sections with and without brackets, and no version in another's", () => {
    assert.equal(changesOf(CHANGELOG, "1.2.2"), "- Older.");
    assert.equal(changesOf(CHANGELOG, "1.2"), undefined);
    assert.equal(changesOf(CHANGELOG, "11213"), undefined);
  });

  it("is judged by what git says", (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), "mantle-release-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const git = (...args: string[]): string =>
      execFileSync(
        "git",
        ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "tag.gpgSign=false", ...args],
        { cwd: folder, encoding: "utf8" },
      );
    git("init", "--quiet");
    for (const [file, text] of [
      ["Cargo.toml", ready.cargo],
      ["Cargo.lock", ready.cargoLock],
      ["package.json", ready.npm],
      ["package-lock.json", ready.npmLock],
      ["manifest.json", ready.manifest],
      ["CHANGELOG.md", ready.changelog],
      ["project.json", ready.project],
    ] as const) {
      writeFileSync(path.join(folder, file), text);
    }
    git("add", ".");
    git("-c", "commit.gpgSign=false", "commit", "--quiet", "--message", "First");
    assert.deepEqual(readiness(releaseFacts(folder)).problems, []);
    git("tag", "v1.2.3");
    git("tag", "--annotate", "--message", "x", "v1.2.2");
    assert.deepEqual(readiness(releaseFacts(folder)).problems, []);
    const { commit, tags } = releaseFacts(folder);
    assert.deepEqual([tags.get("v1.2.3"), tags.get("v1.2.2")], [commit, commit]);
    writeFileSync(path.join(folder, "new file"), "");
    assert.match(readiness(releaseFacts(folder)).problems.join(), /no commit has/);
    const archive = Buffer.from(sourceArchive(folder, "1.2.3", commit));
    const names = execFileSync("tar", ["--list", "--gzip"], { input: archive, encoding: "utf8" });
    assert.match(names, /^mantle-1\.2\.3\/CHANGELOG\.md$/m);
    assert.doesNotMatch(names, /new file/);
    assert.ok(archive.equals(sourceArchive(folder, "1.2.3", commit)));
    git("add", ".");
    git("-c", "commit.gpgSign=false", "commit", "--quiet", "--message", "Second");
    // Whatever is checked out by now, the archive is of the commit that was asked for.
    assert.ok(archive.equals(sourceArchive(folder, "1.2.3", commit)));
    assert.match(readiness(releaseFacts(folder)).problems.join(), /another commit/);
  });
});

it("what reviewers are told to install is what the tree is built with", () => {
  const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
  const rust = /^rust-version = "([\d.]+)"/m.exec(read("Cargo.toml"))?.[1] ?? "?";
  const { NODE_MAJOR } = Object.fromEntries(
    [...read("scripts/versions.env").matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [
      name,
      value,
    ]),
  ) as { NODE_MAJOR?: string };
  const told = read("docs/reviewers.md");
  for (const command of ["toolchain install", "override set"]) {
    assert.ok(told.includes(`rustup ${command} ${rust}.`), `${command} ${rust}`);
  }
  assert.ok(told.includes(`Node.js ${NODE_MAJOR ?? "?"} or newer`), NODE_MAJOR);
});
