import { result } from "../primordials/primordials.ts";
import type { SyntheticReply } from "./decision.ts";
import type { Outcome } from "./handlers.ts";
import { matrixError } from "./matrix-error.ts";
import { text } from "../texts/texts.ts";

/** The answer to a protected write that no core can look at. */
export function refusal(): SyntheticReply {
  return {
    status: 403,
    statusText: "Forbidden",
    headers: [["Content-Type", "application/json"]],
    body: matrixError(text("stopped")),
  };
}

/** What Element makes an error message of; a file stays where the person took it from. */
export function refused(
  error: string,
  noted: "asked" | "blocked",
  errcode = "M_FORBIDDEN",
): Outcome {
  return result<Outcome>({ kind: "reply", status: 403, body: matrixError(error, errcode), noted });
}
