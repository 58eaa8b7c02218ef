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
/** After so many, before looking at it tries it again. */
const REST_MS = 600_000;
/** How often by itself it is looked whether the room's state is known to be encrypted by now. */
const MAX_WAITS = 60;

/** It never becomes a picture that is shown. */
class NotShown extends Error {}

type Download = (place: string) => Promise<Uint8Array<ArrayBuffer>>;

/** What an opener works with. */
export interface OpenerParts {
  /** Whether Mantle reads the room's encrypted state. */
  isEncrypted(roomId: string): Promise<boolean>;
  /** Downloads in the name of the session that runs when this is called, and of no later one. */
  downloader(): Download;
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
  #waiting: { readonly picture: Picture; readonly download: Download }[] = [];
  /** What is not asked for until its time is over, and what is done then. */
  readonly #resting = new Map<Picture, () => void>();
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
      this.#waiting.push({ picture, download: this.#parts.downloader() });
      this.#next();
    }
    return null;
  }

  /** The device is online again: what failed has failed for that reason, as far as is known. */
  online(): void {
    for (const picture of [...this.#resting.keys()]) {
      this.#resting.delete(picture);
      picture.failures = 0;
      picture.isBusy = false;
      if (!picture.isForgotten) this.urlOf(picture);
    }
  }

  #next(): void {
    while (this.#running < MAX_AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (next.picture.isForgotten) continue;
      this.#running += 1;
      void this.#open(next.picture, next.download).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #open(picture: Picture, download: Download): Promise<void> {
    try {
      const { roomId, file } = picture;
      const isKnown = await this.#isKnown(roomId);
      if (picture.isForgotten) {
        picture.isBusy = false;
        return;
      }
      if (!isKnown) {
        picture.waits += 1;
        this.#rest(picture, RETRY_AFTER_MS, picture.waits < MAX_WAITS);
        return;
      }
      const bytes = await decrypted(file, await download(file.place));
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
      if (isFinal) return;
      if (picture.failures >= MAX_FAILURES) this.#rest(picture, REST_MS, false);
      else this.#rest(picture, RETRY_AFTER_MS * 4 ** (picture.failures - 1), true);
    }
  }

  /** Whether the room is known to encrypt its state by now. */
  async #isKnown(roomId: string): Promise<boolean> {
    try {
      return await this.#parts.isEncrypted(roomId);
    } catch {
      return false;
    }
  }

  /** Stays busy for a while; then it is asked for again at once, or when it is looked at. */
  #rest(picture: Picture, milliseconds: number, isAskedAgain: boolean): void {
    const over = (): void => {
      if (this.#resting.get(picture) !== over) return;
      this.#resting.delete(picture);
      picture.isBusy = false;
      if (isAskedAgain && !picture.isForgotten) this.urlOf(picture);
    };
    this.#resting.set(picture, over);
    this.#parts.later(over, milliseconds);
  }
}
