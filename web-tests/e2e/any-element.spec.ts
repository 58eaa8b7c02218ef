/** The leak report of a built Element Web: the tests' interface, or any by `scripts/spec --element`. */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { elementInstalled } from "../element/build.ts";
import { ownBuild } from "../element/page.ts";
import { makeElementReport } from "../report/run.ts";
import type { Report } from "../report/report.ts";
import { bothBrowsers } from "../support/browsers.ts";

const skip =
  ownBuild !== undefined || elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

describe("leak report of a built Element Web", { skip, timeout: 480_000 }, () => {
  let report: Report;

  before(async () => {
    report = await makeElementReport(ownBuild, () => undefined);
  });

  it("could be driven, with and without Mantle", () => {
    for (const { browser, withMantle, checks } of report.sessions) {
      assert.ok(Object.keys(checks).length >= 7, `${browser}: ${Object.keys(checks).join(", ")}`);
      const failed = Object.entries(checks).filter(([, outcome]) => outcome !== true);
      assert.deepEqual(failed, [], `${browser} ${withMantle ? "with" : "without"} Mantle`);
    }
  });

  it("shows none of what a shield is on for", () => {
    const driven = report.rows.filter((row) => row.shielded && row.notDriven === null);
    // A fork's client may lack what the tests' own interface has.
    const least = ownBuild === undefined ? 45 : 15;
    assert.ok(driven.length > least, `only ${driven.map(({ id }) => id).join(", ")}`);
    for (const kind of bothBrowsers) {
      const leaking = driven.filter((row) => (row.counts[kind]?.with ?? 0) > 0);
      assert.deepEqual(
        leaking.map(({ id }) => id),
        [],
        kind,
      );
    }
    assert.deepEqual(report.failures, []);
  });

  it("calls what the build does not do not driven, and never closed", () => {
    const silent = report.rows.filter((row) =>
      Object.values(row.counts).every((count) => count.without === 0 && count.with === 0),
    );
    assert.ok(silent.length > 0);
    assert.deepEqual(
      silent.filter(({ notDriven }) => notDriven === null).map(({ id }) => id),
      [],
    );
  });
});
