import { forgetLearned } from "../../browser/learned.ts";
import { clearLedger } from "../../browser/ledger.ts";

/** Forgets what was counted, and the hosts that sites named. */
export function clearCounts(): void {
  void clearLedger();
  void forgetLearned(() => true);
}
