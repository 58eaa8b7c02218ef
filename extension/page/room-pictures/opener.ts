/** Decrypts pictures when they are first looked at, a few at a time, each alone when it fails. */
import type { Picture, PictureCache } from "./cache.ts";
import { decrypted, WrongBytes } from "./cipher.ts";
import { TooLong } from "./download.ts";
import { pictureKind } from "./kind.ts";
import type { PictureKind } from "./kind.ts";

/** Decoded pictures take much memory. */
const MAX_AT_ONCE = 2;
/** Before what failed is tried again, four times as long each time. */
const RETRY_AFTER_MS = 5_000;
const MAX_FAILURES = 5;

/** It never becomes a picture that is shown. */
class NotShown extends Error {}

/** What an opener works with. */
export interface OpenerParts {
  /** Whether Mantle reads the room's encrypted state. */
  isEncrypted(roomId: string): Promise<boolean>;
  download(place: string): Promise<Uint8Array<ArrayBuffer>>;
  thumbnail(bytes: Uint8Array<ArrayBuffer>, kind: PictureKind): Promise<Blob>;
  urlOf(blob: Blob): string;
  /** Runs something after so many milliseconds. */
  later(run: () => void, milliseconds: number): unknown;
  /** The picture can be shown from now on. */
  opened(picture: Picture): void;
}

export class PictureOpener {
  readonly #cache: PictureCache;
  readonly #parts: OpenerParts;
  #waiting: Picture[] = [];
  #running = 0;

  constructor(cache: PictureCache, parts: OpenerParts) {
    this.#cache = cache;
    this.#parts = parts;
  }

  /** The picture's address where it is there; else it is fetched. */
  urlOf(picture: Picture): string | null {
    if (picture.url !== undefined) return picture.url;
    if (!picture.isBusy) {
      picture.isBusy = true;
      this.#waiting.push(picture);
      this.#next();
    }
    return null;
  }

  #next(): void {
    while (this.#running < MAX_AT_ONCE) {
      const picture = this.#waiting.shift();
      if (picture === undefined) return;
      if (picture.isForgotten) continue;
      this.#running += 1;
      void this.#open(picture).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #open(picture: Picture): Promise<void> {
    try {
      const { roomId, file } = picture;
      if (!(await this.#parts.isEncrypted(roomId))) throw new Error("not known yet");
      const bytes = await decrypted(file, await this.#parts.download(file.place));
      const kind = pictureKind(bytes);
      if (kind === undefined) throw new NotShown("no picture");
      const blob = await this.#parts.thumbnail(bytes, kind);
      this.#cache.keep(picture, this.#parts.urlOf(blob), blob.size);
      picture.isBusy = false;
      picture.failures = 0;
      if (!picture.isForgotten) this.#parts.opened(picture);
    } catch (error) {
      const isFinal =
        error instanceof NotShown || error instanceof WrongBytes || error instanceof TooLong;
      picture.failures += 1;
      // What is busy is not asked for again: it stays an initial until the page is loaded anew.
      if (isFinal || picture.failures >= MAX_FAILURES) return;
      this.#parts.later(
        () => {
          picture.isBusy = false;
          if (!picture.isForgotten) this.urlOf(picture);
        },
        RETRY_AFTER_MS * 4 ** (picture.failures - 1),
      );
    }
  }
}
