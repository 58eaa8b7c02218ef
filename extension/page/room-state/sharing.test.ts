import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import type { EncryptedState } from "../../generated/mantle_state.js";
import type { PageClient, PageRoom } from "./element/client.ts";
import type { StateEngine } from "./engine.ts";
import type { InvitePreviews } from "./invites.ts";
import type { KeyFetcher } from "./keys.ts";
import { StateSharing } from "./sharing.ts";

const ROOM = "!room:hs";
const USERS = Array.from({ length: 150 }, (_, at) => `@user${at}:hs`);

type Name = { userId: string; deviceId: string };

/** The Rust half as far as sharing goes: who has the key, and what is encrypted. */
class State {
  readonly given: string[] = [];
  encrypted = 0;
  isDue = false;
  isLost = false;
  isNew = false;
  /** People who may read from an index on only. */
  readonly starts = new Map<string, number>();

  beginTargets(): void {
    // Nobody is known here but by name.
  }

  addTargets(): void {
    // See above.
  }

  needSession(): object {
    return { sessionId: "s", roomKeyContent: { from: 0 }, ...this.#shares(), importJson: "[]" };
  }

  moreShares(): object {
    return this.#shares();
  }

  /** At most a hundred at a time. */
  #shares(): object {
    const shareWith: Name[] = [];
    const later = new Map<number, Name[]>();
    const missing = USERS.filter((userId) => !this.given.includes(userId));
    for (const userId of missing.slice(0, 100)) {
      const start = this.starts.get(userId);
      if (start === undefined) shareWith.push({ userId, deviceId: "D" });
      else later.set(start, [...(later.get(start) ?? []), { userId, deviceId: "D" }]);
    }
    return {
      shareWith,
      later: [...later].map(([from, names]) => ({
        shareWith: names,
        roomKeyContent: { from },
      })),
      more: missing.length > 100,
      shouldImport: this.isNew,
    };
  }

  shared(_room: string, _session: string, devices: string): void {
    for (const { userId } of JSON.parse(devices) as Name[]) this.given.push(userId);
  }

  textToSign(): undefined {
    return undefined;
  }

  encrypt(): number {
    return (this.encrypted += 1);
  }

  takeEncrypted(): object {
    return { path: "/_matrix/client/v3/rooms/x/state/m.room.encrypted/x", body: "{}" };
  }

  sessions(): string[] {
    return this.isLost ? [] : [ROOM];
  }

  imported(): void {
    // It need not know.
  }

  reencrypt(): object {
    return { delayMs: 0, events: [] };
  }
}

const refusal = Object.assign(new Error("refused"), {
  httpStatus: 429,
  data: { retry_after_ms: 3_600_000 },
});

async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
}

type Writing = (client: PageClient, task: () => Promise<unknown>) => Promise<unknown>;

/** With a module in whose place this object stands. */
function sharingOf(
  state: object,
  keys: object = { addRules: () => true },
  writing: Writing = (_client, task) => task(),
): StateSharing {
  const engine = {
    isRunning: true,
    call: (call: (state: EncryptedState) => unknown) => call(state as unknown as EncryptedState),
    persist: async () => [],
    persistSoon: () => undefined,
    writing,
  } as unknown as StateEngine;
  return new StateSharing(
    engine,
    { tellInvited: async () => undefined } as unknown as InvitePreviews,
    keys as KeyFetcher,
  );
}

describe("devices that Element asked for", () => {
  test("are given keys, and what they sent is read, once its crypto tells of them", () => {
    const told: string[] = [];
    let retries = 0;
    let looks = 0;
    const state = {
      devicesChanged: (users: string) => told.push(users),
      sharingDue: () => {
        looks += 1;
        return [];
      },
    };
    const sharing = sharingOf(state, { scheduleRetry: () => (retries += 1) });
    const clientOf = (listeners: ((users: unknown) => void)[]): PageClient =>
      ({
        on: (name: string, listener: (users: unknown) => void) => {
          if (name === "crypto.devicesUpdated") listeners.push(listener);
        },
      }) as unknown as PageClient;
    const [first, second]: [((users: unknown) => void)[], ((users: unknown) => void)[]] = [[], []];
    const client = clientOf(first);
    for (let answers = 0; answers < 3; answers += 1) sharing.listen(client);
    assert.equal(first.length, 1);
    first[0]?.(["@bob:hs"]);
    first[0]?.("nothing of the kind");
    assert.deepEqual([told, looks, retries], [['["@bob:hs"]'], 1, 1]);
    // Somebody signed in anew: the client before is nobody's any more.
    sharing.listen(clientOf(second));
    first[0]?.(["@carol:hs"]);
    assert.equal(told.length, 1);
    second[0]?.(["@carol:hs"]);
    assert.deepEqual(told, ['["@bob:hs"]', '["@carol:hs"]']);
  });
});

