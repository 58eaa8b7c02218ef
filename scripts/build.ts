/** scripts/build: the whole extension, from Rust to the two package folders. */

import { readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { allSites, bundleExtension } from "./bundle.ts";
import { buildCoreWasm, type CoreWasm, updateCommittedTypes, wasmSizes } from "./core-wasm.ts";
import { fingerprint, isFresh, writeStamp } from "./fingerprint.ts";
import { patternsOf } from "./manifest.ts";
import { Failure, main, must, root } from "./process.ts";

const usage = "usage: scripts/build [--site ORIGIN]… [--out DIR] [--features F,…] [--fast]";

/** Generated files live in the tree, so a stamp covers what the generator read and wrote. */
async function generate(): Promise<void> {
  const stamp = "build/generate.stamp";
  const print = (): string =>
    fingerprint([
      ...["Cargo.toml", "Cargo.lock", "core", "scripts/generate"],
      ...["extension/generated/tables.json", "extension/generated/types.ts"],
      "extension/generated/protected.json",
      ...["extension/generated/rules.json", "extension/generated/managed-schema.json"],
      "docs/policy.md",
      ...["docs/leaks.md", "docs/shields.md", "extension/generated/texts.json"],
    ]);
  if (isFresh(stamp, print())) return;
  await must(
    "Generating files from the Rust tables",
    "cargo",
    ["run", "--quiet", "--package", "mantle-generate", "--", "--write"],
    { timeoutSeconds: 900 },
  );
  writeStamp(stamp, print());
}

/**
 * Lays out the packages unless they are there, of the same sources and untouched, so that whoever
 * needs a build may ask for it without a second one.
 */
async function bundle(core: CoreWasm, sites: readonly string[], out: string): Promise<void> {
  const inside = path.relative(root, path.resolve(root, out));
  const stamp = `build/bundles/${inside.replace(/\W+/g, "-")}.stamp`;
  const modules = Object.values(core.modules).flatMap(({ glue, wasm }) => [glue, wasm]);
  const print = (): string =>
    fingerprint(
      [
        ...["extension", "manifest.json", "LICENSE", "package-lock.json", "project.json"],
        ...["scripts/build.ts", "scripts/bundle.ts", "scripts/manifest.ts", "scripts/unpatched.ts"],
        ...(core.hasProbe ? ["web-tests/e2e/fixtures"] : []),
        ...[core.glue, core.wasm, ...modules],
        ...[`${inside}/chromium`, `${inside}/firefox`],
      ],
      ...[version(), ...sites],
    );
  if (isFresh(stamp, print())) return;
  await bundleExtension(core, sites, version(), out);
  writeStamp(stamp, print());
}

function version(): string {
  const manifest = readFileSync(path.join(root, "Cargo.toml"), "utf8");
  const found = /^\[workspace\.package\][^[]*?^version = "(?<version>[^"]+)"/m.exec(manifest);
  if (found?.groups === undefined) throw new Failure("Cargo.toml names no workspace version.");
  return found.groups["version"] ?? "";
}

main("build", async () => {
  const { values } = parseArgs({
    options: {
      site: { type: "string", multiple: true, default: [] },
      out: { type: "string", default: "dist" },
      features: { type: "string", default: "" },
      fast: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  for (const site of values.site) {
    try {
      patternsOf(site);
    } catch (error) {
      throw new Failure(error instanceof Error ? error.message : String(error));
    }
  }
  const features = values.features.split(",").filter((feature) => feature !== "");
  if (features.length > 0 && path.resolve(root, values.out) === path.join(root, "dist")) {
    throw new Failure("dist/ is for packages; name another folder with --out for extra features.");
  }

  if (values.fast && path.resolve(root, values.out) === path.join(root, "dist")) {
    throw new Failure("dist/ is for packages; name another folder with --out for a fast build.");
  }

  await generate();
  const core = await buildCoreWasm(features, values.fast ? "fast" : "release");
  // Features may add exports for tests; the committed types are those of the package.
  if (features.length === 0) updateCommittedTypes(core);
  const sites = allSites(values.site);
  await bundle(core, sites, values.out);

  const { raw, gzip } = wasmSizes(core);
  const kilobytes = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} KB`;
  console.log(
    `build: ${values.out}/{chromium,firefox} for ${sites.length} sites; ` +
      `WASM ${kilobytes(raw)}, gzip ${kilobytes(gzip)}`,
  );
});
