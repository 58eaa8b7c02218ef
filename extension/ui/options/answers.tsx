/** What the person answered once and for all before something was sent; each can be taken back. */
import type { JSX } from "preact";

import { type RememberedAnswer, takeAnswerBack } from "../../browser/page-store.ts";
import { text } from "../../browser/messages.ts";
import { Listed } from "../shared/listed.tsx";
import { answerText } from "./answer-text.ts";

/** Whether a stored name may be one of an answer. */
export const isAnswerName = (name: string): boolean => /\/(?:media|answers)\//.test(name);

export function Answers({
  answers,
  changed,
}: {
  readonly answers: readonly RememberedAnswer[];
  readonly changed: () => void;
}): JSX.Element {
  return (
    <Listed
      id="answers"
      title={text("answers")}
      isEmpty={answers.length === 0}
      hint={text("answersText")}
      lines={answers.map((answer) => {
        const line = answerText(answer);
        return (
          <li key={`${answer.name} ${line}`}>
            <span>{line}</span>
            <button
              class="quiet"
              type="button"
              aria-label={text("answersForgetOf", line)}
              onClick={() => void takeAnswerBack(answer).then(changed)}
            >
              {text("answersForget")}
            </button>
          </li>
        );
      })}
    />
  );
}
