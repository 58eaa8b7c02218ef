/** Scripts of the pages in this folder, with the built WASM inside. */

import path from "node:path";

import { build } from "esbuild";

import { coreModules } from "../../scripts/bundle.ts";
import { builtCoreWasm } from "../../scripts/core-wasm.ts";
import { root } from "../../scripts/process.ts";

/** The script that this file of the folder becomes. */
export async function pageScript(file: string): Promise<string> {
  const outcome = await build({
    absWorkingDir: root,
    entryPoints: [path.join(root, "web-tests/wasm", file)],
    write: false,
    bundle: true,
    format: "iife",
    target: ["chrome119", "firefox128"],
    plugins: [coreModules(builtCoreWasm())],
  });
  return outcome.outputFiles[0]?.text ?? "";
}
