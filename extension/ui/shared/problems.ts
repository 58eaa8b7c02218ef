/** What is wrong and what to do about it, one sentence each. */
import { counted, text, translated } from "../../browser/messages.ts";
import type { SettingsView } from "../../browser/settings-core.ts";
import { element } from "./dom.ts";

export async function problemsOf(
  { problems }: SettingsView,
  refusedRules: number,
): Promise<string[]> {
  const said = await Promise.all(problems.map(translated));
  return refusedRules > 0 ? [...said, counted("rulesRefused", refusedRules)] : said;
}

export function showProblems(section: HTMLElement, problems: readonly string[]): void {
  section.hidden = problems.length === 0;
  section.replaceChildren(
    element("h2", { text: text("problems") }),
    ...problems.map((problem) => element("p", { text: problem })),
  );
}
