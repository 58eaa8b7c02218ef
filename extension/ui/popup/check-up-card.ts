/** The popup's way to the check-up, and how much the last one found. */
import { openPage, sendToTab } from "../../browser/api.ts";
import { counted, text } from "../../browser/messages.ts";
import { FOUND_KEY, readCheckUpOutcome, readFound } from "../../protocol/check-up.ts";
import { button, element } from "../shared/dom.ts";

/** The card is there only where something was found; the link always. */
export async function showCheckUp(
  card: HTMLElement,
  link: HTMLElement,
  tabId: number,
): Promise<void> {
  const open = (): void => {
    void openPage(`checkup.html?tab=${String(tabId)}`).then(() => window.close());
  };
  link.hidden = false;
  link.textContent = text("checkupTitle");
  link.addEventListener("click", open);
  const query = { kind: "check-up-query", task: { do: "load" } };
  const kept = readCheckUpOutcome(await sendToTab(tabId, query).catch(() => undefined));
  const found = kept?.is === "kept" ? readFound(kept.entries[FOUND_KEY]) : undefined;
  if (found === undefined || found.count === 0) return;
  card.hidden = false;
  card.replaceChildren(
    element("h2", { text: counted("checkupNeeds", found.count) }),
    element("p", { text: text("checkupNeedsText") }),
    button(text("checkupOpen"), "primary", open),
  );
}
