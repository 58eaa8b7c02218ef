/** The browser's own choice of a file, for a picture. */
import { clickElement, createElement, fileIn, setAttribute, setType } from "../primordials/dom.ts";
import { addListener, NativePromise, pinned } from "../primordials/primordials.ts";

/**
 * What the person picks. Where they pick none it is left open, and a later press begins anew. The browser
 * opens it only in the moments after they pressed something in this page. The page is never given the
 * field.
 */
export function pickPicture(): Promise<File | undefined> {
  return pinned(
    new NativePromise((resolve) => {
      const field = createElement("input");
      setType(field, "file");
      setAttribute(field, "accept", "image/png,image/jpeg,image/gif,image/webp");
      addListener(field, "change", () => resolve(fileIn(field)));
      clickElement(field);
    }),
  );
}
