import * as glue from "../../generated/mantle_media.js";
import { NativeError, pinned, result } from "../primordials/primordials.ts";
import { loadModule } from "../channel/modules.ts";
import { text } from "../texts/texts.ts";

let isReady = false;

/** The media module, loaded when the first request needs it. Rejects with a sentence. */
export async function mediaModule(): Promise<typeof glue> {
  const module = await pinned(loadModule("media"));
  if (!isReady) {
    glue.initSync({ module });
    isReady = true;
  }
  return result(glue);
}

/** Runs calls into the module; one that traps is thrown away, and the next gets a new one. */
export function guarded<Result>(call: () => Result): Result {
  try {
    return call();
  } catch {
    isReady = false;
    glue.__wbg_reset_state();
    throw new NativeError(text("fileUnread"));
  }
}
