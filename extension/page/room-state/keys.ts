/** Brings the Rust half what it needs to open events: keys, devices and power levels of the page. */
import type { EncryptedState, Needs } from "../../generated/mantle_state.js";
import { NativePromise, now, parseJson, setTimer } from "../primordials/primordials.ts";
import {
  deliver,
  deviceKeysOf,
  exportSessions,
  forgetStub,
  runningClient,
  within,
} from "./element/client.ts";
import type { DeviceList, EventStub, PageClient, PageCrypto } from "./element/client.ts";
import type { StateEngine } from "./engine.ts";
import { eachInSteps, yieldToPage } from "../primordials/steps.ts";
import { SESSIONS_IN_STEP, TimeSlicer, WAITING_IN_STEP } from "./time-slicing.ts";

type Retried = ReturnType<EncryptedState["retried"]>["events"][number];
type Undelivered = Retried & { readonly tries: number };
type Undecryptable = ReturnType<EncryptedState["takeUndecryptable"]>[number];

/**
 * Longest wait for all that one answer needs; what comes later is decrypted by a retry. An export
 * reads all keys the page has (about 0.3 ms each), and a sync with everyone's messages must not wait
 * for that.
 */
const FETCH_TIMEOUT_MS = 1_500;
/** The same for the first answer, before which there is nothing to show. */
const FIRST_FETCH_TIMEOUT_MS = 8_000;
/** Keys that arrive close together are retried together, in one trip to the page's crypto. */
const RETRY_DELAY_MS = 60;
/**
 * Anybody may have the page's crypto say that a key may have come (`m.room_key.withheld` needs no
 * encryption), and each look for one reads all keys. After a look that found none the next one waits so
 * many times as long as that took, and no longer than the other: by then a key that came is found.
 */
const REST_BY_LOOK = 10;
const MAX_REST_MS = 5_000;
/** So much later devices and rules are looked for again, and how often. */
const LOOK_AGAIN_AFTER = 500;
const MAX_LOOKS = 6;
/** For events whose room the client does not have yet; an invite may never come. */
const TRY_AGAIN_AFTER = 500;
const MAX_TRIES = 60;
/**
 * The Rust half keeps 4,096 waiting events; of those it lets go, nothing is kept here either, nor in
 * the page's crypto.
 */
const MAX_KEY_LISTENERS = 4_352;
/** A room may have ten thousand members. */
const USERS_IN_STEP = 200;
/** The type of what member events carry; the module has the same. */
export const MEMBER_PROFILE = "org.mantle.member_profile";
/** State that says who may do what; no more of a room is looked at. */
const RULES = [
  "m.room.create",
  "m.room.power_levels",
  "m.room.encryption",
  "m.room.history_visibility",
];

export class KeyFetcher {
  readonly #engine: StateEngine;
  /** Events the page's crypto waits with, by event id. */
  readonly #keyListeners = new Map<string, EventStub>();
  readonly #slicer = new TimeSlicer();
  #isRetryScheduled = false;
  #restUntil = 0;
  /** A look is under way, and whether it has been said meanwhile that a key may have come. */
  #isLooking = false;
  #isAskedAgain = false;
  /** Whose devices and which rooms' rules were lacking after the last look, and looks for them. */
  #lacking = "";
  #looksForIt = 0;
  #retrying: Promise<void> = NativePromise.resolve();
  #undelivered: Undelivered[] = [];
  /** Takes what member events carry (`extension/page/room-names`): no state of the room's own. */
  onMemberProfile: ((roomId: string, event: Retried["event"]) => void) | undefined;
  #backfilled: PageClient | undefined;

  constructor(engine: StateEngine) {
    this.#engine = engine;
  }

  /** Supplies what it can within a bounded time; what fails is decrypted when it is retried. */
  async fetchNeeded(needs: Needs): Promise<void> {
    const client = runningClient();
    if (client?.getCrypto() === undefined) return;
    const tasks = [
      this.#fetchRules(client, needs.rooms),
      this.#fetchSessions(client, needs.sessions),
      this.#fetchDevices(client, needs.owners, true),
      this.#fetchMembers(client, needs.memberDevices),
    ];
    const all = NativePromise.allSettled(tasks);
    const limit = client.isInitialSyncComplete() ? FETCH_TIMEOUT_MS : FIRST_FETCH_TIMEOUT_MS;
    try {
      await within(all, limit);
    } catch {
      // Too slow: the events pass as they are and open as soon as it is all there.
      void all.then(() => this.scheduleRetry());
    }
  }

