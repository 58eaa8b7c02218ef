import "../../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import { page } from "../../primordials/primordials.ts";
import { connectShieldSettings } from "../../core/shield-settings.ts";
import type { ShieldSettings } from "../../core/guarded-core.ts";
import type {
  DeviceList,
  DeviceName,
  EventStub,
  PageClient,
  PageRoom,
  TargetDevice,
} from "./client.ts";
import {
  deviceKeysOf,
  eachTarget,
  forgetStub,
  mayHaveState,
  sendThroughOlm,
  signAsDevice,
  trustInForce,
} from "./client.ts";

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

const DEVICES: DeviceName[] = Array.from({ length: 250 }, (_, at) => ({
  userId: `@user${at}:hs`,
  deviceId: "D",
}));

/** A homeserver's answer as matrix-js-sdk throws it. */
const refusal = (httpStatus: number, wait?: number): Error =>
  Object.assign(new Error("refused"), {
    httpStatus,
    data: wait === undefined ? {} : { retry_after_ms: wait },
  });

type Sent = Map<string, Map<string, object>>;

/**
 * A client whose homeserver answers as `answers` says, one after the other, and then with success.
 * What went out and was taken, and how often something was encrypted.
 */
function sender(
  answers: (Error | undefined)[],
  refusesKeys: (Error | undefined)[] = [],
): { client: PageClient; taken: string[]; encrypted: () => number } {
  const taken: string[] = [];
  let encrypted = 0;
  const crypto = {
    encryptToDeviceMessages: async (_type: string, devices: DeviceName[]) => {
      const refused = refusesKeys.shift();
      if (refused !== undefined) throw refused;
      encrypted += devices.length;
      return { batch: devices.map((device) => ({ ...device, payload: { at: encrypted } })) };
    },
  };
  const client = {
    getCrypto: () => crypto,
    sendToDevice: async (_type: string, messages: Sent) => {
      const refused = answers.shift();
      if (refused !== undefined) throw refused;
      taken.push(...messages.keys());
    },
  } as unknown as PageClient;
  return { client, taken, encrypted: () => encrypted };
}

/** Lets time go by until it is over; how much that was, in milliseconds. */
async function passing(done: Promise<unknown>): Promise<number> {
  let isOver = false;
  let passed = 0;
  done.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  for (;;) {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    if (isOver) return passed;
    mock.timers.tick(500);
    passed += 500;
  }
}

describe("keys for many devices", () => {
  const all = DEVICES.map(({ userId }) => userId);
  const send = (client: PageClient, reached: string[]): Promise<void> =>
    sendThroughOlm(client, "m.room_key", DEVICES, {}, (some) => {
      for (const { userId } of some) reached.push(userId);
      return true;
    });

  test("reach all of them, each once, where the homeserver wants them slower", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const { client, taken, encrypted } = sender([undefined, refusal(429, 4_000), refusal(429)]);
      const reached: string[] = [];
      const passed = await passing(send(client, reached));
      assert.deepEqual(reached, all);
      assert.deepEqual(taken, all);
      assert.equal(encrypted(), all.length, "what waited was not encrypted anew");
      assert.ok(passed >= 4_000 && passed <= 10_000, `${passed} ms`);
    } finally {
      mock.timers.reset();
    }
  });

  test("that the homeserver refuses in the midst of them count where they arrived", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      for (const [answers, atLeast, atMost] of [
        // For ever, and for longer than anybody waits.
        [Array.from({ length: 99 }, () => refusal(429, 2_000)), 10_000, 60_000],
        [Array.from({ length: 99 }, () => refusal(429, 1)), 10_000, 60_000],
        [[refusal(429, 3_600_000)], 0, 1_000],
        [[refusal(429, -1), refusal(500)], 0, 5_000],
        [[refusal(403)], 0, 0],
        [[new TypeError("Failed to fetch")], 0, 0],
      ] as const) {
        const { client, taken } = sender([undefined, ...answers]);
        const reached: string[] = [];
        const sending = send(client, reached);
        const passed = await passing(sending);
        await assert.rejects(sending);
        assert.deepEqual(reached, all.slice(0, 100));
        assert.deepEqual(taken, all.slice(0, 100));
        assert.ok(passed >= atLeast && passed <= atMost, `${passed} ms`);
      }
    } finally {
      mock.timers.reset();
    }
  });

  test("are asked for together again where one-time keys are wanted slower", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const { client, encrypted } = sender([], [refusal(429, 1_000)]);
      const reached: string[] = [];
      assert.ok((await passing(send(client, reached))) >= 1_000);
      assert.deepEqual(reached, all);
      assert.equal(encrypted(), all.length);
    } finally {
      mock.timers.reset();
    }
  });

  test("go one by one where one device has no keys left", async () => {
    const { client } = sender([], [new Error("no one-time key"), new Error("this one")]);
    const reached: string[] = [];
    await send(client, reached);
    assert.deepEqual(reached, all.slice(1));
  });
});

