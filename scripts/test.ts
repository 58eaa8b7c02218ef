/** scripts/test: the gate, whole or quick, with one line of counts at the end. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { filesBelow } from "./fingerprint.ts";
import { Failure, main, root, run, type RunResult } from "./process.ts";
import { alone, byHand, nodeTests, ownPages, testBuilds, testFiles } from "./spec-files.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Group {
  name: string;
  timeoutSeconds: number;
  command: readonly [string, ...string[]];
  /** Reads the counts from what the group printed; undefined when it printed none. */
  count: (output: string) => Counts | undefined;
  prepare?: () => void;
  /** Without this group the later ones cannot run. */
  needed?: boolean;
  /** What failed, a line each: where a run's end is all that is kept of it, the end tells. */
  failures?: (output: string) => string[];
  /** After a failure: the part to run once more, where what failed allows it. */
  again?: () => Again | undefined;
  /** Needs nothing of the groups after it, so it runs beside them, until one comes that runs alone. */
  beside?: boolean;
  /** Waits until nothing runs beside it: a compiler takes from browsers what their time-outs count on. */
  inQuiet?: boolean;
  /** That all of it is left out is no failure: it asks who may not be there. */
  mayBeSkipped?: boolean;
}

interface Again {
  command: readonly [string, ...string[]];
  /** The tests that failed, and how. */
  failures: string[];
}

const results = "build/test-results";
/** A machine that was crowded fails a few files; more than that is a fault. */
const MOST_FILES_AGAIN = 5;
/** Lines of what failed, a group. */
const MOST_FAILURES = 12;
const reportFile = (name: string): string => `${results}/${name}.tap`;

/** Adds up every match; undefined when there is none. */
function sum(
  output: string,
  pattern: RegExp,
  read: (groups: Record<string, string | undefined>) => Counts,
): Counts | undefined {
  const matches = [...output.matchAll(pattern)].map((match) => read(match.groups ?? {}));
  if (matches.length === 0) return undefined;
  return matches.reduce((left, right) => ({
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
  }));
}

const number = (text: string | undefined): number => Number(text ?? "0");

function plainCounts(output: string): Counts | undefined {
  return sum(
    output,
    /^\w+: (?<passed>\d+) passed, (?<failed>\d+) failed, (?<skipped>\d+) skipped$/gm,
    (found) => ({
      passed: number(found["passed"]),
      failed: number(found["failed"]),
      skipped: number(found["skipped"]),
    }),
  );
}

/** One step that is right or wrong as a whole. */
const noCounts = (): Counts => ({ passed: 0, failed: 0, skipped: 0 });

function cargoTestCounts(output: string): Counts | undefined {
  return sum(
    output,
    /^test result: \w+\. (?<passed>\d+) passed; (?<failed>\d+) failed; (?<ignored>\d+) ignored/gm,
    (found) => ({
      passed: number(found["passed"]),
      failed: number(found["failed"]),
      skipped: number(found["ignored"]),
    }),
  );
}

function nextestCounts(output: string): Counts | undefined {
  const summary = /Summary \[[^\]]*\]\s+(?<rest>.*)$/m.exec(output)?.groups?.["rest"];
  if (summary === undefined) return undefined;
  const find = (word: string): number =>
    number(new RegExp(`(\\d+) (?:tests? )?${word}`).exec(summary)?.[1]);
  return {
    passed: find("passed"),
    failed: find("failed") + find("timed out") + find("exec failed"),
    skipped: find("skipped"),
  };
}

/** From the report file: the number of subtests, not of files, and what was cancelled failed. */
function nodeCounts(name: string): Counts | undefined {
  const file = path.join(root, reportFile(name));
  if (!existsSync(file)) return undefined;
  const report = readFileSync(file, "utf8");
  const last = (word: string): number =>
    number([...report.matchAll(new RegExp(`^# ${word} (\\d+)$`, "gm"))].at(-1)?.[1]);
  return {
    passed: last("pass"),
    failed: last("fail") + last("cancelled"),
    skipped: last("skipped") + last("todo"),
  };
}

interface FailedTest {
  name: string;
  /** Where the test stands, from the checkout's folder. */
  file: string | undefined;
  /** How it failed, in node's words, and what it said. */
  type: string | undefined;
  error: string;
  asserted: boolean;
}

