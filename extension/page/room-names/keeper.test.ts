import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { ENCRYPTED_PICTURE as PICTURE } from "../../testing/pictures.ts";
import { HomeserverError } from "../room-state/homeserver.ts";
import { NameKeeper } from "./keeper.ts";
import type { Current, Held, KeeperParts } from "./keeper.ts";
import type { Plain } from "./profile.ts";

const FIELD = "org.mantle.member_profile";
const HELD: Held = { eventId: "$own", contentJson: "{}", sessionId: "s", isOutdated: false };

let held: Held | undefined;
let content: Plain;
let eventId: string | undefined;
let isJoined: boolean;
let hasWritten: boolean;
/** What happens while the name is sealed. */
let whileSealing: () => void;
let puts: { roomId: string; at: number }[];
let forgotten: string[];
/** What was. */
let sealed: Plain[];
let isOn: boolean;
let looks: number;
let failure: unknown;
let keeper: NameKeeper;
let time = 0;
let tasks: { at: number; task: () => void }[];

const event = (): Current => ({ eventId, content });

/** Lets so much time pass. */
async function pass(milliseconds: number): Promise<void> {
  const until = time + milliseconds;
  for (;;) {
    tasks.sort((one, other) => one.at - other.at);
    const [next] = tasks;
    if (next === undefined || next.at > until) break;
    tasks.shift();
    time = Math.max(time, next.at);
    next.task();
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  }
  time = until;
}

beforeEach(() => {
  [held, content] = [HELD, { membership: "join", displayname: "Public" }];
  [eventId, isJoined, hasWritten, whileSealing] = ["$anew", true, false, () => undefined];
  [puts, forgotten, isOn, looks, failure, tasks] = [[], [], true, 0, undefined, []];
  sealed = [];
  const parts: KeeperParts = {
    isOn: () => isOn,
    held: () => held,
    forget: (roomId) => {
      forgotten.push(roomId);
      held = undefined;
    },
    current: () => {
      looks += 1;
      return failure === undefined ? Promise.resolve(event()) : Promise.reject(failure as Error);
    },
    publicProfile: () => Promise.resolve({ name: "Public", picture: "mxc://hs/public" }),
    isJoined: () => isJoined,
    hasWritten: () => hasWritten,
    seal: (_roomId, inner) => {
      sealed.push(JSON.parse(inner) as Plain);
      whileSealing();
      return Promise.resolve({});
    },
    put: (roomId) => {
      puts.push({ roomId, at: time });
      return Promise.resolve();
    },
    writing: (task) => task(),
    later: (task, delay) => tasks.push({ at: time + delay, task }),
    now: () => time,
    random: () => 0.5,
  };
  keeper = new NameKeeper(parts);
});