describe("a signature of the device", () => {
  const signer = (sign: unknown): PageClient =>
    ({
      getCrypto: () => ({ olmMachine: { sign } }),
      getUserId: () => "@me:hs",
      getDeviceId: () => "ME",
    }) as unknown as PageClient;
  const all = { "@me:hs": { "ed25519:MASTER": "the person's", "ed25519:ME": "the device's" } };

  test("is the device's own, not the person's", async () => {
    let asked = "";
    const client = signer(async (text: string) => {
      asked = text;
      return { asJSON: () => JSON.stringify(all) };
    });
    assert.equal(await signAsDevice(client, "text"), "the device's");
    assert.equal(asked, "text");
  });

  test("is none where this Element gives none", async () => {
    for (const sign of [
      undefined,
      () => Promise.reject(new Error("not ready")),
      () => {
        throw new Error("gone");
      },
      async () => ({ asJSON: () => "no JSON" }),
      async () => ({ asJSON: () => "null" }),
      async () => ({ asJSON: () => JSON.stringify({ "@me:hs": { "ed25519:ME": 1 } }) }),
      async () => ({ asJSON: () => JSON.stringify({ "@other:hs": { "ed25519:ME": "x" } }) }),
    ]) {
      assert.equal(await signAsDevice(signer(sign), "text"), undefined);
    }
  });

  test("holds nothing up", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const signing = signAsDevice(
        signer(() => new Promise(() => undefined)),
        "text",
      );
      assert.ok((await passing(signing)) <= 5_000);
      assert.equal(await signing, undefined);
    } finally {
      mock.timers.reset();
    }
  });
});

describe("a stub that waits for nothing more", () => {
  const stub = {} as EventStub;
  const clientOf = (eventDecryptor: unknown): PageClient =>
    ({ getCrypto: () => ({ eventDecryptor }) }) as unknown as PageClient;

  test("is taken back from the page's crypto", () => {
    const pending = new Set<unknown>([stub, {}]);
    const decryptor = {
      pending,
      removeEventFromPendingList(event: unknown) {
        this.pending.delete(event);
      },
    };
    forgetStub(clientOf(decryptor), stub);
    assert.ok(!pending.has(stub) && pending.size === 1);
  });

  test("stays where the crypto is another one, and that stops nothing", () => {
    const refuses = {
      removeEventFromPendingList: () => {
        throw new Error("another list");
      },
    };
    for (const other of [undefined, {}, refuses]) forgetStub(clientOf(other), stub);
    forgetStub(undefined, stub);
    forgetStub({ getCrypto: () => undefined } as unknown as PageClient, stub);
  });
});

describe("whose devices count", () => {
  const unsigned = { blocked: false, crossSigned: false, verified: false } as TargetDevice;

  /** With what is set, and the mode of Element's crypto. */
  const inForce = (trust: string, mode: unknown): [string, boolean] => {
    connectShieldSettings(() => ({ options: { trust } }) as unknown as ShieldSettings);
    const crypto = mode === undefined ? {} : { deviceIsolationMode: mode };
    const client = { getCrypto: () => crypto };
    (page as unknown as Record<string, unknown>)["mxMatrixClientPeg"] = { get: () => client };
    return [trustInForce(), mayHaveState(unsigned)];
  };

  test("is what is set, and no device that Element itself leaves out", () => {
    for (const mode of [undefined, {}, { kind: 0 }, { kind: "1" }]) {
      assert.deepEqual(inForce("all", mode), ["all", true], JSON.stringify(mode));
      assert.deepEqual(inForce("cross-signed", mode), ["cross-signed", false]);
    }
    assert.deepEqual(inForce("all", { kind: 1 }), ["cross-signed", false]);
    assert.deepEqual(inForce("cross-signed", { kind: 1 }), ["cross-signed", false]);
  });

  test("is what is set while there is no client", () => {
    delete (page as unknown as Record<string, unknown>)["mxMatrixClientPeg"];
    assert.equal(trustInForce(), "cross-signed");
    connectShieldSettings(() => ({ options: { trust: "all" } }) as unknown as ShieldSettings);
    assert.equal(trustInForce(), "all");
  });

  test("is asked of the page's crypto wherever it matters", async () => {
    const device = (deviceId: string) => ({
      deviceId,
      verified: deviceId === "BLOCKED" ? -1 : 0,
      keys: new Map([
        [`curve25519:${deviceId}`, "c"],
        [`ed25519:${deviceId}`, "e"],
      ]),
    });
    const asked = async (trust: string, isStrict: boolean, mode?: object): Promise<unknown> => {
      inForce(trust, mode);
      const status = (deviceId: string) => ({
        signedByOwner: deviceId === "SIGNED",
        isVerified: () => deviceId === "VERIFIED",
      });
      const ids = ["BLOCKED", "SIGNED", "VERIFIED", "PLAIN"];
      const crypto = {
        deviceIsolationMode: mode,
        getUserDeviceInfo: async () =>
          new Map([["@a:hs", new Map(ids.map((id) => [id, device(id)]))]]),
        getDeviceVerificationStatus: async (_user: string, id: string) => status(id),
      };
      const client = {
        getCrypto: () => crypto,
        getUserId: () => "@me:hs",
        getDeviceId: () => "ME",
      } as unknown as PageClient;
      const room = {
        getEncryptionTargetMembers: async () => [{ userId: "@a:hs" }],
        getBlacklistUnverifiedDevices: () => isStrict,
      } as unknown as PageRoom;
      const may: string[] = [];
      await eachTarget(client, room, (targets) => {
        for (const { devices } of targets) {
          for (const one of devices) if (mayHaveState(one)) may.push(one.deviceId);
        }
      });
      return may;
    };
    assert.deepEqual(await asked("all", false), ["SIGNED", "VERIFIED", "PLAIN"]);
    assert.deepEqual(await asked("all", true), ["VERIFIED"]);
    assert.deepEqual(await asked("cross-signed", false), ["SIGNED", "VERIFIED"]);
    assert.deepEqual(await asked("cross-signed", true), ["VERIFIED"]);
    assert.deepEqual(await asked("all", false, { kind: 1 }), ["SIGNED", "VERIFIED"]);
  });
});
