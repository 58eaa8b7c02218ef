/** Brings the Rust half what it needs to open events: keys, devices and power levels of the page. */
import type { EncryptedState, Needs } from "../../generated/mantle_state.js";
import { NativePromise, now, parseJson, setTimer } from "../primordials/primordials.ts";
import { deliver, deviceKeysOf, exportSessions, runningClient, within } from "./element/client.ts";
import type { DeviceList, EventDuck, PageClient } from "./element/client.ts";
import type { StateEngine } from "./engine.ts";
import { breath, eachInSteps, Pace, SESSIONS_IN_STEP } from "./time-slicing.ts";

type Healed = ReturnType<EncryptedState["healed"]>["events"][number];
type Undelivered = Healed & { readonly tries: number };
type Unopened = ReturnType<EncryptedState["takeUnopened"]>[number];

/**
 * Longest wait for all that one answer needs; what comes later heals. An export reads all keys the
 * page has (about 0.3 ms each), and a sync with everyone's messages must not wait for that.
 */
const SUPPLY_LIMIT = 1_500;
/** The same for the first answer, before which there is nothing to show. */
const FIRST_LIMIT = 8_000;
/** Bells that ring close together are one trip to the page's crypto. */
const RING_DELAY = 60;
/** For events whose room the client does not have yet; an invite may never come. */
const TRY_AGAIN_AFTER = 500;
const MOST_TRIES = 60;
/** The Rust half keeps fewer waiting events; of those it lets go, nothing is kept here either. */
const MOST_BELLS = 8_192;
/** A room may have ten thousand members. */
const USERS_IN_STEP = 200;
/** State that says who may do what; no more of a room is looked at. */
const RULES = [
  "m.room.create",
  "m.room.power_levels",
  "m.room.encryption",
  "m.room.history_visibility",
];

export class KeySupply {
  readonly #engine: StateEngine;
  /** Events the page's crypto waits with, by event id. */
  readonly #bells = new Map<string, EventDuck>();
  readonly #pace = new Pace();
  #isRinging = false;
  #healing: Promise<void> = NativePromise.resolve();
  #undelivered: Undelivered[] = [];
  #recalled: PageClient | undefined;

  constructor(engine: StateEngine) {
    this.#engine = engine;
  }

  /** Supplies what it can within a bounded time; what fails is left for healing. */
  async supply(needs: Needs): Promise<void> {
    const client = runningClient();
    if (client?.getCrypto() === undefined) return;
    const tasks = [
      this.#supplyRules(client, needs.rooms),
      this.#supplySessions(client, needs.sessions),
      this.#supplyDevices(client, needs.owners, true),
      this.#supplyMembers(client, needs.memberDevices),
    ];
    const all = NativePromise.allSettled(tasks);
    const limit = client.isInitialSyncComplete() ? SUPPLY_LIMIT : FIRST_LIMIT;
    try {
      await within(all, limit);
    } catch {
      // Too slow: the events pass as they are and open as soon as it is all there.
      void all.then(() => this.ring());
    }
  }

  /**
   * Once for each client: encrypted state that it holds already, from its own disk or from before
   * Mantle, is opened like one that comes.
   */
  recall(): void {
    const client = runningClient();
    if (client === undefined || client === this.#recalled || !client.isInitialSyncComplete())
      return;
    this.#recalled = client;
    this.#recallAll(client).catch(() => undefined);
  }

  async #recallAll(client: PageClient): Promise<void> {
    let isAny = false;
    await eachInSteps(client.getRooms(), (room) => {
      const events: object[] = [];
      const held = room.currentState.events.get("m.room.encrypted");
      for (const { event } of held?.values() ?? []) events.push(event);
      if (events.length === 0) return;
      isAny = true;
      const json = JSON.stringify(events);
      this.#engine.call((state) => state.recall(room.roomId, json));
    });
    if (isAny) this.ring();
  }

