import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import type { ShieldSettings } from "../core/guarded-core.ts";
import { connectShieldSettings } from "../core/shield-settings.ts";
import { RefusedRoom, RoomConversion } from "./conversion.ts";
import type { StateEngine } from "./engine.ts";
import { HomeserverError } from "./homeserver.ts";
import type { StateSharing } from "./sharing.ts";

const ALICE = "@alice:hs.example.org";

let planned: string[] = [];
const room = {
  roomId: "!a",
  currentState: { events: new Map() },
  getMyMembership: () => "join",
  hasEncryptionStateEvent: () => true,
};
let isSynced = true;
const client = {
  getUserId: () => ALICE,
  getRooms: () => [room],
  getRoom: (roomId: string) => (roomId === room.roomId ? room : null),
  isInitialSyncComplete: () => isSynced,
};
const state = {
  encryptsState: () => false,
  convertRoom: (roomId: string) => {
    planned.push(roomId);
    return { kind: "convert", done: false, encrypt, blank: [], redact: [], types: [] };
  },
};
let encrypt: object[] = [];
let isWriting = false;
let isAwaited = false;
const engine = {
  get isAwaited() {
    return isAwaited;
  },
  started: () => Promise.resolve(),
  knowsDevice: () => Promise.resolve(true),
  call: (use: (of: unknown) => unknown) => use(state),
  writing: (_client: unknown, write: () => Promise<unknown>) => {
    isWriting = true;
    return write().finally(() => {
      isWriting = false;
    });
  },
} as unknown as StateEngine;
const sharing = {
  readyClient: () => Promise.resolve(client),
  readyRoom: () => Promise.resolve(room),
  prepare: () => Promise.resolve(),
  send: () => send(),
} as unknown as StateSharing;
let send: () => Promise<void> = () => Promise.resolve();
const conversion = new RoomConversion(engine, sharing);

function shieldIs(mode: string): void {
  connectShieldSettings(() => ({ mode, options: {} }) as unknown as ShieldSettings);
  planned = [];
}

test("a room is converted while the shield is on", async () => {
  shieldIs("on");
  assert.deepEqual(await conversion.convertible(), ["!a"]);
  await conversion.convertOne(ALICE, "!a");
  assert.deepEqual(planned, ["!a", "!a"]);
});

test("no room is converted, nor offered, while the shield is off or only watches", async () => {
  for (const mode of ["off", "flag"]) {
    shieldIs(mode);
    assert.deepEqual(await conversion.convertible(), []);
    const refusal = { name: "Error", message: /turned off/ };
    await assert.rejects(conversion.convertOne(ALICE, "!a"), refusal, mode);
    await assert.rejects(conversion.convertOne(ALICE, "!a"), RefusedRoom, mode);
    assert.deepEqual(planned, []);
  }
});

test("no room is converted in the name of somebody who was not asked", async () => {
  shieldIs("on");
  await assert.rejects(conversion.convertOne("@bob:hs.example.org", "!a"), /Somebody else/);
  await assert.rejects(conversion.preview("@bob:hs.example.org", ["!a"]), /Somebody else/);
  assert.deepEqual(planned, []);
});

test("a room that the client does not have once it has all of them is refused at once", async () => {
  shieldIs("on");
  await assert.rejects(conversion.convertOne(ALICE, "!gone"), RefusedRoom);
  isSynced = false;
  await conversion.convertOne(ALICE, "!gone");
  assert.equal(planned.length, 1, "before that it is waited for");
});

test("who waits to write goes on while the homeserver wants a room's conversion slower", async () => {
  shieldIs("on");
  encrypt = [{ eventType: "m.room.name", stateKey: "", contentJson: "{}" }];
  for (const isSomebodyThere of [false, true]) {
    planned = [];
    isAwaited = isSomebodyThere;
    let sent = 0;
    let wasHeld: boolean | undefined;
    send = async () => {
      sent += 1;
      if (sent > 1) return;
      setTimeout(() => {
        wasHeld = isWriting;
      }, 100);
      throw new HomeserverError(429, { retry_after_ms: 300 });
    };
    await conversion.convertOne(ALICE, "!a");
    assert.deepEqual([sent, wasHeld], [2, !isSomebodyThere]);
    assert.equal(planned.length, isSomebodyThere ? 2 : 1, "what somebody set meanwhile counts");
  }
  isAwaited = false;
  encrypt = [];
  send = () => Promise.resolve();
});
