/** scripts/check: every static check of the gate. */

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import { allSites } from "./bundle.ts";
import { cargoDeny, NO_CARGO_DENY } from "./cargo-deny.ts";
import { buildCoreWasm, staleCommittedTypes, wasmSizes } from "./core-wasm.ts";
import { filesBelow } from "./fingerprint.ts";
import { layerProblems } from "./layers.ts";
import { manifestProblems, permissionProblems } from "./permissions.ts";
import { Failure, main, root, run } from "./process.ts";
import { storeLintProblems } from "./store-lint.ts";

/** What a check found: nothing is a pass. */
interface Outcome {
  problems: string[];
  /** Why the check could not be done. */
  skipped?: string;
}

interface Check {
  what: string;
  /** Part of the quick gate: needs neither WASM nor a package. */
  quick?: boolean;
  /** Cargo takes one command at a time; what is not its own runs beside it. */
  cargo?: boolean;
  run(fix: boolean): Promise<Outcome>;
}

const packaged = [
  ...["manifest.json", "page.js", "relay.js", "background.js"],
  ...["popup.html", "options.html", "checkup.html", "ledger.html", "first-run.html"],
  ...["mantle_state_bg.wasm", "mantle_media_bg.wasm", "mantle_pages_bg.wasm"],
];
const schema = "managed-schema.json";
const maximumWasm = 300_000;
const maximumWasmGzip = 150_000;
/** The marker that makes a fault build trap (core feature fault-injection). */
const faultMarker = ["mantle", "test", "trap"].join("-");

async function command(
  program: string,
  args: readonly string[],
  timeoutSeconds: number,
  env: Record<string, string> = {},
): Promise<Outcome> {
  const result = await run(program, args, { timeoutSeconds, env });
  if (result.ok) return { problems: [] };
  const reason = result.timedOut ? `did not end within ${timeoutSeconds} s` : "failed";
  return { problems: [`${[program, ...args].join(" ")} ${reason}:\n${result.output.trimEnd()}`] };
}

async function cargoTool(tool: string, args: readonly string[], seconds: number): Promise<Outcome> {
  const present = await run("cargo", [tool, "--version"], { timeoutSeconds: 30 });
  if (!present.ok) return { problems: [], skipped: `this Rust toolchain has no cargo ${tool}` };
  return command("cargo", [tool, ...args], seconds);
}

const node = process.execPath;

