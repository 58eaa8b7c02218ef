/**
 * The bill of materials in CycloneDX 1.6: crates linked into the WASM and npm packages bundled into
 * the scripts are `required`, what only builds or tests is `excluded`. From the lock files and cargo's resolved graph; no time and no
 * random number, so that it is the same for everyone.
 */

import { readFileSync } from "node:fs";
import path from "node:path";

import { must, root } from "./process.ts";
import { project } from "./project.ts";

interface Component {
  type: "library" | "application";
  "bom-ref": string;
  name: string;
  version: string;
  scope?: "required" | "excluded";
  purl?: string;
  hashes?: { alg: "SHA-256" | "SHA-512"; content: string }[];
  licenses?: { expression: string }[];
}

interface Dependency {
  ref: string;
  dependsOn: string[];
}

interface Bill {
  components: Component[];
  dependencies: Dependency[];
}

interface CargoMetadata {
  packages: {
    id: string;
    name: string;
    version: string;
    license: string | null;
    source: string | null;
    targets: { kind: string[] }[];
  }[];
  resolve: {
    nodes: { id: string; deps: { pkg: string; dep_kinds: { kind: string | null }[] }[] }[];
  };
}

interface PackageLock {
  packages: Record<
    string,
    {
      version?: string;
      integrity?: string;
      license?: string;
      /** Reached by what builds or tests alone. */
      dev?: boolean;
      dependencies?: Record<string, string>;
      devDependencies?: Record<string, string>;
      optionalDependencies?: Record<string, string>;
    }
  >;
}

/** JSON text for a version of Mantle. */
export async function billOfMaterials(version: string): Promise<string> {
  const rust = await crates();
  const npm = npmPackages();
  const self = `mantle@${version}`;
  const direct = [...rust.roots, "rust-std", ...npm.roots].sort();
  const byRef = (a: Component, b: Component): number => (a["bom-ref"] < b["bom-ref"] ? -1 : 1);
  const references = [
    { type: "vcs", url: project.repository },
    { type: "website", url: project.homepage },
  ].filter(({ url }) => url !== null);
  const bill = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": self,
        name: "mantle",
        version,
        licenses: [{ expression: "Apache-2.0" }],
        ...(references.length === 0 ? {} : { externalReferences: references }),
      },
    },
    components: [...rust.components, await standardLibrary(), ...npm.components].sort(byRef),
    dependencies: [
      { ref: self, dependsOn: direct },
      ...[...rust.dependencies, ...npm.dependencies].sort((a, b) => (a.ref < b.ref ? -1 : 1)),
    ],
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}

async function crates(): Promise<Bill & { roots: string[] }> {
  const text = await must(
    "cargo metadata",
    "cargo",
    [
      ...["metadata", "--quiet", "--locked", "--format-version", "1"],
      ...["--filter-platform", "wasm32-unknown-unknown"],
    ],
    { timeoutSeconds: 300 },
  );
  const metadata = JSON.parse(text.slice(text.indexOf("{"))) as CargoMetadata;
  const checksums = cargoChecksums();
  const packages = new Map(metadata.packages.map((entry) => [entry.id, entry]));
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
  const boundaries = metadata.packages.filter((entry) => /^mantle-\w+-wasm$/.test(entry.name));
  const starts = boundaries.map((entry) => entry.id);
  const isOwn = (id: string): boolean => packages.get(id)?.name.startsWith("mantle-") ?? false;
  const edges = (id: string, kinds: readonly (string | null)[]): string[] =>
    (nodes.get(id)?.deps ?? [])
      .filter((dependency) => dependency.dep_kinds.some(({ kind }) => kinds.includes(kind)))
      .map((dependency) => dependency.pkg);
  const isMacro = (id: string): boolean =>
    packages.get(id)?.targets.some((target) => target.kind.includes("proc-macro")) ?? false;

  const linked = reach(starts, (id) => edges(id, [null]).filter((next) => !isMacro(next)));
  const all = reach(starts, (id) =>
    edges(id, isOwn(id) ? [null, "build", "dev"] : [null, "build"]),
  );
  const refOf = (id: string): string => {
    const found = packages.get(id);
    return `pkg:cargo/${found?.name ?? ""}@${found?.version ?? ""}`;
  };
  const others = [...all].filter((id) => !isOwn(id));
  const components = others.map((id): Component => {
    const found = packages.get(id);
    const { name = "", version = "" } = found ?? {};
    const checksum = checksums.get(`${name} ${version}`);
    return {
      type: "library",
      "bom-ref": refOf(id),
      name,
      version,
      scope: linked.has(id) ? "required" : "excluded",
      ...(checksum === undefined ? {} : { hashes: [{ alg: "SHA-256", content: checksum }] }),
      ...(found?.license ? { licenses: [{ expression: expression(found.license) }] } : {}),
      purl: refOf(id),
    };
  });
  const dependencies = others.map((id) => ({
    ref: refOf(id),
    dependsOn: unique(edges(id, [null, "build"]).map(refOf)),
  }));
  const roots = unique(
    [...all]
      .filter(isOwn)
      .flatMap((id) => edges(id, [null, "build", "dev"]))
      .filter((id) => !isOwn(id))
      .map(refOf),
  );
  return { components, dependencies, roots };
}

