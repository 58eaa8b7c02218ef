import { execute, NativeRegExp } from "../primordials/primordials.ts";
import type { PausedRequest, Outcome } from "../intercept/handlers.ts";
import { showNotice } from "../dialogs/notice.ts";

const ROOM = new NativeRegExp("/rooms/");
/** Said once per page for each of the two. */
const said = { room: false, profile: false };

/** A new profile or room picture goes out as it is; who can see it is said. */
export async function handlePicture(request: PausedRequest): Promise<Outcome> {
  const which = execute(ROOM, request.url) === null ? "profile" : "room";
  if (!said[which]) {
    said[which] = true;
    showNotice(
      which === "profile"
        ? "Your profile picture is world-readable: everyone on Matrix can fetch it, also people you never talk to."
        : "The room's picture is world-readable: everyone on Matrix can fetch it, also in an encrypted room.",
    );
  }
  return { kind: "send", noted: "flagged" };
}
