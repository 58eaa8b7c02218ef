import type { BrowserKind } from "../support/browsers.ts";
import type { SessionResult } from "./driven.ts";

/** One line of the report. */
export interface ReportRow {
  readonly id: string;
  readonly section: string;
  readonly what: string;
  readonly to: string;
  readonly shield: string | null;
  /** True when the shield is on where this is counted. */
  readonly shielded: boolean;
  /** True when it is off as recommended, and the session has switched it on. */
  readonly isChosen: boolean;
  /** Why the session cannot make this leak happen, or null. */
  readonly notDriven: string | null;
  /** Times seen, by browser. */
  readonly counts: Partial<Record<BrowserKind, { without: number; with: number }>>;
}

/** The whole report; report.json holds exactly this. */
export interface Report {
  readonly made: string;
  readonly rows: ReportRow[];
  readonly sessions: Omit<SessionResult, "leaks" | "seen">[];
  /** Why the report counts as failed; empty when all is well. */
  readonly failures: string[];
}