/** The tests that a report says failed; those whose parts failed too have `subtestsFailed`. */
function failedTests(name: string): FailedTest[] {
  const report = path.join(root, reportFile(name));
  if (!existsSync(report)) return [];
  const failed =
    /^ *not ok \d+ - (?<name>(?:(?! # (?:TODO|SKIP)).)*)\n *---\n(?<body>[\s\S]*?)^ *\.\.\.$/gm;
  return [...readFileSync(report, "utf8").matchAll(failed)].map(({ groups }) => {
    const body = groups?.["body"] ?? "";
    const where = /^ *location: '(?<file>.*?):\d+:\d+'$/m.exec(body)?.groups?.["file"];
    return {
      name: groups?.["name"] ?? "",
      file: where === undefined ? undefined : path.relative(root, where),
      type: /^ *failureType: '(?<type>\w+)'$/m.exec(body)?.groups?.["type"],
      error: /^ *error: (?:\|-)?(?<error>[\s\S]*?)^ *code: /m.exec(body)?.groups?.["error"] ?? "",
      asserted: /^ *code: 'ERR_ASSERTION'$/m.test(body),
    };
  });
}

/** A test that failed by itself: its parts have entries of their own. */
const failedItself = ({ type }: FailedTest): boolean =>
  type !== "subtestsFailed" && type !== "cancelledByParent";

const inOneLine = ({ name, error }: FailedTest, length: number): string =>
  `${name}: ${error.replace(/\s+/g, " ").trim().slice(0, length)}`;

/**
 * The spec files that failed, when all that went wrong is that a browser or a wait ran out of time,
 * or that a page of Mantle's showed something too early: on a crowded machine that tells little.
 * What any other assertion found, a leak above all, stays found.
 */
function specsAgain(name: string): Again | undefined {
  const files = new Set<string>();
  const failures: string[] = [];
  const ranOut =
    /not within|not .* in time|timed? ?out|Waiting failed|Protocol error|Target closed|Connection closed/i;
  for (const failed of failedTests(name)) {
    const { file, asserted, error } = failed;
    if (file === undefined) return undefined;
    files.add(file);
    if (!failedItself(failed)) continue;
    if (asserted ? !ownPages.includes(file) : !ranOut.test(error)) return undefined;
    failures.push(inOneLine(failed, 200));
  }
  if (failures.length === 0 || files.size > MOST_FILES_AGAIN) return undefined;
  const second = { report: reportFile(`${name}-again`), concurrency: 1 };
  return { command: nodeTests([...files], second), failures };
}

/** Test files of node's runner; their counts are those of the subtests. */
function nodeGroup(
  name: string,
  report: string,
  files: readonly string[],
  options: { concurrency: number; timeoutSeconds: number; drivesBrowsers?: boolean },
): Group {
  const file = reportFile(report);
  return {
    name,
    timeoutSeconds: options.timeoutSeconds,
    // What an earlier run left must not be counted.
    prepare: () => rmSync(path.join(root, file), { force: true }),
    command: nodeTests(files, { report: file, concurrency: options.concurrency }),
    count: () => nodeCounts(report),
    failures: () =>
      failedTests(report)
        .filter(failedItself)
        .map((failed) => `${failed.file ?? ""}: ${inOneLine(failed, 400)}`),
    ...(options.drivesBrowsers === true ? { again: () => specsAgain(report), inQuiet: true } : {}),
  };
}

/** What compilers, cargo's tests and the checks say of what failed. */
function failuresByWord(output: string): string[] {
  const said = /^(?:error\b|FAILED |test .* FAILED$| *FAIL \[|thread '.*' .*panicked at ).*/;
  return output
    .split("\n")
    .filter((line) => said.test(line))
    .map((line) => line.trim().slice(0, 400));
}

async function nativeTests(): Promise<Group> {
  const nextest = await run("cargo", ["nextest", "--version"], { timeoutSeconds: 30 });
  return nextest.ok
    ? {
        name: "core, native (nextest)",
        timeoutSeconds: 1_500,
        command: ["cargo", "nextest", "run", "--workspace", "--no-fail-fast", "--color", "never"],
        count: nextestCounts,
      }
    : {
        name: "core, native (cargo test)",
        timeoutSeconds: 1_500,
        command: ["cargo", "test", "--workspace", "--no-fail-fast"],
        count: cargoTestCounts,
      };
}

function build(name: string, ...args: string[]): Group {
  const command = ["scripts/build", ...args] as const;
  return { name, timeoutSeconds: 1_800, command, count: noCounts, needed: true };
}

/** Test runners do not print why a Rust test is left out; its attribute does. */
function ignoredTests(): string[] {
  const reason = /#\[ignore(?:\s*=\s*"(?<why>[^"]*)")?\]\s*(?:#\[[^\]]*\]\s*)*fn (?<name>\w+)/g;
  return filesBelow("core")
    .filter((file) => file.endsWith(".rs"))
    .flatMap((file) => [...readFileSync(path.join(root, file), "utf8").matchAll(reason)])
    .map(
      (match) => `${match.groups?.["name"] ?? ""}: ${match.groups?.["why"] ?? "no reason given"}`,
    );
}

/** matrix-sdk-crypto in a workspace of its own; its 230 crates stay built in its own target folder. */
function oracle(): Group {
  const manifest = filesBelow("core").find((file) => /oracle\/Cargo\.toml$/.test(file));
  if (manifest === undefined) throw new Failure("the oracle's Cargo.toml is not below core/.");
  return {
    name: "encrypted state against matrix-sdk-crypto",
    timeoutSeconds: 2_400,
    command: [
      "cargo",
      ...["test", "--locked", "--color", "never"],
      ...["--manifest-path", manifest, "--target-dir", "target/oracle"],
    ],
    count: cargoTestCounts,
    beside: true,
  };
}

/**
 * Of the tests of encrypted state those that take most of the time and try no signature: the simulator
 * tells how pages, disks and servers come to agree (forged and broken events are tried by the others),
 * the other two how long a large account takes. All of them run once, with the rest of the core.
 */
const WITHOUT_SIGNATURES = ["sim", "large_account", "first_sync_cost"];

/** The tests of encrypted state with every signature left to vodozemac: the switch must go on working. */
function vodozemacOnly(): Group {
  const folder = "core/room-state/tests";
  const names = readdirSync(path.join(root, folder), { withFileTypes: true })
    .filter(
      (entry) =>
        entry.name.endsWith(".rs") || existsSync(path.join(root, folder, entry.name, "main.rs")),
    )
    .map(({ name }) => name.replace(/\.rs$/, ""));
  const gone = WITHOUT_SIGNATURES.filter((name) => !names.includes(name));
  if (gone.length > 0) throw new Failure(`${folder} has no ${gone.join(", ")} to leave out.`);
  const kept = names.filter((name) => !WITHOUT_SIGNATURES.includes(name));
  return {
    name: "encrypted state by vodozemac alone",
    timeoutSeconds: 1_800,
    command: [
      "cargo",
      ...["test", "--locked", "--color", "never"],
      ...["--package", "mantle-room-state", "--no-default-features", "--lib"],
      ...kept.sort().flatMap((name) => ["--test", name]),
    ],
    count: cargoTestCounts,
    beside: true,
  };
}

async function wholeGate(): Promise<Group[]> {
  const specs = testFiles(".spec.ts", "web-tests").filter((file) => !byHand.includes(file));
  return [
    { name: "checks", timeoutSeconds: 3_000, command: ["scripts/check"], count: plainCounts },
    build("build of the package"),
    ...testBuilds.map(({ folder, args }) => build(`build in ${folder}`, ...args)),
    ...unitTests(),
    await nativeTests(),
    vodozemacOnly(),
    {
      name: "packages, built twice",
      timeoutSeconds: 3_000,
      command: [process.execPath, "--import", "tsx", "scripts/reproduce.ts"],
      count: plainCounts,
      beside: true,
    },
    oracle(),
    {
      name: "drift of the clients' code",
      timeoutSeconds: 900,
      command: [process.execPath, "--import", "tsx", "scripts/drift.ts"],
      count: plainCounts,
      beside: true,
    },
    {
      name: "advisories of dependencies",
      timeoutSeconds: 900,
      // What becomes known of a dependency comes with no change, so it fails none.
      command: [process.execPath, "--import", "tsx", "scripts/audit.ts", "--news"],
      count: plainCounts,
      beside: true,
      mayBeSkipped: true,
    },
    {
      name: "core, in both browsers",
      timeoutSeconds: 1_200,
      command: [process.execPath, "--import", "tsx", "web-tests/wasm/run.ts"],
      count: cargoTestCounts,
    },
    nodeGroup(
      "specs, three at a time",
      "specs-together",
      specs.filter((file) => !alone.includes(file)),
      { concurrency: 3, timeoutSeconds: 3_600, drivesBrowsers: true },
    ),
    nodeGroup(
      "specs, one at a time",
      "specs",
      specs.filter((file) => alone.includes(file)),
      { concurrency: 1, timeoutSeconds: 3_600, drivesBrowsers: true },
    ),
  ];
}

/** What needs neither browser nor WASM. */
async function quickGate(): Promise<Group[]> {
  return [
    {
      name: "checks",
      timeoutSeconds: 1_500,
      command: ["scripts/check", "--quick"],
      count: plainCounts,
    },
    ...unitTests(),
    await nativeTests(),
  ];
}

/** Tests of TypeScript beside what they test, without a browser. */
function unitTests(): Group[] {
  const files = testFiles(".test.ts", "extension", "scripts", "web-tests");
  if (files.length === 0) return [];
  return [nodeGroup("TypeScript", "unit", files, { concurrency: 2, timeoutSeconds: 900 })];
}

const slug = (name: string): string => name.replace(/\W+/g, "-");

interface Ended {
  outcome: RunResult;
  seconds: number;
}

async function runGroup(group: Group): Promise<Ended> {
  group.prepare?.();
  const [command, ...args] = group.command;
  const start = performance.now();
  const outcome = await run(command, args, {
    timeoutSeconds: group.timeoutSeconds,
    echo: group.beside !== true,
    log: path.join(root, results, `${slug(group.name)}.log`),
  });
  return { outcome, seconds: Math.round((performance.now() - start) / 1_000) };
}

main("test", async () => {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: "" },
      quick: { type: "boolean", default: false },
    },
  });
  mkdirSync(path.join(root, results), { recursive: true });
  const started = performance.now();
  const all = await (values.quick ? quickGate() : wholeGate());
  const groups = all.filter((group) => group.name.includes(values.only));
  if (groups.length === 0) {
    const names = all.map((group) => `"${group.name}"`).join(", ");
    throw new Failure(`no group's name holds "${values.only}"; there are ${names}.`);
  }

  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  const summary: string[] = [];
  /** What failed at first and passed at the second try; said, since it wants mending. */
  const unsteady: string[] = [];
  const conclude = async (group: Group, { outcome, seconds }: Ended): Promise<Counts> => {
    const counts = group.count(outcome.output) ?? { passed: 0, failed: 1, skipped: 0 };
    // A group that ends badly without a failed test in its counts is itself the failure.
    if (!outcome.ok && counts.failed === 0) counts.failed = 1;
    const ranSome = counts.passed > 0 || (group.mayBeSkipped === true && counts.skipped > 0);
    if (outcome.ok && group.count !== noCounts && !ranSome) counts.failed += 1;
    const again = outcome.ok || outcome.timedOut ? undefined : group.again?.();
    if (again !== undefined) {
      console.log(`\n=== ${group.name}: what ran out of time, once more`);
      const [program, ...rest] = again.command;
      const timeoutSeconds = group.timeoutSeconds;
      const second = await run(program, rest, { timeoutSeconds, echo: true });
      if (second.ok) {
        counts.passed += counts.failed;
        counts.failed = 0;
        unsteady.push(...again.failures.map((failure) => `UNSTEADY ${failure}`));
      }
    }
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
    const how = outcome.timedOut ? `, ended after its ${group.timeoutSeconds} s` : "";
    const where = group.beside === true ? ", beside the others" : "";
    summary.push(
      `${counts.failed === 0 ? "ok    " : "FAILED"} ${group.name}: ${counts.passed} passed, ` +
        `${counts.failed} failed, ${counts.skipped} skipped (${seconds} s${where}${how})`,
    );
    if (counts.failed > 0) {
      const failures = (group.failures ?? failuresByWord)(outcome.output);
      summary.push(...failures.slice(0, MOST_FAILURES).map((line) => `         ${line}`));
    }
    if (group.count === nextestCounts || group.count === cargoTestCounts) {
      if (counts.skipped > 0) {
        summary.push(...ignoredTests().map((test) => `         skipped ${test}`));
      }
    }
    return counts;
  };

  let blocked = "";
  const beside: { group: Group; ended: Promise<Ended> }[] = [];
  const concludeBeside = async (): Promise<void> => {
    for (const { group, ended } of beside.splice(0)) {
      const outcome = await ended;
      console.log(`\n=== ${group.name}\n${outcome.outcome.output.trimEnd()}`);
      await conclude(group, outcome);
    }
  };
  for (const group of groups) {
    if (group.inQuiet === true) await concludeBeside();
    if (blocked !== "") {
      total.failed += 1;
      summary.push(`FAILED ${group.name}: not run, because of: ${blocked}`);
    } else if (group.beside === true) {
      console.log(`\n=== ${group.name}: begun, beside the next`);
      beside.push({ group, ended: runGroup(group) });
    } else {
      console.log(`\n=== ${group.name}`);
      const counts = await conclude(group, await runGroup(group));
      if (group.needed === true && counts.failed > 0) blocked = group.name;
    }
  }
  await concludeBeside();

  const seconds = Math.round((performance.now() - started) / 1_000);
  console.log(`\n=== summary, after ${seconds} s\n${[...summary, ...unsteady].join("\n")}\n`);
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed === 0 ? 0 : 1;
});
