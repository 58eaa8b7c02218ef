/** Keys first, state second: sends a room's state encrypted, and its keys to whoever may have them. */
import type { EncryptedState } from "../../generated/mantle_state.js";
import {
  checkCanShare,
  cryptoClient,
  eachTarget,
  importSession,
  PageCryptoError,
  pause,
  sendThroughOlm,
  signAsDevice,
} from "./element/client.ts";
import type { DeviceName, PageClient, PageRoom } from "./element/client.ts";
import { isArray, now, parseJson, setTimer } from "../primordials/primordials.ts";
import { isFinal, sendAsClient } from "./homeserver.ts";
import type { StateEngine } from "./engine.ts";
import type { InvitePreviews } from "./invites.ts";
import type { KeyFetcher } from "./keys.ts";
import { Line } from "./line.ts";
import { text } from "../texts/texts.ts";

type Encrypted = ReturnType<EncryptedState["takeEncrypted"]>;
type Moved = ReturnType<EncryptedState["sharingDue"]>[number]["members"][number];
type SessionView = ReturnType<EncryptedState["needSession"]>;
type Shares = ReturnType<EncryptedState["moreShares"]>;
type Again = ReturnType<EncryptedState["reencrypt"]>["events"][number];

export interface StateContent {
  readonly eventType: string;
  readonly stateKey: string;
  readonly contentJson: string;
}

/** How long a write waits for Element's crypto and for the room to come. */
export const READY_LIMIT = 20_000;
/** Changes of membership and devices come in showers. */
const TEND_DELAY = 400;
/** By then Element knows a new device, and its keys can be had. */
const DEVICES_AFTER = 4_000;
/** How long the client may take to work through an answer. */
const MEMBERS_LIMIT = 10_000;
/**
 * Whose devices Element did not know in time, or could not encrypt for, is given the key so much later,
 * so often, each time after four times as long. Devices that nobody can reach are left alone then until
 * something changes in the room.
 */
const REST_AFTER = 4_000;
const MAX_RESTS = 5;
/** How many sessions one event is tried with. */
const MOST_SESSIONS = 3;
/** People without a device that are counted. */
const MAX_WITHOUT = 10_000;
/** What Element's client tells when its crypto has other devices of somebody (`CryptoEvent`). */
const DEVICES_UPDATED = "crypto.devicesUpdated";
/** In a room with so many members, its key is given before the write that needs it. */
const MANY_MEMBERS = 200;
/** For so long at least before others are let go: who is to have the key is gone over anew then. */
const GIVES_FOR = 5_000;
/** When the network failed. */
const AGAIN_AFTER = 60_000;
/** When the store or Element's crypto has failed many times. */
const LONGEST_AFTER = 3_600_000;

/** It was thrown away between two steps, not by a disk. */
class SessionGoneError extends PageCryptoError {}

export class StateSharing {
  readonly #engine: StateEngine;
  readonly #invites: InvitePreviews;
  readonly #keys: KeyFetcher;
  /** Rooms to tend, and what the client is to know of their members by then. */
  readonly #due = new Map<string, Moved[]>();
  /** Rooms to look at later, and when: others may do it before, or a device is not known yet. */
  readonly #waiting = new Map<string, number>();
  /** How often in a row a room could not be tended. */
  readonly #failures = new Map<string, number>();
  /** How often in a row a room's key did not reach everybody. */
  readonly #rests = new Map<string, number>();
  /** How often somebody had no device when a key was given out. */
  readonly #without = new Map<string, number>();
  #isTending = false;
  /** Rooms are tended one by one: what a person writes waits for one of them, not for all. */
  readonly #turns = new Line();
  /** Those that wait for their turn: what is due there anew is seen to in the same. */
  readonly #inLine = new Map<string, Promise<number>>();
  #heard: PageClient | undefined;
  /** Told of a room whose keys may be others by now. */
  onTended: ((roomId: string) => void) | undefined;

  readonly #clock: () => number;

