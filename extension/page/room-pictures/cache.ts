/**
 * The pictures a page knows: under which name Element asks for each, and what is kept of those that
 * were decrypted. Bounded in number and in bytes; what was not used for the longest time goes.
 */
import type { PictureFile } from "./file.ts";

/** Of more pictures than this the ones that were named first are forgotten, and named anew when seen. */
export const MAX_PICTURES = 5_000;
/** What all thumbnails of a page may take together. */
export const MAX_KEPT_BYTES = 16_000_000;

/** One picture of one room. */
export interface Picture {
  readonly roomId: string;
  readonly file: PictureFile;
  /** What Element takes for the address of a readable picture. */
  readonly name: string;
  /** `blob:` URL of its thumbnail, as long as it is kept. */
  url?: string;
  bytes: number;
  /** It is being fetched, waits for its turn, or cannot be shown. */
  isBusy: boolean;
  /** How often fetching it has failed. */
  failures: number;
  /** How often it was not known whether its room encrypts its state. */
  waits: number;
  isForgotten: boolean;
}

/** Names end so; no server's address of a picture does. */
const MARK = "#mantle-";

export function isPictureName(mxc: string): boolean {
  return mxc.includes(MARK);
}

export class PictureCache {
  readonly #revoke: (url: string) => void;
  readonly #byIdentity = new Map<string, Picture>();
  readonly #byName = new Map<string, Picture>();
  /** Those with a thumbnail; the one used last stands last. */
  readonly #kept = new Set<Picture>();
  #bytes = 0;
  #count = 0;

  constructor(revoke: (url: string) => void) {
    this.#revoke = revoke;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The picture with this file in this room. Two files at one place are two pictures, so that one with
   * a wrong key takes nothing from the right one.
   */
  named(roomId: string, file: PictureFile): Picture {
    const { place, key, iv, sha256 } = file;
    const identity = [roomId, place, key, iv, sha256].join("\n");
    const known = this.#byIdentity.get(identity);
    if (known !== undefined) return known;
    this.#count += 1;
    const picture: Picture = {
      roomId,
      file,
      name: `mxc://${place}${MARK}${String(this.#count)}`,
      bytes: 0,
      isBusy: false,
      failures: 0,
      waits: 0,
      isForgotten: false,
    };
    this.#byIdentity.set(identity, picture);
    this.#byName.set(picture.name, picture);
    for (const [oldest, forgotten] of this.#byIdentity) {
      if (this.#byIdentity.size <= MAX_PICTURES) break;
      this.#byIdentity.delete(oldest);
      this.#byName.delete(forgotten.name);
      forgotten.isForgotten = true;
      this.#drop(forgotten);
    }
    return picture;
  }

  find(name: string): Picture | undefined {
    const picture = this.#byName.get(name);
    // It is looked at now.
    if (picture !== undefined && this.#kept.delete(picture)) this.#kept.add(picture);
    return picture;
  }

  keep(picture: Picture, url: string, bytes: number): void {
    this.#drop(picture);
    if (picture.isForgotten) {
      this.#revoke(url);
      return;
    }
    picture.url = url;
    picture.bytes = bytes;
    this.#bytes += bytes;
    this.#kept.add(picture);
    for (const oldest of this.#kept) {
      if (this.#bytes <= MAX_KEPT_BYTES || oldest === picture) break;
      this.#drop(oldest);
    }
  }

  clear(): void {
    for (const picture of this.#byIdentity.values()) {
      picture.isForgotten = true;
      this.#drop(picture);
    }
    this.#byIdentity.clear();
    this.#byName.clear();
  }

  #drop(picture: Picture): void {
    if (!this.#kept.delete(picture) || picture.url === undefined) return;
    this.#revoke(picture.url);
    this.#bytes -= picture.bytes;
    delete picture.url;
    picture.bytes = 0;
  }
}
