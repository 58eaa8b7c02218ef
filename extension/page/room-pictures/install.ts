/** Puts the page's half of encrypted room pictures together. */
import { addListener, page, setTimer } from "../primordials/primordials.ts";
import { runningClient } from "../room-state/element/client.ts";
import { PictureReader } from "./reader.ts";
import type { PictureClient } from "./reader.ts";
import { thumbnail } from "./thumbnail.ts";

const urlOf = page.URL.createObjectURL.bind(page.URL) as (blob: Blob) => string;
const revoke = page.URL.revokeObjectURL.bind(page.URL);

/** The result is to be called before each request of the page. */
export function installRoomPictures(isEncrypted: (roomId: string) => Promise<boolean>): () => void {
  const reader = new PictureReader({ isEncrypted, thumbnail, urlOf, revoke, later: setTimer });
  addListener(page, "online", () => reader.online());
  return () => {
    try {
      reader.attach(runningClient() as unknown as PictureClient | undefined);
    } catch {
      // Rooms with encrypted pictures then show their initials.
    }
  };
}