  /**
   * Asks the page's crypto to tell when keys of events that could not be opened arrive; false when
   * there are none.
   */
  watch(): boolean {
    const crypto = runningClient()?.getCrypto();
    if (crypto === undefined) return false;
    const fresh: Unopened[] = [];
    for (const event of this.#engine.call((state) => state.takeUnopened())) {
      if (event.reason !== "session" && event.reason !== "index") continue;
      if (this.#bells.has(event.eventId)) continue;
      this.#bells.set(
        event.eventId,
        duckOf(event, () => this.ring()),
      );
      fresh.push(event);
    }
    eachInSteps(fresh, ({ eventId }) => {
      const duck = this.#bells.get(eventId);
      // The page's crypto keeps it until the key is there, asking the key backup meanwhile.
      if (duck === undefined) return;
      crypto.decryptEvent(duck).then(
        () => this.ring(),
        () => undefined,
      );
    }).catch(() => undefined);
    if (this.#bells.size > MOST_BELLS) this.#dropBells();
    return this.#engine.call((state) => state.hasUnopened());
  }

  /** Soon: opens what can be opened now, and puts it into the running client. */
  ring(delay = RING_DELAY): void {
    if (this.#isRinging) return;
    this.#isRinging = true;
    setTimer(() => {
      this.#isRinging = false;
      const heal = (): Promise<void> => this.#heal();
      this.#healing = this.#healing.then(heal).catch(() => undefined);
    }, delay);
  }

  async #heal(): Promise<void> {
    const client = runningClient();
    if (client === undefined || !this.#engine.isRunning) return;
    const needs = this.#engine.call((state) => state.healNeeds());
    if (needs !== undefined) await this.supply(needs);
    // Those that came before the client had worked through their answer go first.
    const tried = this.#undelivered;
    this.#undelivered = [];
    await eachInSteps(tried, (one) => this.#deliver(client, one));
    for (;;) {
      const start = now();
      const step = this.#engine.call((state) => state.healed(this.#pace.most));
      this.#pace.took(now() - start);
      await eachInSteps(step.events, (one) => this.#deliver(client, { ...one, tries: 0 }));
      if (!step.more) break;
      await breath();
    }
    if (this.#undelivered.length > 0) this.ring(TRY_AGAIN_AFTER);
    this.#dropBells();
    this.#engine.persistSoon();
  }

  /** Those of events that wait no more. */
  #dropBells(): void {
    this.#engine.call((state) => {
      for (const [eventId, duck] of [...this.#bells]) {
        if (!state.isUnopened(duck.getRoomId(), eventId)) this.#bells.delete(eventId);
      }
    });
  }

  #deliver(client: PageClient, one: Undelivered): void {
    const { roomId, event, tries } = one;
    // While the page took its breath, something newer may have come.
    const { type, state_key: stateKey, event_id: eventId } = event;
    const isOld =
      typeof eventId === "string" &&
      !this.#engine.call((state) =>
        state.isCurrent(roomId, String(type), String(stateKey), eventId),
      );
    if (isOld || deliver(client, roomId, event) || tries >= MOST_TRIES) return;
    this.#undelivered.push({ ...one, tries: tries + 1 });
  }

  async #supplySessions(client: PageClient, sessions: Needs["sessions"]): Promise<void> {
    if (sessions.length === 0) return;
    const wanted = new Set<string>();
    for (const { roomId, sessionId } of sessions) wanted.add(`${roomId}|${sessionId}`);
    const keys = parseJson(await exportSessions(client, wanted));
    const all = Array.isArray(keys) ? (keys as unknown[]) : [];
    for (let from = 0; from < all.length; from += SESSIONS_IN_STEP) {
      if (from > 0) await breath();
      const some = JSON.stringify(all.slice(from, from + SESSIONS_IN_STEP));
      this.#engine.call((state) => state.addRoomKeys(some));
    }
  }

  async #supplyDevices(
    client: PageClient,
    users: readonly string[],
    areSenders: boolean,
  ): Promise<void> {
    if (users.length === 0) return;
    const devices = await deviceKeysOf(client, [...users], areSenders);
    const lists = [...devices];
    for (let from = 0; from < lists.length; from += USERS_IN_STEP) {
      if (from > 0) await breath();
      const some = jsonOf(lists.slice(from, from + USERS_IN_STEP));
      this.#engine.call((state) => state.addDevices(some));
    }
  }

  async #supplyMembers(client: PageClient, rooms: readonly string[]): Promise<void> {
    for (const roomId of rooms) {
      const room = client.getRoom(roomId);
      if (room === null) continue;
      await room.loadMembersIfNeeded?.();
      const users: string[] = [];
      for (const userId of Object.keys(room.currentState.members)) users.push(userId);
      await this.#supplyDevices(client, users, false);
      this.#engine.call((state) => state.membersAdded(roomId));
    }
  }

  async #supplyRules(client: PageClient, rooms: readonly string[]): Promise<void> {
    for (const roomId of rooms) this.addRules(client, roomId);
    return NativePromise.resolve();
  }

  /** False when the page's client does not know the room. */
  addRules(client: PageClient, roomId: string): boolean {
    const state = client.getRoom(roomId)?.currentState;
    if (state === undefined || state.getStateEvents("m.room.create", "") === null) return false;
    const events: object[] = [];
    for (const type of RULES) {
      const event = state.getStateEvents(type, "");
      if (event !== null) events.push(event.event);
    }
    this.#engine.call((engine) => engine.addRoomState(roomId, JSON.stringify(events)));
    return true;
  }
}

/** What matrix-js-sdk's crypto asks of an event it is to decrypt, and to try again later. */
function duckOf(event: Unopened, arrived: () => void): EventDuck {
  return {
    getId: () => event.eventId,
    getWireType: () => "m.room.encrypted",
    getSender: () => event.sender,
    getStateKey: () => event.stateKey,
    getWireContent: () => event.content,
    getTs: () => event.ts,
    getRoomId: () => event.roomId,
    getMembershipAtEvent: () => undefined,
    attemptDecryption: () => {
      arrived();
      return NativePromise.resolve();
    },
  };
}

function jsonOf(devices: readonly (readonly [string, DeviceList])[]): string {
  const users: object[] = [];
  for (const [userId, list] of devices) users.push({ userId, devices: list });
  return JSON.stringify(users);
}
