/** The leak report's whole session once more, with simplified sliding sync in place of `/sync`. */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { makeReport } from "../report/run.ts";
import type { SessionResult } from "../report/driven.ts";
import type { Report } from "../report/report.ts";
import { bothBrowsers } from "../support/browsers.ts";

// One browser: what differs between them the report itself has.
const kind = bothBrowsers[0] ?? "chromium";
/** Rows of `/sync` itself, which is not asked here; each has one of sliding sync beside it. */
const OF_SYNC = ["sync-room-name"];

describe(`the leak report with sliding sync in ${kind}`, { timeout: 420_000 }, () => {
  let report: Report;
  let sessions: readonly SessionResult[];

  before(async () => {
    const options = { kinds: [kind], slidingSync: true };
    ({ report, sessions } = await makeReport(() => undefined, options));
  });

  it("is what the sessions synced by", () => {
    for (const { seen } of sessions) {
      const paths = seen.exchanges.map(({ path }) => path.split("?")[0] ?? "");
      assert.ok(paths.filter((path) => /simplified_msc3575\/sync$/.test(path)).length > 5);
      assert.deepEqual(
        paths.filter((path) => /\/client\/v3\/sync$/.test(path)),
        [],
      );
    }
  });

  it("worked with and without Mantle", () => {
    for (const { withMantle, checks } of sessions) {
      const failed = Object.entries(checks).filter(([, outcome]) => outcome !== true);
      assert.deepEqual(failed, [], withMantle ? "with" : "without");
      assert.ok(Object.keys(checks).length >= 12);
    }
  });

  it("shows each leak without Mantle, and none with a shield that is on", () => {
    const rows = report.rows.filter((row) => row.shielded && row.notDriven === null);
    const leaking = rows.filter((row) => (row.counts[kind]?.with ?? 0) > 0);
    const silent = rows.filter((row) => (row.counts[kind]?.without ?? 0) === 0);
    assert.deepEqual(
      { leaking: leaking.map(({ id }) => id), silent: silent.map(({ id }) => id) },
      { leaking: [], silent: OF_SYNC },
    );
  });
});
