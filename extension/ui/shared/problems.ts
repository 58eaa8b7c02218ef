/** What is wrong and what to do about it, one sentence each. */
import { text } from "../../browser/api.ts";
import { element } from "./dom.ts";

export function showProblems(section: HTMLElement, problems: readonly string[]): void {
  section.hidden = problems.length === 0;
  section.replaceChildren(
    element("h2", { text: text("problems") }),
    ...problems.map((problem) => element("p", { text: problem })),
  );
}
