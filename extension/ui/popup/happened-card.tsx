/** What was stopped or changed, in people's words with counts: the first thing the popup shows. */
import type { JSX } from "preact";

import type { PageRow } from "../../browser/ledger.ts";
import { counted, inDigits, text } from "../../browser/messages.ts";
import { nameOfShield } from "../shared/shield-name.ts";
import { type Deed, deedsOf } from "./happened.ts";

/** Lines that are there at once; a click shows the rest. */
const SHOWN_AT_ONCE = 6;
/** Stands for the number in a text, so that it can be set apart wherever a language puts it. */
const MARK = "\u0001";

export interface HappenedCardProps {
  /** The page's own, or of all pages where Mantle has no part in this one; undefined until read. */
  readonly rows: readonly PageRow[] | undefined;
  readonly isHere: boolean;
  /** Whether counts are kept at all. */
  readonly isKept: boolean;
  /** What new sessions are called; undefined while nothing keeps their names plain. */
  readonly sessions: string | undefined;
}

export function HappenedCard({ rows, isHere, isKept, sessions }: HappenedCardProps): JSX.Element {
  const deeds = deedsOf(rows ?? []);
  const rest = deeds.slice(SHOWN_AT_ONCE);
  const isTold = isHere && deeds.some(({ name }) => name === "did_device_name");
  // Where Mantle has no part, an empty list says nothing.
  const isHidden = rows === undefined || (deeds.length === 0 && !isHere);
  return (
    <section id="happened" hidden={isHidden}>
      {!isHidden && (
        <>
          <h2>{text(isHere ? "happenedHere" : "happenedEverywhere")}</h2>
          {deeds.length === 0 ? (
            <p class="hint">{text(isKept ? "happenedNothing" : "happenedNotKept")}</p>
          ) : (
            <Deeds deeds={deeds.slice(0, SHOWN_AT_ONCE)} />
          )}
          {rest.length > 0 && (
            <details>
              <summary>{counted("happenedMore", deeds.length)}</summary>
              <Deeds deeds={rest} />
            </details>
          )}
          {isTold && sessions !== undefined && (
            <p class="sessions">{text("sessionsCalled", sessions)}</p>
          )}
        </>
      )}
    </section>
  );
}

function Deeds({ deeds }: { readonly deeds: readonly Deed[] }): JSX.Element {
  return (
    <ul>
      {deeds.map(({ name, host, shield, count }) => {
        const named = shield === undefined ? host : nameOfShield(shield);
        const [before = "", after = ""] = counted(name, count, [named], MARK).split(MARK);
        return (
          <li key={`${name} ${named}`} data-deed={name} data-host={host}>
            {before}
            <b>{inDigits(count)}</b>
            {after}
          </li>
        );
      })}
    </ul>
  );
}
