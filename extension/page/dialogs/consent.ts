/**
 * Asks before something leaves. The shield has the words (`Question` in core/shields/src/shields.rs); here
 * they are shown, and lasting answers kept: under a hash, so that neither users nor rooms are named.
 */
import { localStorageOf, page, pinned, result } from "../primordials/primordials.ts";
import type { Delegate } from "../intercept/decision.ts";
import type { PausedRequest, Outcome, RequestHandler } from "../intercept/handlers.ts";
import { Memory } from "../channel/memory.ts";
import { answerKey } from "./answer-key.ts";
import { ask } from "./prompt.ts";
import { refused } from "../intercept/refusal.ts";
import { filled, text } from "../texts/texts.ts";

const SEND = "send";
const memory = new Memory("answers");
/** Where Element says who is signed in. */
const USER_KEY = "mx_user_id";

/** How it was allowed; undefined: it was not. */
export type Consent = "asked" | "remembered" | undefined;

/** Dismissing the question is a no. Without a question it is refused. `host` is what it speaks of. */
export async function consentTo(
  { shield, question }: Delegate,
  url: string,
  signal?: AbortSignal,
  decline = text("cancel"),
  host = "",
): Promise<Consent> {
  if (question === null) return undefined;
  const { id, title, text: said, send, remember } = question;
  const key = remember === null ? undefined : await pinned(answerKey(account(), shield, id, url));
  // The options page names a server, to take it back; of users and rooms it knows only the hash.
  const kept = host === "" ? SEND : `connect ${host}`;
  if (key !== undefined && (await pinned(memory.recall(key))) === kept) return "remembered";
  const answer = await ask({
    title,
    text: [filled(said, [host])],
    choices: [
      { id: SEND, label: send, kind: "primary" },
      { id: "cancel", label: decline, kind: "plain" },
    ],
    ...(key === undefined || remember === null
      ? {}
      : { remember: [{ id: "remember", label: remember }] }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (answer.choice !== SEND) return undefined;
  if (key !== undefined && answer.remember.length > 0) await pinned(memory.remember(key, kept));
  return "asked";
}

/** What one person allowed holds for nobody who signs in after them. */
export function account(): string {
  try {
    return localStorageOf(page).getItem(USER_KEY) ?? "";
  } catch {
    return "";
  }
}

/** For what `RequestPolicy.prompt` minds. */
export async function isPermitted(delegate: Delegate): Promise<boolean> {
  return (await pinned(consentTo(delegate, ""))) !== undefined;
}

/** Holds a request until the person has decided. */
export const askHandler: RequestHandler = {
  async handle({ url, signal }: PausedRequest, delegate: Delegate): Promise<Outcome> {
    const consent = await pinned(consentTo(delegate, url, signal));
    if (consent === undefined) return refused(text("notSent"), "asked");
    return result<Outcome>({ kind: "send", noted: consent === "asked" ? "asked" : "flagged" });
  },
};