describe("a homeserver that wants keys slower than anybody waits", () => {
  test("gets the rest of them a minute later, and those it has never again", async () => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    const state = new State();
    const taken: string[] = [];
    let requests = 0;
    const device = { deviceId: "D", verified: 0, keys: new Map<string, string>() };
    device.keys.set("curve25519:D", "c").set("ed25519:D", "e");
    const crypto = {
      getUserDeviceInfo: async (users: string[]) =>
        new Map(users.map((userId) => [userId, new Map([["D", device]])])),
      getDeviceVerificationStatus: async () => null,
      encryptToDeviceMessages: async (_type: string, devices: Name[]) => ({
        batch: devices.map((name) => ({ ...name, payload: {} })),
      }),
    };
    const room = {
      roomId: ROOM,
      currentState: { getStateEvents: () => null },
      getMyMembership: () => "join",
      getEncryptionTargetMembers: async () => USERS.map((userId) => ({ userId })),
      hasEncryptionStateEvent: () => true,
    } as unknown as PageRoom;
    const client = {
      getCrypto: () => crypto,
      getRoom: () => room,
      getUserId: () => "@me:hs",
      getDeviceId: () => "ME",
      sendToDevice: async (_type: string, messages: Map<string, unknown>) => {
        requests += 1;
        if (requests === 2) throw refusal;
        taken.push(...messages.keys());
      },
    } as unknown as PageClient;
    (globalThis as unknown as { window: object }).window = Object.assign(
      (globalThis as unknown as { window: object }).window,
      { mxMatrixClientPeg: { get: () => client } },
    );
    const engine = {
      call: (call: (state: EncryptedState) => unknown) => call(state as unknown as EncryptedState),
      persist: async () => [],
      persistSoon: () => undefined,
      writing: (_client: PageClient, task: () => Promise<unknown>) => task(),
    } as unknown as StateEngine;
    const sharing = new StateSharing(
      engine,
      { tellInvited: async () => undefined } as unknown as InvitePreviews,
      { addRules: () => true } as unknown as KeyFetcher,
    );
    try {
      const content = { eventType: "m.room.name", stateKey: "", contentJson: "{}" };
      await assert.rejects(sharing.encrypt(client, room, content));
      assert.equal(state.encrypted, 0, "nothing is encrypted before its key is out");
      assert.deepEqual(state.given, USERS.slice(0, 100));
      for (let waited = 0; waited < 62_000; waited += 1_000) {
        mock.timers.tick(1_000);
        await turns();
      }
      assert.deepEqual(state.given, USERS);
      assert.deepEqual(taken, USERS);
    } finally {
      mock.timers.reset();
    }
  });
});

