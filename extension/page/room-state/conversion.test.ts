import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import type { ShieldSettings } from "../core/guarded-core.ts";
import { connectShieldSettings } from "../core/shield-settings.ts";
import { RefusedRoom, RoomConversion } from "./conversion.ts";
import type { StateEngine } from "./engine.ts";
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
    return { kind: "convert", done: false, encrypt: [], blank: [], redact: [], types: [] };
  },
};
const engine = {
  started: () => Promise.resolve(),
  knowsDevice: () => Promise.resolve(true),
  call: (use: (of: unknown) => unknown) => use(state),
  writing: (_client: unknown, write: () => Promise<unknown>) => write(),
} as unknown as StateEngine;
const sharing = {
  readyClient: () => Promise.resolve(client),
  readyRoom: () => Promise.resolve(room),
} as unknown as StateSharing;
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
