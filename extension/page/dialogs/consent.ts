/**
 * Asks before something leaves. The shield has the words (`Question` in core/shields/src/shields.rs); here
 * they are shown, and lasting answers kept: under a hash, so that neither users nor rooms are named.
 */
import { digestText, execute, NativeRegExp } from "../primordials/primordials.ts";
import type { Taker } from "../intercept/decision.ts";
import type { HeldRequest, Outcome, RequestHandler } from "../intercept/handlers.ts";
import { Memory } from "../channel/memory.ts";
import { ask } from "./prompt.ts";
import { refused } from "../intercept/refusal.ts";

const NOT_SENT = "You chose not to send this.";
const SEND = "send";
const memory = new Memory("answers");
/** Whom or which room a request is about. */
const ABOUT = new NativeRegExp("/(?:profile|rooms)/([^/?#]+)");

/** How it was allowed; undefined: it was not. */
type Consent = "asked" | "remembered" | undefined;

/** Dismissing the question is a no. Without a question it is refused. */
async function consentTo(
  { shield, question }: Taker,
  url: string,
  signal?: AbortSignal,
): Promise<Consent> {
  if (question === null) return undefined;
  const { id, title, text, send, remember } = question;
  const about = execute(ABOUT, url)?.[1] ?? "";
  const key = remember === null ? undefined : await digestText(`${shield}/${id}/${about}`);
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

/** For what `Gate.inquire` minds. */
export async function isPermitted(taker: Taker): Promise<boolean> {
  return (await consentTo(taker, "")) !== undefined;
}

/** Holds a request until the person has decided. */
export const askHandler: RequestHandler = {
  async handle({ url, signal }: HeldRequest, taker: Taker): Promise<Outcome> {
    const consent = await consentTo(taker, url, signal);
    if (consent === undefined) return refused(NOT_SENT, "asked");
    return { kind: "send", noted: consent === "asked" ? "asked" : "flagged" };
  },
};
