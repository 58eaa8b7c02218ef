/** What the person answered once and for all before something was sent; each can be taken back. */
import {
  type RememberedAnswer,
  rememberedAnswers,
  takeAnswerBack,
} from "../../browser/page-store.ts";
import { text } from "../../browser/messages.ts";
import { button, element } from "../shared/dom.ts";

/** Whether a stored name may be one of an answer. */
export const isAnswerName = (name: string): boolean => /\/(?:media|answers)\//.test(name);

export async function showAnswers(section: HTMLElement): Promise<void> {
  const answers = await rememberedAnswers();
  section.hidden = answers.length === 0;
  const list = element("ul");
  for (const answer of answers) {
    const line = answerText(answer);
    const forget = button(text("answersForget"), "quiet", () => {
      void takeAnswerBack(answer).then(() => showAnswers(section));
    });
    forget.setAttribute("aria-label", text("answersForgetOf", line));
    list.append(element("li", {}, element("span", { text: line }), forget));
  }
  section.replaceChildren(
    element("h2", { text: text("answers") }),
    element("p", { class: "hint", text: text("answersText") }),
    list,
  );
}

/** "Files to hs.example.org, asked on …: sent as they are (2026-01-31)". */
export function answerText({ origin, about, server, choice, day }: RememberedAnswer): string {
  const site = new URL(origin).host;
  const when = day === undefined ? "" : ` (${day})`;
  if (choice === "encrypt" || choice === "readable") {
    const how = text(choice === "encrypt" ? "answersEncrypt" : "answersReadable");
    return `${text("answersRelations", site)}: ${how}${when}`;
  }
  if (about === "call-server") return `${text("answersCallServer", server, site)}${when}`;
  if (about === "other") return `${text("answersOther", site)}${when}`;
  const where = about === "room" ? text("answersRoom", site) : text("answersServer", server, site);
  return `${where}: ${text(choice === "clean" ? "answersClean" : "answersSend")}${when}`;
}