  /**
   * Once for each client: encrypted state that it holds already, from its own disk or from before
   * Mantle, is opened like one that comes.
   */
  backfill(): void {
    const client = runningClient();
    if (client === undefined || client === this.#backfilled || !client.isInitialSyncComplete())
      return;
    this.#backfilled = client;
    this.#backfillAll(client).catch(() => undefined);
  }

  async #backfillAll(client: PageClient): Promise<void> {
    let isAny = false;
    await eachInSteps(client.getRooms(), (room) => {
      const events: object[] = [];
      const held = room.currentState.events.get("m.room.encrypted");
      for (const { event } of held?.values() ?? []) events.push(event);
      if (events.length === 0) return;
      isAny = true;
      const json = JSON.stringify(events);
      this.#engine.call((state) => state.backfill(room.roomId, json));
    });
    if (isAny) this.scheduleRetry();
  }

  /**
   * Asks the page's crypto to tell when keys of events that could not be opened arrive; false when
   * there are none.
   */
  watch(): boolean {
    const crypto = runningClient()?.getCrypto();
    if (crypto === undefined) return false;
    this.#listen(crypto).catch(() => undefined);
    return this.#engine.call((state) => state.hasUndecryptable());
  }

  /** A part of them at once, and the others in further steps. */
  async #listen(crypto: PageCrypto): Promise<void> {
    for (let isMore = true; isMore;) {
      const events = this.#engine.call((state) => state.takeUndecryptable(WAITING_IN_STEP));
      const fresh: Undecryptable[] = [];
      for (const event of events) {
        if (event.reason !== "session" && event.reason !== "index") continue;
        if (this.#keyListeners.has(event.eventId)) continue;
        this.#keyListeners.set(
          event.eventId,
          stubOf(event, () => this.#keyMayBeThere()),
        );
        fresh.push(event);
      }
      if (this.#keyListeners.size > MAX_KEY_LISTENERS) this.#dropKeyListeners();
      await eachInSteps(fresh, ({ eventId }) => {
        const stub = this.#keyListeners.get(eventId);
        // The page's crypto keeps it until the key is there, asking the key backup meanwhile.
        if (stub === undefined) return;
        crypto.decryptEvent(stub).then(
          () => this.scheduleRetry(),
          () => undefined,
        );
      });
      isMore = events.length === WAITING_IN_STEP;
      if (isMore) await yieldToPage();
    }
  }

  #keyMayBeThere(): void {
    if (this.#isLooking) {
      this.#isAskedAgain = true;
      return;
    }
    const rest = this.#restUntil - now();
    // A clock that was set back holds nothing up.
    this.scheduleRetry(rest > RETRY_DELAY_MS && rest <= MAX_REST_MS ? rest : RETRY_DELAY_MS);
  }

