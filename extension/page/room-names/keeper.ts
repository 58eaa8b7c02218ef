/**
 * Puts the person's own name and picture in a room again where it is gone: a homeserver writes the member event
 * anew, without it, when the public name or picture changes; and who comes later is given the key of
 * the room's new session only.
 */
import { isPlain, parseJson, stringify } from "../primordials/primordials.ts";
import { MEMBER_PROFILE } from "../room-state/keys.ts";
import { innerContent, profileIn } from "./profile.ts";
import type { Plain, PublicProfile } from "./profile.ts";

/** By then the homeserver has written what it writes anew, and another device may have done it. */
const SETTLED_MS = 3_000;
/** Between two rooms. */
const SPACING_MS = 1_500;
/** After a failure, and where the homeserver is not done yet. */
const AGAIN_MS = 30_000;
/** The longest that a homeserver may ask to wait for. */
const MAX_WAIT_MS = 600_000;
/** Of one room in an hour: a homeserver that takes it away again and again has its way. */
const MAX_PUTS = 5;
const HOUR_MS = 3_600_000;
/** So long after the page's own write of it, which may not have arrived. */
const UNDER_WAY_MS = 10_000;
/** Looks in a row that settle nothing. */
const MAX_LOOKS = 10;
/**
 * Until a readable name that is not the public one counts as chosen; and until what is sealed in
 * another event than the one that was opened counts as a copy, which nobody reads, by a client that
 * does not know what it is.
 */
const LOOKS_AT_DOUBT = 3;
const MAX_ROOMS = 1_000;

/** What is known of the person's own name in a room. */
export interface Held {
  /** The member event that carried it. */
  readonly eventId: string;
  readonly contentJson: string;
  readonly sessionId: string;
  readonly isOutdated: boolean;
}

/** Somebody's member event. */
export interface Current {
  /** Undefined where the homeserver gives none. */
  readonly eventId: string | undefined;
  readonly content: Plain;
}

export interface KeeperParts {
  isOn(): boolean;
  held(roomId: string): Held | undefined;
  forget(roomId: string): void;
  /** Whether the running client has them in the room. */
  isJoined(roomId: string): boolean;
  /** Whether the page itself has written it so lately. */
  hasWritten(roomId: string, within: number): boolean;
  /** The member event as the homeserver has it. */
  current(roomId: string): Promise<Current>;
  publicProfile(): Promise<PublicProfile>;
  seal(roomId: string, contentJson: string): Promise<unknown>;
  /** Sends that content with what is sealed. */
  put(roomId: string, content: Plain, sealed: unknown): Promise<void>;
  /** Runs what uses the room's session. */
  writing<Result>(task: () => Promise<Result>): Promise<Result>;
  later(task: () => void, delay: number): void;
  now(): number;
  /** 0 to 1. */
  random(): number;
}

/** What an error says of trying again: how long to wait, or that it is no use. */
function waitAfter(error: unknown): number | undefined {
  const { status, retryAfter } = (error ?? {}) as { status?: unknown; retryAfter?: unknown };
  if (status === 429) {
    const asked = typeof retryAfter === "number" && retryAfter > 0 ? retryAfter : AGAIN_MS;
    return asked < MAX_WAIT_MS ? asked : MAX_WAIT_MS;
  }
  const isFinal = typeof status === "number" && status >= 400 && status < 500 && status !== 408;
  return isFinal ? undefined : AGAIN_MS;
}

