/**
 * Asks before something leaves. The shield has the words (`Question` in core/src/shields.rs); here
 * they are shown, and lasting answers kept: under a hash, so that neither users nor rooms are named.
 */
import { digestText, execute, NativeRegExp, then } from "./captured.ts";
import type { Gate, Taker } from "./decision.ts";
import type { HeldRequest, Outcome, RequestHandler } from "./handlers.ts";
import { Memory } from "./memory.ts";
import { ask } from "./question.ts";
import { refused } from "./refusal.ts";

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

/** Asks where somebody minds, once settings are there; undefined: nobody minds. */
export function permissionFor(gate: Gate, what: string): Promise<boolean> | undefined {
  const answer = (): Promise<boolean> | undefined => {
    const taker = gate.inquire(what);
    return taker === undefined ? undefined : isPermitted(taker);
  };
  if (gate.isReady()) return answer();
  return then(gate.whenReady(), () => answer() ?? true);
}

/** Holds a request until the person has decided. */
export const askHandler: RequestHandler = {
  async handle({ url, signal }: HeldRequest, taker: Taker): Promise<Outcome> {
    const consent = await consentTo(taker, url, signal);
    if (consent === undefined) return refused(NOT_SENT, "asked");
    return { kind: "send", noted: consent === "asked" ? "asked" : "flagged" };
  },
};
