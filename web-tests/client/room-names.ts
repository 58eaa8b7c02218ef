/** Names and pictures in one room as Element takes and shows them. */
import { pictureAt, seeColour } from "./room-pictures.ts";
import type { ShownPicture } from "./room-pictures.ts";
import { client } from "./session.ts";

const LIMIT_MS = 45_000;

/** As `/myroomnick` does it; gives the event's id. */
export function setRoomNickname(roomId: string, name: string): Promise<{ eventId: string }> {
  return changeOwnMember(roomId, { displayname: name });
}

/** As `/myroomavatar` does it: with what Element reads of the event beside it. */
export function setOwnRoomPicture(roomId: string, url: string): Promise<{ eventId: string }> {
  return changeOwnMember(roomId, { avatar_url: url });
}

/** What Element takes for the address of somebody's picture in a room. */
export function memberPicture(roomId: string, userId: string): string | null {
  return client().getRoom(roomId)?.getMember(userId)?.getMxcAvatarUrl() ?? null;
}

/** Waits until somebody's picture in a room is of this colour. */
export async function seeMemberPicture(
  roomId: string,
  userId: string,
  colour: readonly number[],
): Promise<ShownPicture> {
  await client().getRoom(roomId)?.loadMembersIfNeeded();
  const none = { url: null, width: 0, height: 0, colour: null };
  return seeColour(async () => {
    const mxc = memberPicture(roomId, userId);
    return mxc === null ? none : pictureAt(mxc);
  }, colour);
}

async function changeOwnMember(
  roomId: string,
  change: Record<string, string>,
): Promise<{ eventId: string }> {
  const me = client().getUserId() ?? "";
  const event = client().getRoom(roomId)?.currentState.getStateEvents("m.room.member", me);
  const content = { ...(event?.getContent() ?? { membership: "join" }), ...change };
  const answer = await client().sendStateEvent(
    roomId,
    "m.room.member" as never,
    content as never,
    me,
  );
  return { eventId: answer.event_id };
}

/** How somebody is called in a room, and by which event. */
export interface ShownMember {
  name: string | null;
  eventId: string | null;
}

export function shownMember(roomId: string, userId: string): ShownMember {
  const room = client().getRoom(roomId);
  const event = room?.currentState.getStateEvents("m.room.member", userId);
  return {
    name: room?.getMember(userId)?.rawDisplayName ?? null,
    eventId: event?.getId() ?? null,
  };
}

/** Waits until somebody is called so; with an id, by that event. */
export async function seeMember(
  roomId: string,
  userId: string,
  name: string,
  eventId?: string,
): Promise<void> {
  await client().getRoom(roomId)?.loadMembersIfNeeded();
  const limit = Date.now() + LIMIT_MS;
  for (;;) {
    const shown = shownMember(roomId, userId);
    if (shown.name === name && (eventId === undefined || shown.eventId === eventId)) return;
    if (Date.now() > limit) {
      throw new Error(`Not within 45 s: ${name}, but ${JSON.stringify(shown)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until this event is the one that counts, whatever it says. */
export async function seeMemberEvent(
  roomId: string,
  userId: string,
  eventId: string,
): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  while (shownMember(roomId, userId).eventId !== eventId) {
    if (Date.now() > limit) throw new Error("Not within 45 s: the member event");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What the person who wrote a message is called beside it, once that is so. */
export async function seeSender(roomId: string, body: string, name: string): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  for (;;) {
    const events = client().getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    const found = events.find((event) => event.getContent()["body"] === body);
    if (found?.sender?.rawDisplayName === name) return;
    if (Date.now() > limit) {
      throw new Error(`Not within 45 s: ${name}, but ${found?.sender?.rawDisplayName ?? "nobody"}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
