/** What is wrong and what to do about it, one sentence each. */
import { counted, text } from "../../browser/messages.ts";
import type { SettingsView } from "../../browser/settings-core.ts";
import { element } from "./dom.ts";

export function problemsOf({ problems }: SettingsView, refusedRules: number): string[] {
  return [...problems, ...(refusedRules > 0 ? [counted("rulesRefused", refusedRules)] : [])];
}

export function showProblems(section: HTMLElement, problems: readonly string[]): void {
  section.hidden = problems.length === 0;
  section.replaceChildren(
    element("h2", { text: text("problems") }),
    ...problems.map((problem) => element("p", { text: problem })),
  );
}
