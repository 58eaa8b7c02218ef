/** A frame's question to the person, in the window around it. */
import { CALL_SERVER_PATIENCE_MS } from "../../protocol/call-server.ts";
import { askRelay } from "./relay-requests.ts";

/** Rejects, or resolves to false, where nobody says yes. */
export async function isAllowedByTop(host: string): Promise<boolean> {
  const answer = await askRelay({ kind: "call-server", host }, CALL_SERVER_PATIENCE_MS);
  return answer.kind === "call-server-allowed" && answer.isAllowed;
}