  constructor(engine: StateEngine, invites: InvitePreviews, keys: KeyFetcher, clock = now) {
    this.#engine = engine;
    this.#invites = invites;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** The client, once it can share keys. Throws in words. */
  async readyClient(): Promise<PageClient> {
    const client = await cryptoClient(READY_LIMIT);
    if (client === undefined) {
      throw new PageCryptoError(text("cryptoNotReady"));
    }
    checkCanShare(client);
    return client;
  }

  /** The room, once the client has it and knows that it is encrypted. Throws in words. */
  async readyRoom(client: PageClient, roomId: string): Promise<PageRoom> {
    for (let waited = 0; ; waited += 100) {
      const room = client.getRoom(roomId);
      if (room !== null && room.hasEncryptionStateEvent()) return room;
      if (waited >= READY_LIMIT) {
        throw new PageCryptoError(text("roomUnknown"));
      }
      await pause(100);
    }
  }

  /**
   * Before a write in a room, and not inside `engine.writing`. In a large one it takes minutes until
   * everybody has its key, and other rooms' writes are let go in between.
   */
  async prepare(client: PageClient, room: PageRoom): Promise<void> {
    if ((room.getJoinedMemberCount?.() ?? 0) < MANY_MEMBERS) return;
    try {
      for (let isOver = false; !isOver;) {
        isOver = await this.#engine.writing(client, () =>
          this.#shareKeys(client, room, "new", true),
        );
      }
    } catch {
      // The write itself comes upon it as well, and says so.
    }
  }

