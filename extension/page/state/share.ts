/** Keys first, state second: sends a room's state encrypted, and its keys to whoever may have them. */
import type { EncryptedState } from "../../generated/mantle_state.js";
import {
  checkCanShare,
  cryptoClient,
  importSession,
  PageCryptoError,
  pause,
  sendThroughOlm,
  targetsOf,
} from "./client.ts";
import type { PageClient, PageRoom, Target } from "./client.ts";
import { now, parseJson, setTimer } from "../captured.ts";
import { sendAsClient } from "./homeserver.ts";
import type { StateEngine } from "./engine.ts";
import type { InviteHints } from "./invites.ts";

type Encrypted = ReturnType<EncryptedState["takeEncrypted"]>;

export interface StateContent {
  readonly eventType: string;
  readonly stateKey: string;
  readonly contentJson: string;
}

/** How long a write waits for Element's crypto and for the room to come. */
export const READY_LIMIT = 20_000;
/** Changes of membership and devices come in showers. */
const TEND_DELAY = 400;
/** By then a change has come back by sync. */
const UNDER_WAY = 60_000;

export class StateSharing {
  readonly #engine: StateEngine;
  readonly #invites: InviteHints;
  readonly #due = new Set<string>();
  /** When this page last encrypted something for a slot. */
  readonly #written = new Map<string, number>();
  #isTending = false;

  constructor(engine: StateEngine, invites: InviteHints) {
    this.#engine = engine;
    this.#invites = invites;
  }

  /** The client, once it can share keys. Throws in words. */
  async readyClient(): Promise<PageClient> {
    const client = await cryptoClient(READY_LIMIT);
    if (client === undefined) {
      throw new PageCryptoError(
        "Element's encryption is not ready, so nothing was sent: try again in a moment.",
      );
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
        throw new PageCryptoError(
          "Element does not know this room yet, so nothing was sent: try again in a moment.",
        );
      }
      await pause(100);
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
    await this.#shareKeys(client, room);
    const ticket = this.#engine.call((state) =>
      state.encrypt(room.roomId, eventType, stateKey, contentJson),
    );
    await this.#engine.persist();
    this.#written.set(slotOf(room.roomId, eventType, stateKey), now());
    return this.#engine.call((state) => state.takeEncrypted(ticket));
  }

  /** Encrypts and sends by ourselves. Only inside `engine.writing`. */
  async send(client: PageClient, room: PageRoom, content: StateContent): Promise<void> {
    const { path, body } = await this.encrypt(client, room, content);
    await sendAsClient(client, "PUT", path, body);
    // People invited before there was a name.
    this.#invites.tellInvited(client, room).catch(() => undefined);
  }

  /** Makes or renews the room's session and gives its key to those who lack it. */
  async #shareKeys(client: PageClient, room: PageRoom): Promise<Target[]> {
    const { roomId } = room;
    const targets = await targetsOf(client, room);
    const members: string[] = [];
    for (const { userId } of targets) members.push(userId);
    const session = this.#engine.call((state) =>
      state.needSession(
        JSON.stringify({
          roomId,
          members,
          targets,
          now: now(),
          encryption: contentOf(room, "m.room.encryption"),
          historyVisibility:
            contentOf(room, "m.room.history_visibility")?.["history_visibility"] ?? null,
        }),
      ),
    );
    const { sessionId, shareWith } = session;
    await this.#engine.persist();
    if (session.shouldImport) {
      await importSession(client, session.importJson);
      this.#engine.call((state) => state.imported(roomId, sessionId));
    }
    if (shareWith.length > 0) {
      const reached = await sendThroughOlm(client, "m.room_key", shareWith, session.roomKeyContent);
      this.#engine.call((state) => state.shared(roomId, sessionId, JSON.stringify(reached)));
    }
    await this.#engine.persist();
    return targets;
  }

  /** After an answer: rooms in which someone came, left or changed devices. */
  tendSoon(): void {
    this.#engine.call((state) => {
      for (const { roomId } of state.tend()) {
        if (state.encryptsState(roomId)) this.#due.add(roomId);
      }
    });
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
      const [roomId] = this.#due;
      this.#due.delete(roomId as string);
      // What fails is made good before the next write, or with the next change of members.
      this.tend(client, roomId as string).catch(() => undefined);
    }
  }

  /** Shares or renews what we hold for a room, and sends its state again when that falls to us. */
  async tend(client: PageClient, roomId: string): Promise<void> {
    const room = client.getRoom(roomId);
    if (room === null || room.getMyMembership() !== "join") return;
    const again = await this.#engine.writing(client, async () => {
      const isHeld = this.#engine.call((state) => state.sessions()).includes(roomId);
      if (isHeld) await this.#shareKeys(client, room);
      return this.#reencrypt(roomId, await joinedMembers(room));
    });
    await this.#invites.tellInvited(client, room);
    if (again.events.length === 0) return;
    // Someone else may be quicker: then there is nothing left to send after the wait.
    await pause(again.delayMs);
    await this.#engine.writing(client, async () => {
      for (const content of this.#reencrypt(roomId, await joinedMembers(room)).events) {
        // What was changed a moment ago is under way with the new key: the old must not follow it.
        const slot = slotOf(roomId, content.eventType, content.stateKey);
        if (now() - (this.#written.get(slot) ?? 0) < UNDER_WAY) continue;
        await this.send(client, room, content);
      }
    });
  }

  #reencrypt(roomId: string, members: string[]): ReturnType<EncryptedState["reencrypt"]> {
    return this.#engine.call((state) =>
      state.reencrypt(roomId, JSON.stringify({ members, now: now() })),
    );
  }
}

function slotOf(roomId: string, eventType: string, stateKey: string): string {
  return `${roomId}|${eventType}|${stateKey}`;
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
