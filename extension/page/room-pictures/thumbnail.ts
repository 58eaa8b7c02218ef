/** Small copies of pictures, made by the browser: what is shown is never what somebody sent. */
import { NativeBlob, NativePromise, page, pageDocument } from "../primordials/primordials.ts";
import type { PictureKind } from "./kind.ts";

/** Shorter side, in pixels: twice what Element shows at most. */
const SIDE = 192;
/** Longer side, of pictures that are no square. */
const LONG_SIDE = 800;
/** For browsers that write WebP; others write PNG. */
const QUALITY = 0.9;

/** `createImageBitmap`, as it was before the page ran. */
const decode = page.createImageBitmap.bind(page) as (blob: Blob) => Promise<ImageBitmap>;

/** Rejects where the browser cannot decode it. */
export async function thumbnail(
  bytes: Uint8Array<ArrayBuffer>,
  { type }: PictureKind,
): Promise<Blob> {
  const bitmap = await decode(new NativeBlob([bytes], { type }));
  try {
    const { width, height } = bitmap;
    const long = Math.max(width, height);
    const scale = Math.min(1, SIDE / Math.min(width, height), LONG_SIDE / long);
    const canvas = pageDocument.createElement("canvas");
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("no canvas");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new NativePromise<Blob>((resolve, reject) => {
      const made = (blob: Blob | null): void => {
        if (blob === null) reject(new Error("no thumbnail"));
        else resolve(blob);
      };
      canvas.toBlob(made, "image/webp", QUALITY);
    });
  } finally {
    bitmap.close();
  }
}