  /** Soon: opens what can be opened now, and puts it into the running client. */
  scheduleRetry(delay = RETRY_DELAY_MS): void {
    if (this.#isRetryScheduled) return;
    this.#isRetryScheduled = true;
    setTimer(() => {
      this.#isRetryScheduled = false;
      const look = (): Promise<void> => this.#look();
      this.#retrying = this.#retrying.then(look).catch(() => undefined);
    }, delay);
  }

  async #look(): Promise<void> {
    const startedAt = now();
    this.#isLooking = true;
    let isFound = false;
    try {
      isFound = await this.#retry();
    } finally {
      const rest = (now() - startedAt) * REST_BY_LOOK;
      this.#restUntil = isFound ? 0 : now() + (rest < MAX_REST_MS ? rest : MAX_REST_MS);
      this.#isLooking = false;
      if (this.#engine.isRunning) this.#lookAgain();
      if (this.#isAskedAgain) {
        this.#isAskedAgain = false;
        this.#keyMayBeThere();
      }
    }
  }

  /**
   * For devices and rules no key is listened for, and a quiet room has no answer that brings the next
   * look: what lacks them is tried again by itself, each time after twice as long.
   */
  #lookAgain(): void {
    const needs = this.#engine.call((state) => state.retryNeeds());
    const lacking: string[] = [];
    for (const list of [needs?.owners ?? [], needs?.rooms ?? [], needs?.memberDevices ?? []]) {
      for (const one of list) lacking.push(one);
    }
    const what = lacking.join(" ");
    if (what !== this.#lacking) {
      this.#lacking = what;
      this.#looksForIt = 0;
    }
    if (what === "" || this.#looksForIt >= MAX_LOOKS) return;
    const delay = LOOK_AGAIN_AFTER * 2 ** this.#looksForIt;
    this.#looksForIt += 1;
    const rest = this.#restUntil - now();
    setTimer(
      () => {
        if (this.#lacking === what) this.scheduleRetry();
      },
      rest > delay && rest <= MAX_REST_MS ? rest : delay,
    );
  }

  /** Whether something opened. */
  async #retry(): Promise<boolean> {
    const client = runningClient();
    if (client === undefined || !this.#engine.isRunning) return false;
    let isFound = false;
    const needs = this.#engine.call((state) => state.retryNeeds());
    if (needs !== undefined) await this.fetchNeeded(needs);
    // Those that came before the client had worked through their answer go first.
    const tried = this.#undelivered;
    this.#undelivered = [];
    await eachInSteps(tried, (one) => this.#deliver(client, one));
    for (;;) {
      const start = now();
      const step = this.#engine.call((state) => state.retried(this.#slicer.most));
      this.#slicer.took(now() - start);
      isFound ||= step.events.length > 0;
      await eachInSteps(step.events, (one) => this.#deliver(client, { ...one, tries: 0 }));
      if (!step.more) break;
      await yieldToPage();
    }
    if (this.#undelivered.length > 0) this.scheduleRetry(TRY_AGAIN_AFTER);
    this.#dropKeyListeners();
    // What came otherwise than by an answer, as names in one room do.
    this.watch();
    this.#engine.persistSoon();
    return isFound;
  }

  /** Those of events that wait no more. */
  #dropKeyListeners(): void {
    const client = runningClient();
    this.#engine.call((state) => {
      for (const [eventId, stub] of [...this.#keyListeners]) {
        if (state.isUndecryptable(stub.getRoomId(), eventId)) continue;
        this.#keyListeners.delete(eventId);
        forgetStub(client, stub);
      }
    });
  }

  #deliver(client: PageClient, one: Undelivered): void {
    const { roomId, event, tries } = one;
    if (event["type"] === MEMBER_PROFILE) {
      // Who takes them looks at the member event that carried one. The module keeps the order of few
      // of them, and one that gave way was opened all the same.
      this.onMemberProfile?.(roomId, event);
      return;
    }
    // While the page took its breath, something newer may have come.
    const { type, state_key: stateKey, event_id: eventId } = event;
    const isOld =
      typeof eventId === "string" &&
      !this.#engine.call((state) =>
        state.isCurrent(roomId, String(type), String(stateKey), eventId),
      );
    if (isOld) return;
    if (deliver(client, roomId, event) || tries >= MAX_TRIES) return;
    this.#undelivered.push({ ...one, tries: tries + 1 });
  }

  async #fetchSessions(client: PageClient, sessions: Needs["sessions"]): Promise<void> {
    if (sessions.length === 0) return;
    const wanted = new Set<string>();
    for (const { roomId, sessionId } of sessions) wanted.add(`${roomId}|${sessionId}`);
    const keys = parseJson(await exportSessions(client, wanted));
    const all = Array.isArray(keys) ? (keys as unknown[]) : [];
    for (let from = 0; from < all.length; from += SESSIONS_IN_STEP) {
      if (from > 0) await yieldToPage();
      const some = JSON.stringify(all.slice(from, from + SESSIONS_IN_STEP));
      this.#engine.call((state) => state.addRoomKeys(some));
    }
  }

  async #fetchDevices(
    client: PageClient,
    users: readonly string[],
    areSenders: boolean,
  ): Promise<void> {
    if (users.length === 0) return;
    const devices = await deviceKeysOf(client, [...users], areSenders);
    const lists: (readonly [string, DeviceList])[] = [];
    for (const [userId, list] of devices) {
      // Who sends has a device: the page's crypto asks for them still, and says none after a second.
      if (list.length > 0) lists.push([userId, list]);
    }
    for (let from = 0; from < lists.length; from += USERS_IN_STEP) {
      if (from > 0) await yieldToPage();
      const some = jsonOf(lists.slice(from, from + USERS_IN_STEP));
      this.#engine.call((state) => state.addDevices(some));
    }
  }

  async #fetchMembers(client: PageClient, rooms: readonly string[]): Promise<void> {
    for (const roomId of rooms) {
      const room = client.getRoom(roomId);
      if (room === null) continue;
      await room.loadMembersIfNeeded?.();
      const users: string[] = [];
      for (const userId of Object.keys(room.currentState.members)) users.push(userId);
      await this.#fetchDevices(client, users, false);
      this.#engine.call((state) => state.membersAdded(roomId));
    }
  }

  async #fetchRules(client: PageClient, rooms: readonly string[]): Promise<void> {
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
function stubOf(event: Undecryptable, arrived: () => void): EventStub {
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
