import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { ENCRYPTED_PICTURE as avatar } from "../../testing/pictures.ts";
import { NameReader } from "./reader.ts";
import type { MemberEvent, NamesClient } from "./sdk.ts";

const FIELD = "org.mantle.member_profile";
const ROOM = "!room";
type Raw = Record<string, unknown>;

/** An event as matrix-js-sdk holds it, as far as this goes. */
class MatrixEvent {
  readonly event: Raw;
  constructor(event: Raw) {
    this.event = event;
  }
  getContent(): Raw {
    return this.event["content"] as Raw;
  }
  getRoomId(): string | undefined {
    return this.event["room_id"] as string | undefined;
  }
}

const member = (id: string, user: string, more: Raw = {}): MatrixEvent =>
  new MatrixEvent({
    type: "m.room.member",
    event_id: id,
    room_id: ROOM,
    sender: user,
    state_key: user,
    content: { membership: "join", displayname: "Public", [FIELD]: { ciphertext: id } },
    ...more,
  });

let opened: { event_id?: string }[][];
let showsOwn: boolean;
let isEncrypted: () => Promise<boolean>;
let current: Map<string, MatrixEvent>;
let told: MatrixEvent[];
let tasks: (() => void)[];
let hasRoom: boolean;
let recalculated: number;
let timeline: { sender: unknown }[];
let pictures: { roomId: string; name: string; isForgotten: boolean }[];
let reader: NameReader;

const clientOf = (): NamesClient =>
  ({
    getUserId: () => "@me:hs",
    isInitialSyncComplete: () => true,
    getRoom: (roomId: string) =>
      roomId !== ROOM || !hasRoom
        ? null
        : {
            roomId,
            currentState: {
              getStateEvents: (_type: string, user: string) => current.get(user) ?? null,
              setStateEvents: (events: MatrixEvent[]) => told.push(...events),
            },
            getLiveTimeline: () => ({ getEvents: () => timeline }),
            recalculate: () => {
              recalculated += 1;
            },
          },
    getEventMapper: () => (event: object) => new MatrixEvent(event as Raw),
    on: () => undefined,
  }) as unknown as NamesClient;

const settle = async (): Promise<void> => {
  for (let round = 0; round < 200; round += 1) {
    const [task] = tasks.splice(0, 1);
    task?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (tasks.length === 0 && round > 20) return;
  }
};
/** What is to be done soon, and what that asks for. */
const turn = async (): Promise<void> => {
  for (const task of tasks.splice(0)) task();
  await new Promise((resolve) => setTimeout(resolve, 5));
};
const shownName = (event: MatrixEvent): unknown => event.getContent()["displayname"];
const open = (event: MatrixEvent, name: string): void =>
  reader.opened(ROOM, {
    type: FIELD,
    event_id: event.event["event_id"],
    state_key: event.event["state_key"],
    content: { displayname: name },
  });

const native = MatrixEvent.prototype.getContent;

beforeEach(() => {
  MatrixEvent.prototype.getContent = native;
  [opened, told, tasks, timeline] = [[], [], [], []];
  [current, recalculated, pictures] = [new Map(), 0, []];
  [showsOwn, hasRoom] = [true, true];
  isEncrypted = () => Promise.resolve(true);
  reader = new NameReader({
    showsOwn: () => showsOwn,
    isEncrypted: () => isEncrypted(),
    picture: (roomId, content) => {
      const { url } = content["file"] as { url: string };
      const name = `${url}#mantle-${String(pictures.length)}`;
      pictures.push({ roomId, name, isForgotten: false });
      return pictures.at(-1);
    },
    open: (_room, members) => opened.push(members as never),
    later: (task) => tasks.push(task),
  });
  reader.attach(clientOf());
});

