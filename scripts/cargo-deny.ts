/** cargo-deny, where it is installed: by `scripts/setup --with cargo-deny`, or for all of the machine. */

import { existsSync } from "node:fs";
import path from "node:path";

import { root, run } from "./process.ts";

/** The command's first words; undefined where there is none. */
export async function cargoDeny(): Promise<readonly [string, ...string[]] | undefined> {
  const own = path.join(root, ".tools/bin/cargo-deny");
  if (existsSync(own)) return [own];
  const known = await run("cargo", ["deny", "--version"], { timeoutSeconds: 30 });
  return known.ok ? ["cargo", "deny"] : undefined;
}

export const NO_CARGO_DENY = "cargo-deny is not installed; scripts/setup --with cargo-deny does it";