describe("a name in one room is put again", () => {
  test("where a homeserver has written the member event without it", async () => {
    keeper.look("!a", event());
    await pass(60_000);
    assert.equal(puts.length, 1);
  });

  test("where the room's keys are others now", async () => {
    content = { ...content, [FIELD]: { session_id: "s" } };
    eventId = "$own";
    keeper.look("!a", event());
    await pass(60_000);
    assert.deepEqual(puts, []);
    held = { ...HELD, isOutdated: true };
    keeper.look("!a", event());
    await pass(60_000);
    assert.equal(puts.length, 1);
  });

  test("not where another device was quicker, the shield is off, or they have left", async () => {
    const bare = content;
    for (const [now, on] of [
      [{ ...bare, [FIELD]: { session_id: "other" } }, true],
      [bare, false],
      [{ membership: "leave" }, true],
    ] as const) {
      [content, isOn] = [now, on];
      keeper.look("!a", { eventId: "$bare", content: bare });
      await pass(60_000);
    }
    held = undefined;
    keeper.look("!a", { eventId: "$bare", content: bare });
    await pass(60_000);
    assert.deepEqual(puts, []);
  });

  test("not where a readable one was chosen since, which is forgotten then", async () => {
    content = { ...content, displayname: "Chosen" };
    keeper.look("!a", event());
    await pass(40_000);
    assert.deepEqual(forgotten, [], "a homeserver may still be writing");
    await pass(600_000);
    assert.deepEqual([puts, forgotten], [[], ["!a"]]);
  });

  test("where a client that does not know what it is has copied it into another event", async () => {
    content = { ...content, [FIELD]: { session_id: "s" } };
    keeper.look("!a", event());
    await pass(30_000);
    assert.deepEqual(puts, [], "it may be a newer one, of which the sync is under way");
    await pass(90_000);
    assert.equal(puts.length, 1);
  });

  test("not over a readable one that was chosen with such a client", async () => {
    content = { ...content, displayname: "Chosen", [FIELD]: { session_id: "s" } };
    for (const isOutdated of [false, true]) {
      held = { ...HELD, isOutdated };
      forgotten = [];
      keeper.look("!a", event());
      await pass(600_000);
      assert.deepEqual([puts, forgotten], [[], ["!a"]]);
    }
  });

  test("not where they leave, are put out or change something while it is sealed", async () => {
    const bare = content;
    for (const happens of [
      () => {
        content = { membership: "leave" };
        eventId = "$left";
      },
      () => {
        eventId = "$changed";
      },
      () => {
        isJoined = false;
      },
      () => {
        isOn = false;
      },
    ]) {
      [content, eventId, isJoined, isOn] = [bare, "$anew", true, true];
      whileSealing = happens;
      keeper.look("!a", event());
      await pass(60_000);
      assert.deepEqual(puts, []);
    }
  });

  test("not where the running client has left, nor while the page's own write is under way", async () => {
    isJoined = false;
    keeper.look("!a", event());
    await pass(60_000);
    assert.equal(looks, 0);
    [isJoined, hasWritten] = [true, true];
    keeper.look("!a", event());
    await pass(10_000);
    assert.deepEqual(puts, []);
    hasWritten = false;
    await pass(30_000);
    assert.equal(puts.length, 1);
  });

  test("one room after the other", async () => {
    for (let room = 0; room < 20; room += 1) keeper.look(`!${room}`, event());
    await pass(120_000);
    assert.equal(puts.length, 20);
    for (let at = 1; at < puts.length; at += 1) {
      assert.ok((puts[at]?.at ?? 0) - (puts[at - 1]?.at ?? 0) >= 1_500);
    }
  });

  test("as late as the homeserver wants it", async () => {
    failure = new HomeserverError(429, { retry_after_ms: 90_000 });
    keeper.look("!a", event());
    await pass(80_000);
    assert.equal(looks, 1);
    failure = undefined;
    await pass(30_000);
    assert.equal(puts.length, 1);
  });

  test("not for ever: where it never comes back, where it is refused, or where nothing answers", async () => {
    for (let time = 0; time < 20; time += 1) {
      keeper.look("!a", event());
      await pass(60_000);
    }
    assert.equal(puts.length, 5);
    // Nor where it does come back and is taken away again at once.
    keeper.cameBack("!a");
    keeper.look("!a", event());
    await pass(60_000);
    assert.equal(puts.length, 5);
    await pass(3_600_000);
    keeper.look("!a", event());
    await pass(60_000);
    assert.equal(puts.length, 6);

    looks = 0;
    failure = new HomeserverError(403, {});
    keeper.look("!b", event());
    await pass(3_600_000);
    assert.equal(looks, 1);

    looks = 0;
    failure = new TypeError("no network");
    keeper.look("!c", event());
    await pass(36_000_000);
    assert.ok(looks > 5 && looks <= 11, String(looks));
  });
});

describe("a picture in one room", () => {
  const withPicture = (more: object = {}): void => {
    held = { ...HELD, contentJson: JSON.stringify({ ...more, avatar: PICTURE }) };
  };

  test("is put again with the name, or alone", async () => {
    content = { ...content, avatar_url: "mxc://hs/public" };
    for (const more of [{ displayname: "Rosa" }, {}]) {
      withPicture(more);
      keeper.look(`!${JSON.stringify(more)}`, event());
      await pass(60_000);
    }
    assert.deepEqual(sealed, [{ displayname: "Rosa", avatar: PICTURE }, { avatar: PICTURE }]);
    assert.equal(puts.length, 2);
  });

  test("gives way to one that everybody can read, once that has stayed; the name does not", async () => {
    content = { ...content, avatar_url: "mxc://hs/readable" };
    withPicture({ displayname: "Rosa" });
    keeper.look("!a", event());
    await pass(30_000);
    assert.deepEqual(sealed, []);
    await pass(120_000);
    assert.equal(sealed.length, 1);
    assert.equal(sealed[0]?.["displayname"], "Rosa");
    assert.equal(sealed[0]["avatar"], undefined);
    withPicture();
    keeper.look("!b", event());
    await pass(200_000);
    assert.deepEqual(forgotten, ["!b"]);
  });
});
