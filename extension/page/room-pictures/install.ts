/** Puts the page's half of encrypted room pictures together. */
import { addListener, nativeFetch, now, page, setTimer } from "../primordials/primordials.ts";
import { ask } from "../dialogs/prompt.ts";
import { recallChoice, rememberChoice } from "../dialogs/room-choices.ts";
import { registerHandler } from "../intercept/handlers.ts";
import type { PageClient } from "../room-state/element/client.ts";
import { PictureReader } from "./reader.ts";
import type { PictureClient } from "./reader.ts";
import { thumbnail } from "./thumbnail.ts";
import { PictureWriter } from "./writer.ts";
import type { UploadingClient, WriterParts } from "./writer.ts";

const urlOf = page.URL.createObjectURL.bind(page.URL) as (blob: Blob) => string;
const revoke = page.URL.revokeObjectURL.bind(page.URL);

export type PicturesParts = Pick<
  WriterParts,
  "encrypts" | "encryptsAnyway" | "fetch" | "members" | "putEncrypted" | "withoutDetails"
> & {
  /** Whether Mantle reads the room's encrypted state. */
  isEncrypted(roomId: string): Promise<boolean>;
};

export interface RoomPictures {
  /** For `watchClient`. */
  readonly watch: (client: PageClient | undefined) => void;
  readonly writer: PictureWriter;
  readonly reader: PictureReader;
}

export function installRoomPictures(parts: PicturesParts): RoomPictures {
  const reader = new PictureReader({ ...parts, thumbnail, urlOf, revoke, later: setTimer });
  addListener(page, "online", () => reader.online());
  const send = (url: string, init: RequestInit): Promise<Response> => nativeFetch(page, url, init);
  const asking = { ask, recall: recallChoice, remember: rememberChoice };
  const writer = new PictureWriter({ ...parts, send, thumbnail, urlOf, revoke, now, ...asking });
  registerHandler("room-pictures", writer);
  return {
    watch: (client) => {
      reader.attach(client as unknown as PictureClient | undefined);
      writer.attach(client as unknown as UploadingClient | undefined);
    },
    writer,
    reader,
  };
}