describe("who could not be given a room's key", () => {
  for (const [what, isKnown, isListed] of [
    ["since Element did not know their devices in time", false, false],
    ["since Element could not encrypt for them", true, true],
    ["since Element said that they had none while it asked", true, false],
  ] as const) {
    test(`${what} is given it soon after, and not asked about for ever`, async () => {
      mock.timers.enable({ apis: ["setTimeout", "Date"] });
      const [first = "", second = ""] = USERS;
      const given: string[] = [];
      let isLate = true;
      let asked = 0;
      const device = { deviceId: "D", verified: 0, keys: new Map<string, string>() };
      device.keys.set("curve25519:D", "c").set("ed25519:D", "e");
      const crypto = {
        getUserDeviceInfo: async (users: string[]) => {
          const known = users.filter((userId) => isKnown || !isLate || userId === first);
          const has = (userId: string): boolean => isListed || !isLate || userId === first;
          return new Map(
            known.map((userId) => [userId, new Map(has(userId) ? [["D", device]] : [])]),
          );
        },
        getDeviceVerificationStatus: async () => null,
        prepareToEncrypt: () => undefined,
        encryptToDeviceMessages: async (_type: string, devices: Name[]) => {
          const some = devices.filter(({ userId }) => !isLate || userId === first);
          return { batch: some.map((name) => ({ ...name, payload: {} })) };
        },
      };
      const room = {
        roomId: ROOM,
        currentState: { getStateEvents: () => null },
        getMyMembership: () => "join",
        getEncryptionTargetMembers: async () => [{ userId: first }, { userId: second }],
      } as unknown as PageRoom;
      const client = {
        getCrypto: () => crypto,
        getRoom: () => room,
        getUserId: () => "@me:hs",
        getDeviceId: () => "ME",
        sendToDevice: async () => undefined,
      } as unknown as PageClient;
      Object.assign((globalThis as unknown as { window: object }).window, {
        mxMatrixClientPeg: { get: () => client },
      });
      const told: Name[] = [];
      const state = {
        beginTargets: () => {
          asked += 1;
          told.splice(0);
        },
        addTargets: (_room: string, json: string) => {
          const targets = JSON.parse(json) as { userId: string; devices: Name[] }[];
          for (const { userId, devices } of targets) {
            for (const { deviceId } of devices) told.push({ userId, deviceId });
          }
        },
        needSession: () => ({
          ...{ sessionId: "s", roomKeyContent: {}, later: [], more: false },
          shareWith: told.filter(({ userId }) => !given.includes(userId)),
        }),
        sessions: () => [ROOM],
        shared: (_room: string, _session: string, json: string) => {
          for (const { userId } of JSON.parse(json) as Name[]) given.push(userId);
        },
        textToSign: () => undefined,
        encrypt: () => 1,
        takeEncrypted: () => ({ path: "/x", body: "{}" }),
        reencrypt: () => ({ delayMs: 0, events: [] }),
      };
      const sharing = sharingOf(state);
      const pass = async (milliseconds: number, step = 200): Promise<void> => {
        for (let waited = 0; waited < milliseconds; waited += step) {
          mock.timers.tick(step);
          await turns();
        }
      };
      try {
        const content = { eventType: "m.room.name", stateKey: "", contentJson: "{}" };
        const encrypted = sharing.encrypt(client, room, content);
        await pass(8_000);
        await encrypted;
        assert.deepEqual(given, [first], "who can be given it waits for nobody");
        isLate = false;
        await pass(20_000);
        assert.deepEqual(given, [first, second]);
        // Who can never be given it.
        isLate = true;
        given.splice(1);
        asked = 0;
        const again = sharing.encrypt(client, room, content);
        await pass(8_000);
        await again;
        await pass(1_600_000, 500);
        assert.ok(asked > 3 && asked < 8, `${asked} times`);
      } finally {
        mock.timers.reset();
      }
    });
  }
});

describe("a room's key that this device cannot store", () => {
  test("is given to nobody, nor to Element", async () => {
    const state = new State();
    let imported = 0;
    const crypto = {
      getUserDeviceInfo: async () => new Map(),
      importRoomKeysAsJson: async () => {
        imported += 1;
      },
      encryptToDeviceMessages: () => Promise.reject(new Error("asked")),
    };
    const room = {
      roomId: ROOM,
      currentState: { getStateEvents: () => null },
      getEncryptionTargetMembers: async () => [],
    } as unknown as PageRoom;
    const client = { getCrypto: () => crypto, sendToDevice: () => 0 } as unknown as PageClient;
    const engine = {
      call: (call: (state: EncryptedState) => unknown) => call(state as unknown as EncryptedState),
      persist: async () => {
        state.isLost = true;
        return ["outbound/x"];
      },
      persistSoon: () => undefined,
    } as unknown as StateEngine;
    const sharing = new StateSharing(
      engine,
      { tellInvited: async () => undefined } as unknown as InvitePreviews,
      { addRules: () => true } as unknown as KeyFetcher,
    );
    state.isNew = true;
    const content = { eventType: "m.room.name", stateKey: "", contentJson: "{}" };
    await assert.rejects(sharing.encrypt(client, room, content), /could not store/);
    assert.equal(imported, 0);
    assert.equal(state.encrypted, 0);
  });
});