export class NameKeeper {
  readonly #parts: KeeperParts;
  /** Rooms to look at, and when. */
  readonly #due = new Map<string, number>();
  /** When. */
  readonly #puts = new Map<string, number[]>();
  readonly #looks = new Map<string, number>();
  /** How often it was not clear what stood there. */
  readonly #doubts = new Map<string, number>();
  #isRunning = false;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** Something may have changed there. `current`: the member event as the running client has it. */
  look(roomId: string, current: Current | undefined): void {
    if (!this.#parts.isOn()) return;
    const held = this.#parts.held(roomId);
    if (held === undefined || (!held.isOutdated && isThere(current, held))) return;
    // Devices of one person take turns by chance: the first has done it for the others.
    this.#dueIn(roomId, SETTLED_MS * (1 + this.#parts.random()));
  }

  /** The name has come back with the sync, from whichever device: nothing is open any more. */
  cameBack(roomId: string): void {
    this.#looks.delete(roomId);
    this.#doubts.delete(roomId);
  }

  #dueIn(roomId: string, delay: number): void {
    const at = this.#parts.now() + delay;
    if ((this.#due.get(roomId) ?? Infinity) <= at) return;
    if (this.#due.size >= MAX_ROOMS && !this.#due.has(roomId)) return;
    this.#due.set(roomId, at);
    this.#run();
  }

  #run(): void {
    if (this.#isRunning || this.#due.size === 0) return;
    this.#isRunning = true;
    this.#parts.later(() => {
      void this.#next().finally(() => {
        this.#isRunning = false;
        this.#run();
      });
    }, SPACING_MS);
  }

  /** One room, if its time has come. */
  async #next(): Promise<void> {
    let next: [string, number] | undefined;
    for (const due of this.#due) if (next === undefined || due[1] < next[1]) next = due;
    if (next === undefined || next[1] > this.#parts.now()) return;
    const roomId = next[0];
    this.#due.delete(roomId);
    try {
      await this.#putAgain(roomId);
    } catch (error) {
      const delay = waitAfter(error);
      if (delay !== undefined) this.#lookLater(roomId, delay);
    }
  }

  #lookLater(roomId: string, delay: number): void {
    const looks = (this.#looks.get(roomId) ?? 0) + 1;
    this.#looks.set(roomId, looks);
    if (looks <= MAX_LOOKS) this.#dueIn(roomId, delay);
  }

  async #putAgain(roomId: string): Promise<void> {
    const parts = this.#parts;
    await parts.writing(async () => {
      const held = parts.isOn() ? parts.held(roomId) : undefined;
      if (held === undefined || !parts.isJoined(roomId)) return;
      if (parts.hasWritten(roomId, UNDER_WAY_MS)) return this.#lookLater(roomId, UNDER_WAY_MS);
      const found = await parts.current(roomId);
      const { content } = found;
      if (content["membership"] !== "join") return;
      const isOurs = isThere(found, held);
      if (isOurs && !held.isOutdated) return;
      const sealed = content[MEMBER_PROFILE];
      // Another device's, of which the sync is still under way.
      if (isPlain(sealed) && sealed["session_id"] !== held.sessionId) return;
      const isCopy = isPlain(sealed) && !isOurs;
      // What was opened says beside it what was public then.
      const isSure = isOurs && found.eventId !== undefined;
      const known = isSure ? undefined : await parts.publicProfile();
      const isOther = known !== undefined && (content["displayname"] ?? "") !== (known.name ?? "");
      const profile = profileIn(parseJson(held.contentJson));
      // A picture that everybody can read stands where the public one stood.
      const isOtherPicture =
        known !== undefined &&
        profile.picture !== undefined &&
        (content["avatar_url"] ?? "") !== (known.picture ?? "");
      if (isCopy || isOther || isOtherPicture) {
        // The homeserver is still writing it anew, or the sync of a newer one is still under way; or
        // they have taken a name or a picture that everybody can read.
        const doubts = (this.#doubts.get(roomId) ?? 0) + 1;
        this.#doubts.set(roomId, doubts);
        if (doubts < LOOKS_AT_DOUBT) return this.#lookLater(roomId, AGAIN_MS);
        this.#doubts.delete(roomId);
        if (isOther || (isOtherPicture && profile.name === undefined)) return parts.forget(roomId);
      }
      if (!this.#mayPut(roomId)) return;
      const inner = isOtherPicture
        ? innerContent({ ...profile, picture: undefined })
        : held.contentJson;
      const made = await parts.seal(roomId, inner);
      // That may have taken a while, and who has left meanwhile must not come in again by this.
      const last = await parts.current(roomId);
      if (!parts.isOn() || !parts.isJoined(roomId) || !isSame(found, last)) return;
      await parts.put(roomId, last.content, made);
    });
  }

  #mayPut(roomId: string): boolean {
    const now = this.#parts.now();
    const lately = (this.#puts.get(roomId) ?? []).filter((at) => now - at < HOUR_MS);
    if (lately.length < MAX_PUTS) lately.push(now);
    else return false;
    this.#puts.set(roomId, lately);
    return true;
  }
}

/** Whether a member event has the name sealed that is held. In any other event it is a copy. */
function isThere(current: Current | undefined, { eventId, sessionId }: Held): boolean {
  const sealed = current?.content[MEMBER_PROFILE];
  if (!isPlain(sealed) || sealed["session_id"] !== sessionId) return false;
  return current?.eventId === undefined || current.eventId === eventId;
}

/** Whether nothing has changed between two looks, and they are in the room. */
function isSame(found: Current, last: Current): boolean {
  const isUnchanged =
    found.eventId === undefined
      ? stringify(found.content) === stringify(last.content)
      : found.eventId === last.eventId;
  return isUnchanged && last.content["membership"] === "join";
}