describe("a name in one room is read", () => {
  test("once it is opened, and what was sealed never", async () => {
    const event = member("$1", "@a:hs");
    current.set("@a:hs", event);
    assert.deepEqual(event.getContent(), { membership: "join", displayname: "Public" });
    assert.equal(event.getContent(), event.getContent(), "the same object");
    await settle();
    assert.deepEqual(opened, [[event.event]], "asked once");
    open(event, "Rosa");
    assert.deepEqual(event.getContent(), { membership: "join", displayname: "Rosa" });
    assert.equal(event.getContent(), event.getContent(), "the same object");
    assert.deepEqual(told, [event], "and Element is told");
    assert.equal(reader.isShown(ROOM, "@a:hs"), true);
    await settle();
    assert.equal(recalculated, 1);
    // What is stored is as it came.
    assert.deepEqual(Object.keys(event.event["content"] as Raw), [
      "membership",
      "displayname",
      FIELD,
    ]);
  });

  test("of the event that is current, and not of one that a homeserver puts back", async () => {
    const [old, event] = [member("$old", "@a:hs"), member("$new", "@a:hs")];
    current.set("@a:hs", event);
    open(old, "Old");
    open(event, "New");
    assert.deepEqual([shownName(old), shownName(event)], ["Public", "New"]);
    await settle();
    assert.deepEqual(opened, [], "the old one is history, and nothing is asked about it");
    current.set("@a:hs", old);
    assert.equal(shownName(old), "Public");
    assert.equal(reader.isShown(ROOM, "@a:hs"), false);
  });

  test("of nobody whose event somebody else has sent, who is gone, or whose event is on its way", async () => {
    const others = [
      member("$1", "@a:hs", { sender: "@moderator:hs" }),
      member("$2", "@a:hs", { content: { membership: "leave", [FIELD]: {} } }),
      member("~local", "@a:hs"),
      member("$3", "@a:hs", { content: { membership: "join", [FIELD]: "text" } }),
    ];
    for (const event of others) {
      current.set("@a:hs", event);
      assert.equal(event.getContent()[FIELD], undefined);
      await settle();
    }
    assert.deepEqual(opened, []);
  });

  test("in rooms that encrypt their state, and asked about again where that was not known yet", async () => {
    const event = member("$1", "@a:hs");
    current.set("@a:hs", event);
    for (const answer of [() => Promise.resolve(false), () => Promise.reject(new Error("no"))]) {
      isEncrypted = answer;
      event.getContent();
      await settle();
      assert.deepEqual(opened, []);
    }
    isEncrypted = () => Promise.resolve(true);
    event.getContent();
    await settle();
    assert.equal(opened.length, 1);
  });

  test("also where Element looked once, before it had the room or the room was known to encrypt", async () => {
    for (const what of ["room", "flag", "answer"]) {
      opened = [];
      const event = member(`$${what}`, "@a:hs");
      current.set("@a:hs", event);
      hasRoom = what !== "room";
      if (what === "flag") isEncrypted = () => Promise.resolve(false);
      if (what === "answer") isEncrypted = () => Promise.reject(new Error("no"));
      event.getContent();
      await turn();
      assert.deepEqual(opened, [], what);
      hasRoom = true;
      isEncrypted = () => Promise.resolve(true);
      await settle();
      assert.deepEqual(opened, [[event.event]], what);
    }
  });

  test("and what stays so is not asked about for ever", async () => {
    let asked = 0;
    isEncrypted = () => {
      asked += 1;
      return Promise.resolve(false);
    };
    const event = member("$1", "@a:hs");
    current.set("@a:hs", event);
    for (let look = 0; look < 10; look += 1) {
      event.getContent();
      await settle();
    }
    assert.ok(asked <= 20, `${asked} times`);
  });

  test("and messages that hold the member as they were called before are given it", async () => {
    const event = member("$1", "@a:hs");
    current.set("@a:hs", event);
    const renamed: unknown[] = [];
    const senderOf = (of: MatrixEvent): object => ({
      events: { member: of as unknown as MemberEvent },
      rawDisplayName: "Before",
      setMembershipEvent(this: { rawDisplayName: unknown }, now: MatrixEvent) {
        renamed.push(now);
        this.rawDisplayName = shownName(now);
      },
    });
    const sender = senderOf(event);
    const other = { events: { member: member("$2", "@b:hs", { content: {} }) } };
    const earlier = senderOf(member("$0", "@a:hs"));
    const drawn: number[] = [];
    timeline = [sender, sender, other, null, earlier].map((one, index) => ({
      sender: one,
      emit: (name: string) => {
        assert.equal(name, "Event.decrypted");
        assert.equal(client.emit?.(name), false, "the client tells nobody");
        assert.equal(client.emit?.("Room.timeline"), true, "and all else as ever");
        return drawn.push(index) > 0;
      },
    }));
    const client = clientOf();
    let emitted = 0;
    Object.setPrototypeOf(client, { emit: () => (emitted += 1) > 0 });
    reader.attach(client);
    open(event, "Rosa");
    await settle();
    assert.deepEqual(renamed, [event], "once, and who was called otherwise before keeps that");
    assert.deepEqual(drawn, [0, 1], "their tiles are drawn anew");
    assert.equal(emitted, 2);
    assert.equal(Object.hasOwn(client, "emit"), false);
    assert.equal(client.emit?.("Event.decrypted"), true);
    open(event, "Rosa");
    await settle();
    assert.deepEqual(drawn, [0, 1], "not again for the same name");
  });

  test("and one's own only while it would leave sealed: Element sends on what it reads", async () => {
    const [own, other] = [member("$own", "@me:hs"), member("$1", "@a:hs")];
    current.set("@me:hs", own);
    current.set("@a:hs", other);
    showsOwn = false;
    open(own, "Secret");
    open(other, "Rosa");
    assert.deepEqual(own.getContent(), { membership: "join", displayname: "Public" });
    assert.equal(shownName(other), "Rosa");
    assert.equal(reader.isShown(ROOM, "@me:hs"), false);
    await settle();
    for (const [isShown, name] of [
      [true, "Secret"],
      [false, "Public"],
    ] as const) {
      showsOwn = isShown;
      told = [];
      reader.tellOwn();
      assert.deepEqual(told, [own], "and Element is told");
      assert.equal(shownName(own), name);
    }
  });

  test("for the order, of one that was replaced before it could be opened", async () => {
    const [back, old] = [member("$back", "@a:hs"), member("$old", "@a:hs")];
    current.set("@a:hs", back);
    back.getContent();
    current.set("@a:hs", old);
    await settle();
    assert.deepEqual(opened, [[back.event]]);
    // It comes to light later than what is current.
    open(old, "Now");
    open(back, "Before");
    assert.equal(shownName(old), "Now");
  });

  test("another session's is not this one's", () => {
    const event = member("$1", "@a:hs");
    current.set("@a:hs", event);
    open(event, "Rosa");
    assert.equal(shownName(event), "Rosa");
    reader.attach(clientOf());
    assert.equal(shownName(event), "Public");
    reader.attach(undefined);
    assert.equal(shownName(event), "Public");
  });

  test("asked for once, however often it is looked at while its key is not there", async () => {
    const event = member("$1", "@a:hs");
    current.set("@a:hs", event);
    for (let look = 0; look < 5; look += 1) {
      event.getContent();
      await settle();
    }
    assert.equal(opened.length, 1);
    open(event, "Rosa");
    assert.equal(shownName(event), "Rosa");
  });

  test("of thousands in small parts", async () => {
    for (let number = 0; number < 2_050; number += 1) {
      const event = member(`$${number}`, `@p${number}:hs`);
      current.set(`@p${number}:hs`, event);
      event.getContent();
    }
    await settle();
    while (opened.flat().length < 2_050) await new Promise((resolve) => setTimeout(resolve, 0));
    assert.ok(opened.every((part) => part.length <= 100));
  });
});

