/** State that still must be sent: tried until done, also after a reload and in another tab. */
import type { EncryptedState } from "../../generated/mantle_state.js";
import { addListener, now, setTimer } from "../captured.ts";
import { showNotice } from "../notice.ts";
import { showProgress } from "../progress.ts";
import { runningClient } from "./client.ts";
import type { PageClient } from "./client.ts";
import { HomeserverError } from "./homeserver.ts";
import type { StateEngine } from "./engine.ts";
import type { StateSharing } from "./share.ts";

type Pending = ReturnType<EncryptedState["pendingWrites"]>[number];

const PAUSES = [1_000, 3_000, 10_000, 30_000, 120_000];
/** A page that makes a room is given this long before another one looks for it. */
const ADOPT_AFTER = 120_000;
/** The homeserver's clock and ours may differ by this much. */
const CLOCKS = 60_000;
/** Between the tabs of one Element; says nothing but that there is something to send. */
const CHANNEL = "mantle-state";
/** A tab that is still open is done with it by then. */
const TAKE_OVER_AFTER = 45_000;
const DOING = "Mantle is encrypting the room's name and topic…";
const LATER =
  "Mantle could not send the room's encrypted name yet, because of the network or the homeserver: " +
  "it goes on trying.";
const REFUSED =
  "The homeserver refused the encrypted name of a room, so the room has none: set it again in the " +
  "room's settings.";

export class PendingWrites {
  readonly #engine: StateEngine;
  readonly #sharing: StateSharing;
  #others: BroadcastChannel | undefined;
  #isRunning = false;
  #isAsked = false;

  constructor(engine: StateEngine, sharing: StateSharing) {
    this.#engine = engine;
    this.#sharing = sharing;
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
      .writing(client, () => Promise.resolve())
      .then(
        () => this.resume(),
        () => undefined,
      );
  }

  /** Goes on, unless it is under way. */
  run(): void {
    this.#isAsked = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#loop().finally(() => {
      this.#isRunning = false;
    });
  }

  async #loop(): Promise<void> {
    let failures = 0;
    while (this.#isAsked || failures > 0) {
      this.#isAsked = false;
      if (!this.#engine.isRunning || this.#list().length === 0) return;
      const progress = showProgress(DOING);
      try {
        const client = await this.#sharing.readyClient();
        for (const pending of this.#list()) await this.#sendAll(client, pending);
        failures = 0;
        progress.done();
      } catch {
        failures += 1;
        progress.update(LATER);
        const wait = PAUSES[Math.min(failures, PAUSES.length) - 1] ?? 0;
        await new Promise<void>((resume) => {
          setTimer(resume, wait);
        });
        progress.done();
      }
    }
  }

  /** Those whose room is known. */
  #list(): Pending[] {
    return this.#engine
      .call((state) => state.pendingWrites())
      .filter(({ roomId }) => roomId !== undefined && roomId !== null);
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
          if (!(error instanceof HomeserverError && error.isFinal)) throw error;
          showNotice(REFUSED);
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

  /** After each look at an answer: whether something is left over from before. */
  resume(): void {
    this.#tabs();
    const client = runningClient();
    if (this.#isRunning || client?.getCrypto() === undefined) return;
    if (this.#list().length > 0) this.run();
    for (const pending of this.#engine.call((state) => state.pendingWrites())) {
      const isHomeless = (pending.roomId ?? undefined) === undefined;
      if (isHomeless && now() - pending.since > ADOPT_AFTER) this.#adopt(client, pending);
    }
  }

  /** A room was asked for and the answer never came: found again when only one can be meant. */
  #adopt(client: PageClient, { pendingId, since }: Pending): void {
    const own = client.getUserId();
    const found = client.getRooms().filter((room) => {
      const made = room.currentState.getStateEvents("m.room.create", "");
      if (made === null || made.getSender() !== own || made.getTs() < since - CLOCKS) return false;
      if (made.getTs() > since + ADOPT_AFTER || room.getMyMembership() !== "join") return false;
      const isNamed = room.currentState.getStateEvents("m.room.name", "") !== null;
      return !isNamed && this.#engine.call((state) => state.encryptsState(room.roomId));
    });
    const [room] = found;
    if (found.length !== 1 || room === undefined) return;
    this.#engine
      .writing(client, () => {
        this.#engine.call((state) => state.created(pendingId, room.roomId));
        return Promise.resolve();
      })
      .then(
        () => this.run(),
        () => undefined,
      );
  }
}
