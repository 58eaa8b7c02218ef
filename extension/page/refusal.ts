import { stringify } from "./captured.ts";
import type { Outcome } from "./handlers.ts";

/** What Element makes an error message of; a file stays where the person took it from. */
export function refused(error: string, noted: "asked" | "blocked"): Outcome {
  return { kind: "reply", status: 403, body: stringify({ errcode: "M_FORBIDDEN", error }), noted };
}
