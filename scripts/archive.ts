/** ZIP archives whose bytes depend on names and contents only. */

import { readFileSync } from "node:fs";
import path from "node:path";

import { type Zippable, zipSync } from "fflate";

import { filesBelow } from "./fingerprint.ts";
import { root } from "./process.ts";

/** Files of a package by their path inside it. */
export type PackageFiles = Map<string, Uint8Array>;

/** Everything below a folder. */
export function filesOf(folder: string): PackageFiles {
  const base = path.relative(root, path.resolve(root, folder));
  return new Map(
    filesBelow(base).map((file) => [
      path.relative(base, file).split(path.sep).join("/"),
      new Uint8Array(readFileSync(path.join(root, file))),
    ]),
  );
}

/**
 * The same files give the same bytes on every machine: sorted, one date, one mode, and a
 * compressor in JavaScript, since Node's own differs between processors and versions.
 */
export function archiveOf(files: PackageFiles): Uint8Array {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  const entries: Zippable = Object.fromEntries(sorted);
  return zipSync(entries, {
    level: 9,
    // Local time on purpose: ZIP stores the clock's digits, and these are everywhere the same.
    mtime: new Date(1980, 0, 1),
    os: 3,
    attrs: 0o100644 << 16,
  });
}
