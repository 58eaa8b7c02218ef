/**
 * Lets Element show encrypted pictures of rooms. What it takes a picture's address from names one that
 * is known here, and what it makes of that an address that its page can load. Nothing that it stores
 * is changed.
 */
import { getPrototypeOf, startsWith } from "../primordials/primordials.ts";
import { isPictureName, PictureCache } from "./cache.ts";
import type { Picture } from "./cache.ts";
import { download } from "./download.ts";
import type { DownloadClient } from "./download.ts";
import { pictureFile } from "./file.ts";
import { PictureOpener } from "./opener.ts";
import type { OpenerParts } from "./opener.ts";

export const AVATAR = "m.room.avatar";

type Plain = Record<string, unknown>;

/** An event as matrix-js-sdk (34 to 43) holds it. */
export interface PictureEvent {
  readonly event: {
    readonly type?: string;
    readonly event_id?: string;
    readonly room_id?: string;
    readonly content?: Plain;
  };
  getContent(): Plain;
  getRoomId?(): string | undefined;
}

interface PictureRoom {
  readonly currentState: {
    getStateEvents(type: string, stateKey: string): PictureEvent | null;
    setStateEvents(events: PictureEvent[]): void;
  };
}

export interface PictureClient extends DownloadClient {
  getRoom(roomId: string): PictureRoom | null;
  getEventMapper(options: object): (event: object) => PictureEvent;
  mxcUrlToHttp(mxc: unknown, ...rest: unknown[]): string | null;
}

/** What was last made of an event's content. */
interface Shown {
  readonly content: Plain;
  readonly shown: Plain;
  readonly picture: Picture;
}

export type ReaderParts = Pick<OpenerParts, "isEncrypted" | "thumbnail" | "urlOf" | "later"> & {
  readonly revoke: (url: string) => void;
};

export class PictureReader {
  /** A picture can be shown from now on, whosever it is. */
  onOpened: ((picture: Picture) => void) | undefined;
  readonly #cache: PictureCache;
  readonly #opener: PictureOpener;
  readonly #shown = new WeakMap<PictureEvent, Shown>();
  readonly #attached = new WeakSet<PictureClient>();
  #client: PictureClient | undefined;
  #prototype: object | undefined;

  constructor(parts: ReaderParts) {
    this.#cache = new PictureCache(parts.revoke);
    this.#opener = new PictureOpener(this.#cache, {
      ...parts,
      downloader: () => {
        const client = this.#client;
        return async (place) => {
          if (client === undefined) throw new Error("signed out");
          return download(client, place);
        };
      },
      opened: (picture) => {
        if (this.#client !== undefined) showAgain(this.#client, picture);
        this.onOpened?.(picture);
      },
    });
  }

  /** Before each request, since rooms are shown from the first answer on; cheap when it is done. */
  attach(client: PictureClient | undefined): void {
    if (client === this.#client) return;
    this.#client = client;
    // What another session had is not this one's.
    this.#cache.clear();
    if (client === undefined || this.#attached.has(client)) return;
    const mapper = client.getEventMapper({ decrypt: false, preventReEmit: true });
    const event = mapper({ type: "m.room.message", event_id: "$mantle", content: {} });
    const prototype = getPrototypeOf(event) as PictureEvent | null;
    const native = client.mxcUrlToHttp;
    if (typeof prototype?.getContent !== "function" || typeof native !== "function") return;
    this.#attached.add(client);
    client.mxcUrlToHttp = (mxc, ...rest) => {
      if (typeof mxc !== "string" || !isPictureName(mxc)) return native.call(client, mxc, ...rest);
      const picture = this.#cache.find(mxc);
      return picture === undefined ? null : this.#opener.urlOf(picture);
    };
    if (this.#prototype === prototype) return;
    this.#prototype = prototype;
    const { getContent } = prototype;
    const withName = (of: PictureEvent, content: Plain): Plain => this.#withName(of, content);
    prototype.getContent = function (this: PictureEvent): Plain {
      const content = getContent.call(this);
      return this.event.type === AVATAR ? withName(this, content) : content;
    };
  }

  /** A picture that encrypted state of that room names elsewhere; undefined where it names none. */
  named(roomId: string, content: Plain): Picture | undefined {
    const file = pictureFile(content);
    return file === undefined ? undefined : this.#cache.named(roomId, file);
  }

  /** The device is online again. */
  online(): void {
    this.#opener.online();
  }

  /** The content with a `url` that names the picture here, where it is an encrypted one. */
  #withName(event: PictureEvent, content: Plain): Plain {
    const { event_id: id, room_id: inEvent } = event.event;
    // What is on its way out has no such id, and is sent as it is.
    if (typeof id !== "string" || !startsWith(id, "$")) return content;
    const before = this.#shown.get(event);
    if (before?.content === content && !before.picture.isForgotten) return before.shown;
    const file = pictureFile(content);
    const roomId = event.getRoomId?.() ?? inEvent;
    if (file === undefined || roomId === undefined) return content;
    const picture = this.#cache.named(roomId, file);
    const shown = { ...content, url: picture.name };
    this.#shown.set(event, { content, shown, picture });
    return shown;
  }
}

/** Element looks at a room's picture again when the event is another object. */
function showAgain(client: PictureClient, picture: Picture): void {
  const state = client.getRoom(picture.roomId)?.currentState;
  const current = state?.getStateEvents(AVATAR, "");
  if (current?.getContent()["url"] !== picture.name) return;
  const mapper = client.getEventMapper({ decrypt: false, preventReEmit: true });
  state?.setStateEvents([mapper({ ...current.event })]);
}
