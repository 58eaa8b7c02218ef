import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import type { EventStub } from "./element/client.ts";
import type { StateEngine } from "./engine.ts";
import { KeyFetcher, MEMBER_PROFILE } from "./keys.ts";

/** With a module in whose place this object stands. */
function keysOf(state: object): KeyFetcher {
  const engine = {
    isRunning: true,
    call: (call: (of: unknown) => unknown) => call(state),
    persistSoon: () => undefined,
  };
  return new KeyFetcher(engine as unknown as StateEngine);
}

test("names in one room are handed on where the module keeps their order no more", async () => {
  const peg = { mxMatrixClientPeg: { get: () => ({ getRoom: () => null }) } };
  Object.assign((globalThis as unknown as { window: object }).window, peg);
  const events: { roomId: string; event: object }[] = [];
  for (let number = 0; number < 100; number += 1) {
    const event = { type: MEMBER_PROFILE, state_key: `@p${number}:hs`, event_id: `$${number}` };
    events.push({ roomId: "!r", event });
  }
  const state = {
    retryNeeds: () => undefined,
    retried: () => ({ events, more: false }),
    // Of a room it has 64 places.
    isCurrent: (_room: string, _type: string, user: string) => Number(/\d+/.exec(user)) >= 36,
  };
  const keys = keysOf(state);
  const taken: unknown[] = [];
  keys.onMemberProfile = (_room, event) => taken.push(event["event_id"]);
  keys.scheduleRetry(0);
  for (let round = 0; round < 100 && taken.length < 100; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(taken.length, 100);
});

test("keys that are said to be withheld are looked for seldom, and found when they come", async () => {
  const stubs: EventStub[] = [];
  let exports = 0;
  let hasKey = false;
  let opened = 0;
  const crypto = {
    // As matrix-js-sdk: the event stays on its list, and is tried again whatever is said of its key.
    decryptEvent: (stub: EventStub) => {
      stubs.push(stub);
      return Promise.reject(new Error("withheld"));
    },
    getUserDeviceInfo: async () => new Map(),
    olmMachine: {
      exportRoomKeys: async () => {
        exports += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
        return hasKey ? "[{}]" : "[]";
      },
    },
  };
  const client = {
    getCrypto: () => crypto,
    getRoom: () => ({
      currentState: { setStateEvents: () => undefined },
      recalculate: () => undefined,
    }),
    getEventMapper: () => (event: object) => event,
    isInitialSyncComplete: () => true,
  };
  Object.assign((globalThis as unknown as { window: object }).window, {
    mxMatrixClientPeg: { get: () => client },
  });
  const event = { type: "m.room.name", state_key: "", event_id: "$name" };
  let waits = [
    {
      ...{
        roomId: "!r",
        eventId: "$name",
        sessionId: "s",
        sender: "@a:hs",
        stateKey: "m.room.name:",
      },
      ...{ ts: 1, content: {}, reason: "session" },
    },
  ];
  let isKnown = false;
  const needs = { sessions: [{ roomId: "!r", sessionId: "s" }] };
  const state = {
    takeUndecryptable: () => waits.splice(0),
    hasUndecryptable: () => opened === 0,
    isUndecryptable: () => opened === 0,
    retryNeeds: () =>
      opened > 0 ? undefined : { answer: 0, ...needs, owners: [], rooms: [], memberDevices: [] },
    addRoomKeys: () => {
      isKnown = true;
      return 1;
    },
    retried: () => {
      const isNow = isKnown && opened === 0;
      if (isNow) opened += 1;
      return { events: isNow ? [{ roomId: "!r", event }] : [], more: false };
    },
    isCurrent: () => true,
  };
  const keys = keysOf(state);
  assert.ok(keys.watch());
  const says = (): void => {
    for (const stub of stubs) void stub.attemptDecryption();
  };
  const until = async (ms: number, isOver: () => boolean): Promise<void> => {
    const start = Date.now();
    while (Date.now() - start < ms && !isOver()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  // Somebody says so all the time.
  await until(2_000, () => {
    says();
    return false;
  });
  assert.equal(stubs.length, 1, "nobody is asked again");
  assert.ok(exports > 0 && exports <= 6, `keys were read ${exports} times in two seconds`);
  assert.equal(opened, 0);
  // The key comes, as the last that is said.
  hasKey = true;
  says();
  await until(20_000, () => opened > 0);
  assert.equal(opened, 1);
});

test("what waits after a look is listened for at once, not with the next answer", async () => {
  const stubs: string[] = [];
  const client = {
    getCrypto: () => ({
      decryptEvent: (stub: EventStub) => {
        stubs.push(stub.getId());
        return Promise.reject(new Error("no key"));
      },
    }),
    isInitialSyncComplete: () => true,
  };
  Object.assign((globalThis as unknown as { window: object }).window, {
    mxMatrixClientPeg: { get: () => client },
  });
  const made = { roomId: "!r", sessionId: "s", sender: "@a:hs", stateKey: "x", ts: 1, content: {} };
  const waits = Array.from({ length: 1_200 }, (_, at) => {
    return { ...made, eventId: `$${at}`, reason: "session" };
  });
  const state = {
    takeUndecryptable: (most: number) => waits.splice(0, most),
    hasUndecryptable: () => true,
    isUndecryptable: () => true,
    retryNeeds: () => undefined,
    retried: () => ({ events: [], more: false }),
  };
  const keys = keysOf(state);
  keys.scheduleRetry(0);
  for (let round = 0; round < 100 && stubs.length < 1_200; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(new Set(stubs).size, 1_200);
  assert.equal(stubs.length, 1_200, "each once");
});

test("whose devices are not there yet is looked for again by itself, and not for ever", async () => {
  let looks = 0;
  let hasDevices = false;
  const told: unknown[] = [];
  const device = {
    deviceId: "D",
    algorithms: [],
    keys: new Map([["ed25519:D", "key"]]),
    signatures: new Map(),
  };
  const client = {
    getCrypto: () => ({
      // As matrix-js-sdk: of somebody whose devices it asks for still, it says that there are none.
      getUserDeviceInfo: async (users: string[]) => {
        looks += 1;
        return new Map(users.map((user) => [user, new Map(hasDevices ? [["D", device]] : [])]));
      },
      getDeviceVerificationStatus: async () => null,
    }),
    isInitialSyncComplete: () => true,
  };
  Object.assign((globalThis as unknown as { window: object }).window, {
    mxMatrixClientPeg: { get: () => client },
  });
  const state = {
    takeUndecryptable: () => [],
    hasUndecryptable: () => told.length === 0,
    isUndecryptable: () => told.length === 0,
    addDevices: (json: string) => {
      told.push(JSON.parse(json));
    },
    retryNeeds: () =>
      told.length > 0
        ? undefined
        : { answer: 0, sessions: [], owners: ["@a:hs"], rooms: [], memberDevices: [] },
    retried: () => ({ events: [], more: false }),
  };
  const keys = keysOf(state);
  keys.scheduleRetry(0);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.ok(looks >= 2 && looks <= 4, `looked ${looks} times in a second`);
  assert.deepEqual(told, [], "nobody was told that there are none");
  hasDevices = true;
  for (let round = 0; round < 400 && told.length === 0; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(told.length, 1);
  const before = looks;
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal(looks, before, "what is there is not looked for");
});
