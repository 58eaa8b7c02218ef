import { stringify } from "../primordials/primordials.ts";

/**
 * The body of a Matrix error (Client-Server API, 'Standard error response'); Element makes a message
 * of `error`. The one place of the page's script that builds it; the core builds those of its own
 * replies.
 */
export function matrixError(error: string, errcode = "M_FORBIDDEN"): string {
  return stringify({ errcode, error });
}
