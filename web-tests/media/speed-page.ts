/** Runs in the browser: the page's own examination of uploads, within a bench's reach. */
import { cleaned, examine } from "../../extension/page/media/examination.ts";

declare global {
  interface Window {
    mediaSpeed: {
      /** Looks into the file chosen in the page's only input and lays out the clean one, in ms. */
      examine(): Promise<number>;
      /** Sends the one or the other to a server on this machine, in ms. */
      upload(which: "chosen" | "cleaned", target: string): Promise<number>;
    };
  }
}

let laidOut: Blob | undefined;

const chosen = (): File => {
  const file = document.querySelector("input")?.files?.[0];
  if (file === undefined) throw new Error("No file was chosen");
  return file;
};

window.mediaSpeed = {
  examine: async () => {
    const upload = chosen();
    const start = performance.now();
    const examination = await examine(upload);
    laidOut = examination.pieces() === undefined ? upload : cleaned(examination, upload);
    const end = performance.now();
    examination.free();
    return end - start;
  },
  // As matrix-js-sdk uploads.
  upload: async (which, target) => {
    const body = which === "chosen" ? chosen() : (laidOut ?? chosen());
    const request = new XMLHttpRequest();
    request.open("POST", target);
    const start = performance.now();
    await new Promise<void>((resolve, reject) => {
      request.onload = () => resolve();
      request.onerror = () => reject(new Error("The upload failed"));
      request.send(body);
    });
    return performance.now() - start;
  },
};