const checks: Record<string, Check> = {
  rustfmt: {
    what: "Rust is formatted",
    quick: true,
    cargo: true,
    run: (fix) => cargoTool("fmt", ["--all", ...(fix ? [] : ["--", "--check"])], 120),
  },
  clippy: {
    what: "clippy is content with every target",
    quick: true,
    cargo: true,
    run: () => {
      const scope = ["--quiet", "--workspace", "--all-targets"];
      return cargoTool("clippy", [...scope, "--", "--deny", "warnings"], 1_200);
    },
  },
  "clippy-wasm": {
    what: "clippy is content with the browser's side of the core",
    cargo: true,
    run: async () => {
      const which = await run("scripts/wasm-toolchain", ["--which"], { timeoutSeconds: 60 });
      const rustup = which.output.trim() === "rustup";
      // Debian's cargo-web brings no clippy; the compiler's own lints still count.
      const lint = rustup ? ["clippy"] : ["check"];
      const deny = rustup ? ["--", "--deny", "warnings"] : [];
      return command(
        "scripts/wasm-toolchain",
        [
          ...lint,
          "--quiet",
          ...["shields", "state", "media", "pages"].flatMap((name) => [
            "--package",
            `mantle-${name}-wasm`,
          ]),
          ...["--lib", "--test", "wasm"],
          ...deny,
        ],
        1_200,
      );
    },
  },
  deny: {
    what: "crates have the licences and sources that deny.toml allows",
    cargo: true,
    run: async () => {
      const deny = await cargoDeny();
      if (deny === undefined) return { problems: [], skipped: NO_CARGO_DENY };
      const [program, ...first] = deny;
      const offline = ["--offline", "--log-level", "error", "check"];
      return command(program, [...first, ...offline, "bans", "licenses", "sources"], 300);
    },
  },
  prettier: {
    what: "TypeScript, JSON and CSS are formatted",
    quick: true,
    run: (fix) =>
      command(
        node,
        [
          "node_modules/prettier/bin/prettier.cjs",
          fix ? "--write" : "--check",
          ...["--log-level", "warn"],
          // By what is in the files: those that are as they were are not read again.
          ...["--cache", "--cache-strategy", "content"],
          ...["--cache-location", "build/prettier-cache.json"],
          "**/*.{ts,tsx,json,css,html}",
        ],
        300,
      ),
  },
  tsc: {
    what: "TypeScript type-checks",
    quick: true,
    run: () => command(node, ["node_modules/typescript/bin/tsc", "--project", "."], 600),
  },
  layers: {
    what: "modules use each other in one direction",
    quick: true,
    run: () => Promise.resolve({ problems: layerProblems() }),
  },
  generated: {
    what: "files generated from the Rust tables are fresh",
    quick: true,
    cargo: true,
    run: (fix) => {
      const mode = fix ? "--write" : "--check";
      return command("cargo", ["run", "--quiet", "--package", "mantle-generate", "--", mode], 900);
    },
  },
  boundary: {
    what: "the committed types of the WASM boundary are fresh",
    cargo: true,
    run: async () => {
      const core = await buildCoreWasm([]);
      const problems = staleCommittedTypes(core).map(
        (file) => `${file} is stale; run scripts/build and commit it.`,
      );
      return { problems };
    },
  },
  tree: {
    what: "no registry host and no path of a machine in the tree",
    quick: true,
    run: () => Promise.resolve({ problems: treeProblems() }),
  },
  permissions: {
    what: "the manifests ask for what was agreed on, and the README explains it",
    quick: true,
    run: () => Promise.resolve({ problems: permissionProblems() }),
  },
  artefact: {
    what: "the packages hold what they should and nothing else",
    cargo: true,
    run: artefact,
  },
};

/** Written in pieces, so that this file does not name what it forbids. */
const forbidden: readonly { pattern: RegExp; what: string }[] = [
  {
    pattern: new RegExp(
      [
        ["registry", "npmjs", "org"],
        ["registry", "yarnpkg", "com"],
        ["(index|static)", "crates", "io"],
        ["static", "rust-lang", "org"],
        ["pypi", "org"],
        ["files", "pythonhosted", "org"],
        ["deb", "debian", "org"],
        ["security", "debian", "org"],
        ["deb", "nodesource", "com"],
        ["proxy", "golang", "org"],
      ]
        .map((parts) => parts.join("\\."))
        .join("|"),
      "i",
    ),
    what: "names a registry host",
  },
  {
    pattern: new RegExp(
      // Only where a path can begin: `/work` inside an URL or a longer word is something else.
      `(?<![\\w.*@:/-])/(${["work/(main|shared|\\.)", "root/", "home/\\w", "Users/\\w", "tmp/\\w"].join("|")})`,
    ),
    what: "holds an absolute path of a machine",
  },
];

function treeProblems(): string[] {
  const listed = execFileSync(
    "git",
    ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    { cwd: root, encoding: "utf8" },
  );
  const problems: string[] = [];
  for (const file of new Set(listed.split("\0").filter((name) => name !== ""))) {
    let bytes: Buffer;
    try {
      bytes = readFileSync(path.join(root, file));
    } catch {
      continue; // Deleted, or a link to nowhere.
    }
    if (bytes.includes(0)) continue;
    bytes
      .toString("utf8")
      .split("\n")
      .forEach((line, index) => {
        for (const { pattern, what } of forbidden) {
          if (pattern.test(line)) problems.push(`${file}:${index + 1} ${what}.`);
        }
      });
  }
  return problems;
}

