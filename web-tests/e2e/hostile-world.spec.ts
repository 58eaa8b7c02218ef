/** The leak report's session in one world that lies in every way at once, both browsers. */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { bothBrowsers } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { MORE_SHIELDS } from "../report/hostile-more.ts";
import { makeHostileReport, requestsBelow } from "../report/hostile-world.ts";
import type { Lies } from "../report/hostile-world.ts";
import type { Report } from "../report/report.ts";
import { sessionWorked } from "../report/worked.ts";
import type { SessionResult } from "../report/driven.ts";

describe("leak report in a hostile world", { timeout: 800_000 }, () => {
  let report: Report;
  let sessions: readonly SessionResult[];
  let lies: Lies;

  before(async () => {
    ({ report, sessions, lies } = await makeHostileReport(() => undefined));
  });

  it("told every lie to every session", () => {
    // Each session loads the configuration, signs up, signs in and syncs at least once.
    const least = sessions.length;
    assert.ok(
      lies.config >= least && lies.syncs >= least && lies.signIns >= least,
      JSON.stringify(lies),
    );
    for (const session of sessions) assert.ok(requestsBelow(session) > 100);
  });

  it("shows each leak without Mantle, and none with a shield that is on", () => {
    const rows = report.rows.filter((row) => row.shielded && row.notDriven === null);
    assert.ok(rows.length > 30, `only ${rows.length} rows have a shield`);
    const of = (kind: BrowserKind, is: (counts: { without: number; with: number }) => boolean) =>
      rows.filter(({ counts }) => is(counts[kind] ?? { without: 0, with: 0 })).map(({ id }) => id);
    for (const kind of bothBrowsers) {
      const silent = of(kind, (counts) => counts.without === 0);
      const leaking = of(kind, (counts) => counts.with > 0);
      assert.deepEqual({ kind, silent, leaking }, { kind, silent: [], leaking: [] });
    }
  });

  it("shows what only this session does, for the shields of which no row is driven", () => {
    for (const { browser, withMantle, seen } of sessions) {
      const counts = MORE_SHIELDS.map((shield) => [shield, seen.elsewhere[shield] ?? -1] as const);
      const wrong = counts.filter(([, count]) => (withMantle ? count !== 0 : count <= 0));
      assert.deepEqual({ browser, withMantle, wrong }, { browser, withMantle, wrong: [] });
    }
  });

  for (const kind of bothBrowsers) {
    for (const withMantle of [false, true]) {
      it(`worked in ${kind} ${withMantle ? "with" : "without"} Mantle`, () => {
        sessionWorked(report, kind, withMantle);
      });
    }
  }
});
