import assert from "node:assert/strict";
import { test } from "node:test";

import type { RememberedAnswer } from "../../browser/page-store.ts";
import { answerText } from "./answer-text.ts";

test("a remembered answer is listed as what it does, never as its opposite", () => {
  const origin = "https://chat.example.org:8443";
  const answer = (more: Pick<RememberedAnswer, "about" | "choice">): string =>
    answerText({ name: "page/x", origin, server: "hs.example.org", day: "2026-01-31", ...more });
  // Without a table, a text is its name.
  for (const [about, choice, line] of [
    ["other", "encrypt", "answersRelations: answersEncrypt (2026-01-31)"],
    ["other", "readable", "answersRelations: answersReadable (2026-01-31)"],
    ["other", "send", "answersOther (2026-01-31)"],
    ["call-server", "send", "answersCallServer (2026-01-31)"],
    ["room", "clean", "answersRoom: answersClean (2026-01-31)"],
    ["room", "send", "answersRoom: answersSend (2026-01-31)"],
    ["server", "clean", "answersServer: answersClean (2026-01-31)"],
    ["server", "send", "answersServer: answersSend (2026-01-31)"],
  ] as const) {
    assert.equal(answer({ about, choice }), line);
  }
});
