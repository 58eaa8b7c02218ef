/** What a remembered answer does, in one line. */
import type { RememberedAnswer } from "../../browser/page-store.ts";
import { text } from "../../browser/messages.ts";

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
