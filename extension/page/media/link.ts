import {
  decodeText,
  own,
  parseJson,
  pinned,
  result,
  stringify,
} from "../primordials/primordials.ts";
import type { HandlerAction, Delegate } from "../intercept/decision.ts";
import { bodyBytes } from "../intercept/handlers.ts";
import type { PausedRequest, Outcome } from "../intercept/handlers.ts";
import { ask } from "../dialogs/prompt.ts";
import type { Question } from "../dialogs/prompt.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { guarded, mediaModule } from "./module.ts";
import { refused } from "../intercept/refusal.ts";
import { text } from "../texts/texts.ts";

/** Beginning of the paths that need no signing in; a text without it is not looked into. */
export const OPEN_MEDIA = "/_matrix/media/";
export const notSent = (): string => text("notSentMessage");

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
  given: string,
  isCopied: boolean,
  signal?: AbortSignal,
): Promise<LinkFate> {
  const glue = await pinned(mediaModule());
  const settings = stringify(shieldSettings(shield) ?? {});
  const decision = parseJson(
    guarded(() => glue.decideLinks(settings, given, isCopied)),
  ) as Decision;
  const replaced = (isAuthenticated: boolean): string =>
    guarded(() => glue.replaceLinks(given, isAuthenticated));
  const host = decision.host ?? "";
  switch (decision.kind) {
    case "pass":
      return result<LinkFate>({ host, isStopped: false });
    case "flag":
      return result<LinkFate>({ host, isStopped: false, noted: "flagged" });
    case "replace":
      return result<LinkFate>({
        host,
        isStopped: false,
        text: replaced(false),
        sentence: decision.sentence,
        noted: "rewritten",
      });
    case "ask": {
      const { question } = decision;
      const asked = signal === undefined ? question : { ...question, signal };
      const { choice } = await ask(asked);
      const isStopped = choice !== "send" && choice !== "mxc" && choice !== "authenticated";
      if (isStopped || choice === "send") {
        return result<LinkFate>({ host, isStopped, noted: "asked" });
      }
      const text = replaced(choice === "authenticated");
      return result<LinkFate>({ host, isStopped, text, noted: "asked" });
    }
  }
}

/** A clear message that links to media which needs no signing in. */
export async function handleLinks(request: PausedRequest, delegate: Delegate): Promise<Outcome> {
  const body = decodeText(await pinned(bodyBytes(request.body)));
  const fate = await pinned(linkFate(delegate.shield, body, false, request.signal));
  const { isStopped, noted, text: changed } = own(fate);
  if (isStopped) return refused(notSent(), "asked");
  return result<Outcome>({
    kind: "send",
    ...(changed === undefined ? {} : { body: changed }),
    ...(noted === undefined ? {} : { noted }),
  });
}
