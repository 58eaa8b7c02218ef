/** Rust core → WASM → bindings → optimised WASM. */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

import { fingerprint, isFresh, writeStamp } from "./fingerprint.ts";
import { Failure, must, root } from "./process.ts";

/**
 * The WASM modules: the core, which every page starts with; those that pages load when they need them;
 * and that of the extension's own pages and background.
 */
export const moduleNames = ["pages", "core", "state", "media"] as const;
export type ModuleName = (typeof moduleNames)[number];

/** Paths relative to the checkout. */
export interface WasmModule {
  /** The ES module wasm-bindgen wrote. */
  glue: string;
  wasm: string;
  /** Types of the boundary. */
  types: string;
}

/** The core's own paths, and those of every module. */
export interface CoreWasm extends WasmModule {
  readonly modules: Readonly<Record<ModuleName, WasmModule>>;
  /** Built for tests of the hooks: see core/shields/src/shields/probe.rs. */
  readonly hasProbe: boolean;
}

const committedTypes = (name: ModuleName): string => `extension/generated/mantle_${name}.d.ts`;
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
const stripped = ["--strip-debug", "--strip-producers"];

/** Where a crate of a module is optimised otherwise than `Cargo.toml` says for all of them. */
const levels: Readonly<Record<ModuleName, Readonly<Record<string, string>>>> = {
  // It goes over whole responses, whatever a server makes of them.
  core: { "mantle-json": "2" },
  // What goes over every byte of a response is in these two; the rest judges the few events in it.
  // Of vodozemac's, the crates below it do the arithmetic.
  state: { "mantle-index": "3", "mantle-json": "3", vodozemac: "'s'" },
  // Uploads wait for the network, not for a search in them.
  media: { memchr: '"z"' },
  pages: {},
};

/** The crate with a module's boundary. */
const packageOf: Readonly<Record<ModuleName, string>> = {
  core: "mantle-shields-wasm",
  state: "mantle-state-wasm",
  media: "mantle-media-wasm",
  pages: "mantle-pages-wasm",
};

const inputs = [
  "Cargo.toml",
  "Cargo.lock",
  "scripts/wasm-toolchain",
  "scripts/core-wasm.ts",
  "node_modules/binaryen/package.json",
];

/** What `release` makes small and quick, `fast` makes soon: for trying a change, never for people. */
export type Profile = "release" | "fast";

interface Metadata {
  packages: {
    name: string;
    manifest_path: string;
    dependencies: { name: string; kind: string | null; path?: string }[];
  }[];
}

/** By module, the folders of the crates it is made of; their tests and benches are no part of it. */
async function sourcesOfModules(): Promise<ReadonlyMap<ModuleName, string[]>> {
  const described = await must(
    "Reading the workspace",
    "cargo",
    ["metadata", "--no-deps", "--format-version", "1", "--quiet"],
    { timeoutSeconds: 120 },
  );
  const { packages } = JSON.parse(described) as Metadata;
  const folders = new Map<ModuleName, string[]>();
  for (const module of moduleNames) {
    const crates = new Set([packageOf[module]]);
    for (const name of crates) {
      const found = packages.find((crate) => crate.name === name);
      for (const dependency of found?.dependencies ?? []) {
        if (dependency.path !== undefined && dependency.kind !== "dev") crates.add(dependency.name);
      }
    }
    const paths = packages
      .filter((crate) => crates.has(crate.name))
      .map((crate) => path.relative(root, path.dirname(crate.manifest_path)))
      .flatMap((folder) => [`${folder}/Cargo.toml`, `${folder}/src`]);
    folders.set(module, paths);
  }
  return folders;
}

const variantOf = (features: readonly string[], profile: Profile): string => {
  const named = [...(profile === "fast" ? ["fast"] : []), ...[...features].sort()];
  return named.length === 0 ? "default" : named.join("+");
};

/** Which modules a build left last, so that tests take those they were built with. */
const lastBuilt = "build/wasm/last";

function outcomeOf(name: ModuleName, variant: string): WasmModule {
  const folder = `build/wasm/${variant}/${name}`;
  return {
    glue: `${folder}/mantle_${name}.js`,
    wasm: `${folder}/mantle_${name}_bg.wasm`,
    types: `${folder}/mantle_${name}.d.ts`,
  };
}

function allOutcomes(features: readonly string[], profile: Profile): CoreWasm {
  const core = outcomeOf("core", variantOf(features, profile));
  // Features for tests are the core's.
  const plain = variantOf([], profile);
  const state = outcomeOf("state", plain);
  const media = outcomeOf("media", plain);
  const pages = outcomeOf("pages", plain);
  const hasProbe = features.includes("fault-injection");
  return { ...core, modules: { core, state, media, pages }, hasProbe };
}

const isThere = (module: WasmModule): boolean =>
  [module.glue, module.wasm, module.types].every((file) => existsSync(path.join(root, file)));

/**
 * Builds all modules, the core with these cargo features, or returns what is there when nothing
 * changed.
 */