describe("a session that is thrown away while something is encrypted with it", () => {
  const content = { eventType: "m.room.name", stateKey: "", contentJson: "{}" };
  const crypto = { getUserDeviceInfo: async () => new Map() };
  const client = { getCrypto: () => crypto, getUserId: () => "@me:hs" } as unknown as PageClient;
  const room = {
    roomId: ROOM,
    getEncryptionTargetMembers: async () => [],
    currentState: { getStateEvents: () => null },
  } as unknown as PageRoom;

  /** At each of these steps an answer shows that the session was used elsewhere. */
  class WoundBack extends State {
    isThere = false;
    made = 0;
    readonly #steps: string[];

    constructor(...steps: string[]) {
      super();
      this.#steps = steps;
    }

    at(step: string): void {
      if (this.#steps[0] !== step) return;
      this.#steps.shift();
      this.isThere = false;
    }

    override needSession(): object {
      this.isThere = true;
      this.made += 1;
      const session = { ...super.needSession(), shareWith: [], more: false };
      this.at("made");
      return session;
    }

    override textToSign(): undefined {
      this.at("given");
      return undefined;
    }

    override encrypt(): number {
      if (!this.isThere) throw new Error("The room's keys are not ready; try again.");
      const ticket = super.encrypt();
      this.at("encrypted");
      return ticket;
    }

    override takeEncrypted(): object {
      if (!this.isThere) throw new Error("Mantle has lost this request; try again.");
      return super.takeEncrypted();
    }

    override sessions(): string[] {
      return this.isThere ? [ROOM] : [];
    }
  }

  for (const step of ["made", "given", "encrypted"]) {
    test(`${step}: the next one is taken`, async () => {
      const state = new WoundBack(step);
      const { path } = await sharingOf(state).encrypt(client, room, content);
      assert.match(path, /m\.room\.encrypted/);
      assert.equal(state.made, 2);
    });
  }

  test("again and again: is said after the third", async () => {
    const state = new WoundBack("encrypted", "given", "made", "made");
    await assert.rejects(sharingOf(state).encrypt(client, room, content), /could not store/);
    assert.equal(state.made, 3);
  });

  test("what failed for another reason is not tried again", async () => {
    const state = new WoundBack();
    state.takeEncrypted = () => {
      throw new Error("no");
    };
    await assert.rejects(sharingOf(state).encrypt(client, room, content), /no/);
    assert.equal(state.made, 1);
  });
});

describe("people who may not read what was before they came", () => {
  test("each get the key from where on they may", async () => {
    const state = new State();
    state.starts.set(USERS[3]!, 5).set(USERS[4]!, 5).set(USERS[7]!, 9);
    const given = new Map<string, unknown>();
    const device = { deviceId: "D", verified: 0, keys: new Map<string, string>() };
    device.keys.set("curve25519:D", "c").set("ed25519:D", "e");
    const crypto = {
      getUserDeviceInfo: async (users: string[]) =>
        new Map(users.map((userId) => [userId, new Map([["D", device]])])),
      getDeviceVerificationStatus: async () => null,
      encryptToDeviceMessages: async (_type: string, devices: Name[], payload: object) => ({
        batch: devices.map((name) => ({ ...name, payload })),
      }),
    };
    const room = {
      roomId: ROOM,
      currentState: { getStateEvents: () => null },
      getEncryptionTargetMembers: async () => USERS.map((userId) => ({ userId })),
    } as unknown as PageRoom;
    const client = {
      getCrypto: () => crypto,
      getUserId: () => "@me:hs",
      getDeviceId: () => "ME",
      sendToDevice: async (_type: string, messages: Map<string, Map<string, object>>) => {
        for (const [userId, devices] of messages) given.set(userId, devices.get("D"));
      },
    } as unknown as PageClient;
    const sharing = sharingOf(state);
    const content = { eventType: "m.room.name", stateKey: "", contentJson: "{}" };
    await sharing.encrypt(client, room, content);
    assert.equal(given.size, USERS.length);
    for (const userId of USERS) {
      assert.deepEqual(given.get(userId), { from: state.starts.get(userId) ?? 0 }, userId);
    }
    assert.deepEqual([...state.given].sort(), [...USERS].sort(), "and none is asked about again");
  });
});

describe("many rooms in which devices changed", () => {
  test("are tended one by one and each once, so that a write waits for one of them", async () => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    const rooms = Array.from({ length: 20 }, (_, at) => `!room${at}:hs`);
    const tended: string[] = [];
    let due: string[] = [];
    const state = {
      sharingDue: () =>
        due.splice(0).map((roomId) => ({ roomId, members: [], why: "devices" as const })),
      sessions: () => [],
      reencrypt: (roomId: string) => {
        tended.push(roomId);
        return { delayMs: 0, events: [] };
      },
    };
    let [inLine, longest] = [0, 0];
    let before: Promise<unknown> = Promise.resolve();
    const writing: Writing = async (_client, task) => {
      inLine += 1;
      longest = Math.max(longest, inLine);
      const result = before.then(async () => {
        await new Promise((resume) => setTimeout(resume, 50));
        inLine -= 1;
        return task();
      });
      before = result;
      return result;
    };
    const client = {
      getCrypto: () => ({
        getUserDeviceInfo: async () => new Map(),
        encryptToDeviceMessages: async () => ({ batch: [] }),
      }),
      getUserId: () => "@me:hs",
      getDeviceId: () => "ME",
      sendToDevice: async () => undefined,
      getRoom: (roomId: string) => ({
        roomId,
        currentState: { getStateEvents: () => null },
        getMyMembership: () => "join",
        getEncryptionTargetMembers: async () => [],
      }),
    } as unknown as PageClient;
    Object.assign((globalThis as unknown as { window: object }).window, {
      mxMatrixClientPeg: { get: () => client },
    });
    const sharing = sharingOf(state, undefined, writing);
    const pass = async (milliseconds: number): Promise<void> => {
      for (let waited = 0; waited < milliseconds; waited += 5) {
        mock.timers.tick(5);
        await turns();
      }
    };
    try {
      due = [...rooms];
      sharing.tendSoon();
      await pass(410);
      // In some it happens again while they wait.
      due = rooms.slice(-1);
      sharing.tendSoon();
      await pass(2_000);
      assert.equal(longest, 1);
      assert.deepEqual([...tended].sort(), [...rooms].sort());
    } finally {
      mock.timers.reset();
    }
  });
});

