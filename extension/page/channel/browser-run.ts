/** Which run of the browser this is, by what lies in its memory alone. */
import { NativeError } from "../primordials/primordials.ts";
import { askRelay } from "./relay-requests.ts";
import { text } from "../texts/texts.ts";

const ANSWER_TIMEOUT_MS = 10_000;

/** The same in all tabs until the browser ends. Rejects where that cannot be known. */
export async function browserRun(): Promise<string> {
  const answer = await askRelay({ kind: "run" }, ANSWER_TIMEOUT_MS);
  if (answer.kind !== "browser-run") throw new NativeError(text("unexpected"));
  return answer.run;
}
