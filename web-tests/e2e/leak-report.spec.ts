/** The leak report: one session, both browsers, without and with Mantle. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { before, describe, it } from "node:test";
import { bothBrowsers } from "../support/browsers.ts";
import { reportPage } from "../report/page.ts";
import { ROWS } from "../report/rows.ts";
import { makeReport, readTables, reportTable } from "../report/run.ts";
import type { Report } from "../report/report.ts";
import { sessionWorked } from "../report/worked.ts";
import type { Tables } from "../report/run.ts";
import type { SessionResult } from "../report/driven.ts";
import { oddSwitches, openReplay, SWITCHED_IN } from "../report/switches.ts";
import type { Replay } from "../report/switches.ts";

const root = path.resolve(import.meta.dirname, "../..");

describe("leak report", { timeout: 800_000 }, () => {
  let report: Report;
  let sessions: readonly SessionResult[];
  let replay: Replay;
  let tables: Tables;

  before(async () => {
    ({ report, sessions } = await makeReport(() => undefined));
    replay = await openReplay();
    tables = await readTables();
  });

  for (const kind of bothBrowsers) {
    it(`shows each leak without Mantle in ${kind}, and none with a shield that is on`, () => {
      const rows = report.rows.filter((row) => row.shielded && row.notDriven === null);
      assert.ok(rows.length > 30, `only ${rows.length} rows have a shield`);
      const silent = rows.filter((row) => (row.counts[kind]?.without ?? 0) === 0);
      const leaking = rows.filter((row) => (row.counts[kind]?.with ?? 0) > 0);
      assert.deepEqual(
        { silent: silent.map(({ id }) => id), leaking: leaking.map(({ id }) => id) },
        { silent: [], leaking: [] },
      );
    });

    for (const withMantle of [false, true]) {
      it(`worked in ${kind} ${withMantle ? "with" : "without"} Mantle`, () => {
        sessionWorked(report, kind, withMantle);
      });
    }

    it(`restores what was seen in ${kind} by switching its shield off, and only that`, () => {
      const session = sessions.find((run) => run.browser === kind && !run.withMantle);
      assert.ok(session !== undefined);
      assert.deepEqual(oddSwitches(replay, session.seen, tables), []);
    });

    it(`shows what no shield covers yet honestly in ${kind}`, () => {
      const open = report.rows.filter((row) => row.shield === null && row.notDriven === null);
      const hidden = open.filter((row) => (row.counts[kind]?.with ?? 0) === 0);
      assert.deepEqual(
        hidden.map(({ id }) => id),
        [],
      );
    });
  }

  it("has a row for every leak, and a reason for each that is not driven", () => {
    assert.equal(new Set(ROWS.map(({ id }) => id)).size, ROWS.length);
    assert.deepEqual(report.rows.map(({ id }) => id).sort(), ROWS.map(({ id }) => id).sort());
    for (const row of ROWS) if ("notDriven" in row) assert.ok(row.notDriven.length > 10, row.id);
  });

  it("leaves the switches of a few rows to other specs, which have them", async () => {
    for (const [id, file] of Object.entries(SWITCHED_IN)) {
      const shield = tables.leaks.find((leak) => leak.id === id)?.shield ?? id;
      const text = await readFile(path.join(root, file), "utf8");
      assert.match(
        text,
        // Set by name, or listed among what a loop over switches watches.
        new RegExp(`"?${shield}"?: ("o(n|ff)"|\\(\\{)`),
        `${file} never switches ${shield}`,
      );
    }
  });

  it("is a self-contained page and a table with every row", () => {
    const page = reportPage(report);
    assert.doesNotMatch(page, /<script|<link|src=|href=|url\(/);
    const table = reportTable(report);
    for (const row of report.rows) {
      assert.ok(page.includes(`id="${row.id}"`), row.id);
      assert.ok(table.includes(row.what), row.id);
    }
    // A link preview or a canary in the report would be a leak of its own.
    assert.doesNotMatch(page, /syt_[a-z]/i);
  });
});
