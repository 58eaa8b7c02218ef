/** Takes uploads, messages with links to open media, and new profile pictures over. */
import { execute, NativeRegExp } from "../primordials/primordials.ts";
import type { HeldRequest, Outcome, RequestHandler } from "../intercept/handlers.ts";
import type { Taker } from "../intercept/decision.ts";
import { handlePicture } from "./picture.ts";
import { handleLinks } from "./link.ts";
import { handleUpload } from "./upload.ts";

const UPLOAD = new NativeRegExp("/_matrix/media/[^?#]*/upload(?:[/?#]|$)");
const MESSAGE = new NativeRegExp("/rooms/[^/?#]+/send/");

export const mediaHandler: RequestHandler = {
  handle(request: HeldRequest, taker: Taker): Promise<Outcome> {
    if (execute(UPLOAD, request.url) !== null) return handleUpload(request, taker);
    return execute(MESSAGE, request.url) === null
      ? handlePicture(request)
      : handleLinks(request, taker);
  },
};
