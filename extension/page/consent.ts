/**
 * Asks before something leaves. The shield has the words (`Question` in core/src/shields.rs); here
 * they are shown, and lasting answers kept: under a hash, so that neither users nor rooms are named.
 */
import { digestText } from "./captured.ts";
import type { Asked, Taker } from "./decision.ts";
import type { HeldRequest, Outcome, RequestHandler } from "./handlers.ts";
import { Memory } from "./memory.ts";
import { ask } from "./question.ts";
import { refused } from "./refusal.ts";

const NOT_SENT = "You chose not to send this.";
const SEND = "send";
const memory = new Memory("answers");

/** How it was decided, or that it may not leave. */
type Consent = "asked" | "remembered" | undefined;

/** Dismissing the question is a no. */
async function consentTo(asked: Asked, signal?: AbortSignal): Promise<Consent> {
  const { title, text, send, remember } = asked;
  const key = remember === null ? undefined : await digestText(asked.key);
  if (key !== undefined && (await memory.recall(key)) === SEND) return "remembered";
  const answer = await ask({
    title,
    text: [text],
    choices: [
      { id: SEND, label: send, kind: "primary" },
      { id: "cancel", label: "Cancel", kind: "plain" },
    ],
    ...(key === undefined || remember === null
      ? {}
      : { remember: [{ id: "remember", label: remember }] }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (answer.choice !== SEND) return undefined;
  if (key !== undefined && answer.remember.length > 0) await memory.remember(key, SEND);
  return "asked";
}

/** For an inquiry; without a question it is refused. */
export async function isPermitted({ question }: Taker): Promise<boolean> {
  return question !== null && (await consentTo(question)) !== undefined;
}

/** Holds a request until the person has decided. */
export const askHandler: RequestHandler = {
  async handle({ signal }: HeldRequest, { question }: Taker): Promise<Outcome> {
    const consent = question === null ? undefined : await consentTo(question, signal);
    if (consent === undefined) return refused(NOT_SENT, "asked");
    return { kind: "send", noted: consent === "asked" ? "asked" : "flagged" };
  },
};