describe("a room whose key takes long to give", () => {
  const device = { deviceId: "D", verified: 0, keys: new Map<string, string>() };
  device.keys.set("curve25519:D", "c").set("ed25519:D", "e");
  const room = {
    roomId: ROOM,
    currentState: { getStateEvents: () => null },
    getMyMembership: () => "join",
    getJoinedMemberCount: () => 10_000,
    getEncryptionTargetMembers: async () => USERS.map((userId) => ({ userId })),
  } as unknown as PageRoom;

  /** A client that needs so long for each request, and one who writes when the first has come. */
  function parts(state: State, takes: number) {
    const order: string[] = [];
    let time = 0;
    let awaited = 0;
    let line: Promise<unknown> = Promise.resolve();
    const engine = {
      isRunning: true,
      get isAwaited() {
        return awaited > 0;
      },
      call: (call: (state: EncryptedState) => unknown) => call(state as unknown as EncryptedState),
      persist: async () => [],
      persistSoon: () => undefined,
      writing: (_client: PageClient, task: () => Promise<unknown>) => {
        awaited += 1;
        const run = async (): Promise<unknown> => {
          awaited -= 1;
          return task();
        };
        const result = line.then(run);
        line = result.catch(() => undefined);
        return result;
      },
    } as unknown as StateEngine;
    const client = {
      getCrypto: () => ({
        getUserDeviceInfo: async (users: string[]) =>
          new Map(users.map((userId) => [userId, new Map([["D", device]])])),
        encryptToDeviceMessages: async (_type: string, devices: Name[]) => ({
          batch: devices.map((name) => ({ ...name, payload: {} })),
        }),
      }),
      getRoom: () => room,
      getUserId: () => "@me:hs",
      getDeviceId: () => "ME",
      sendToDevice: async (_type: string, messages: Map<string, unknown>) => {
        time += takes;
        order.push(`${messages.size} devices`);
        if (order.length > 1) return;
        void engine.writing(client, async () => void order.push("another room"));
      },
    } as unknown as PageClient;
    Object.assign((globalThis as unknown as { window: object }).window, {
      mxMatrixClientPeg: { get: () => client },
    });
    const sharing = new StateSharing(
      engine,
      { tellInvited: async () => undefined } as unknown as InvitePreviews,
      { addRules: () => true } as unknown as KeyFetcher,
      () => time,
    );
    return { sharing, client, engine, order };
  }

  const content = { eventType: "m.room.name", stateKey: "", contentJson: "{}" };

  for (const [takes, expected] of [
    [6_000, ["100 devices", "another room", "50 devices"]],
    [10, ["100 devices", "50 devices", "another room"]],
  ] as const) {
    test(`lets other rooms' writes go in between (${takes} ms a request)`, async () => {
      mock.timers.enable({ apis: ["setTimeout"] });
      try {
        const state = new State();
        const { sharing, client, engine, order } = parts(state, takes);
        await sharing.prepare(client, room);
        await engine.writing(client, () => sharing.encrypt(client, room, content));
        assert.deepEqual(order, expected);
        assert.deepEqual(state.given, USERS);
        assert.equal(state.encrypted, 1);
      } finally {
        mock.timers.reset();
      }
    });
  }

  test("goes on with it by itself where nothing is written there", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const state = Object.assign(new State(), {
        sharingDue: () => [{ roomId: ROOM, members: [], why: "stale" as const }],
      });
      const { sharing, order } = parts(state, 6_000);
      sharing.tendSoon();
      for (let waited = 0; waited < 5_000; waited += 100) {
        mock.timers.tick(100);
        await turns();
      }
      assert.deepEqual(order.slice(0, 3), ["100 devices", "another room", "50 devices"]);
      assert.deepEqual(state.given, USERS);
    } finally {
      mock.timers.reset();
    }
  });
});

