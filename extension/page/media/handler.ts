/** Takes uploads, messages with links to open media, and new profile pictures over. */
import { execute, NativeRegExp } from "../primordials/primordials.ts";
import type { PausedRequest, Outcome, RequestHandler } from "../intercept/handlers.ts";
import type { Delegate } from "../intercept/decision.ts";
import { handlePicture } from "./picture.ts";
import { handleLinks } from "./link.ts";
import { handleUpload } from "./upload.ts";

const UPLOAD = new NativeRegExp("/_matrix/media/[^?#]*/upload(?:[/?#]|$)");
const MESSAGE = new NativeRegExp("/rooms/[^/?#]+/send/");

export const mediaHandler: RequestHandler = {
  handle(request: PausedRequest, delegate: Delegate): Promise<Outcome> {
    if (execute(UPLOAD, request.url) !== null) return handleUpload(request, delegate);
    return execute(MESSAGE, request.url) === null
      ? handlePicture(request)
      : handleLinks(request, delegate);
  },
};
