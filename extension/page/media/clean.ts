/** Pictures that are encrypted after this: nobody is asked about their server, only details go. */
import { NativeError, parseJson, pinned } from "../primordials/primordials.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { text } from "../texts/texts.ts";
import { cleaned, examine } from "./examination.ts";
import { guarded } from "./module.ts";

/** Without hidden details, unless the person keeps them. Rejects, in words, where they would stay. */
export async function withoutDetails(picture: Blob): Promise<Blob> {
  if (shieldSettings("media")?.options["metadata"] === "keep") return picture;
  const examination = await pinned(examine(picture));
  try {
    const report = guarded(() => examination.report());
    const { isChanged, refusal } = parseJson(report ?? "{}") as {
      isChanged?: boolean;
      refusal?: string | null;
    };
    if (isChanged === undefined || refusal !== null) throw new NativeError(text("pictureDetails"));
    return isChanged ? cleaned(examination, picture) : picture;
  } finally {
    examination.free();
  }
}
