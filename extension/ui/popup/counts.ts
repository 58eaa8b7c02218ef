/** What of the ledger the popup shows: of the page it was opened on, or of all where there is none. */
import { type Ledger, type PageRow, isHandled } from "../../browser/ledger.ts";
import { handledByShield } from "../shared/shield-counts.ts";
import type { ShieldCounts } from "../shared/shield-row.tsx";

export interface Counts {
  /** Of requests that were stopped or changed. */
  readonly rows: readonly PageRow[];
  /** Whether counts are kept at all. */
  readonly isKept: boolean;
  /** By shield. */
  readonly totals: ReadonlyMap<string, number>;
  /** On this page, by shield; undefined where Mantle has no part in it. */
  readonly here: ReadonlyMap<string, number> | undefined;
}

/** `relay` is the one of the tab's page as it is now: of an earlier page of that tab nothing counts. */
export function countsIn(
  ledger: Ledger,
  tab: number | undefined,
  relay: string | undefined,
): Counts {
  const page = ledger.pages.find((known) => known.tab === tab && known.relay === relay);
  const isHere = relay !== undefined;
  return {
    rows: isHere ? (page?.rows ?? []) : ledger.rows.filter(({ action }) => isHandled(action)),
    isKept: ledger.days !== 0,
    totals: handledByShield(ledger.rows),
    here: isHere ? new Map(Object.entries(page?.handled ?? {})) : undefined,
  };
}

export function shieldCounts({ totals, here }: Counts, shield: string): ShieldCounts {
  return { here: here && (here.get(shield) ?? 0), total: totals.get(shield) ?? 0 };
}
