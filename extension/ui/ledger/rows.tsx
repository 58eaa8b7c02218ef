/** What a row of the ledger says, and what all that are shown come to. */
import type { JSX } from "preact";

import type { DayRow } from "../../browser/ledger.ts";
import { counted, inDigits, language, text } from "../../browser/messages.ts";
import { nameOfShield } from "../shared/shield-name.ts";
import { handledIn } from "./selection.ts";
import { ACTIONS } from "./words.ts";

/** Stands for the number in a text, so that it can be set apart wherever a language puts it. */
const MARK = "\u0001";

export function Total({
  isEmpty,
  shown,
}: {
  readonly isEmpty: boolean;
  readonly shown: readonly DayRow[];
}): JSX.Element {
  if (isEmpty) return <>{text("ledgerEmpty")}</>;
  if (shown.length === 0) return <>{text("ledgerNoneFound")}</>;
  const total = handledIn(shown);
  const [before = "", after = ""] = counted("ledgerTotal", total, [], MARK).split(MARK);
  return (
    <>
      {before}
      <b>{inDigits(total)}</b>
      {after}
    </>
  );
}

let format: Intl.DateTimeFormat | undefined;

/** Once the person's language is known; one is made for all rows, since that is slow. */
function timeOf(milliseconds: number): string {
  format ??= new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" });
  return format.format(milliseconds);
}

export function Row({ row }: { readonly row: DayRow }): JSX.Element {
  return (
    <>
      <span role="cell" class="when">
        {timeOf(row.last)}
      </span>
      <span role="cell">
        {text("ledgerWhat", nameOfShield(row.shield), text(ACTIONS[row.action]))}
        <small>{row.endpoint}</small>
      </span>
      <span role="cell" class="to" title={row.host}>
        {row.host}
      </span>
      <span role="cell" class="times">
        {text("ledgerTimes", inDigits(row.count))}
      </span>
    </>
  );
}
