import "../../testing/page.ts";

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import type { EncryptedState } from "../../generated/mantle_state.js";
import { text } from "../texts/texts.ts";
import type { PageClient } from "./element/client.ts";
import type { StateEngine } from "./engine.ts";
import { PendingWrites } from "./pending.ts";
import type { StateSharing } from "./sharing.ts";

const OWN = "@me:hs";
const MINUTE = 60_000;

interface Waiting {
  readonly pendingId: string;
  roomId: string | undefined;
  since: number;
  readonly events: { eventType: string; stateKey: string; contentJson: string }[];
  readonly others: string[];
}

const waiting = (pendingId: string, name: string, since: number, roomId?: string): Waiting => ({
  pendingId,
  roomId,
  since,
  events: [{ eventType: "m.room.name", stateKey: "", contentJson: JSON.stringify({ name }) }],
  others: [],
});

/** A room as Element has it. */
interface Room {
  readonly roomId: string;
  readonly madeAt: number;
  name?: { readonly at: number; readonly isUnread?: true };
}

/** A page with these rooms and that waiting; `unsendable` are rooms whose name cannot be sent. */
class Page {
  readonly all: Waiting[];
  readonly rooms: Room[];
  readonly sent: string[] = [];
  readonly told: string[] = [];
  readonly unsendable = new Set<string>();
  readonly pending: PendingWrites;
  now = Date.now();

  constructor(all: Waiting[], rooms: Room[]) {
    this.all = all;
    this.rooms = rooms;
    const state = {
      // Those of now, as over the border to Rust.
      pendingWrites: () => structuredClone(this.all),
      encryptsState: () => true,
      created: (id: string, roomId: string) => {
        for (const one of this.all) {
          if (one.pendingId === id) one.roomId = roomId;
          else if (one.roomId === undefined) one.others.push(roomId);
        }
      },
      createFailed: (id: string) => this.#drop(id),
      pendingSent: (id: string) => this.#drop(id),
    };
    const engine = {
      isRunning: true,
      call: (call: (state: EncryptedState) => unknown) => call(state as unknown as EncryptedState),
      writing: async (_client: PageClient, task: () => Promise<unknown>) => task(),
    };
    const sharing = {
      readyClient: async () => client,
      readyRoom: async (_client: PageClient, roomId: string) => ({ roomId }),
      send: async (
        _client: PageClient,
        { roomId }: Room,
        { contentJson }: { contentJson: string },
      ) => {
        if (this.unsendable.has(roomId)) throw new Error("The homeserver does not answer.");
        this.sent.push(`${roomId} ${contentJson}`);
        const room = this.rooms.find((one) => one.roomId === roomId);
        if (room !== undefined) room.name = { at: Date.now() };
      },
    };
    const client = {
      getCrypto: () => ({}),
      getUserId: () => OWN,
      getAccountData: () => undefined,
      isInitialSyncComplete: () => true,
      getRoom: () => ({ getMyMembership: () => "join" }),
      getRooms: () => this.rooms.map((room) => shown(room)),
    } as unknown as PageClient;
    const peg = { mxMatrixClientPeg: { get: () => client } };
    Object.assign((globalThis as unknown as { window: object }).window, peg);
    this.pending = new PendingWrites(
      engine as unknown as StateEngine,
      sharing as unknown as StateSharing,
      { notice: (sentence) => this.told.push(sentence), clock: () => this.now },
    );
  }

  #drop(id: string): void {
    const at = this.all.findIndex((one) => one.pendingId === id);
    if (at >= 0) this.all.splice(at, 1);
  }

  /** An answer of `/sync` was looked at. */
  async answer(): Promise<void> {
    this.pending.resume();
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
  }
}

function shown({ roomId, madeAt, name }: Room): object {
  const event = (at: number): object => ({ getSender: () => OWN, getTs: () => at });
  return {
    roomId,
    getMyMembership: () => "join",
    currentState: {
      events: new Map(),
      getStateEvents: (type: string) => {
        if (type === "m.room.create") return event(madeAt);
        const nameType = name?.isUnread === true ? "m.room.encrypted" : "m.room.name";
        return type === nameType && name !== undefined ? event(name.at) : null;
      },
    },
  };
}

const named = (roomId: string, name: string): string => `${roomId} ${JSON.stringify({ name })}`;

