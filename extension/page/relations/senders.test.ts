import "../../testing/page.ts";

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import type { PageEvent, RelationsClient, RelationsCrypto } from "./sdk.ts";
import { FIRST_RETRY_MS, MAX_REACTIONS, ReactionSenders, SWEPT_AT } from "./senders.ts";

const BOB = "@bob:hs";
const CAROL = "@carol:hs";

/** Users whose look-ups fail. */
let silent: Set<string>;
/** How often it was asked whether a sender is believed, by sender. */
let asked: Map<string, number>;
let shown: Set<PageEvent>;
let listeners: Record<string, (first: unknown) => void>;
let senders: ReactionSenders;

const count = (user: string): number => asked.get(user) ?? 0;
const reaction = (user: string): PageEvent =>
  ({ event: {}, getSender: () => user }) as unknown as PageEvent;
const changed = (user: string): void => listeners["crypto.devicesUpdated"]?.([user]);

beforeEach(() => {
  silent = new Set();
  asked = new Map();
  // What an earlier test left on its way goes into that test's.
  const ofThisTest = new Set<PageEvent>();
  shown = ofThisTest;
  listeners = {};
  const client = {
    on: (name: string, listener: (first: unknown) => void) => {
      listeners[name] = listener;
    },
  } as unknown as RelationsClient;
  const crypto = {
    getEncryptionInfoForEvent: (event: PageEvent) => {
      const user = event.getSender() ?? "";
      asked.set(user, count(user) + 1);
      if (silent.has(user)) return Promise.reject(new Error("offline"));
      return Promise.resolve({ shieldReason: null });
    },
  } as unknown as RelationsCrypto;
  senders = new ReactionSenders(client, crypto, {
    show: (event) => ofThisTest.add(event),
    hide: (event) => ofThisTest.delete(event),
  });
});

async function turns(some: number): Promise<void> {
  for (let turn = 0; turn < some; turn += 1) await new Promise((next) => setImmediate(next));
}

/** Until it is so; the number of turns only ends a test that would fail. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000 && !isSo(); turn += 1) await turns(1);
  assert.ok(isSo());
}

describe("at the bound", () => {
  test("reactions that were removed take no places", async () => {
    const first = reaction(BOB);
    senders.ask(first);
    for (let index = 0; index < 2 * SWEPT_AT; index += 1) {
      const event = reaction(CAROL);
      senders.ask(event);
      senders.forget(event);
    }
    await until(() => shown.has(first));
    changed(BOB);
    await until(() => count(BOB) === 2);
  });

  test("reactions that are in no timeline any more go before those that are", async (context) => {
    const gone = new WeakSet<object>();
    const native = WeakRef;
    context.after(() => Object.assign(globalThis, { WeakRef: native }));
    Object.assign(globalThis, {
      WeakRef: class {
        readonly #target: object;
        constructor(target: object) {
          this.#target = target;
        }
        deref = (): object | undefined => (gone.has(this.#target) ? undefined : this.#target);
      },
    });
    const first = reaction(BOB);
    senders.ask(first);
    for (let index = 0; index < 2 * SWEPT_AT; index += 1) {
      const event = reaction(CAROL);
      senders.ask(event);
      gone.add(event);
    }
    await until(() => shown.size === 2 * SWEPT_AT + 1);
    changed(BOB);
    await until(() => count(BOB) === 2);
  });

  test("of those that are shown the oldest keep their answer", async () => {
    const first = reaction(BOB);
    senders.ask(first);
    const others = Array.from({ length: SWEPT_AT - 1 }, () => reaction(CAROL));
    for (const event of others) senders.ask(event);
    await until(() => shown.size === SWEPT_AT);
    changed(BOB);
    await until(() => count(BOB) === 2);
    // One more than there may be.
    senders.ask(reaction(CAROL));
    await until(() => shown.size === SWEPT_AT + 1);
    changed(BOB);
    const before = count(CAROL);
    changed(CAROL);
    await until(() => count(CAROL) - before >= MAX_REACTIONS);
    await turns(20);
    assert.deepEqual([count(BOB), count(CAROL) - before], [2, MAX_REACTIONS]);
  });
});

describe("a sender whose look-ups fail", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
  afterEach(() => {
    mock.timers.reset();
  });

  test("is asked about ever more rarely, also while others answer", async () => {
    silent.add(BOB);
    senders.ask(reaction(BOB));
    await turns(20);
    const rounds = 3_600_000 / FIRST_RETRY_MS;
    for (let round = 0; round < rounds; round += 1) {
      const before = count(CAROL);
      senders.ask(reaction(CAROL));
      await until(() => count(CAROL) === before + 1);
      await turns(3);
      mock.timers.tick(FIRST_RETRY_MS);
      await turns(3);
    }
    // 5 s, twice that, up to every 5 minutes.
    assert.ok(count(BOB) >= 8 && count(BOB) <= 20, `${count(BOB)} times in an hour`);
  });

  test("does not let others wait longer", async () => {
    silent.add(BOB);
    senders.ask(reaction(BOB));
    for (let round = 0; round < 20; round += 1) {
      await turns(5);
      mock.timers.tick(FIRST_RETRY_MS);
    }
    await turns(5);
    silent.add(CAROL);
    const event = reaction(CAROL);
    senders.ask(event);
    await until(() => count(CAROL) === 1);
    await turns(20);
    silent.delete(CAROL);
    mock.timers.tick(FIRST_RETRY_MS);
    await until(() => shown.has(event));
  });

  test("is asked about no more when the reaction was removed", async () => {
    silent.add(BOB);
    const event = reaction(BOB);
    senders.ask(event);
    await until(() => count(BOB) === 1);
    await turns(20);
    senders.forget(event);
    mock.timers.tick(10 * FIRST_RETRY_MS);
    await turns(20);
    assert.equal(count(BOB), 1);
  });
});