export async function buildCoreWasm(
  features: readonly string[],
  profile: Profile = "release",
): Promise<CoreWasm> {
  const toolchain = await must("The WASM toolchain", "scripts/wasm-toolchain", ["--describe"], {
    timeoutSeconds: 60,
    env: toolchainEnv(profile),
  });
  const outcome = allOutcomes(features, profile);
  const sources = await sourcesOfModules();
  for (const name of moduleNames) {
    const module = outcome.modules[name];
    const folder = path.dirname(module.wasm);
    const stamp = `${folder}/stamp`;
    const print = fingerprint([...inputs, ...(sources.get(name) ?? [])], folder, toolchain);
    if (isThere(module) && isFresh(stamp, print)) continue;
    await compile(name, name === "core" ? features : [], folder, toolchain, profile);
    writeStamp(stamp, print);
  }
  writeStamp(lastBuilt, profile);
  return outcome;
}

/** What the last build left; for tests, which must not build themselves. */
export function builtCoreWasm(): CoreWasm {
  const core = allOutcomes([], isFresh(lastBuilt, "fast") ? "fast" : "release");
  if (Object.values(core.modules).every(isThere)) return core;
  throw new Failure("The core is not built; run scripts/build.");
}

/** The same for measuring, which quickly built modules would falsify. */
export function builtReleaseWasm(): CoreWasm {
  if (isFresh(lastBuilt, "fast")) {
    throw new Failure("The last build was a fast one; run scripts/build before measuring.");
  }
  return builtCoreWasm();
}

const toolchainEnv = (profile: Profile): Record<string, string> =>
  profile === "fast" ? { MANTLE_WASM_PREBUILT_STD: "1" } : {};

/** Names the modules whose committed types are not those of the last default build. */
export function staleCommittedTypes(core: CoreWasm): string[] {
  return moduleNames
    .filter((name) => {
      const committed = path.join(root, committedTypes(name));
      const built = path.join(root, core.modules[name].types);
      return (
        !existsSync(committed) || readFileSync(committed, "utf8") !== readFileSync(built, "utf8")
      );
    })
    .map(committedTypes);
}

/** Bytes of the WASM, raw and as gzip -9 would send it. */
export function wasmSizes(module: WasmModule): { raw: number; gzip: number } {
  const bytes = readFileSync(path.join(root, module.wasm));
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}

/** Whether what wasm-opt left still runs. */
const trials: Readonly<Record<ModuleName, string>> = {
  core: `const core = new glue.Core("https://app.element.io/");
         core.assumeStrictest();
         if (typeof core.decide("GET", "https://example.org/") !== "number") process.exit(1);`,
  state: `if (typeof glue.EncryptedState !== "function") process.exit(1);`,
  pages: `if (glue.describe(undefined, undefined).shields.length === 0) process.exit(1);`,
  media: `if (typeof glue.Examination !== "function") process.exit(1);`,
};

async function compile(
  name: ModuleName,
  features: readonly string[],
  folder: string,
  toolchain: string,
  profile: Profile,
): Promise<void> {
  const wanted = features.length === 0 ? "" : ` with ${features.join(", ")}`;
  console.log(
    `build: compiling ${packageOf[name]}${wanted} to WASM (${profile}, ${toolchain.trim()})`,
  );
  const optimisation = Object.entries(profile === "fast" ? {} : levels[name]).flatMap(
    ([crate, level]) => ["--config", `profile.release.package.${crate}.opt-level=${level}`],
  );
  const messages = await must(
    "Compiling the core to WASM",
    "scripts/wasm-toolchain",
    [
      "build",
      ...["--package", packageOf[name], "--lib", "--profile", profile],
      ...["--message-format", "json-render-diagnostics"],
      ...(features.length === 0 ? [] : ["--features", features.join(",")]),
      ...optimisation,
    ],
    { timeoutSeconds: 1_200, env: toolchainEnv(profile) },
  );
  const compiled = /"(?<file>[^"]*\/mantle_\w+_wasm\.wasm)"/.exec(messages)?.groups?.["file"];
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
      ...["--out-dir", fresh, "--out-name", `mantle_${name}`],
    ],
    { timeoutSeconds: 120 },
  );
  const bound = path.join(fresh, `mantle_${name}_bg.wasm`);
  const unoptimised = path.join(fresh, "unoptimised.wasm");
  if (profile === "release") renameSync(bound, unoptimised);
  else copyFileSync(bound, unoptimised);
  if (profile === "release")
    await must(
      "wasm-opt",
      process.execPath,
      [
        path.join(root, "node_modules/binaryen/bin/wasm-opt"),
        unoptimised,
        ...wasmFeatures,
        // Engines compile for speed what was called often enough, so what goes over every byte of a
        // response stays a function of its own.
        "--no-inline=*structural*",
        ...["-Oz", "--converge"],
        ...stripped,
        ...["-o", bound],
      ],
      { timeoutSeconds: 600 },
    );
  await must(
    "Trying out the optimised module",
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `import { readFileSync } from "node:fs";
       import * as glue from ${JSON.stringify(path.join(fresh, `mantle_${name}.js`))};
       glue.initSync({ module: readFileSync(${JSON.stringify(bound)}) });
       ${trials[name]}`,
    ],
    { timeoutSeconds: 60 },
  );
  rmSync(unoptimised);
  const types = path.join(fresh, `mantle_${name}.d.ts`);
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
  const stale = staleCommittedTypes(core);
  for (const name of moduleNames) {
    const file = committedTypes(name);
    if (!stale.includes(file)) continue;
    const committed = path.join(root, file);
    mkdirSync(path.dirname(committed), { recursive: true });
    copyFileSync(path.join(root, core.modules[name].types), `${committed}.new`);
    renameSync(`${committed}.new`, committed);
    console.log(`build: ${file} changed`);
  }
}
