import "../../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import type { DeviceList, PageClient } from "./client.ts";
import { deviceKeysOf } from "./client.ts";

const BAD = "@bad:hs";
const USERS = ["@first:hs", BAD, "@last:hs"];

/** A client that gives everyone one device; `standingOf` says how its crypto judges those of BAD. */
function clientWith(standingOf: () => Promise<null>): PageClient {
  const device = (userId: string) => ({
    deviceId: "D",
    userId,
    keys: new Map([["curve25519:D", `key of ${userId}`]]),
    verified: 0,
  });
  const crypto = {
    getUserDeviceInfo: async (userIds: string[]) =>
      new Map(userIds.map((userId) => [userId, new Map([["D", device(userId)]])])),
    getDeviceVerificationStatus: (userId: string) =>
      userId === BAD
        ? standingOf()
        : Promise.resolve({ signedByOwner: true, isVerified: () => false }),
  };
  return { getCrypto: () => crypto } as unknown as PageClient;
}

/** Of everyone, whose devices must all be there. */
function standings(known: Map<string, DeviceList>): unknown[] {
  return USERS.map((userId) => {
    const [device, ...others] = known.get(userId) ?? [];
    assert.equal(others.length, 0);
    assert.deepEqual(device?.keys, { "curve25519:D": `key of ${userId}` });
    return device?.standing;
  });
}

describe("devices of senders", () => {
  test("are known of everyone where the page's crypto cannot judge those of one", async () => {
    for (const fails of [
      () => Promise.reject(new Error("no such device")),
      () => {
        throw new Error("no such device");
      },
    ]) {
      const known = await deviceKeysOf(clientWith(fails), USERS, true);
      assert.deepEqual(standings(known), ["signed", undefined, "signed"]);
    }
  });

  test("are known of everyone where the page's crypto never judges those of one", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const all = deviceKeysOf(
        clientWith(() => new Promise(() => undefined)),
        USERS,
        true,
      );
      // What comes before the wait takes a few turns.
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      mock.timers.tick(15_000);
      assert.deepEqual(standings(await all), ["signed", undefined, "signed"]);
    } finally {
      mock.timers.reset();
    }
  });

  test("are not judged where that does not matter", async () => {
    const never = () => Promise.reject(new Error("asked"));
    const known = await deviceKeysOf(clientWith(never), USERS, false);
    assert.deepEqual(standings(known), [undefined, undefined, undefined]);
  });
});
