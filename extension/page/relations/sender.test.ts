import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AUTHENTICITY_NOT_GUARANTEED,
  forgetSender,
  isSenderBelieved,
  UNSIGNED_DEVICE,
  UNVERIFIED_IDENTITY,
} from "./sender.ts";
import type { PageEvent, RelationsCrypto } from "./sdk.ts";

const SENDER = "@bob:hs";
const KEY = "key of Bob's";

/** Whether a reaction of Bob's is shown, whose session came from a device with this key. */
function isShown(
  reason: number | null | undefined,
  { key = KEY as string | null, signs = false, fails = false, own = "" } = {},
): Promise<boolean> {
  const crypto = {
    getOwnDeviceKeys: () => Promise.resolve({ curve25519: own }),
    getEncryptionInfoForEvent: () =>
      Promise.resolve(reason === undefined ? null : { shieldReason: reason }),
    userHasCrossSigningKeys: (user: string) => Promise.resolve(user === SENDER && signs),
    getUserDeviceInfo: ([user]: string[]) =>
      fails
        ? Promise.reject(new Error("offline"))
        : Promise.resolve(
            new Map([
              [user, new Map([["D", { deviceId: "D", keys: new Map([["curve25519:D", KEY]]) }]])],
            ]),
          ),
  };
  const event = { event: {}, getSender: () => SENDER, getSenderKey: () => key };
  return isSenderBelieved(crypto as unknown as RelationsCrypto, event as unknown as PageEvent);
}

test("a reaction is shown where a message would have no mark that warns", async () => {
  assert.equal(await isShown(null), true);
  assert.equal(await isShown(UNVERIFIED_IDENTITY), true);
});

test("a device that its owner did not sign is believed of those alone who sign none", async () => {
  assert.equal(await isShown(UNSIGNED_DEVICE), true);
  assert.equal(await isShown(UNSIGNED_DEVICE, { signs: true }), false);
  assert.equal(await isShown(UNSIGNED_DEVICE, { key: "key of Carol's" }), false);
  assert.equal(await isShown(UNSIGNED_DEVICE, { key: null }), false);
});

test("what this very device encrypted is shown, signed or not", async () => {
  assert.equal(await isShown(UNSIGNED_DEVICE, { signs: true, own: KEY }), true);
});

test("a sender is looked up once for all of their events", async () => {
  let asked = 0;
  const crypto = {
    getEncryptionInfoForEvent: () => Promise.resolve({ shieldReason: AUTHENTICITY_NOT_GUARANTEED }),
    getUserDeviceInfo: () => {
      asked += 1;
      return Promise.resolve(new Map([[SENDER, new Map()]]));
    },
  } as unknown as RelationsCrypto;
  const event = {
    event: {},
    getSender: () => SENDER,
    getSenderKey: () => KEY,
  } as unknown as PageEvent;
  await Promise.all(Array.from({ length: 200 }, () => isSenderBelieved(crypto, event)));
  assert.equal(asked, 1);
});

test("a session is asked about once for all of a sender's events, until more is known of the sender", async () => {
  const asked: string[] = [];
  const crypto = {
    getEncryptionInfoForEvent: (event: PageEvent) => {
      asked.push(`${event.getId() ?? ""} of ${event.getSender() ?? ""}`);
      return Promise.resolve(event.getId() === "$closed" ? null : { shieldReason: null });
    },
  } as unknown as RelationsCrypto;
  const reaction = (id: string, sender: string, session: string): PageEvent =>
    ({
      event: { content: { session_id: session } },
      getId: () => id,
      getRoomId: () => "!room:hs",
      getSender: () => sender,
    }) as unknown as PageEvent;
  const believed = (...args: [string, string, string]): Promise<boolean> =>
    isSenderBelieved(crypto, reaction(...args));
  const all = Array.from({ length: 200 }, (_, index) => believed(`$${index}`, SENDER, "one"));
  assert.ok((await Promise.all(all)).every((isBelieved) => isBelieved));
  await believed("$a", SENDER, "two");
  await believed("$b", "@mallory:hs", "one");
  forgetSender(crypto, SENDER);
  await believed("$c", SENDER, "one");
  assert.deepEqual(asked, [
    `$0 of ${SENDER}`,
    `$a of ${SENDER}`,
    "$b of @mallory:hs",
    `$c of ${SENDER}`,
  ]);
  assert.equal(await believed("$closed", SENDER, "three"), false);
  assert.equal(await believed("$open", SENDER, "three"), true);
});

test("a key from a backup has to be that of a device of the sender", async () => {
  assert.equal(await isShown(AUTHENTICITY_NOT_GUARANTEED), true);
  assert.equal(await isShown(AUTHENTICITY_NOT_GUARANTEED, { key: "key of Carol's" }), false);
  await assert.rejects(isShown(AUTHENTICITY_NOT_GUARANTEED, { fails: true }));
});

test("a look-up that came back without the sender is no answer, and the next one is a look-up", async () => {
  const answers = [new Map(), new Map([[SENDER, new Map()]])];
  const crypto = {
    getEncryptionInfoForEvent: () => Promise.resolve({ shieldReason: AUTHENTICITY_NOT_GUARANTEED }),
    getUserDeviceInfo: () => Promise.resolve(answers.shift()),
  } as unknown as RelationsCrypto;
  const event = {
    event: {},
    getSender: () => SENDER,
    getSenderKey: () => KEY,
  } as unknown as PageEvent;
  await assert.rejects(isSenderBelieved(crypto, event));
  assert.equal(await isSenderBelieved(crypto, event), false);
  assert.equal(answers.length, 0);
});

test("nothing is shown of what the crypto says nothing of, or warns of", async () => {
  assert.equal(await isShown(undefined), false);
  for (const reason of [0, 3, 5, 6, 7, 8, 99]) assert.equal(await isShown(reason), false);
});
