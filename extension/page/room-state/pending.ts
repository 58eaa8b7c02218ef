/** State that still must be sent: tried until done, also after a reload and in another tab. */
import type { EncryptedState } from "../../generated/mantle_state.js";
import {
  addListener,
  isArray,
  NativePromise,
  now,
  parseJson,
  setTimer,
} from "../primordials/primordials.ts";
import { showNotice } from "../dialogs/notice.ts";
import { showProgress } from "../dialogs/progress.ts";
import type { Progress } from "../dialogs/progress.ts";
import { isDirect, runningClient } from "./element/client.ts";
import type { PageClient, PageRoom } from "./element/client.ts";
import { isFinal, sendAsClient } from "./homeserver.ts";
import type { StateEngine } from "./engine.ts";
import type { StateSharing } from "./sharing.ts";
import { text } from "../texts/texts.ts";

type Pending = ReturnType<EncryptedState["pendingWrites"]>[number];

const PAUSES = [1_000, 3_000, 10_000, 30_000, 120_000];
/** A page that makes a room is given this long before another one looks for it. */
const RECONCILE_AFTER_MS = 120_000;
/** The homeserver's clock and ours may differ by this much. */
const CLOCKS = 60_000;
/** A room that did not turn up by then was not made; the person was told when it failed. */
const FORGET_AFTER = 24 * 60 * 60_000;
/** Between the tabs of one Element; says nothing but that there is something to send. */
const CHANNEL = "mantle-state";
/** A tab that is still open is done with it by then. */
const TAKE_OVER_AFTER = 45_000;
const JOINED = "/_matrix/client/v3/joined_rooms";

export class PendingWrites {
  readonly #engine: StateEngine;
  readonly #sharing: StateSharing;
  /** Rooms that were made while nothing could be stored, and what waits for them. */
  readonly #made = new Map<string, string>();
  #others: BroadcastChannel | undefined;
  /** What nobody can tell the room of: since when that is so here, or that the person was told. */
  readonly #unclear = new Map<string, number | "told">();
  #isRunning = false;
  #isAsked = false;
  #wake: (() => void) | undefined;

  readonly #notice: typeof showNotice;
  readonly #now: () => number;

  constructor(
    engine: StateEngine,
    sharing: StateSharing,
    { notice = showNotice, clock = now } = {},
  ) {
    this.#engine = engine;
    this.#sharing = sharing;
    this.#notice = notice;
    this.#now = clock;
  }

