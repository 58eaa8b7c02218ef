import "../../testing/page.ts";

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import type { Plain } from "./relation.ts";
import { RelationReader } from "./reader.ts";
import { RemovedReactions } from "./removed.ts";
import type { PageEvent, RelationsClient } from "./sdk.ts";
import { FIRST_RETRY_MS } from "./senders.ts";

const BOB = "@bob:hs";
const KEY = "key of Bob's device";
const RELATION = { rel_type: "m.annotation", event_id: "$message", key: "👍" };
/** Reasons of `EventShieldReason`. */
const UNKNOWN_DEVICE = 3;
const UNSIGNED_DEVICE = 2;

/** An event as matrix-js-sdk holds it, as far as this goes. */
class MatrixEvent {
  readonly event: Plain;
  clearEvent: Plain | undefined;
  readonly status = null;
  decryption: Promise<void> | null = null;

  constructor(event: Plain) {
    this.event = event;
  }

  getId = (): unknown => this.event["event_id"];
  getSender = (): unknown => this.event["sender"];
  getSenderKey = (): string => KEY;
  getRoomId = (): string => "!r:hs";
  isDecryptionFailure = (): boolean => false;
  getDecryptionPromise = (): Promise<void> | null => this.decryption;

  getWireContent(): Plain {
    return this.event["content"] as Plain;
  }

  getType(): unknown {
    return (this.clearEvent ?? this.event)["type"];
  }

  isEncrypted(): boolean {
    return this.event["type"] === "m.room.encrypted";
  }

  makeRedacted(): void {
    this.event["unsigned"] = { redacted_because: {} };
    if (this.isEncrypted()) this.clearEvent = undefined;
  }

  /** As matrix-js-sdk does, by whatever the crypto's `decryptEvent` is now. */
  decrypt(): Promise<void> {
    const decrypting = crypto.decryptEvent(this).then(({ clearEvent }) => {
      this.clearEvent = clearEvent;
      this.decryption = null;
    });
    this.decryption = decrypting;
    return decrypting;
  }
}

/** Before a reader changed them. */
const native = Object.getOwnPropertyDescriptors(MatrixEvent.prototype);

let timeline: MatrixEvent[] = [];
let shown = new Set<MatrixEvent>();
let reason: number | null = null;
let signs = false;
/** What a look-up of devices gives. */
let devices: () => Promise<unknown> = () => Promise.reject(new Error("offline"));
let crypto: { decryptEvent(event: MatrixEvent): Promise<{ clearEvent: Plain }> };
let listeners: Record<string, (first: unknown) => void> = {};
let reader: RelationReader;

const room = {
  roomId: "!r:hs",
  getTimelineSets: () => [{ getTimelines: () => [{ getEvents: () => timeline }] }],
  getUnfilteredTimelineSet: () => undefined,
  findEventById: (id: string) => timeline.find((event) => event.event["event_id"] === id),
  relations: {
    aggregateChildEvent: (event: MatrixEvent) => {
      if (event.getWireContent()["m.relates_to"] !== undefined) shown.add(event);
    },
    getChildEventsForEvent: () => ({
      removeEvent: (event: MatrixEvent) => {
        assert.deepEqual(event.getWireContent()["m.relates_to"], RELATION);
        shown.delete(event);
        return Promise.resolve();
      },
    }),
  },
};

beforeEach(() => {
  Object.defineProperties(MatrixEvent.prototype, native);
  timeline = [];
  shown = new Set();
  reason = null;
  signs = false;
  devices = () => Promise.resolve(devicesOfBob());
  listeners = {};
  crypto = {
    decryptEvent: () =>
      Promise.resolve({
        clearEvent: { type: "m.reaction", content: { "m.relates_to": RELATION } },
      }),
    ...{
      getEncryptionInfoForEvent: () => Promise.resolve({ shieldReason: reason }),
      getOwnDeviceKeys: () => Promise.resolve({ curve25519: "mine" }),
      userHasCrossSigningKeys: () => Promise.resolve(signs),
      getUserDeviceInfo: () => devices(),
    },
  };
  reader = new RelationReader(new RemovedReactions());
});

