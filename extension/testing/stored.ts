/** What the extension keeps for a page, in memory: answers each request as the relay does. */
import { connectRequests, takeAnswer } from "../page/channel/relay-requests.ts";

export const stored = new Map<string, string>();

connectRequests((request) => {
  const { id } = request;
  if (request.kind === "load") {
    takeAnswer({ kind: "loaded", id, entries: Object.fromEntries(stored) });
  } else if (request.kind === "store") {
    if (request.value === null) stored.delete(request.key);
    else stored.set(request.key, request.value);
    takeAnswer({ kind: "stored", id });
  }
});