  /**
   * Encrypts one state event for a room, its key being out by then. Only inside `engine.writing`.
   * The result must be sent, its index is used up.
   */
  async encrypt(
    client: PageClient,
    room: PageRoom,
    { eventType, stateKey, contentJson }: StateContent,
  ): Promise<Encrypted> {
    const { roomId } = room;
    for (let session = 1; ; session += 1) {
      try {
        await this.#shareKeys(client, room, "new");
        await this.#sign(client, roomId, { eventType, stateKey, contentJson });
        return await this.#stored((state) =>
          state.encrypt(roomId, eventType, stateKey, contentJson),
        );
      } catch (error) {
        // An answer that shows a session used further than this device knows, as after a restored
        // profile, has it thrown away at once; the next one is good. A disk that said no says so again.
        const isRefused = error instanceof PageCryptoError && !(error instanceof SessionGoneError);
        const isGone = this.#engine.isRunning && !this.#hasSession(roomId);
        if (isRefused || !isGone || session === MOST_SESSIONS) throw error;
      }
    }
  }

  #hasSession(roomId: string): boolean {
    return this.#engine.call((state) => state.sessions()).includes(roomId);
  }

  /** Says with the device's own key who sets it, and after what. Right before it is encrypted. */
  async #sign(client: PageClient, roomId: string, content: StateContent): Promise<void> {
    const { eventType, stateKey, contentJson } = content;
    const text = this.#engine.call((state) =>
      state.textToSign(roomId, eventType, stateKey, contentJson, now()),
    );
    if (text === undefined) return;
    const signature = await signAsDevice(client, text);
    if (signature !== undefined) this.#engine.call((state) => state.addSignature(signature));
  }

  /** What a ticket stands for, once that is on disk. */
  async #stored(encrypt: (state: EncryptedState) => number): Promise<Encrypted> {
    const ticket = this.#engine.call(encrypt);
    const failed = await this.#engine.persist();
    try {
      return this.#engine.call((state) => state.takeEncrypted(ticket));
    } catch (error) {
      throw failed.length > 0 ? new PageCryptoError(text("roomKeyNotKept")) : error;
    }
  }

  /** Encrypts and sends by ourselves. Only inside `engine.writing`. */
  async send(client: PageClient, room: PageRoom, content: StateContent): Promise<void> {
    await this.#put(client, room, await this.encrypt(client, room, content));
  }

  async #put(client: PageClient, room: PageRoom, { path, body }: Encrypted): Promise<void> {
    await sendAsClient(client, "PUT", path, body);
    // People invited before there was a name.
    this.#invites.tellInvited(client, room).catch(() => undefined);
  }

  /** Sends current state once more, unless it is current no longer. Only inside `engine.writing`. */
  async #sendAgain(client: PageClient, room: PageRoom, again: Again): Promise<void> {
    if (!(await this.#shareKeys(client, room, "again", true))) return this.#goOnSoon(room.roomId);
    // As late as can be. What is set after this look comes to light with the sync.
    const found = await whatIsThere(client, again);
    if (found === "redacted") {
      this.#engine.call((state) => state.redact(room.roomId, again.eventId));
    }
    if (found !== "same") return;
    const { eventType, stateKey, contentJson, eventId } = again;
    await this.#sign(client, room.roomId, { eventType, stateKey, contentJson });
    const encrypted = await this.#stored((state) =>
      state.encryptAgain(room.roomId, eventType, stateKey, contentJson, eventId),
    );
    await this.#put(client, room, encrypted);
  }

  /**
   * Makes or renews the room's session and gives its key to those who lack it. Age and use count
   * where something new is set: what is sent again for them would bring about the next renewal. Where
   * nothing is going to be encrypted (`key`), one of before the browser's start will do. False where it
   * was left for those who wait for their turn to write (`givesWay`): the rest are given it later.
   */
  async #shareKeys(
    client: PageClient,
    room: PageRoom,
    what: "new" | "again" | "key",
    givesWay = false,
  ): Promise<boolean> {
    const { roomId } = room;
    this.#engine.call((state) => state.beginTargets(roomId));
    let isComing = false;
    const areKnown = await eachTarget(client, room, (targets) => {
      const json = JSON.stringify(targets);
      this.#engine.call((state) => state.addTargets(roomId, json));
      for (const { userId, devices } of targets) {
        const isOther = userId !== client.getUserId();
        if (devices.length === 0 && isOther && this.#mayHaveOne(userId)) isComing = true;
      }
    });
    let isWhole = areKnown && !isComing;
    const session = this.#engine.call((state) =>
      state.needSession(
        JSON.stringify({
          roomId,
          now: now(),
          keeps: what !== "new",
          sharesOnly: what === "key",
          encryption: contentOf(room, "m.room.encryption"),
          historyVisibility:
            contentOf(room, "m.room.history_visibility")?.["history_visibility"] ?? null,
        }),
      ),
    );
    const { sessionId, shareWith, later } = session;
    const failed = await this.#engine.persist();
    // A session that could not be stored is thrown away: nobody gets its key, Element neither.
    if (!this.#hasSession(roomId)) {
      const said = text("roomKeyNotKept");
      throw failed.length > 0 ? new PageCryptoError(said) : new SessionGoneError(said);
    }
    if (session.shouldImport) {
      await importSession(client, session.importJson);
      this.#engine.call((state) => state.imported(roomId, sessionId));
    }
    if (shareWith.length > 0 || later.length > 0) {
      const given = await this.#give(client, roomId, session, givesWay);
      if (given === "left") {
        await this.#engine.persist();
        return false;
      }
      isWhole = given === "all" && isWhole;
    }
    await this.#engine.persist();
    if (isWhole) this.#rests.delete(roomId);
    else this.#giveRestLater(roomId);
    return true;
  }

  /** The room had to give way to others. */
  #goOnSoon(roomId: string): void {
    if (!this.#due.has(roomId)) this.#due.set(roomId, []);
    this.#tendDue();
  }

  /**
   * Of somebody whose devices Element still asks for it says that there are none. Those who have none,
   * as bots and bridges do, are looked at so often and no more.
   */
  #mayHaveOne(userId: string): boolean {
    const looks = this.#without.get(userId) ?? 0;
    if (looks >= MAX_RESTS || (looks === 0 && this.#without.size >= MAX_WITHOUT)) return false;
    this.#without.set(userId, looks + 1);
    return true;
  }

  #giveRestLater(roomId: string): void {
    const rests = this.#rests.get(roomId) ?? 0;
    if (rests >= MAX_RESTS) return;
    this.#rests.set(roomId, rests + 1);
    this.#lookLater(roomId, REST_AFTER * 4 ** rests);
  }

  /**
   * What fails in the midst of it takes nothing back: the rest is given later. Says whether all have
   * it, somebody could not be reached, or it was left for others.
   */
  async #give(
    client: PageClient,
    roomId: string,
    session: SessionView,
    givesWay: boolean,
  ): Promise<"all" | "some" | "left"> {
    const { sessionId, roomKeyContent } = session;
    let left = 0;
    const reached = (devices: readonly DeviceName[]): boolean => {
      left -= devices.length;
      this.#engine.call((state) => state.shared(roomId, sessionId, JSON.stringify(devices)));
      return !isLeft();
    };
    const since = this.#clock();
    let isMore = true;
    const isLeft = (): boolean => {
      const isLong = this.#clock() - since >= GIVES_FOR;
      return givesWay && isLong && this.#engine.isAwaited && (left > 0 || isMore);
    };
    try {
      for (let some: Shares = session; ;) {
        isMore = some.more;
        const parts = [{ shareWith: some.shareWith, roomKeyContent }, ...some.later];
        for (const { shareWith } of parts) left += shareWith.length;
        // Among them people who may not read what was before they came.
        for (const { shareWith, roomKeyContent: theirs } of parts) {
          await sendThroughOlm(client, "m.room_key", shareWith, theirs, reached);
          if (isLeft()) return "left";
        }
        if (!some.more) break;
        this.#engine.persistSoon();
        some = this.#engine.call((state) => state.moreShares(roomId, sessionId));
      }
      return left <= 0 ? "all" : "some";
    } catch (error) {
      this.#lookLater(roomId, AGAIN_AFTER);
      throw error;
    } finally {
      this.#engine.persistSoon();
    }
  }

  /**
   * Once for each client. A sync says whose devices changed, and Element asks for them afterwards: which
   * they are is only known when its crypto tells.
   */
  listen(client: PageClient): void {
    if (client === this.#heard) return;
    this.#heard = client;
    client.on(DEVICES_UPDATED, (users) => {
      if (client !== this.#heard || !isArray(users) || !this.#engine.isRunning) return;
      try {
        this.#engine.call((state) => state.devicesChanged(JSON.stringify(users)));
        this.tendSoon();
        this.#keys.scheduleRetry();
      } catch {
        // The Rust half has just trapped; the next one asks for all devices it needs.
      }
    });
  }

  /** After an answer: rooms in which someone came, left or changed devices. */
  tendSoon(): void {
    this.#engine.call((state) => {
      for (const { roomId, members, why } of state.sharingDue()) {
        this.#due.set(roomId, members);
        for (const { userId } of members) this.#without.delete(userId);
        // The sync tells that a list has changed; Element asks for what is in it afterwards.
        if (why !== "devices" && why !== "membership") continue;
        this.#rests.delete(roomId);
        this.#lookLater(roomId, DEVICES_AFTER);
      }
    });
    this.#tendDue();
  }

  #tendDue(): void {
    if (this.#due.size === 0 || this.#isTending) return;
    this.#isTending = true;
    setTimer(() => {
      this.#tendAll()
        .catch(() => undefined)
        .finally(() => {
          this.#isTending = false;
        });
    }, TEND_DELAY);
  }

  async #tendAll(): Promise<void> {
    const client = await this.readyClient();
    while (this.#due.size > 0) {
      const [next] = this.#due;
      if (next === undefined) break;
      const [roomId, members] = next;
      this.#due.delete(roomId);
      this.#tend(client, roomId, members).then(
        () => this.#failures.delete(roomId),
        (error: unknown) => {
          // Sharing is also made good before the next write.
          if (!isFinal(error)) this.#lookLater(roomId, this.#patience(roomId, error));
        },
      );
    }
  }

  /** Shares or renews what we hold for a room, and sends its state again when that falls to us. */
  async #tend(client: PageClient, roomId: string, members: readonly Moved[]): Promise<void> {
    const room = client.getRoom(roomId);
    if (room === null || room.getMyMembership() !== "join") return;
    await knowsMembers(room, members);
    // After a reload no answer has told who may do what.
    this.#keys.addRules(client, roomId);
    this.#lookLater(roomId, await this.#inTurn(client, room));
    this.onTended?.(roomId);
    await this.#invites.tellInvited(client, room);
  }

  /** How long until the room is to be looked at again; 0: nothing waits. */
  #inTurn(client: PageClient, room: PageRoom): Promise<number> {
    const { roomId } = room;
    const known = this.#inLine.get(roomId);
    if (known !== undefined) return known;
    const turn = (): Promise<number> => {
      this.#inLine.delete(roomId);
      return this.#engine.writing(client, async () => {
        const isHeld = this.#engine.call((state) => state.sessions()).includes(roomId);
        if (isHeld && !(await this.#shareKeys(client, room, "key", true))) {
          this.#goOnSoon(roomId);
          return 0;
        }
        const json = JSON.stringify({ members: await joinedMembers(room), now: now() });
        const again = this.#engine.call((state) => state.reencrypt(roomId, json));
        for (const event of again.events) await this.#sendAgain(client, room, event);
        return again.delayMs;
      });
    };
    const result = this.#turns.run(turn);
    this.#inLine.set(roomId, result);
    return result;
  }

  /** How long until a room is tried again: longer each time where this device is what fails. */
  #patience(roomId: string, error: unknown): number {
    if (!(error instanceof PageCryptoError)) return AGAIN_AFTER;
    const failures = this.#failures.get(roomId) ?? 0;
    this.#failures.set(roomId, failures + 1);
    const delay = AGAIN_AFTER * 2 ** failures;
    return delay < LONGEST_AFTER ? delay : LONGEST_AFTER;
  }

  /** Looks at a room again, unless that comes sooner in any case. */
  #lookLater(roomId: string, delay: number): void {
    const at = now() + delay;
    if (delay === 0 || (this.#waiting.get(roomId) ?? Infinity) <= at) return;
    this.#waiting.set(roomId, at);
    setTimer(() => {
      if (this.#waiting.get(roomId) !== at) return;
      this.#waiting.delete(roomId);
      if (!this.#due.has(roomId)) this.#due.set(roomId, []);
      this.#tendDue();
    }, delay);
  }
}

/**
 * Waits until the client has worked through the answer that told of its members; the Rust half
 * leaves out who has left in any case.
 */
async function knowsMembers(room: PageRoom, members: readonly Moved[]): Promise<void> {
  const isKnown = ({ userId, membership }: Moved): boolean =>
    room.getMember(userId)?.membership === membership;
  for (let waited = 0; !members.every(isKnown) && waited < MEMBERS_LIMIT; waited += 100) {
    await pause(100);
  }
}

/**
 * What the homeserver has there: it may have newer state already, of which the sync is still under
 * way, or may have been told to forget this one while nobody here was listening.
 */
async function whatIsThere(
  client: PageClient,
  { path, eventId, sessionId }: Again,
): Promise<"same" | "redacted" | "other"> {
  try {
    const found = (await sendAsClient(client, "GET", `${path}?format=event`)) as {
      event_id?: unknown;
      session_id?: unknown;
      content?: { session_id?: unknown };
    } | null;
    // Homeservers that know no formats give the content alone.
    if (found?.event_id === undefined) {
      return found?.session_id === sessionId ? "same" : "other";
    }
    if (found.event_id !== eventId) return "other";
    return found.content?.session_id === sessionId ? "same" : "redacted";
  } catch {
    return "other";
  }
}

async function joinedMembers(room: PageRoom): Promise<string[]> {
  const joined: string[] = [];
  for (const { userId, membership } of await room.getEncryptionTargetMembers()) {
    if (membership === "join") joined.push(userId);
  }
  return joined;
}

function contentOf(room: PageRoom, type: string): Record<string, unknown> | undefined {
  const content = room.currentState.getStateEvents(type, "")?.getContent();
  // A copy of plain data: whatever else the page hangs on its events stays there.
  return content === undefined
    ? undefined
    : (parseJson(JSON.stringify(content)) as Record<string, unknown>);
}
