import {
  EventType,
  KnownMembership,
  MatrixEventEvent,
  MsgType,
  Preset,
  ReceiptType,
  RelationType,
  RoomEvent,
} from "matrix-js-sdk";
import type {
  ICreateRoomOpts,
  MatrixEvent,
  Room,
  SetPresence,
  TimelineEvents,
} from "matrix-js-sdk";
import { client } from "./session.ts";

/** What a new room looks like; as Element's dialog fills it in. */
export interface NewRoom {
  name: string;
  topic?: string;
  encrypted: boolean;
  invite?: string[];
  inviteEmail?: { address: string; idServer: string; idAccessToken?: string };
  alias?: string;
  /** An `mxc` address. */
  avatar?: string;
}

/** Creates a room and waits until it is known here. */
export async function createRoom(wanted: NewRoom): Promise<{ roomId: string }> {
  const options: ICreateRoomOpts = {
    name: wanted.name,
    preset: wanted.alias === undefined ? Preset.PrivateChat : Preset.PublicChat,
    initial_state: [
      { type: "m.room.guest_access", state_key: "", content: { guest_access: "can_join" } },
    ],
  };
  if (wanted.topic !== undefined) options.topic = wanted.topic;
  if (wanted.invite !== undefined) options.invite = wanted.invite;
  if (wanted.alias !== undefined) options.room_alias_name = wanted.alias;
  if (wanted.avatar !== undefined) {
    options.initial_state?.push({
      type: "m.room.avatar",
      state_key: "",
      content: { url: wanted.avatar },
    });
  }
  if (wanted.encrypted) {
    options.initial_state?.push({
      type: "m.room.encryption",
      state_key: "",
      content: { algorithm: "m.megolm.v1.aes-sha2" },
    });
  }
  if (wanted.inviteEmail !== undefined) {
    options.invite_3pid = [
      {
        id_server: wanted.inviteEmail.idServer,
        ...(wanted.inviteEmail.idAccessToken === undefined
          ? {}
          : { id_access_token: wanted.inviteEmail.idAccessToken }),
        medium: "email",
        address: wanted.inviteEmail.address,
      },
    ];
  }
  const { room_id: roomId } = await client().createRoom(options);
  await joined(roomId);
  // The first sync after creation may bring the room without all of its state.
  if (wanted.encrypted) {
    await until(
      () => client().getRoom(roomId)?.hasEncryptionStateEvent() ?? false,
      "the room is encrypted",
    );
  }
  return { roomId };
}

/** Waits until a room is in the room list. */
export async function joined(roomId: string): Promise<void> {
  await until(
    () => client().getRoom(roomId)?.getMyMembership() === KnownMembership.Join,
    `the room is joined`,
  );
}

/** The name Element would show. */
export async function roomName(roomId: string, expected?: string): Promise<string> {
  const room = await known(roomId);
  if (expected !== undefined) await until(() => room.name === expected, "the room name arrived");
  return room.name;
}

/** Sends text and waits for the server's acknowledgement. */
export async function sendText(roomId: string, body: string): Promise<{ eventId: string }> {
  return { eventId: (await client().sendTextMessage(roomId, body)).event_id };
}

/** A reply to an event. */
export async function sendReply(
  roomId: string,
  eventId: string,
  body: string,
): Promise<{ eventId: string }> {
  const answer = await client().sendMessage(roomId, {
    msgtype: MsgType.Text,
    body,
    "m.relates_to": { "m.in_reply_to": { event_id: eventId } },
  });
  return { eventId: answer.event_id };
}

/** A reaction, a redaction and anything else that is an event. */
export async function react(
  roomId: string,
  eventId: string,
  key: string,
): Promise<{ eventId: string }> {
  const answer = await client().sendEvent(roomId, EventType.Reaction, {
    "m.relates_to": { rel_type: RelationType.Annotation, event_id: eventId, key },
  });
  return { eventId: answer.event_id };
}

/** Any timeline event. */
export async function sendEvent(
  roomId: string,
  type: string,
  content: Record<string, unknown>,
): Promise<{ eventId: string }> {
  const answer = await client().sendEvent(
    roomId,
    type as keyof TimelineEvents,
    content as unknown as TimelineEvents[keyof TimelineEvents],
  );
  return { eventId: answer.event_id };
}

/** Any state event. */
export async function sendState(
  roomId: string,
  type: string,
  stateKey: string,
  content: Record<string, unknown>,
): Promise<{ eventId: string }> {
  const answer = await client().sendStateEvent(roomId, type as never, content as never, stateKey);
  return { eventId: answer.event_id };
}

/** Waits for a decrypted message of somebody else. */
export async function receive(roomId: string, body: string): Promise<{ encrypted: boolean }> {
  const room = await known(roomId);
  const find = (): MatrixEvent | undefined =>
    room
      .getLiveTimeline()
      .getEvents()
      .find((event) => event.getContent()["body"] === body);
  if (find() === undefined) {
    await new Promise<void>((resolve, reject) => {
      const limit = setTimeout(() => {
        stop();
        reject(new Error("The message did not arrive within 45 s"));
      }, 45_000);
      const check = (): void => {
        if (find() === undefined) return;
        stop();
        resolve();
      };
      const stop = (): void => {
        clearTimeout(limit);
        client().off(RoomEvent.Timeline, check);
        client().off(MatrixEventEvent.Decrypted, check);
      };
      client().on(RoomEvent.Timeline, check);
      client().on(MatrixEventEvent.Decrypted, check);
      check();
    });
  }
  return { encrypted: find()?.isEncrypted() ?? false };
}

/** Public receipt, combined markers, typing and presence, as reading and writing cause them. */
export async function readUpTo(roomId: string, eventId: string): Promise<void> {
  const room = await known(roomId);
  await until(() => room.findEventById(eventId) !== undefined, "the event arrived");
  const event = room.findEventById(eventId);
  if (event === undefined) return;
  await client().sendReadReceipt(event, ReceiptType.Read);
  await client().setRoomReadMarkers(roomId, eventId, event, event);
}

/** "… is typing". */
export async function typing(roomId: string): Promise<void> {
  await client().sendTyping(roomId, true, 10_000);
}

/** Active or idle, told with each sync, and by the call of its own. */
export async function presence(state: "online" | "unavailable"): Promise<void> {
  await client().setSyncPresence(state as SetPresence);
  await client().setPresence({ presence: state });
}

/** Joins a room by invitation, with the link of an e-mail invitation if there is one. */
export async function joinRoom(roomId: string, inviteSignUrl?: string): Promise<void> {
  await client().joinRoom(roomId, inviteSignUrl === undefined ? {} : { inviteSignUrl });
}

/** Waits for a room to be known. */
async function known(roomId: string): Promise<Room> {
  await until(() => client().getRoom(roomId) !== null, "the room is known");
  const room = client().getRoom(roomId);
  if (room === null) throw new Error("The room is not known");
  return room;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const limit = Date.now() + 45_000;
  while (!condition()) {
    if (Date.now() > limit) throw new Error(`Not within 45 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The contents of messages of a room that this client can read, once one has this text in it. */
export async function readContents(roomId: string, text: string): Promise<string[]> {
  const limit = Date.now() + 30_000;
  for (;;) {
    const events = client().getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    await Promise.all(events.map((event) => client().decryptEventIfNeeded(event)));
    const contents = events
      .filter((event) => event.getType() === "m.room.message")
      .map((event) => JSON.stringify(event.getContent()));
    if (contents.some((content) => content.includes(text))) return contents;
    if (Date.now() > limit) throw new Error(`no message with ${text} came`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