const client = {
  getCrypto: () => crypto,
  getRooms: () => [room],
  getRoom: () => room,
  on: (name: string, listener: (first: unknown) => void) => {
    listeners[name] = listener;
  },
  getEventMapper: () => (event: Plain) => new MatrixEvent(event),
} as unknown as RelationsClient;

function devicesOfBob(): unknown {
  const device = { deviceId: "D", keys: new Map([["curve25519:D", KEY]]) };
  return new Map([[BOB, new Map([["D", device]])]]);
}

function reaction(name = "$reaction"): MatrixEvent {
  const content = { algorithm: "m.megolm.v1.aes-sha2", ciphertext: "sealed", session_id: "s" };
  const event = new MatrixEvent({
    type: "m.room.encrypted",
    event_id: name,
    sender: BOB,
    content,
  });
  timeline.push(event);
  return event;
}

/** Waits until it is so; whatever waits for a time goes on by `mock.timers` alone. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !isSo(); turn += 1) await turns(1);
  assert.ok(isSo());
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((next) => setImmediate(next));
}

/** As far as the page is told, whatever a test's events hold. */
const relationOf = (event: MatrixEvent): unknown => event.getWireContent()["m.relates_to"];

describe("an encrypted reaction", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
  afterEach(() => {
    mock.timers.reset();
  });

  test("is shown once its sender is believed", async () => {
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    assert.equal(relationOf(event), undefined);
    await until(() => shown.has(event));
    assert.deepEqual(relationOf(event), RELATION);
    assert.ok(reader.speakers.has(BOB));
  });

  test("is shown when the device list comes after it", async () => {
    reason = UNKNOWN_DEVICE;
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    await turns(20);
    assert.equal(shown.size, 0);
    reason = null;
    listeners["crypto.devicesUpdated"]?.(["@carol:hs"]);
    await turns(20);
    assert.equal(shown.size, 0);
    listeners["crypto.devicesUpdated"]?.([BOB]);
    await until(() => shown.has(event));
  });

  test("is shown when its device is in a list that is looked up anew", async () => {
    reason = UNSIGNED_DEVICE;
    devices = () => Promise.resolve(new Map());
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    await turns(20);
    assert.equal(shown.size, 0);
    devices = () => Promise.resolve(devicesOfBob());
    listeners["crypto.devicesUpdated"]?.([BOB]);
    await until(() => shown.has(event));
  });

  test("is shown when its owner verifies the device, and not while they do for others only", async () => {
    reason = UNSIGNED_DEVICE;
    signs = true;
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    await turns(20);
    assert.equal(shown.size, 0);
    reason = null;
    listeners["userTrustStatusChanged"]?.(BOB);
    await until(() => shown.has(event));
  });

  test("is taken back when its sender is believed no longer, and shown again when they are", async () => {
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    await until(() => shown.has(event));
    reason = UNKNOWN_DEVICE;
    listeners["userTrustStatusChanged"]?.(BOB);
    await until(() => shown.size === 0);
    assert.equal(relationOf(event), undefined);
    reason = null;
    listeners["userTrustStatusChanged"]?.(BOB);
    await until(() => shown.has(event));
    assert.deepEqual(relationOf(event), RELATION);
  });

  test("is asked about again where a look-up failed", async () => {
    reason = UNSIGNED_DEVICE;
    devices = () => Promise.reject(new Error("offline"));
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    await turns(20);
    mock.timers.tick(FIRST_RETRY_MS);
    await turns(20);
    assert.equal(shown.size, 0);
    devices = () => Promise.resolve(devicesOfBob());
    mock.timers.tick(FIRST_RETRY_MS);
    await turns(20);
    // The second wait is twice as long.
    assert.equal(shown.size, 0);
    mock.timers.tick(FIRST_RETRY_MS);
    await until(() => shown.has(event));
  });

  test("is asked about again where the look-up came back without its sender", async () => {
    reason = UNSIGNED_DEVICE;
    // The answer of a homeserver that could not reach the sender's, which only says that it failed.
    devices = () => Promise.resolve(new Map());
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    await turns(20);
    assert.equal(shown.size, 0);
    devices = () => Promise.resolve(devicesOfBob());
    mock.timers.tick(FIRST_RETRY_MS);
    await until(() => shown.has(event));
  });

  test("whose sender has no device of that key is not asked about again", async () => {
    reason = UNSIGNED_DEVICE;
    let asked = 0;
    devices = () => {
      asked += 1;
      return Promise.resolve(new Map([[BOB, new Map()]]));
    };
    reader.attach(client);
    await reaction().decrypt();
    await turns(20);
    mock.timers.tick(10 * FIRST_RETRY_MS);
    await turns(20);
    assert.equal(asked, 1);
  });

  test("is shown that was decrypted, or was being decrypted, before the crypto was known", async () => {
    const open = reaction("$open");
    await open.decrypt();
    const opening = reaction("$opening");
    const decryption = opening.decrypt();
    reader.attach(client);
    await decryption;
    // Not before its sender is believed.
    assert.deepEqual([relationOf(open), relationOf(opening)], [undefined, undefined]);
    await until(() => shown.has(open) && shown.has(opening));
  });

  test("that was removed meanwhile is not shown", async () => {
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    (event as unknown as PageEvent).makeRedacted(undefined, undefined);
    await turns(20);
    listeners["crypto.devicesUpdated"]?.([BOB]);
    await turns(20);
    assert.equal(shown.size, 0);
  });

  test("that is removed is no message any more, for which Element has a line", async () => {
    reader.attach(client);
    const [event, other] = [reaction("$gone"), reaction("$text")];
    await event.decrypt();
    other.clearEvent = { type: "m.room.message", content: { body: "b" } };
    assert.deepEqual([event.isEncrypted(), other.isEncrypted()], [true, true]);
    // As soon as it is pressed, before the homeserver says so.
    for (const one of [event, other]) one.event["unsigned"] = { redacted_because: {} };
    assert.deepEqual([event.isEncrypted(), event.getType()], [false, "m.reaction"]);
    // The homeserver refused.
    event.event["unsigned"] = {};
    assert.equal(event.isEncrypted(), true);
    for (const one of [event, other]) (one as unknown as PageEvent).makeRedacted(1, 1);
    assert.deepEqual([event.isEncrypted(), event.getType()], [false, "m.reaction"]);
    assert.equal(event.clearEvent, undefined, "what was inside is gone");
    assert.deepEqual([other.isEncrypted(), other.getType()], [true, "m.room.encrypted"]);
    // As it comes after a reload.
    const again = reaction("$gone");
    again.event["unsigned"] = { redacted_because: {} };
    assert.deepEqual([again.isEncrypted(), again.getType()], [false, "m.reaction"]);
  });

  test("an answer to an earlier question is not heard", async () => {
    reason = UNSIGNED_DEVICE;
    let release: (known: unknown) => void = () => undefined;
    devices = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    reader.attach(client);
    const event = reaction();
    await event.decrypt();
    await turns(20);
    const late = release;
    reason = UNKNOWN_DEVICE;
    listeners["crypto.devicesUpdated"]?.([BOB]);
    await turns(20);
    late(devicesOfBob());
    await turns(20);
    assert.equal(shown.size, 0);
  });
});

test("of a thousand reactions few are shown in one step", async () => {
  reader.attach(client);
  const events = Array.from({ length: 1_000 }, (_, index) => reaction(`$${index}`));
  const add = room.relations.aggregateChildEvent;
  let most = 0;
  let inStep = 0;
  room.relations.aggregateChildEvent = (event) => {
    add(event);
    inStep += 1;
    most = Math.max(most, inStep);
    // As long as Element may take to show one.
    for (const start = performance.now(); performance.now() - start < 0.2;);
  };
  try {
    // All at once, as after a look-up that all of them wait for.
    await Promise.all(events.map((event) => event.decrypt()));
    for (let turn = 0; turn < 5_000 && shown.size < events.length; turn += 1) {
      inStep = 0;
      await turns(1);
    }
  } finally {
    room.relations.aggregateChildEvent = add;
  }
  assert.equal(shown.size, events.length);
  // Two steps may fall into one turn of this loop.
  assert.ok(most <= 100, `${most} at once`);
});
