/** Rust core → WASM → bindings → optimised WASM. */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

import { fingerprint, isFresh, writeStamp } from "./fingerprint.ts";
import { Failure, must, root } from "./process.ts";

/** Paths relative to the checkout. */
export interface CoreWasm {
  /** The ES module wasm-bindgen wrote. */
  glue: string;
  wasm: string;
  /** Types of the boundary. */
  types: string;
}

const committedTypes = "extension/generated/mantle_core.d.ts";
/** What rustc may emit for both browsers; wasm-opt must know it too. */
const wasmFeatures = [
  "--enable-bulk-memory",
  "--enable-bulk-memory-opt",
  "--enable-multivalue",
  "--enable-mutable-globals",
  "--enable-nontrapping-float-to-int",
  "--enable-reference-types",
  "--enable-sign-ext",
  "--enable-simd",
];
const optimisation = ["-Oz", "--converge", "--strip-debug", "--strip-producers"];

const inputs = [
  "Cargo.toml",
  "Cargo.lock",
  "core/Cargo.toml",
  "core/src",
  "scripts/wasm-toolchain",
  "scripts/core-wasm.ts",
  "node_modules/binaryen/package.json",
];

function outcomeOf(variant: string): CoreWasm {
  const folder = `build/wasm/${variant}`;
  return {
    glue: `${folder}/mantle_core.js`,
    wasm: `${folder}/mantle_core_bg.wasm`,
    types: `${folder}/mantle_core.d.ts`,
  };
}

/** Builds the core with these cargo features, or returns what is there when nothing changed. */
export async function buildCoreWasm(features: readonly string[]): Promise<CoreWasm> {
  const variant = features.length === 0 ? "default" : [...features].sort().join("+");
  const outcome = outcomeOf(variant);
  const folder = path.dirname(outcome.wasm);
  const toolchain = await must("The WASM toolchain", "scripts/wasm-toolchain", ["--describe"], {
    timeoutSeconds: 60,
  });
  const stamp = `${folder}/stamp`;
  const print = fingerprint(inputs, variant, toolchain);
  const complete = Object.values(outcome).every((file: string) =>
    existsSync(path.join(root, file)),
  );
  if (!complete || !isFresh(stamp, print)) {
    await compile(variant, features, folder, toolchain);
    writeStamp(stamp, print);
  }
  return outcome;
}

/** What the last default build left; for tests, which must not build themselves. */
export function builtCoreWasm(): CoreWasm {
  const core = outcomeOf("default");
  if (Object.values(core).every((file: string) => existsSync(path.join(root, file)))) return core;
  throw new Failure("The core is not built; run scripts/build.");
}

/** True when the committed types are those of the last default build. */
export function committedTypesAreFresh(core: CoreWasm): boolean {
  const committed = path.join(root, committedTypes);
  return (
    existsSync(committed) &&
    readFileSync(committed, "utf8") === readFileSync(path.join(root, core.types), "utf8")
  );
}

/** Bytes of the WASM, raw and as gzip -9 would send it. */
export function wasmSizes(core: CoreWasm): { raw: number; gzip: number } {
  const bytes = readFileSync(path.join(root, core.wasm));
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}

async function compile(
  variant: string,
  features: readonly string[],
  folder: string,
  toolchain: string,
): Promise<void> {
  console.log(`build: compiling the core to WASM (${variant}; ${toolchain.trim()})`);
  const featureArgs = features.length === 0 ? [] : ["--features", features.join(",")];
  const messages = await must(
    "Compiling the core to WASM",
    "scripts/wasm-toolchain",
    [
      "build",
      ...["--package", "mantle-core", "--lib", "--release"],
      ...["--message-format", "json-render-diagnostics"],
      ...featureArgs,
    ],
    { timeoutSeconds: 1_200 },
  );
  const compiled = /"(?<file>[^"]*\/mantle_core\.wasm)"/.exec(messages)?.groups?.["file"];
  if (compiled === undefined) throw new Failure("cargo did not say where it put the core's WASM.");

  // Built beside and moved, so that nobody reads half an outcome.
  const target = path.join(root, folder);
  const fresh = `${target}.new-${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  await must(
    "wasm-bindgen",
    path.join(root, ".tools/bin/wasm-bindgen"),
    [
      compiled,
      ...["--target", "web", "--omit-default-module-path"],
      // After a trap the page builds a second instance behind the same bindings.
      "--experimental-reset-state-function",
      ...["--out-dir", fresh, "--out-name", "mantle_core"],
    ],
    { timeoutSeconds: 120 },
  );
  const bound = path.join(fresh, "mantle_core_bg.wasm");
  const unoptimised = path.join(fresh, "unoptimised.wasm");
  renameSync(bound, unoptimised);
  await must(
    "wasm-opt",
    process.execPath,
    [
      path.join(root, "node_modules/binaryen/bin/wasm-opt"),
      unoptimised,
      ...wasmFeatures,
      ...optimisation,
      ...["-o", bound],
    ],
    { timeoutSeconds: 600 },
  );
  await must(
    "Trying out the optimised core",
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `import { readFileSync } from "node:fs";
       import { initSync, Core } from ${JSON.stringify(path.join(fresh, "mantle_core.js"))};
       initSync({ module: readFileSync(${JSON.stringify(bound)}) });
       const core = new Core("https://app.element.io/");
       core.assumeStrictest();
       if (typeof core.decide("GET", "https://example.org/") !== "number") process.exit(1);`,
    ],
    { timeoutSeconds: 60 },
  );
  rmSync(unoptimised);
  const types = path.join(fresh, "mantle_core.d.ts");
  writeFileSync(types, publicTypes(readFileSync(types, "utf8")));
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);
}

/** Raw exports are numbered by the compiler at hand; only the memory is the same everywhere. */
function publicTypes(text: string): string {
  return text.replace(
    /(export interface InitOutput \{\n)[^}]*\}/,
    "$1    readonly memory: WebAssembly.Memory;\n}",
  );
}

/** Puts the types of a default build where the extension's sources import them from. */
export function updateCommittedTypes(core: CoreWasm): void {
  if (committedTypesAreFresh(core)) return;
  const committed = path.join(root, committedTypes);
  const text = readFileSync(path.join(root, core.types), "utf8");
  mkdirSync(path.dirname(committed), { recursive: true });
  writeFileSync(`${committed}.new`, text);
  renameSync(`${committed}.new`, committed);
  console.log(`build: ${committedTypes} changed`);
}
