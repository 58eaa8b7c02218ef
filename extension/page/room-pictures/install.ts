/** Puts the page's half of encrypted room pictures together. */
import { addListener, page, setTimer } from "../primordials/primordials.ts";
import type { PageClient } from "../room-state/element/client.ts";
import { PictureReader } from "./reader.ts";
import type { PictureClient } from "./reader.ts";
import { thumbnail } from "./thumbnail.ts";

const urlOf = page.URL.createObjectURL.bind(page.URL) as (blob: Blob) => string;
const revoke = page.URL.revokeObjectURL.bind(page.URL);

/** The result is for `watchClient`. */
export function installRoomPictures(
  isEncrypted: (roomId: string) => Promise<boolean>,
): (client: PageClient | undefined) => void {
  const reader = new PictureReader({ isEncrypted, thumbnail, urlOf, revoke, later: setTimer });
  addListener(page, "online", () => reader.online());
  return (client) => reader.attach(client as unknown as PictureClient | undefined);
}
