/**
 * Uploads that wait until it is known what they are for: Element uploads a picture before it says
 * whose it is. Meanwhile it has a name that was made up here, so that no homeserver can have a client
 * say that name before the person does.
 */
import { blobSize, fillRandom, NativeUint8Array } from "../primordials/primordials.ts";
import type { Outcome, PausedRequest } from "../intercept/handlers.ts";

/** Most uploads that wait at once, and their bytes; the newest waits in any case. */
export const MAX_HELD = 8;
export const MAX_HELD_BYTES = 100_000_000;
/** Names that are known beyond that, of uploads whose bytes are no longer here. */
export const MAX_NAMES = 200;
/** So long after it was last of use a name may stand in what Element sends, and be tried again. */
export const MAX_AGE_MS = 10 * 60_000;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NAME_LENGTH = 24;

/** What became of an upload that went out as it was: where it is, or what the page is told. */
export type Sent = { readonly mxc: string } | { readonly outcome: Outcome };

export interface HeldUpload {
  /** What Element takes for its address. */
  readonly mxc: string;
  /** As Element made it. */
  readonly request: PausedRequest;
  /** undefined: it is where it belongs, or no longer kept. */
  file: Blob | undefined;
  readonly bytes: number;
  /** `blob:` URL of a small copy, for Element to show meanwhile; once `preview` is over. */
  url?: string;
  preview?: Promise<void>;
  /** Where it is readable. */
  actual?: string;
  sending?: Promise<Sent>;
  /** Not Element's: it never goes out as it is. */
  readonly isForSealing?: true;
  /** A room's encrypted picture was made of it. */
  isEncrypted: boolean;
  /** When it was added, or last became something. */
  usedAt: number;
}

export class HeldUploads {
  readonly #revoke: (url: string) => void;
  readonly #now: () => number;
  readonly #byName = new Map<string, HeldUpload>();

  constructor(revoke: (url: string) => void, now: () => number) {
    this.#revoke = revoke;
    this.#now = now;
  }

  get size(): number {
    return this.#byName.size;
  }

  /**
   * Whether a body may name one. What is where it belongs is shown by its name for long, and said
   * only in the minutes after; so bytes of encrypted pictures go then.
   */
  isAnyWanted(): boolean {
    const oldest = this.#now() - MAX_AGE_MS;
    let isWanted = false;
    for (const one of this.#byName.values()) {
      const isRecent = one.usedAt > oldest;
      if (!isRecent && one.isEncrypted) one.file = undefined;
      if (isRecent || one.file !== undefined) isWanted = true;
    }
    return isWanted;
  }

  /** It became something just now. */
  noteUse(one: HeldUpload): void {
    one.usedAt = this.#now();
  }

  /** `server` is the one whose address it seems to have. */
  add(server: string, request: PausedRequest, file: Blob, isForSealing = false): HeldUpload {
    const random = fillRandom(new NativeUint8Array(NAME_LENGTH));
    const id = [...random].map((byte) => LETTERS[byte % LETTERS.length]).join("");
    const bytes = blobSize(file);
    const mxc = `mxc://${server}/${id}`;
    const held: HeldUpload = {
      ...{ mxc, request, file, bytes, isEncrypted: false, usedAt: this.#now() },
      ...(isForSealing ? { isForSealing } : {}),
    };
    this.#byName.set(held.mxc, held);
    return held;
  }

  find(mxc: string): HeldUpload | undefined {
    return this.#byName.get(mxc);
  }

  /** Those that a text names, as it is or as in an address. */
  namedIn(text: string): HeldUpload[] {
    return [...this.#byName.values()].filter(({ mxc }) => text.includes(idOf(mxc)));
  }

  /**
   * Makes room for the newest. Bytes are let go and never sent for it: what nobody named may be a
   * picture that is to leave encrypted, and was refused or not uploaded yet.
   */
  makeRoom(): void {
    const held = [...this.#byName.values()].filter(({ file }) => file !== undefined);
    let count = held.length;
    let bytes = held.reduce((sum, one) => sum + one.bytes, 0);
    const older = held.slice(0, -1);
    const leaving = [
      ...older.filter(({ isEncrypted }) => isEncrypted),
      ...older.filter(({ isEncrypted }) => !isEncrypted),
    ];
    for (const one of leaving) {
      if (count <= MAX_HELD && bytes <= MAX_HELD_BYTES) break;
      count -= 1;
      bytes -= one.bytes;
      one.file = undefined;
    }
    for (const [mxc, { file, url }] of this.#byName) {
      if (this.#byName.size <= MAX_NAMES) break;
      if (file !== undefined) continue;
      this.#byName.delete(mxc);
      if (url !== undefined) this.#revoke(url);
    }
  }

  clear(): void {
    for (const { url } of this.#byName.values()) if (url !== undefined) this.#revoke(url);
    this.#byName.clear();
  }
}

/** What of a made-up name nothing else has. */
function idOf(mxc: string): string {
  return mxc.slice(-NAME_LENGTH);
}

/** The text with the address in place of the name, however it is written; undefined: it stays named. */
export function withAddress(text: string, mxc: string, actual: string): string | undefined {
  const changed = text
    .replaceAll(mxc, actual)
    .replaceAll(encodeURIComponent(mxc), encodeURIComponent(actual));
  return changed.includes(idOf(mxc)) ? undefined : changed;
}