function cargoChecksums(): Map<string, string> {
  const lock = readFileSync(path.join(root, "Cargo.lock"), "utf8");
  const entry = /name = "([^"]+)"\nversion = "([^"]+)"\n(?:source = "[^"]+"\n)?checksum = "(\w+)"/g;
  return new Map(
    [...lock.matchAll(entry)].map(([, name, version, sum]) => [
      `${name ?? ""} ${version ?? ""}`,
      sum ?? "",
    ]),
  );
}

async function standardLibrary(): Promise<Component> {
  const toolchain = await must("The WASM toolchain", "scripts/wasm-toolchain", ["--describe"], {
    timeoutSeconds: 60,
  });
  const version = /rustc (\S+)/.exec(toolchain)?.[1] ?? "unknown";
  return {
    type: "library",
    "bom-ref": "rust-std",
    name: "Rust standard library",
    version,
    scope: "required",
    licenses: [{ expression: "MIT OR Apache-2.0" }],
  };
}

function npmPackages(): Bill & { roots: string[] } {
  const lock = JSON.parse(
    readFileSync(path.join(root, "package-lock.json"), "utf8"),
  ) as PackageLock;
  const places = Object.keys(lock.packages);
  const refOf = (place: string): string => {
    const name = place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length);
    const version = lock.packages[place]?.version ?? "";
    return `pkg:npm/${name.replace("@", "%40")}@${version}`;
  };
  /** As Node looks for it: beside the asking package, then further up. */
  const resolve = (from: string, name: string): string | undefined => {
    for (let folder = from; ; folder = folder.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$/, "")) {
      const place = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
      if (places.includes(place)) return place;
      if (folder === "") return undefined;
    }
  };
  const known = new Map<string, Component>();
  const dependsOn = new Map<string, string[]>();
  for (const [place, entry] of Object.entries(lock.packages)) {
    const wanted = Object.keys({ ...entry.dependencies, ...entry.optionalDependencies });
    const isInside = entry.dev !== true;
    const found = wanted.flatMap((name) => resolve(place, name) ?? []).map(refOf);
    if (place === "") continue;
    const ref = refOf(place);
    const [algorithm = "", base64 = ""] = (entry.integrity ?? "").split("-");
    dependsOn.set(ref, unique([...(dependsOn.get(ref) ?? []), ...found]));
    known.set(ref, {
      type: "library",
      "bom-ref": ref,
      name: decodeURIComponent(ref.slice("pkg:npm/".length, ref.lastIndexOf("@"))),
      version: entry.version ?? "",
      // The build refuses to bundle a package that is marked as one for builds and tests.
      scope: isInside ? "required" : "excluded",
      ...(algorithm === "sha512"
        ? { hashes: [{ alg: "SHA-512", content: Buffer.from(base64, "base64").toString("hex") }] }
        : {}),
      ...(entry.license === undefined
        ? {}
        : { licenses: [{ expression: expression(entry.license) }] }),
      purl: ref,
    });
  }
  const top = lock.packages[""];
  const roots = Object.keys({ ...top?.dependencies, ...top?.devDependencies }).flatMap(
    (name) => resolve("", name) ?? [],
  );
  return {
    components: [...known.values()],
    dependencies: [...dependsOn].map(([ref, list]) => ({ ref, dependsOn: list })),
    roots: roots.map(refOf),
  };
}

function reach(starts: readonly string[], next: (id: string) => string[]): Set<string> {
  const seen = new Set<string>();
  const waiting = [...starts];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    waiting.push(...next(id));
  }
  return seen;
}

/** Older crates write a slash where SPDX writes OR. */
function expression(license: string): string {
  return license.replace(/\s*\/\s*/g, " OR ");
}

function unique(values: string[]): string[] {
  return [...new Set(values)].sort();
}