async function artefact(): Promise<Outcome> {
  const problems: string[] = [];
  const built = await run("scripts/build", [], { timeoutSeconds: 1_800 });
  if (!built.ok) return { problems: [`scripts/build failed:\n${built.output.trimEnd()}`] };
  // Else it would be the bundle that is there.
  rmSync(path.join(root, "build/again"), { recursive: true, force: true });
  const again = await run("scripts/build", ["--out", "build/again"], { timeoutSeconds: 1_800 });
  if (!again.ok) return { problems: [`scripts/build failed:\n${again.output.trimEnd()}`] };

  const { raw, gzip } = wasmSizes(await buildCoreWasm([]));
  if (raw > maximumWasm) problems.push(`The WASM has ${raw} bytes; ${maximumWasm} is the limit.`);
  if (gzip > maximumWasmGzip) {
    problems.push(`The WASM has ${gzip} bytes after gzip; ${maximumWasmGzip} is the limit.`);
  }
  for (const browser of ["chromium", "firefox"] as const) {
    const folder = `dist/${browser}`;
    const files = filesBelow(folder);
    for (const wanted of [...packaged, ...(browser === "chromium" ? [schema] : [])]) {
      if (!files.includes(`${folder}/${wanted}`)) problems.push(`${folder}/${wanted} is missing.`);
    }
    for (const file of files) {
      const bytes = readFileSync(path.join(root, file));
      const text = bytes.toString("latin1");
      const wasm = [...text.matchAll(/"(AGFzbQ[A-Za-z0-9+/=]{1000,})"/g)].map((match) =>
        Buffer.from(match[1] ?? "", "base64").toString("latin1"),
      );
      for (const content of [text, ...wasm]) {
        if (content.includes(faultMarker)) problems.push(`${file} holds the fault marker.`);
        for (const { pattern, what } of forbidden) {
          if (pattern.test(content)) problems.push(`${file} ${what}.`);
        }
      }
      const twin = path.join(root, file.replace(/^dist\//, "build/again/"));
      if (!readFileSync(twin).equals(bytes)) problems.push(`${file} differs from build to build.`);
    }
    if (files.includes(`${folder}/page.js`)) {
      const page = readFileSync(path.join(root, folder, "page.js"));
      if (!page.includes("AGFzbQ")) problems.push(`${folder}/page.js carries no WASM.`);
      console.log(
        `       ${folder}/page.js ${page.length} bytes, gzip ${gzipSync(page, { level: 9 }).length}`,
      );
    }
    const manifest = `${folder}/manifest.json`;
    const text = readFileSync(path.join(root, manifest), "utf8");
    problems.push(...manifestProblems(manifest, browser, text, allSites([])));
  }
  problems.push(...(await storeLintProblems("dist/firefox")));
  console.log(`       WASM ${raw} bytes, gzip ${gzip}`);
  return { problems };
}

/** Says how one check went. */
async function report(name: string, check: Check, fix: boolean): Promise<keyof Counts> {
  const start = performance.now();
  const outcome = await check.run(fix);
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  if (outcome.skipped !== undefined) {
    console.log(`skip   ${name}: ${outcome.skipped}`);
    return "skipped";
  }
  if (outcome.problems.length === 0) {
    console.log(`ok     ${name}: ${check.what} (${seconds} s)`);
    return "passed";
  }
  console.log(`FAILED ${name}: not so: ${check.what} (${seconds} s)`);
  for (const problem of outcome.problems) console.log(problem.replace(/^/gm, "       "));
  return "failed";
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

main("check", async () => {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      fix: { type: "boolean", default: false },
    },
  });
  for (const name of values.only) {
    if (name in checks) continue;
    throw new Failure(`there is no check ${name}; there are: ${Object.keys(checks).join(", ")}.`);
  }
  const chosen = Object.entries(checks).filter(
    ([name, check]) =>
      (values.only.length === 0 || values.only.includes(name)) &&
      (!values.quick || check.quick === true),
  );
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const lane = async (members: typeof chosen): Promise<void> => {
    for (const [name, check] of members) counts[await report(name, check, values.fix)] += 1;
  };
  const ofCargo = chosen.filter(([, check]) => check.cargo === true);
  const others = chosen.filter(([, check]) => check.cargo !== true);
  // Both lanes write the same files when they mend.
  if (values.fix) await lane(chosen);
  else await Promise.all([lane(ofCargo), lane(others)]);
  console.log(`check: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  return counts.failed === 0 ? 0 : 1;
});
