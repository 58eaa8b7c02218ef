/** Natives for making small copies of pictures, as they were before any page script ran. */
import { capturedGetter, capturedSetter, page, uncurry } from "./primordials.ts";

/** Rejects where the browser cannot decode it. */
export const decodePicture = page.createImageBitmap.bind(page) as (
  blob: Blob,
) => Promise<ImageBitmap>;
export const pictureWidth = capturedGetter<ImageBitmap, number>(ImageBitmap.prototype, "width");
export const pictureHeight = capturedGetter<ImageBitmap, number>(ImageBitmap.prototype, "height");
export const closePicture = uncurry(ImageBitmap.prototype.close);

export const setCanvasWidth = capturedSetter<HTMLCanvasElement, number>(
  HTMLCanvasElement.prototype,
  "width",
);
export const setCanvasHeight = capturedSetter<HTMLCanvasElement, number>(
  HTMLCanvasElement.prototype,
  "height",
);
export const canvasContext = uncurry(
  HTMLCanvasElement.prototype.getContext as (
    this: HTMLCanvasElement,
    kind: "2d",
  ) => CanvasRenderingContext2D | null,
);
export const canvasBlob = uncurry(HTMLCanvasElement.prototype.toBlob);
export const setSmoothing = capturedSetter<CanvasRenderingContext2D, ImageSmoothingQuality>(
  CanvasRenderingContext2D.prototype,
  "imageSmoothingQuality",
);
export const drawPicture = uncurry(
  CanvasRenderingContext2D.prototype.drawImage as (
    this: CanvasRenderingContext2D,
    picture: ImageBitmap,
    left: number,
    top: number,
    width: number,
    height: number,
  ) => void,
);