describe("a picture in one room is read", () => {
  const openWith = (event: MatrixEvent, content: Raw): void =>
    reader.opened(ROOM, {
      type: FIELD,
      event_id: event.event["event_id"],
      state_key: event.event["state_key"],
      content,
    });
  const shownPicture = (event: MatrixEvent): unknown => event.getContent()["avatar_url"];
  const pictured = (id: string, user = "@a:hs"): MatrixEvent => {
    const event = member(id, user);
    Object.assign(event.event["content"] as Raw, { avatar_url: "mxc://hs/public" });
    current.set(user, event);
    return event;
  };

  test("with the name or without, under a name that stays, and shown once it is there", async () => {
    const event = pictured("$1");
    assert.equal(shownPicture(event), "mxc://hs/public");
    await settle();
    openWith(event, { displayname: "Rosa", avatar });
    assert.equal(shownPicture(event), "mxc://hs/sealed#mantle-0");
    assert.equal(shownName(event), "Rosa");
    assert.equal(event.getContent(), event.getContent(), "the same object");
    assert.equal(pictures[0]?.roomId, ROOM);
    told = [];
    reader.pictureOpened({});
    assert.deepEqual(told, [], "another's");
    reader.pictureOpened(pictures[0]);
    assert.deepEqual(told, [event]);
    pictures[0].isForgotten = true;
    assert.equal(shownPicture(event), "mxc://hs/sealed#mantle-1", "named anew");

    const next = pictured("$2");
    await settle();
    openWith(next, { avatar });
    assert.equal(shownPicture(next), "mxc://hs/sealed#mantle-2");
    assert.equal(shownName(next), "Public");
    const last = pictured("$3");
    await settle();
    openWith(last, {});
    assert.equal(shownPicture(last), "mxc://hs/public", "taken back");
  });

  test("and messages are drawn anew when it is opened and when it is there, not others", async () => {
    const event = pictured("$1");
    const drawn: string[] = [];
    const messageOf = (of: MatrixEvent, name: string): (typeof timeline)[number] => {
      const sender = { events: { member: of as unknown as MemberEvent }, rawDisplayName: "Public" };
      return Object.assign({ sender }, { emit: () => drawn.push(name) > 0 });
    };
    timeline = [messageOf(event, "now"), messageOf(member("$0", "@a:hs"), "before")];
    timeline.push(messageOf(pictured("$2", "@b:hs"), "other"));
    const client = clientOf();
    Object.setPrototypeOf(client, { emit: () => true });
    reader.attach(client);
    openWith(event, { avatar });
    event.getContent();
    await settle();
    assert.deepEqual(drawn, ["now"]);
    reader.pictureOpened(pictures.at(-1) ?? {});
    await settle();
    assert.deepEqual(drawn, ["now", "now"]);
  });

  test("of one's own not where it could leave readable", async () => {
    const event = pictured("$1", "@me:hs");
    event.getContent();
    await settle();
    openWith(event, { avatar });
    assert.equal(shownPicture(event), "mxc://hs/sealed#mantle-0");
    showsOwn = false;
    assert.equal(shownPicture(event), "mxc://hs/public");
  });

  test("not where it names none that could be shown", async () => {
    const event = pictured("$1");
    event.getContent();
    await settle();
    openWith(event, { avatar: { url: "mxc://hs/readable" } });
    assert.equal(shownPicture(event), "mxc://hs/public");
  });
});
