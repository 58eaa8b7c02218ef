/** Small copies of pictures, made by the browser: what is shown is never what somebody sent. */
import {
  canvasBlob,
  canvasContext,
  closePicture,
  decodePicture,
  drawPicture,
  pictureHeight,
  pictureWidth,
  setCanvasHeight,
  setCanvasWidth,
  setSmoothing,
} from "../primordials/canvas.ts";
import { createElement } from "../primordials/dom.ts";
import { NativeBlob, NativePromise, result } from "../primordials/primordials.ts";
import type { PictureKind } from "./kind.ts";

/** Shorter side, in pixels: twice what Element shows at most. */
const SIDE = 192;
/** Longer side, of pictures that are no square. */
const LONG_SIDE = 800;
/** For browsers that write WebP; others write PNG. */
const QUALITY = 0.9;

/** Rejects where the browser cannot decode it. */
export async function thumbnail(
  bytes: Uint8Array<ArrayBuffer>,
  { type }: PictureKind,
): Promise<Blob> {
  const bitmap = await decodePicture(new NativeBlob([bytes], { type }));
  try {
    const width = pictureWidth(bitmap);
    const height = pictureHeight(bitmap);
    const long = Math.max(width, height);
    const scale = Math.min(1, SIDE / Math.min(width, height), LONG_SIDE / long);
    const wide = Math.max(1, Math.round(width * scale));
    const high = Math.max(1, Math.round(height * scale));
    const canvas = createElement("canvas");
    setCanvasWidth(canvas, wide);
    setCanvasHeight(canvas, high);
    const context = canvasContext(canvas, "2d");
    if (context === null) throw new Error("no canvas");
    setSmoothing(context, "high");
    drawPicture(context, bitmap, 0, 0, wide, high);
    return await new NativePromise<Blob>((resolve, reject) => {
      const made = (blob: Blob | null): void => {
        if (blob === null) reject(new Error("no thumbnail"));
        else resolve(result(blob));
      };
      canvasBlob(canvas, made, "image/webp", QUALITY);
    });
  } finally {
    closePicture(bitmap);
  }
}
