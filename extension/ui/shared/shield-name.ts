/** What a shield of the ledger is called, also where its settings are not read. */
import { ofTables, text } from "../../browser/messages.ts";

/** Decisions of no shield stand in the ledger under these names. */
const OF_NO_SHIELD: readonly string[] = ["router"];

export function nameOfShield(shield: string): string {
  return OF_NO_SHIELD.includes(shield)
    ? text("ledgerUnknown")
    : ofTables(`shield_${shield}_name`, shield);
}
