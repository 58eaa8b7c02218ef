/** Test files of node's runner: how they are run, and which builds they need. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { root } from "./process.ts";

/** The site of the tests' builds. */
export const testSite = "https://chat.example.org";

/** A folder the specs take the extension from, and what makes it. */
export interface TestBuild {
  folder: string;
  args: readonly string[];
}

/** The first also leaves the WASM modules that some specs read by themselves. */
export const testBuilds: readonly TestBuild[] = [
  { folder: "build/test", args: ["--site", testSite, "--out", "build/test"] },
  {
    folder: "build/fault",
    args: ["--site", testSite, "--features", "fault-injection", "--out", "build/fault"],
  },
];

const spec = (name: string): string => path.join("web-tests/e2e", `${name}.spec.ts`);

/**
 * What these specs assert is what Mantle's own pages show and store; none asserts on what Element
 * told a server.
 */
export const ownPages: readonly string[] = [
  "accessibility",
  "first-run",
  "languages",
  "ledger",
  "rollout-options",
].map(spec);

/**
 * These have the machine to themselves: what they assert depends on how soon something comes. All
 * others run three at a time: they wait for homeservers, browsers and clocks, and have a homeserver,
 * browsers and a recorder each.
 */
export const alone: readonly string[] = ["encrypted-state/attacks", "hooks"].map(spec);

/** No part of the gate, whose time is bounded: a day of use is long even when it is compressed. */
export const byHand: readonly string[] = ["soak"].map(spec);

/** All test files below these folders of the checkout, sorted; `.spec.ts` drives a browser. */
export function testFiles(
  ending: ".spec.ts" | ".test.ts",
  ...folders: readonly string[]
): string[] {
  const found = (folder: string): string[] =>
    readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : found(file);
      return file.endsWith(ending) ? [file] : [];
    });
  return folders.flatMap(found).sort();
}

/** The builds these files need; tests beside the sources need none. */
export function buildsFor(files: readonly string[]): TestBuild[] {
  const specs = files.filter((file) => file.endsWith(".spec.ts"));
  const texts = specs.map((file) => readFileSync(path.join(root, file), "utf8"));
  return testBuilds.filter(
    ({ folder }, index) =>
      specs.length > 0 && (index === 0 || texts.some((text) => text.includes(folder))),
  );
}

/** The command that runs test files. */
export function nodeTests(
  files: readonly string[],
  options: { report?: string; concurrency: number; only?: string; limitSeconds?: number },
): [string, ...string[]] {
  return [
    process.execPath,
    ...["--import", "tsx", "--test", `--test-timeout=${(options.limitSeconds ?? 900) * 1_000}`],
    `--test-concurrency=${options.concurrency}`,
    ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
    ...(options.report === undefined
      ? []
      : ["--test-reporter=tap", `--test-reporter-destination=${options.report}`]),
    ...(options.only === undefined ? [] : [`--test-name-pattern=${options.only}`]),
    ...files,
  ];
}
