/** Pictures of rooms as Element shows them: an address from the client, loaded by the page. */
import { RoomStateEvent } from "matrix-js-sdk";
import { client } from "./session.ts";

const LIMIT_MS = 45_000;

export interface ShownPicture {
  /** What the client makes of the room's picture; null where it gives no address. */
  url: string | null;
  width: number;
  height: number;
  /** The colour in the middle. */
  colour: [number, number, number] | null;
}

/** What is shown of a room now. */
export async function roomPicture(roomId: string): Promise<ShownPicture> {
  const none = { url: null, width: 0, height: 0, colour: null };
  const mxc = client().getRoom(roomId)?.getMxcAvatarUrl() ?? null;
  return mxc === null ? none : pictureAt(mxc);
}

/** What the page loads for what Element takes for a picture's address. */
export async function pictureAt(mxc: string): Promise<ShownPicture> {
  const none = { url: null, width: 0, height: 0, colour: null };
  const url = client().mxcUrlToHttp(mxc, 96, 96, "crop");
  if (url === null || !url.startsWith("blob:")) return { ...none, url };
  const picture = new Image();
  // Not `decode`, which pages that nobody looks at wait with.
  await new Promise((resolve, reject) => {
    picture.onload = resolve;
    picture.onerror = () => reject(new Error("The picture did not load"));
    picture.src = url;
  });
  const { naturalWidth: width, naturalHeight: height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (context === null) throw new Error("No canvas");
  context.drawImage(picture, 0, 0);
  const [red = 0, green = 0, blue = 0] = context.getImageData(width >> 1, height >> 1, 1, 1).data;
  return { url, width, height, colour: [red, green, blue] };
}

/** Whether the client holds a picture of the room, shown or not. */
export function hasRoomPicture(roomId: string): boolean {
  const event = client().getRoom(roomId)?.currentState.getStateEvents("m.room.avatar", "");
  return Object.keys(event?.getContent() ?? {}).length > 0;
}

/** Waits until the room's picture is of this colour. */
export function seeRoomPicture(roomId: string, colour: readonly number[]): Promise<ShownPicture> {
  return seeColour(() => roomPicture(roomId), colour);
}

/** Waits until a picture is of this colour, as near as a lossy copy comes. */
export async function seeColour(
  look: () => Promise<ShownPicture>,
  colour: readonly number[],
): Promise<ShownPicture> {
  const limit = Date.now() + LIMIT_MS;
  for (;;) {
    const shown = await look();
    const isNear = (part: number, index: number): boolean =>
      Math.abs(part - (colour[index] ?? 0)) < 12;
    if (shown.colour?.every(isNear) === true) return shown;
    if (Date.now() > limit) {
      throw new Error(`Not within 45 s: ${colour.join()}, but ${JSON.stringify(shown)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What the client makes of a picture's name. */
export function pictureAddress(mxc: string): string | null {
  return client().mxcUrlToHttp(mxc, 96, 96, "crop");
}

/** A room's picture as its event had it at one time. */
export interface PictureChange {
  eventId: string | null;
  /** What the client made of it then. */
  url: string | null;
}

let changes: PictureChange[] = [];

/** From now on, each time that the event of a room's picture is another object. */
export function watchRoomPicture(roomId: string): void {
  changes = [];
  client()
    .getRoom(roomId)
    ?.currentState.on(RoomStateEvent.Events, (event) => {
      if (event.getType() !== "m.room.avatar") return;
      const mxc: unknown = event.getContent()["url"];
      const url = typeof mxc === "string" ? pictureAddress(mxc) : null;
      changes.push({ eventId: event.getId() ?? null, url });
    });
}

export function pictureChanges(): PictureChange[] {
  return changes;
}