  #tabs(): BroadcastChannel {
    if (this.#others === undefined) {
      this.#others = new BroadcastChannel(CHANNEL);
      addListener(this.#others, "message", () => {
        setTimer(() => this.#takeOver(), TAKE_OVER_AFTER);
      });
    }
    return this.#others;
  }

  /** The room was made, and that could not be stored: tried again, before anything is sent. */
  made(pendingId: string, roomId: string): void {
    this.#made.set(roomId, pendingId);
  }

  /** The person sets this anew: what still waits is not sent after it. Only inside `writing`. */
  replace(roomId: string, eventType: string, stateKey: string): void {
    for (const pending of this.#list()) {
      if (pending.roomId !== roomId) continue;
      this.#engine.call((state) => state.pendingSent(pending.pendingId, eventType, stateKey));
    }
  }

  /** Begins with what this page has just put on the list. */
  begin(): void {
    this.#tabs().postMessage(null);
    this.run();
  }

  /** Another tab had something to send: whatever of it is left, perhaps because it was closed. */
  #takeOver(): void {
    const client = runningClient();
    if (client?.getCrypto() === undefined || !this.#engine.isRunning) return;
    this.#engine
      .writing(client, () => NativePromise.resolve())
      .then(
        () => this.resume(),
        () => undefined,
      );
  }

  /** Goes on, unless it is under way; where it waits, it goes on at once. */
  run(): void {
    this.#isAsked = true;
    this.#wake?.();
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#loop()
      .catch(() => undefined)
      .finally(() => {
        this.#isRunning = false;
      });
  }

  async #loop(): Promise<void> {
    let failures = 0;
    let progress: Progress | undefined;
    try {
      while (this.#isAsked || failures > 0) {
        this.#isAsked = false;
        if (!this.#engine.isRunning || this.#list().length + this.#made.size === 0) return;
        progress ??= showProgress(text("encrypting"));
        if (await this.#tryAll()) {
          failures = 0;
          progress.done();
          progress = undefined;
          continue;
        }
        failures += 1;
        progress.update(text("nameLater"));
        await this.#pause(PAUSES[Math.min(failures, PAUSES.length) - 1] ?? 0);
      }
    } finally {
      progress?.done();
    }
  }

  /** Until the time is over or there is more to send, which came up meanwhile, perhaps. */
  async #pause(wait: number): Promise<void> {
    if (this.#isAsked) return;
    await new NativePromise<void>((resume) => {
      this.#wake = resume;
      setTimer(resume, wait);
    });
    this.#wake = undefined;
  }

  /** Each room for itself; false when something is left. */
  async #tryAll(): Promise<boolean> {
    try {
      const client = await this.#sharing.readyClient();
      for (const [roomId, pendingId] of this.#made) {
        await this.#engine.writing(client, () => {
          this.#engine.call((state) => state.created(pendingId, roomId));
          return NativePromise.resolve();
        });
        this.#made.delete(roomId);
      }
      const tries = this.#list().map((pending) => this.#sendOrForget(client, pending));
      const outcomes = await NativePromise.allSettled(tries);
      return outcomes.every(({ status }) => status === "fulfilled");
    } catch {
      return false;
    }
  }

  /** Those whose room is known. */
  #list(): Pending[] {
    return this.#engine
      .call((state) => state.pendingWrites())
      .filter(({ roomId }) => roomId !== undefined && roomId !== null);
  }

  async #sendOrForget(client: PageClient, pending: Pending): Promise<void> {
    try {
      await this.#sendAll(client, pending);
    } catch (error) {
      if (!(await hasLeft(client, pending.roomId ?? ""))) throw error;
      await this.#forget(client, pending.pendingId);
    }
  }

  async #sendAll(client: PageClient, { pendingId, roomId, events }: Pending): Promise<void> {
    if (roomId === undefined || roomId === null) return;
    for (const { eventType, stateKey, contentJson } of events) {
      const room = await this.#sharing.readyRoom(client, roomId);
      await this.#engine.writing(client, async () => {
        // Another tab may have sent it while we waited for our turn.
        if (!this.#isPending(pendingId, eventType, stateKey)) return;
        try {
          await this.#sharing.send(client, room, { eventType, stateKey, contentJson });
        } catch (error) {
          if (!isFinal(error)) throw error;
          if (!(await hasLeft(client, roomId))) this.#notice(text("nameRefused"));
        }
        this.#engine.call((state) => state.pendingSent(pendingId, eventType, stateKey));
      });
    }
  }

  #isPending(pendingId: string, eventType: string, stateKey: string): boolean {
    const mine = this.#list().find((pending) => pending.pendingId === pendingId);
    return (
      mine?.events.some((event) => event.eventType === eventType && event.stateKey === stateKey) ??
      false
    );
  }

  /**
   * After each look at an answer: whether something is left over from before. A name that cannot be
   * sent, which is tried on and on, holds up no other room.
   */
  resume(): void {
    this.#tabs();
    const client = runningClient();
    if (client?.getCrypto() === undefined) return;
    if (!this.#isRunning && this.#list().length > 0) this.run();
    const all = this.#engine.call((state) => state.pendingWrites());
    for (const pending of all.filter(isUnresolved)) {
      if (this.#now() - pending.since > RECONCILE_AFTER_MS) this.#adopt(client, pending, all);
    }
  }

  /**
   * A room was asked for and the answer never came: found again when only one can be meant. The name
   * of a room that was not made must not be told to the people of another one.
   */
  #adopt(client: PageClient, pending: Pending, all: readonly Pending[]): void {
    const { pendingId, since } = pending;
    const candidates = this.#candidates(client, pending, all);
    const found = candidates.filter((room) => nameOf(room) === null);
    // Perhaps it is the one, and the person has named it meanwhile.
    const isNamedSince = candidates.some((room) => (nameOf(room)?.getTs() ?? 0) > since);
    const near = all.filter(
      (other) =>
        isUnresolved(other) && Math.abs(other.since - since) <= RECONCILE_AFTER_MS + CLOCKS,
    );
    // One of several with different names: which it is, nobody knows. Of those with the same name each
    // takes any.
    const isSame = (other: Pending): boolean =>
      JSON.stringify(other.events) === JSON.stringify(pending.events);
    const isClear = near.every(isSame) && !isNamedSince && found.length <= near.length;
    const [room] = found.sort((one, other) => madeAt(one) - madeAt(other));
    if (room === undefined || !isClear) {
      const isSynced = client.isInitialSyncComplete();
      if (isSynced && this.#now() - since > FORGET_AFTER) {
        this.#forget(client, pendingId).catch(() => undefined);
      } else if (isSynced && room !== undefined) {
        this.#tell(pending);
      }
      return;
    }
    this.#engine
      .writing(client, () => {
        this.#engine.call((state) => {
          // What other tabs made or found meanwhile is known only now.
          const known = state.pendingWrites();
          const isTaken = known.some(({ roomId }) => roomId === room.roomId);
          const mine = known.find((other) => other.pendingId === pendingId);
          if (isTaken || !isUnresolved(mine) || mine.others.includes(room.roomId)) return;
          state.created(pendingId, room.roomId);
        });
        return NativePromise.resolve();
      })
      .then(
        () => this.run(),
        () => undefined,
      );
  }

  /** Rooms that may be the one, by whom and when they were made. */
  #candidates(client: PageClient, pending: Pending, all: readonly Pending[]): PageRoom[] {
    const { since, others } = pending;
    const own = client.getUserId();
    return client.getRooms().filter((room) => {
      const { roomId } = room;
      if (others.includes(roomId) || all.some((other) => other.roomId === roomId)) return false;
      const made = room.currentState.getStateEvents("m.room.create", "");
      if (made === null || made.getSender() !== own || made.getTs() < since - CLOCKS) return false;
      if (made.getTs() > since + RECONCILE_AFTER_MS || room.getMyMembership() !== "join")
        return false;
      return !isDirect(client, room) && this.#engine.call((state) => state.encryptsState(roomId));
    });
  }

  /** The room is there, and nobody can tell which it is, as it stays: the person can. */
  #tell({ pendingId, events }: Pending): void {
    const since = this.#unclear.get(pendingId) ?? this.#now();
    if (since === "told") return;
    const isNew = this.#now() - since < RECONCILE_AFTER_MS;
    this.#unclear.set(pendingId, isNew ? since : "told");
    if (isNew) return;
    for (const { eventType, contentJson } of events) {
      if (eventType !== "m.room.name") continue;
      const { name } = parseJson(contentJson) as { readonly name?: unknown };
      if (typeof name === "string") this.#notice(text("nameOfWhichRoom", name));
    }
  }

  async #forget(client: PageClient, pendingId: string): Promise<void> {
    await this.#engine.writing(client, () => {
      this.#engine.call((state) => state.createFailed(pendingId));
      return NativePromise.resolve();
    });
  }
}

/** Whether it waits for its room to turn up. */
function isUnresolved(pending: Pending | undefined): pending is Pending {
  return pending !== undefined && (pending.roomId ?? undefined) === undefined;
}

function madeAt(room: PageRoom): number {
  return room.currentState.getStateEvents("m.room.create", "")?.getTs() ?? 0;
}

/** The room's name, also one that is still to be decrypted. */
function nameOf(room: PageRoom): ReturnType<PageRoom["currentState"]["getStateEvents"]> {
  const { currentState } = room;
  return (
    currentState.getStateEvents("m.room.name", "") ??
    currentState.getStateEvents("m.room.encrypted", "m.room.name:")
  );
}

/** Whether the own user is in the room no more, so that nothing can be sent there. */
async function hasLeft(client: PageClient, roomId: string): Promise<boolean> {
  const room = client.getRoom(roomId);
  if (room !== null) return ["leave", "ban"].includes(room.getMyMembership());
  // Forgotten, or not synced yet.
  const answer = (await sendAsClient(client, "GET", JOINED)) as { joined_rooms?: unknown } | null;
  const joined = answer?.joined_rooms;
  return isArray(joined) && !joined.includes(roomId);
}
