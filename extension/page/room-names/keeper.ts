/**
 * Puts the person's own name in a room again where it is gone: a homeserver writes the member event
 * anew, without it, when the public name or picture changes; and who comes later is given the key of
 * the room's new session only.
 */
import { isPlain } from "../primordials/primordials.ts";
import { MEMBER_PROFILE } from "../room-state/keys.ts";
import type { Plain } from "./profile.ts";

/** By then the homeserver has written what it writes anew, and another device may have done it. */
const SETTLED_MS = 3_000;
/** Between two rooms. */
const SPACING_MS = 1_500;
/** After a failure, and where the homeserver is not done yet. */
const AGAIN_MS = 30_000;
/** The longest that a homeserver may ask to wait for. */
const MAX_WAIT_MS = 600_000;
/** Of one room in this page, without its coming back: a homeserver that takes it away has its way. */
const MAX_PUTS = 5;
/** Looks in a row that settle nothing. */
const MAX_LOOKS = 10;
/** Until a readable name that is not the public one counts as chosen. */
const LOOKS_AT_NAME = 3;
const MAX_ROOMS = 1_000;

/** What is known of the person's own name in a room. */
export interface Held {
  readonly contentJson: string;
  readonly sessionId: string;
  readonly isOutdated: boolean;
}

export interface KeeperParts {
  isOn(): boolean;
  held(roomId: string): Held | undefined;
  forget(roomId: string): void;
  /** The content of the member event as the homeserver has it. */
  current(roomId: string): Promise<Plain>;
  publicName(): Promise<string | undefined>;
  put(roomId: string, content: Plain, contentJson: string): Promise<void>;
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
  readonly #puts = new Map<string, number>();
  readonly #looks = new Map<string, number>();
  /** How often another name than the public one stood there. */
  readonly #differs = new Map<string, number>();
  #isRunning = false;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** Something may have changed there. `content`: of the member event as the running client has it. */
  look(roomId: string, content: Plain | undefined): void {
    if (!this.#parts.isOn()) return;
    const held = this.#parts.held(roomId);
    if (held === undefined || (!held.isOutdated && isThere(content, held))) return;
    // Devices of one person take turns by chance: the first has done it for the others.
    this.#dueIn(roomId, SETTLED_MS * (1 + this.#parts.random()));
  }

  /** The name has come back with the sync. */
  cameBack(roomId: string): void {
    this.#puts.delete(roomId);
    this.#looks.delete(roomId);
    this.#differs.delete(roomId);
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
      if (held === undefined) return;
      const content = await parts.current(roomId);
      if (content["membership"] !== "join") return;
      const isOurs = isThere(content, held);
      // Another device's, or a newer one of which the sync is still under way.
      if (isPlain(content[MEMBER_PROFILE]) && !isOurs) return;
      if (isOurs && !held.isOutdated) return;
      if (!isOurs && (content["displayname"] ?? "") !== ((await parts.publicName()) ?? "")) {
        // The homeserver is still writing it anew; or they have taken a name that everybody can read.
        const differs = (this.#differs.get(roomId) ?? 0) + 1;
        this.#differs.set(roomId, differs);
        if (differs < LOOKS_AT_NAME) return this.#lookLater(roomId, AGAIN_MS);
        parts.forget(roomId);
        return;
      }
      const puts = (this.#puts.get(roomId) ?? 0) + 1;
      if (puts > MAX_PUTS) return;
      this.#puts.set(roomId, puts);
      await parts.put(roomId, content, held.contentJson);
    });
  }
}

/** Whether a member event has the name sealed that is held. */
function isThere(content: Plain | undefined, held: Held): boolean {
  const sealed = content?.[MEMBER_PROFILE];
  return isPlain(sealed) && sealed["session_id"] === held.sessionId;
}
