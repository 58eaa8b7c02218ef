import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { HomeserverError } from "../room-state/homeserver.ts";
import { NameKeeper } from "./keeper.ts";
import type { Held, KeeperParts } from "./keeper.ts";
import type { Plain } from "./profile.ts";

const FIELD = "org.mantle.member_profile";
const HELD: Held = { contentJson: "{}", sessionId: "s", isOutdated: false };

let held: Held | undefined;
let content: Plain;
let puts: { roomId: string; at: number }[];
let forgotten: string[];
let isOn: boolean;
let looks: number;
let failure: unknown;
let keeper: NameKeeper;
let time = 0;
let tasks: { at: number; task: () => void }[];

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
  [puts, forgotten, isOn, looks, failure, tasks] = [[], [], true, 0, undefined, []];
  const parts: KeeperParts = {
    isOn: () => isOn,
    held: () => held,
    forget: (roomId) => {
      forgotten.push(roomId);
      held = undefined;
    },
    current: () => {
      looks += 1;
      return failure === undefined ? Promise.resolve(content) : Promise.reject(failure as Error);
    },
    publicName: () => Promise.resolve("Public"),
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
    keeper.look("!a", content);
    await pass(60_000);
    assert.equal(puts.length, 1);
  });

  test("where the room's keys are others now", async () => {
    content = { ...content, [FIELD]: { session_id: "s" } };
    keeper.look("!a", content);
    await pass(60_000);
    assert.deepEqual(puts, []);
    held = { ...HELD, isOutdated: true };
    keeper.look("!a", content);
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
      keeper.look("!a", bare);
      await pass(60_000);
    }
    held = undefined;
    keeper.look("!a", bare);
    await pass(60_000);
    assert.deepEqual(puts, []);
  });

  test("not where a readable one was chosen since, which is forgotten then", async () => {
    content = { ...content, displayname: "Chosen" };
    keeper.look("!a", content);
    await pass(40_000);
    assert.deepEqual(forgotten, [], "a homeserver may still be writing");
    await pass(600_000);
    assert.deepEqual([puts, forgotten], [[], ["!a"]]);
  });

  test("one room after the other", async () => {
    for (let room = 0; room < 20; room += 1) keeper.look(`!${room}`, content);
    await pass(120_000);
    assert.equal(puts.length, 20);
    for (let at = 1; at < puts.length; at += 1) {
      assert.ok((puts[at]?.at ?? 0) - (puts[at - 1]?.at ?? 0) >= 1_500);
    }
  });

  test("as late as the homeserver wants it", async () => {
    failure = new HomeserverError(429, { retry_after_ms: 90_000 });
    keeper.look("!a", content);
    await pass(80_000);
    assert.equal(looks, 1);
    failure = undefined;
    await pass(30_000);
    assert.equal(puts.length, 1);
  });

  test("not for ever: where it never comes back, where it is refused, or where nothing answers", async () => {
    for (let time = 0; time < 20; time += 1) {
      keeper.look("!a", content);
      await pass(60_000);
    }
    assert.equal(puts.length, 5);
    keeper.cameBack("!a");
    keeper.look("!a", content);
    await pass(60_000);
    assert.equal(puts.length, 6);

    looks = 0;
    failure = new HomeserverError(403, {});
    keeper.look("!b", content);
    await pass(3_600_000);
    assert.equal(looks, 1);

    looks = 0;
    failure = new TypeError("no network");
    keeper.look("!c", content);
    await pass(36_000_000);
    assert.ok(looks > 5 && looks <= 11, String(looks));
  });
});
