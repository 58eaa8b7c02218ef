/** Whether a commit may become a release: what the tree says of itself, held side by side. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

/** What counts, as it stands in the tree and in git. */
export interface ReleaseFacts {
  /** `Cargo.toml`, `Cargo.lock`, `package.json`, `package-lock.json`, `manifest.json`, whole. */
  readonly cargo: string;
  readonly cargoLock: string;
  readonly npm: string;
  readonly npmLock: string;
  readonly manifest: string;
  readonly changelog: string;
  readonly project: string;
  /** Lines of `git status --porcelain`: changed, added or unknown files. */
  readonly changed: readonly string[];
  readonly commit: string;
  /** Commits of tags, by name. */
  readonly tags: ReadonlyMap<string, string>;
}

export interface Readiness {
  readonly version: string;
  /** One sentence each; none is a release. */
  readonly problems: readonly string[];
  /** The change log's section of this version. */
  readonly changes: string;
}

const VERSION = /^\d+\.\d+\.\d+$/;
/** Filled in by the build. */
const FROM_CARGO = "{{version}}";

export function readiness(facts: ReleaseFacts): Readiness {
  const problems: string[] = [];
  const version = /^\[workspace\.package\]\n(?:(?!\[)[^\n]*\n)*?version = "([^"]*)"/m.exec(
    facts.cargo,
  )?.[1];
  if (version === undefined || !VERSION.test(version)) {
    problems.push("Cargo.toml names no version of three numbers in [workspace.package].");
    return { version: version ?? "", problems, changes: "" };
  }
  if (facts.changed.length > 0) {
    const some = facts.changed.slice(0, 5).join(", ");
    problems.push(
      `The tree has ${facts.changed.length} files that no commit has (${some}); commit or remove them.`,
    );
  }
  problems.push(...versionProblems(facts, version));
  const tag = facts.tags.get(`v${version}`);
  if (tag !== undefined && tag !== facts.commit) {
    problems.push(`v${version} is the tag of another commit already; raise the version.`);
  }
  const { homepage, repository } = JSON.parse(facts.project) as Record<string, unknown>;
  if (typeof homepage !== "string" || typeof repository !== "string") {
    problems.push("project.json names no homepage or no repository; a public release needs both.");
  }
  const changes = changesOf(facts.changelog, version);
  if (changes === undefined) {
    problems.push(
      `CHANGELOG.md has no section "## ${version} - YYYY-MM-DD"; "Unreleased" becomes that.`,
    );
  } else if (changes.trim() === "") {
    problems.push(`CHANGELOG.md says nothing below ${version}.`);
  }
  if ((changesOf(facts.changelog, "Unreleased") ?? "").trim() !== "") {
    problems.push(`CHANGELOG.md still has changes below "Unreleased"; they belong to ${version}.`);
  }
  return { version, problems, changes: changes ?? "" };
}

function versionProblems(facts: ReleaseFacts, version: string): string[] {
  const problems: string[] = [];
  const manifest = (JSON.parse(facts.manifest) as { version?: unknown }).version;
  if (manifest !== FROM_CARGO && manifest !== version) {
    problems.push(`manifest.json has version ${String(manifest)}, Cargo.toml ${version}.`);
  }
  for (const [file, text] of [
    ["package.json", facts.npm],
    ["package-lock.json", facts.npmLock],
  ] as const) {
    const { version: named } = JSON.parse(text) as { version?: unknown };
    // Nothing is published there, so it need not name one.
    if (named !== undefined && named !== version) {
      problems.push(`${file} has version ${String(named)}, Cargo.toml ${version}.`);
    }
  }
  const own = facts.cargoLock.matchAll(/name = "(mantle-[\w-]+)"\nversion = "([^"]+)"/g);
  const stale = [...own].filter(([, , locked]) => locked !== version).map(([, name]) => name);
  if (stale.length > 0) {
    problems.push(
      `Cargo.lock has another version of ${stale.join(", ")}; build once and commit it.`,
    );
  }
  return problems;
}

/** Whether what was built since may still be released as that commit: nobody changed it under the gate. */
export function problemsSince(before: ReleaseFacts, after: ReleaseFacts): readonly string[] {
  if (after.commit === before.commit) return readiness(after).problems;
  return [
    `The gate saw commit ${before.commit}, and now ${after.commit} is checked out; begin again.`,
  ];
}

/** What stands below the heading of a version, with or without brackets and date. */
export function changesOf(changelog: string, version: string): string | undefined {
  const sections = changelog.split(/^## /m).slice(1);
  const escaped = version.replaceAll(".", "\\.");
  const dated = version === "Unreleased" ? "" : " [-–—] \\d{4}-\\d{2}-\\d{2}";
  const heading = new RegExp(`^(?:\\[${escaped}\\]|${escaped})${dated}$`);
  const found = sections.find((section) => heading.test(section.split("\n")[0]?.trim() ?? ""));
  return found?.split("\n").slice(1).join("\n").trim();
}

export function releaseFacts(root: string): ReleaseFacts {
  const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: root, encoding: "utf8" });
  const tags = git(
    "for-each-ref",
    "--format=%(refname:short) %(*objectname)%(objectname)",
    "refs/tags",
  );
  return {
    cargo: read("Cargo.toml"),
    cargoLock: read("Cargo.lock"),
    npm: read("package.json"),
    npmLock: read("package-lock.json"),
    manifest: read("manifest.json"),
    changelog: read("CHANGELOG.md"),
    project: read("project.json"),
    changed: git("status", "--porcelain")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.slice(3)),
    commit: git("rev-parse", "HEAD").trim(),
    // Of a tag with a message the commit comes first, of a plain one there is nothing else.
    tags: new Map(
      tags
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => {
          const [name = "", objects = ""] = line.split(" ");
          return [name, objects.slice(0, 40)] as const;
        }),
    ),
  };
}

/** The commit's tree as the stores' reviewers get it: the same bytes for everyone. */
export function sourceArchive(root: string, version: string, commit: string): Uint8Array {
  const args = ["archive", "--format=tar", `--prefix=mantle-${version}/`, commit];
  const tar = execFileSync("git", args, { cwd: root, maxBuffer: 512 * 1_024 * 1_024 });
  // Node's gzip writes neither a name nor a time.
  return gzipSync(tar, { level: 9 });
}
