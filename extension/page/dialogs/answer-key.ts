/** Under which name a lasting answer is kept. */
import { digestText, execute, NativeRegExp } from "../primordials/primordials.ts";

/** Whom or which room a request is about, wherever the homeserver's API stands; or a call server. */
const ABOUT = new NativeRegExp(
  "^(?:[^?#]*/_matrix/client/(?:[^/?#]+/)+?(?:profile|rooms)/|call-server:)([^/?#]+)",
);

/**
 * A hash, so that neither users nor rooms are named: of the account, the question, and the user, room
 * or server that it is about. undefined where the browser gives pages no cryptography: asked each time.
 */
export function answerKey(
  account: string,
  shield: string,
  question: string,
  url: string,
): Promise<string | undefined> {
  const about = execute(ABOUT, url)?.[1] ?? "";
  return digestText(`${account}\n${shield}/${question}/${about}`);
}
