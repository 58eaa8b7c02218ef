import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { elementPage } from "../element/page.ts";
import { bothBrowsers } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { LOGIN_TOKENS } from "../support/single-sign-on.ts";
import { startWorld } from "../support/world.ts";
import { reportPage } from "./page.ts";
import type { Report, ReportRow } from "./report.ts";
import { ROWS } from "./rows.ts";
import { runOnElement } from "./running-client.ts";
import { FOREIGN_PARTS, runSession } from "./session.ts";
import type { SessionResult } from "./driven.ts";

/** What the specs and the report use of tables.json. */
export interface Tables {
  readonly sections: readonly string[];
  readonly shields: readonly { id: string; default: string; modes: readonly string[] }[];
  readonly leaks: readonly {
    id: string;
    section: number;
    what: string;
    to: string;
    shield: string | null;
  }[];
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Where the build for the tests' site is. */
export function testBuild(kind: BrowserKind): string {
  const folder = join(process.env["MANTLE_TEST_BUILD"] ?? join(ROOT, "build/test"), kind);
  if (!existsSync(join(folder, "manifest.json"))) {
    throw new Error(
      "Mantle is not built for the tests: run " +
        "scripts/build --site https://chat.example.org --out build/test.",
    );
  }
  return folder;
}

/** Runs the session in each browser without and with Mantle. */
export async function makeReport(
  say: (line: string) => void,
  options: { kinds?: readonly BrowserKind[]; slidingSync?: boolean } = {},
): Promise<{ report: Report; sessions: readonly SessionResult[] }> {
  const kinds = options.kinds ?? bothBrowsers;
  const tables = await readTables();
  const extensions = new Map(bothBrowsers.map((kind) => [kind, testBuild(kind)]));
  const world = await startWorld({
    withOpenMedia: true,
    synapseConfig: LOGIN_TOKENS,
    client: { config: (config) => ({ ...config, ...FOREIGN_PARTS }) },
  });
  const sessions: SessionResult[] = [];
  try {
    for (const kind of kinds) {
      for (const extension of [undefined, extensions.get(kind)]) {
        say(`${kind} ${extension === undefined ? "without" : "with"} Mantle …`);
        sessions.push(await runSession(world, kind, extension, options));
      }
    }
  } finally {
    await world.close();
  }
  return { report: reportOf(tables, sessions), sessions };
}

/** The same for a built Element Web: what it does not do is not driven, never closed. */
export async function makeElementReport(
  folder: string | undefined,
  say: (line: string) => void,
): Promise<Report> {
  const tables = await readTables();
  const element = await elementPage(folder);
  const extensions = new Map(bothBrowsers.map((kind) => [kind, testBuild(kind)]));
  // What a client of 2024 can make is what all can be tried with.
  const world = await startWorld({ synapseConfig: { default_room_version: "11" } });
  const sessions: SessionResult[] = [];
  try {
    for (const kind of bothBrowsers) {
      for (const extension of [undefined, extensions.get(kind)]) {
        say(`${kind} ${extension === undefined ? "without" : "with"} Mantle …`);
        const recorder = await world.openRecorder();
        recorder.route("chat.example.org", element);
        sessions.push(await runOnElement(world, recorder, kind, extension));
      }
    }
  } finally {
    await world.close();
  }
  return reportOf(tables, sessions, "this build did not do it in the session");
}

/** With `unseen`, a row that nothing was seen of, with or without Mantle, is not driven. */
export function reportOf(tables: Tables, sessions: readonly SessionResult[], unseen?: string): Report {
  const rows = tables.leaks
    .map((leak) => reportRow(leak, tables, sessions))
    .map((row) => {
      const isSeen = Object.values(row.counts).some((count) => count.without > 0 || count.with > 0);
      return unseen === undefined || isSeen || row.notDriven !== null
        ? row
        : { ...row, notDriven: unseen };
    });
  return {
    made: new Date().toISOString(),
    rows,
    sessions: sessions.map(({ leaks: _leaks, seen: _seen, ...session }) => session),
    failures: failures(rows, sessions),
  };
}

/** The tables the Rust core generates; throws when they and the report's rows disagree. */
export async function readTables(): Promise<Tables> {
  const text = await readFile(join(ROOT, "extension/generated/tables.json"), "utf8");
  const tables = JSON.parse(text) as Tables;
  const driven = new Set(ROWS.map((row) => row.id));
  const told = new Set(tables.leaks.map((leak) => leak.id));
  const missing = [
    ...[...told].filter((id) => !driven.has(id)).map((id) => `${id} has no row in rows.ts`),
    ...[...driven].filter((id) => !told.has(id)).map((id) => `${id} is not in core/shields/src/catalogue.rs`),
  ];
  if (missing.length > 0) throw new Error(`The tables disagree: ${missing.join("; ")}.`);
  return tables;
}

function reportRow(
  leak: Tables["leaks"][number],
  tables: Tables,
  sessions: readonly SessionResult[],
): ReportRow {
  const row = ROWS.find((candidate) => candidate.id === leak.id);
  const counts: ReportRow["counts"] = {};
  for (const kind of bothBrowsers) {
    const seen = (withMantle: boolean): number =>
      sessions.find((run) => run.browser === kind && run.withMantle === withMantle)?.leaks[
        leak.id
      ] ?? 0;
    counts[kind] = { without: seen(false), with: seen(true) };
  }
  const isChosen =
    row !== undefined &&
    "isChosen" in row &&
    sessions.every((session) => session.seen.chosenSince !== undefined);
  return {
    id: leak.id,
    section: `${leak.section} ${tables.sections[leak.section - 1] ?? ""}`,
    what: leak.what,
    to: leak.to,
    shield: leak.shield,
    shielded:
      isChosen ||
      tables.shields.some(
        // A shield that asks by default acts without asking where it can vouch for the outcome.
        (shield) => shield.id === leak.shield && /^(on|ask)$/.test(shield.default),
      ),
    isChosen,
    notDriven: row !== undefined && "notDriven" in row ? row.notDriven : null,
    counts,
  };
}

function failures(rows: readonly ReportRow[], sessions: readonly SessionResult[]): string[] {
  const found: string[] = [];
  for (const row of rows.filter((candidate) => candidate.shielded && candidate.notDriven === null)) {
    for (const [kind, count] of Object.entries(row.counts)) {
      if (count.with > 0) found.push(`${row.id} still leaks ${count.with} × in ${kind} with Mantle.`);
      if (count.without === 0) {
        found.push(`${row.id} did not leak in ${kind} without Mantle, so it proves nothing.`);
      }
    }
  }
  for (const session of sessions) {
    for (const [what, outcome] of Object.entries(session.checks)) {
      if (outcome === true) continue;
      const how = session.withMantle ? "with" : "without";
      found.push(`In ${session.browser} ${how} Mantle a check failed: ${what}: ${outcome}.`);
    }
  }
  return found;
}

/** The report as lines for a terminal. */
export function reportTable(report: Report): string {
  const kinds = bothBrowsers;
  const titles = ["leak", "server", ...kinds.flatMap((kind) => [`${kind} without`, "with"])];
  const lines: string[][] = [];
  let section = "";
  for (const row of report.rows) {
    if (row.section !== section) lines.push([(section = row.section)]);
    lines.push([
      `  ${row.shielded ? (row.isChosen ? "◐" : "●") : "○"} ${row.what}`,
      row.to,
      ...(row.notDriven === null
        ? kinds.flatMap((kind) => [
            String(row.counts[kind]?.without ?? 0),
            String(row.counts[kind]?.with ?? 0),
          ])
        : ["–"]),
    ]);
  }
  const widths = titles.map((title, column) =>
    Math.max(
      title.length,
      ...lines.filter((line) => line.length > 1).map((line) => line[column]?.length ?? 0),
    ),
  );
  const print = (line: string[]): string =>
    line
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  const shielded = report.rows.filter((row) => row.shielded && row.notDriven === null).length;
  const driven = report.rows.filter((row) => row.notDriven === null).length;
  return [
    print(titles),
    ...lines.map((line) => (line.length === 1 ? `\n${line[0]}` : print(line))),
    "",
    `● a shield is on for this leak, ◐ one that is off as recommended was switched on for it,`,
    `○ none is on or none possible, – the session cannot cause it.`,
    `Numbers: how often the server learnt it; request headers: how many servers did.`,
    `${report.rows.length} leaks, ${driven} driven, ${shielded} with a shield that is on.`,
  ].join("\n");
}

const USAGE = "usage: scripts/demo [--element DIR]   DIR: a built Element Web, or a fork of it\n";

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { element: { type: "string" }, help: { type: "boolean", default: false } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const report =
    values.element === undefined
      ? (await makeReport(say)).report
      : await makeElementReport(values.element, say);
  const folder = join(ROOT, "report");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "report.json"), JSON.stringify(report, null, 2) + "\n");
  await writeFile(join(folder, "report.html"), reportPage(report));
  process.stdout.write(`${reportTable(report)}\n\nWritten: report/report.html, report/report.json\n`);
  for (const failure of report.failures) process.stdout.write(`FAILED: ${failure}\n`);
  return report.failures.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Nothing may run for ever, whatever a browser does.
  setTimeout(() => {
    process.stderr.write("The report took longer than ten minutes and was stopped.\n");
    process.exit(1);
  }, 600_000).unref();
  main().then(
    (code) => process.exit(code),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exit(1);
    },
  );
}
