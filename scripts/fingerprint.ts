/** Content hashes of build inputs, so that a step is done again only when something changed. */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

import { root } from "./process.ts";

/** All files below a path, relative to the checkout, sorted; a file is itself, a missing path nothing. */
export function filesBelow(relative: string): string[] {
  const absolute = path.join(root, relative);
  if (!existsSync(absolute)) return [];
  if (!statSync(absolute).isDirectory()) return [relative];
  return readdirSync(absolute, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** One hash over the names and contents of files and over further texts. */
export function fingerprint(inputs: readonly string[], ...texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of inputs.flatMap(filesBelow)) {
    hash.update(`\0${file}\0`).update(readFileSync(path.join(root, file)));
  }
  for (const text of texts) hash.update(`\0\0${text}`);
  return hash.digest("hex");
}

/** True when the stamp file holds exactly this fingerprint. */
export function isFresh(stamp: string, print: string): boolean {
  const file = path.join(root, stamp);
  return existsSync(file) && readFileSync(file, "utf8") === print;
}

export function writeStamp(stamp: string, print: string): void {
  const file = path.join(root, stamp);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, print);
}
