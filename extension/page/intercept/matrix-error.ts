import { stringify } from "../primordials/primordials.ts";
import { translated } from "../texts/texts.ts";

/**
 * The body of a Matrix error (Client-Server API, 'Standard error response'); Element makes a message
 * of `error`, which is translated where it is a module's own. The one place of the page's script that builds it; the core builds those of its own
 * replies.
 */
export function matrixError(error: string, errcode = "M_FORBIDDEN"): string {
  return stringify({ errcode, error: translated(error) });
}
