/**
 * Builds the packages here, and once more from nothing in a copy of the tree: another directory,
 * another cargo home, another time zone and language. Every file must be the same to the byte.
 *
 * With --release they are those of a release: for no site, unsigned, with no place of updates.
 */

import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { Failure, main, must, root } from "./process.ts";

const out = "build/reproduce";
/** Installed once; a second copy would prove nothing and take minutes. */
const shared = ["node_modules", ".tools", ".venv", "web-tests/element/node_modules"];
/** Generated files are part of the tree, and scripts/check has them generated anew. */
const generatedStamp = "build/generate.stamp";

function treeFiles(): string[] {
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  return execFileSync("git", list, { cwd: root, encoding: "utf8" })
    .split("\0")
    .filter((file) => file !== "" && existsSync(path.join(root, file)));
}

function copyTree(target: string): void {
  for (const file of treeFiles()) {
    if (shared.includes(file)) continue;
    mkdirSync(path.dirname(path.join(target, file)), { recursive: true });
    cpSync(path.join(root, file), path.join(target, file));
  }
  for (const folder of shared) {
    if (existsSync(path.join(root, folder))) {
      symlinkSync(path.join(root, folder), path.join(target, folder));
    }
  }
}

/** The same crates under another path: what the compiler writes down must not show it. */
function otherCargoHome(target: string): string {
  const real = process.env["CARGO_HOME"] ?? path.join(homedir(), ".cargo");
  const other = path.join(target, "cargo home");
  mkdirSync(other);
  for (const name of readdirSync(real)) symlinkSync(path.join(real, name), path.join(other, name));
  return other;
}

function differences(here: string, there: string): { same: string[]; problems: string[] } {
  const names = [...new Set([...readdirSync(here), ...readdirSync(there)])].sort();
  const same: string[] = [];
  const problems: string[] = [];
  for (const name of names) {
    const [mine, other] = [here, there].map((folder) => path.join(folder, name));
    if (!existsSync(mine ?? "") || !existsSync(other ?? "")) problems.push(`${name} is missing.`);
    else if (readFileSync(mine ?? "").equals(readFileSync(other ?? ""))) same.push(name);
    else problems.push(`${name} differs.`);
  }
  return { same, problems };
}

main("reproduce", async () => {
  const { values } = parseArgs({ options: { release: { type: "boolean", default: false } } });
  const temporary = mkdtempSync(path.join(tmpdir(), "mantle-reproduce-"));
  // A signal ends this script through process.ts, which calls process.exit.
  process.once("exit", () => rmSync(temporary, { recursive: true, force: true }));

  const keyFile = path.join(temporary, "key.pem");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  writeFileSync(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const hosted = [
    ...["--site", "https://chat.example.org", "--revision", "7", "--key", keyFile],
    ...["--update-url", "https://intranet.example.org/mantle/"],
  ];
  const args = [...(values.release ? [] : hosted), "--out", out];

  await must("scripts/package", path.join(root, "scripts/package"), args, {
    timeoutSeconds: 1_800,
  });
  const tree = path.join(temporary, "some where", "else");
  copyTree(tree);
  mkdirSync(path.join(tree, "build"));
  cpSync(path.join(root, generatedStamp), path.join(tree, generatedStamp));
  const start = performance.now();
  await must("scripts/package in a copy", path.join(tree, "scripts/package"), args, {
    timeoutSeconds: 1_800,
    cwd: tree,
    env: {
      CARGO_HOME: otherCargoHome(temporary),
      CARGO_TARGET_DIR: undefined,
      TZ: "Pacific/Kiritimati",
      LC_ALL: "C",
    },
  });
  const seconds = Math.round((performance.now() - start) / 1_000);
  const { same, problems } = differences(path.join(root, out), path.join(tree, out));
  if (same.length + problems.length === 0)
    throw new Failure("no package came out of either build.");
  for (const name of same) console.log(`same   ${name}`);
  for (const problem of problems) console.log(`FAILED ${problem}`);
  console.log(`second build from nothing in ${seconds} s`);
  console.log(`reproduce: ${same.length} passed, ${problems.length} failed, 0 skipped`);
  return problems.length === 0 ? 0 : 1;
});
