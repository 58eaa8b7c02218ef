/** Whether a session of the leak report went as a person's day does: a row tells nothing else. */
import assert from "node:assert/strict";
import type { BrowserKind } from "../support/browsers.ts";
import type { Report } from "./report.ts";

const FEWEST_CHECKS = 12;

/** Fails with the steps that did not work. */
export function sessionWorked(report: Report, browser: BrowserKind, withMantle: boolean): void {
  const session = report.sessions.find(
    (run) => run.browser === browser && run.withMantle === withMantle,
  );
  const checks = Object.entries(session?.checks ?? {});
  assert.ok(checks.length >= FEWEST_CHECKS, "the session did not get far");
  assert.deepEqual(
    checks.filter(([, outcome]) => outcome !== true),
    [],
  );
}
