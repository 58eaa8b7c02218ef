/** How many requests each shield stopped or changed. */
import { type LedgerRow, isHandled } from "../../browser/ledger.ts";

/** By the shield's id; those that did nothing are left out. */
export function handledByShield(
  rows: readonly Pick<LedgerRow, "shield" | "action" | "count">[],
): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const { shield, action, count } of rows) {
    if (isHandled(action)) totals.set(shield, (totals.get(shield) ?? 0) + count);
  }
  return totals;
}
