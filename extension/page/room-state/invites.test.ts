import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import type { EncryptedState } from "../../generated/mantle_state.js";
import type { PageClient, PageRoom } from "./element/client.ts";
import type { StateEngine } from "./engine.ts";
import { InvitePreviews } from "./invites.ts";
import type { KeyFetcher } from "./keys.ts";

const ME = "@me:hs";
const BOB = "@bob:hs";

test("who is invited is told again where nothing could be told them, and else once", async () => {
  let hasDevice = false;
  let canEncrypt = false;
  const sent: string[] = [];
  const device = { deviceId: "D", verified: 0, keys: new Map<string, string>() };
  device.keys.set("curve25519:D", "c").set("ed25519:D", "e");
  const crypto = {
    getUserDeviceInfo: async (users: string[]) =>
      new Map(users.map((userId) => [userId, new Map(hasDevice ? [["D", device]] : [])])),
    encryptToDeviceMessages: async (_type: string, devices: object[]) => ({
      batch: canEncrypt ? devices.map((name) => ({ ...name, payload: {} })) : [],
    }),
  };
  const client = {
    getCrypto: () => crypto,
    getUserId: () => ME,
    getDeviceId: () => "ME",
    sendToDevice: async (_type: string, messages: Map<string, unknown>) => {
      sent.push(...messages.keys());
    },
  } as unknown as PageClient;
  const room = {
    roomId: "!room:hs",
    getEncryptionTargetMembers: async () => [{ userId: ME }, { userId: BOB }],
    getMembersWithMembership: () => [{ userId: BOB, events: { member: { getSender: () => ME } } }],
  } as unknown as PageRoom;
  const state = { invitePreview: () => ({ type: "org.mantle.room_state", content: {} }) };
  const engine = {
    call: (call: (state: EncryptedState) => unknown) => call(state as unknown as EncryptedState),
  } as unknown as StateEngine;
  const invites = new InvitePreviews(engine, {} as KeyFetcher);
  await invites.tellInvited(client, room);
  hasDevice = true;
  await invites.tellInvited(client, room);
  assert.deepEqual(sent, []);
  canEncrypt = true;
  await invites.tellInvited(client, room);
  assert.deepEqual(sent, [BOB]);
  await invites.tellInvited(client, room);
  assert.deepEqual(sent, [BOB], "once");
});