describe("a room that was asked for, and the answer got lost", () => {
  const channel = class extends EventTarget {
    postMessage(): void {
      // There is no other tab.
    }
  };
  const { BroadcastChannel } = globalThis;
  beforeEach(() => {
    mock.timers.enable({ apis: ["setTimeout"] });
    Object.assign(globalThis, { BroadcastChannel: channel });
  });
  afterEach(() => {
    mock.timers.reset();
    Object.assign(globalThis, { BroadcastChannel });
  });
  const asked = Date.now() - 3 * MINUTE;

  test("gets its name when the page that asked had its time, not before", async () => {
    const one = waiting("1", "Garden", Date.now() - MINUTE);
    const page = new Page([one], [{ roomId: "!a", madeAt: one.since }]);
    await page.answer();
    assert.deepEqual([page.sent, page.told], [[], []]);
    one.since -= 2 * MINUTE;
    page.rooms[0] = { roomId: "!a", madeAt: one.since };
    await page.answer();
    assert.deepEqual([page.sent, page.all, page.told], [[named("!a", "Garden")], [], []]);
  });

  test("gets it while another room's name cannot be sent", async () => {
    const one = waiting("1", "Garden", Date.now());
    const page = new Page(
      [waiting("0", "Cellar", asked, "!cellar"), one],
      [{ roomId: "!a", madeAt: asked }],
    );
    page.unsendable.add("!cellar");
    await page.answer();
    assert.deepEqual(page.sent, []);
    one.since = asked;
    await page.answer();
    assert.deepEqual(page.sent, [named("!a", "Garden")]);
    assert.deepEqual(
      page.all.map(({ pendingId }) => pendingId),
      ["0"],
    );
  });

  test("gets it too where the person asked once more and no answer came again", async () => {
    const page = new Page(
      [waiting("1", "Garden", asked), waiting("2", "Garden", asked + 5_000)],
      [
        { roomId: "!a", madeAt: asked },
        { roomId: "!b", madeAt: asked + 5_000 },
      ],
    );
    for (let answers = 0; answers < 3; answers += 1) await page.answer();
    assert.deepEqual(page.sent.sort(), [named("!a", "Garden"), named("!b", "Garden")]);
    assert.deepEqual([page.all, page.told], [[], []]);
  });

  test("is for the person to find where it may be one of several, who is told its name once", async () => {
    const page = new Page(
      [waiting("1", "Garden", asked)],
      [
        { roomId: "!a", madeAt: asked },
        { roomId: "!b", madeAt: asked + 5_000 },
      ],
    );
    // As it stays: what its page knows of rooms may be about to come.
    await page.answer();
    assert.deepEqual([page.sent, page.told], [[], []]);
    for (let answers = 0; answers < 3; answers += 1) {
      page.now += MINUTE;
      await page.answer();
    }
    assert.deepEqual([page.sent, page.told], [[], [text("nameOfWhichRoom", "Garden")]]);
    // With two names as well.
    const both = new Page(
      [waiting("1", "Garden", asked), waiting("2", "Cellar", asked + 5_000)],
      [{ roomId: "!a", madeAt: asked }],
    );
    await both.answer();
    both.now += 3 * MINUTE;
    await both.answer();
    assert.deepEqual(both.sent, []);
    assert.deepEqual(both.told, [
      text("nameOfWhichRoom", "Garden"),
      text("nameOfWhichRoom", "Cellar"),
    ]);
  });

  test("gets it beside a room whose encrypted name is still to be read", async () => {
    const page = new Page(
      [waiting("1", "Garden", asked)],
      [
        { roomId: "!a", madeAt: asked },
        { roomId: "!b", madeAt: asked - 5_000, name: { at: asked - 3_000, isUnread: true } },
      ],
    );
    await page.answer();
    assert.deepEqual(page.sent, [named("!a", "Garden")]);
  });

  test("gives its name to no other room once the person has named it", async () => {
    const page = new Page(
      [waiting("1", "Garden", asked)],
      [
        { roomId: "!a", madeAt: asked, name: { at: asked + MINUTE } },
        { roomId: "!b", madeAt: asked + 5_000 },
      ],
    );
    await page.answer();
    assert.deepEqual(page.sent, []);
    // One that had its name before is none that was asked for then.
    page.rooms[0] = { roomId: "!a", madeAt: asked - MINUTE / 2, name: { at: asked - 1_000 } };
    await page.answer();
    assert.deepEqual(page.sent, [named("!b", "Garden")]);
  });

  test("that does not turn up is forgotten after a day, and nobody told of it again", async () => {
    const page = new Page([waiting("1", "Garden", Date.now() - 23 * 60 * MINUTE)], []);
    await page.answer();
    assert.equal(page.all.length, 1);
    (page.all[0] as Waiting).since -= 2 * 60 * MINUTE;
    await page.answer();
    assert.deepEqual([page.all, page.sent, page.told], [[], [], []]);
  });
});
