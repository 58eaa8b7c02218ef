/**
 * scripts/drift: whether the clients' code can send anything that Mantle's tables do not know.
 *
 * Read are the packages that package.json pins, or with --newest the newest on npm. Each request,
 * path, type and host in their code is in a table of the core or in core/shields/drift.json, with a
 * reason. What it cannot see stands in scripts/drift-sources.ts.
 */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import {
  type Explained,
  judge,
  kinds,
  type Question,
  questionsOfCall,
  questionsOfPath,
} from "./drift-judge.ts";
import { type Found, sourceFiles, whatIsIn } from "./drift-sources.ts";
import { filesBelow } from "./fingerprint.ts";
import { Failure, main, must, root } from "./process.ts";

const usage = "usage: scripts/drift [--newest] [--list]";
const listFile = "core/shields/drift.json";
/** What speaks for Element, and where its code lies in the package. */
const packages = [
  { name: "matrix-js-sdk", code: "src" },
  { name: "matrix-widget-api", code: "src" },
  { name: "@element-hq/element-call-embedded", code: "dist" },
] as const;

interface Package {
  name: string;
  version: string;
  found: Found;
}

function read(name: string, code: string, folder: string): Package {
  const manifest = path.join(folder, "package.json");
  if (!existsSync(manifest)) throw new Failure(`${name} is not installed; run scripts/setup.`);
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  const inside = path.join(folder, code);
  const found = whatIsIn(inside, sourceFiles(inside));
  return { name, version, found };
}

/** Fetches the newest version of a package, as npm packs it. */
async function newest(name: string): Promise<string> {
  const folder = path.join(root, "build/drift", name.replace(/\W+/g, "-"));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const output = await must(
    `npm pack ${name}`,
    "npm",
    ["pack", "--silent", "--pack-destination", folder, `${name}@latest`],
    { timeoutSeconds: 300 },
  );
  const archive = output.trim().split("\n").at(-1) ?? "";
  await must("tar", "tar", ["-xzf", path.join(folder, archive), "-C", folder], {
    timeoutSeconds: 60,
  });
  return path.join(folder, "package");
}

/** Asked besides, since a router that knows everything would make everything look well. */
const surelyUnknown: Question = { method: "GET", path: "/_matrix/client/v3/no/such/path" };

/** Asks the core's own router. */
function routes(questions: readonly Question[]): (question: Question) => boolean {
  const lines = [
    ...new Set(
      [surelyUnknown, ...questions].map(({ method, path: asked }) => `${method} ${asked}`),
    ),
  ];
  const answers = execFileSync(
    "cargo",
    ["run", "--quiet", "--package", "mantle-wire", "--example", "route"],
    { cwd: root, input: `${lines.join("\n")}\n`, encoding: "utf8", timeout: 900_000 },
  )
    .trimEnd()
    .split("\n");
  if (answers.length !== lines.length)
    throw new Failure("the router did not answer every question.");
  const known = new Set(
    lines.filter((_line, index) => !/^(Unknown|Foreign)$/.test(answers[index] ?? "")),
  );
  const routed = ({ method, path: asked }: Question): boolean => known.has(`${method} ${asked}`);
  if (routed(surelyUnknown)) throw new Failure("the router knows a path that there is not.");
  return routed;
}

/** Every text of the core's tables and shields; tests do not count. */
function namedTexts(): (text: string) => boolean {
  const texts = new Set<string>();
  for (const file of filesBelow("core")) {
    if (!/\/src\/.*\.rs$/.test(file) || file.includes("/tests/")) continue;
    const text = readFileSync(path.join(root, file), "utf8");
    const tests = text.search(/^#\[cfg\(test\)\]\s*\n(?:#\[.*\]\s*\n)*mod /m);
    const code = (tests === -1 ? text : text.slice(0, tests)).replace(/^\s*\/\/.*$/gm, "");
    for (const [literal] of code.matchAll(/"(?:[^"\\\n]|\\.)*"/g)) texts.add(literal.slice(1, -1));
    // Lists of defaults are JSON in raw strings.
    for (const [, raw = ""] of code.matchAll(/r#"([^]*?)"#/g)) {
      for (const [literal] of raw.matchAll(/"[^"]*"/g)) texts.add(literal.slice(1, -1));
    }
  }
  return (text) => texts.has(text);
}

main("drift", async () => {
  const { values } = parseArgs({
    options: {
      newest: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const read_: Package[] = [];
  for (const { name, code } of packages) {
    const folder = values.newest ? await newest(name) : path.join(root, "node_modules", name);
    read_.push(read(name, code, folder));
  }
  for (const { name, version, found } of read_) {
    console.log(
      `drift: ${name} ${version}: ${found.calls.length} requests, ${found.unseen.length} that cannot ` +
        `be told, ${found.paths.size} paths, ${found.types.size} types, ${found.hosts.size} hosts`,
    );
  }
  const questions = read_.flatMap(({ found }) => [
    ...found.calls.flatMap(questionsOfCall),
    ...[...found.paths.keys()].flatMap(questionsOfPath),
  ]);
  const explained = JSON.parse(readFileSync(path.join(root, listFile), "utf8")) as Explained;
  const verdict = judge(read_, { routed: routes(questions), named: namedTexts() }, explained, {
    everyReasonIsNeeded: !values.newest,
  });
  for (const problem of verdict.problems) console.log(`FAILED ${problem}`);
  if (values.list) {
    for (const kind of kinds) {
      for (const { reason, of } of explained[kind])
        console.log(`${kind}: ${of.join(", ")}\n    ${reason}`);
    }
  }
  const passed = verdict.known + verdict.explained;
  console.log(`drift: ${verdict.known} known, ${verdict.explained} explained in ${listFile}`);
  console.log(`drift: ${passed} passed, ${verdict.problems.length} failed, 0 skipped`);
  return verdict.problems.length === 0 ? 0 : 1;
});