describe("a room of ten thousand members with five devices each", () => {
  test("is told of in parts, and the page goes on in between", async () => {
    const users = Array.from({ length: 10_000 }, (_, at) => `@member${at}:hs`);
    const ids = ["A", "B", "C", "D", "E"];
    const list = (userId: string) =>
      new Map(
        ids.map((deviceId) => {
          const key = (kind: string): [string, string] => [
            `${kind}:${deviceId}`,
            userId.padEnd(43),
          ];
          return [
            deviceId,
            { deviceId, verified: 0, keys: new Map([key("curve25519"), key("ed25519")]) },
          ];
        }),
      );
    let judged = 0;
    let mostAsked = 0;
    const crypto = {
      getUserDeviceInfo: async (some: string[]) => {
        mostAsked = Math.max(mostAsked, some.length);
        return new Map(some.map((userId) => [userId, list(userId)]));
      },
      getDeviceVerificationStatus: async () => {
        judged += 1;
        return null;
      },
      importRoomKeysAsJson: async () => undefined,
      encryptToDeviceMessages: async (_type: string, devices: Name[]) => ({
        batch: devices.map((name) => ({ ...name, payload: {} })),
      }),
    };
    const room = {
      roomId: ROOM,
      currentState: { getStateEvents: () => null },
      getEncryptionTargetMembers: async () => users.map((userId) => ({ userId })),
    } as unknown as PageRoom;
    const client = {
      getCrypto: () => crypto,
      getUserId: () => "@me:hs",
      getDeviceId: () => "ME",
      sendToDevice: async () => undefined,
    } as unknown as PageClient;
    let longest = 0;
    const told: string[] = [];
    const given = new Set<string>();
    const missing = (): Name[] => {
      const some: Name[] = [];
      for (const userId of told) {
        for (const deviceId of ids) {
          if (some.length === 1_000) return some;
          if (!given.has(`${userId}|${deviceId}`)) some.push({ userId, deviceId });
        }
      }
      return some;
    };
    const shares = (): object => {
      const shareWith = missing();
      return { shareWith, later: [], more: given.size + shareWith.length < 50_000 };
    };
    const noted = <Args extends string[], Result>(call: (...args: Args) => Result) => {
      return (...args: Args): Result => {
        for (const arg of args) longest = Math.max(longest, arg.length);
        return call(...args);
      };
    };
    const state = {
      beginTargets: noted(() => undefined),
      addTargets: noted((_room: string, json: string) => {
        for (const { userId, devices } of JSON.parse(json) as {
          userId: string;
          devices: object[];
        }[]) {
          assert.equal(devices.length, 5);
          told.push(userId);
        }
      }),
      needSession: noted(() => ({
        sessionId: "s",
        roomKeyContent: {},
        shouldImport: false,
        ...shares(),
      })),
      moreShares: noted(shares),
      sessions: () => [ROOM],
      shared: noted((_room: string, _session: string, json: string) => {
        for (const { userId, deviceId } of JSON.parse(json) as Name[]) {
          given.add(`${userId}|${deviceId}`);
        }
      }),
      textToSign: () => undefined,
      encrypt: () => 1,
      takeEncrypted: () => ({ path: "/x", body: "{}" }),
    };
    const sharing = sharingOf(state);
    const content = { eventType: "m.room.name", stateKey: "", contentJson: "{}" };
    await sharing.encrypt(client, room, content);
    assert.equal(given.size, 50_000);
    assert.equal(new Set(told).size, users.length);
    assert.ok(longest < 200_000, `${longest} letters in one call`);
    assert.ok(mostAsked <= 1_000, `${mostAsked} users asked for at once`);
    assert.equal(judged, 0, "nobody asks for a judgement that does not matter");
  });
});
