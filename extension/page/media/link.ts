import { decodeText, parseJson, stringify } from "../primordials/primordials.ts";
import type { HandlerAction, Delegate } from "../intercept/decision.ts";
import { bodyBytes } from "../intercept/handlers.ts";
import type { PausedRequest, Outcome } from "../intercept/handlers.ts";
import { ask } from "../dialogs/prompt.ts";
import type { Question } from "../dialogs/prompt.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { guarded, mediaModule } from "./module.ts";
import { refused } from "../intercept/refusal.ts";

/** Beginning of the paths that need no signing in; a text without it is not looked into. */
export const OPEN_MEDIA = "/_matrix/media/";
export const NOT_SENT = "You chose not to send this message.";

/** As `decideLinks()` tells it. */
type Decision = { host: string | null } & (
  | { kind: "pass" | "flag" }
  | { kind: "replace"; sentence: string }
  | { kind: "ask"; question: Question }
);

/** What becomes of a text that may link to media which needs no signing in. */
export interface LinkFate {
  /** The person chose not to send it, or to leave what is copied. */
  readonly isStopped: boolean;
  /** Instead of the one given. */
  readonly text?: string;
  /** What the person is to be told where nothing else shows the change. */
  readonly sentence?: string;
  /** For the ledger; undefined where there was no such link. */
  readonly noted?: HandlerAction;
  /** Host of the first link. */
  readonly host: string;
}

/** Decides as the shield is set, and asks the person where it says so. */
export async function linkFate(
  shield: string,
  text: string,
  isCopied: boolean,
  signal?: AbortSignal,
): Promise<LinkFate> {
  const glue = await mediaModule();
  const settings = stringify(shieldSettings(shield) ?? {});
  const decision = parseJson(guarded(() => glue.decideLinks(settings, text, isCopied))) as Decision;
  const replaced = (isAuthenticated: boolean): string =>
    guarded(() => glue.replaceLinks(text, isAuthenticated));
  const host = decision.host ?? "";
  switch (decision.kind) {
    case "pass":
      return { host, isStopped: false };
    case "flag":
      return { host, isStopped: false, noted: "flagged" };
    case "replace":
      return {
        host,
        isStopped: false,
        text: replaced(false),
        sentence: decision.sentence,
        noted: "rewritten",
      };
    case "ask": {
      const asked = signal === undefined ? decision.question : { ...decision.question, signal };
      const { choice } = await ask(asked);
      const isStopped = choice !== "send" && choice !== "mxc" && choice !== "authenticated";
      if (isStopped || choice === "send") return { host, isStopped, noted: "asked" };
      return { host, isStopped, text: replaced(choice === "authenticated"), noted: "asked" };
    }
  }
}

/** A clear message that links to media which needs no signing in. */
export async function handleLinks(request: PausedRequest, delegate: Delegate): Promise<Outcome> {
  const body = decodeText(await bodyBytes(request.body));
  const { isStopped, text, noted } = await linkFate(delegate.shield, body, false, request.signal);
  if (isStopped) return refused(NOT_SENT, "asked");
  return {
    kind: "send",
    ...(text === undefined ? {} : { body: text }),
    ...(noted === undefined ? {} : { noted }),
  };
}
