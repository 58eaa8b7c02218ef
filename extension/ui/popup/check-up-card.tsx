/** The popup's way to the check-up, and how much the last one found. */
import type { JSX } from "preact";

import { openPage, sendToTab } from "../../browser/api.ts";
import { counted, text } from "../../browser/messages.ts";
import { FOUND_KEY, readCheckUpOutcome, readFound } from "../../protocol/check-up.ts";

/** How much the last check-up of the tab's account found; undefined where there was none. */
export async function lastFound(tabId: number): Promise<number | undefined> {
  const query = { kind: "check-up-query", task: { do: "load" } };
  const kept = readCheckUpOutcome(await sendToTab(tabId, query).catch(() => undefined));
  return kept?.is === "kept" ? readFound(kept.entries[FOUND_KEY])?.count : undefined;
}

export function openCheckUp(tabId: number): void {
  void openPage(`checkup.html?tab=${String(tabId)}`).then(() => window.close());
}

/** There only where something was found. */
export function CheckUpCard({
  found,
  open,
}: {
  readonly found: number;
  readonly open: () => void;
}): JSX.Element {
  return (
    <section id="check-up" class="card bad" hidden={found === 0}>
      {found > 0 && (
        <>
          <h2>{counted("checkupNeeds", found)}</h2>
          <p>{text("checkupNeedsText")}</p>
          <button class="primary" type="button" onClick={open}>
            {text("checkupOpen")}
          </button>
        </>
      )}
    </section>
  );
}
