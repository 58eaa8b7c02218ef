/** The field that leaves only the shields whose texts hold every word a person typed. */
import { counted, inDigits, text } from "../../browser/messages.ts";
import { element } from "./dom.ts";

/** Built over the families once they are there; folds are as they were when the field is empty. */
export function shieldSearch(parent: HTMLElement, families: HTMLElement): void {
  const field = element("input", { id: "search" });
  field.type = "search";
  field.autocomplete = "off";
  field.spellcheck = false;
  field.placeholder = text("findShield");
  const label = element("label", { text: text("findShield"), class: "unseen" });
  label.htmlFor = field.id;
  const status = element("p", { role: "status", class: "hint" });
  parent.replaceChildren(label, field, status);

  const folds = [...families.querySelectorAll<HTMLDetailsElement>("details.family")];
  const rows = [...families.querySelectorAll<HTMLElement>("[data-shield]")];
  let before: boolean[] | undefined;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isSearching = words.length > 0;
    for (const row of rows) {
      const { shield = "" } = row.dataset;
      const said = [...row.querySelectorAll("h3, .purpose, .loses")].map((at) => at.textContent);
      const all = [shield, ...said].join(" ").toLowerCase();
      row.hidden = !words.every((word) => all.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = isSearching ? counted("found", shown, [inDigits(rows.length)]) : "";
    if (isSearching) before ??= folds.map((fold) => fold.open);
    for (const [at, fold] of folds.entries()) {
      const isEmpty = fold.querySelector("[data-shield]:not([hidden])") === null;
      fold.hidden = isEmpty;
      if (isSearching) fold.open = !isEmpty;
      else if (before !== undefined) fold.open = before[at] ?? false;
    }
    if (!isSearching) before = undefined;
  });
}
