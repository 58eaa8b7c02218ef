import { execute, NativeRegExp, result } from "../primordials/primordials.ts";
import type { PausedRequest, Outcome } from "../intercept/handlers.ts";
import { showNotice } from "../dialogs/notice.ts";
import { text } from "../texts/texts.ts";

const ROOM = new NativeRegExp("/rooms/");
/** Said once per page for each of the two. */
const said = { room: false, profile: false };

/** A new profile or room picture goes out as it is; who can see it is said. */
export async function handlePicture(request: PausedRequest): Promise<Outcome> {
  const which = execute(ROOM, request.url) === null ? "profile" : "room";
  if (!said[which]) {
    said[which] = true;
    showNotice(which === "profile" ? text("pictureProfile") : text("pictureRoom"));
  }
  return result<Outcome>({ kind: "send", noted: "flagged" });
}
