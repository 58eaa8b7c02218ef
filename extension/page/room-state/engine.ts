/**
 * The Rust half of encrypted state in this page: loaded when first needed, built from what is
 * stored, built again after a trap. Everything it wants kept is on disk before anything is sent
 * that depends on it.
 */
import * as glue from "../../generated/mantle_state.js";
import type { EncryptedState } from "../../generated/mantle_state.js";
import { shieldSettings } from "../core/shield-settings.ts";
import {
  encodeBase64,
  fillRandom,
  localStorageOf,
  NativePromise,
  NativeUint8Array,
  NativeWebAssembly,
  now,
  page,
  stringify,
  withLock,
} from "../primordials/primordials.ts";
import { bytesOfBase64 } from "../primordials/base64.ts";
import { browserRun } from "../channel/browser-run.ts";
import { loadModule } from "../channel/modules.ts";
import { store } from "../channel/store.ts";
import { ownDevice, runningClient, trustInForce } from "./element/client.ts";
import type { PageClient } from "./element/client.ts";
import { isFinal } from "./homeserver.ts";
import { Line } from "./line.ts";
import { text } from "../texts/texts.ts";

const AREA = "state";
const PICKLE_KEY = "mantle_state_key";
const PICKLE_KEY_BYTES = 32;
const LOCK = "mantle-state";
const KEY_LOCK = "mantle-state-key";
/**
 * Of writes to the store, one after the other, each of which has some hundred rooms at the most: what
 * changes all the time waits for the next.
 */
const MAX_ROUNDS = 100;
/** After a failed start, the next one is not tried earlier. */
const RETRY_AFTER = 10_000;

export class StateEngine {
  #module: WebAssembly.Module | undefined;
  #isInitialised = false;
  #state: EncryptedState | undefined;
  #starting: Promise<EncryptedState> | undefined;
  #isUnloaded = false;
  #failedAt = -Infinity;
  #failure: unknown;
  #device = "";
  #key = "";
  #run: string | undefined;
  /** Writes to the store and write operations, each one after the other. */
  readonly #persisting = new Line();
  readonly #writing = new Line();
  /** Write operations that wait for their turn in this page. */
  #waitingWrites = 0;
  readonly #doubtful = new Set<string>();
  /**
   * Rooms asked about since a trap; undefined: there was none. The response that it came with may have
   * said that a room begins to encrypt its state, and nobody says it again.
   */
  #askedSinceTrap: Set<string> | undefined;

  /**
   * The room's flag was sent and no answer came: the room may have it, so no name leaves there before
   * that is known.
   */
  markFlagUncertain(roomId: string): void {
    this.#doubtful.add(roomId);
  }

  /** Whether the room may have the flag, and nobody could be asked yet. */
  isFlagUncertain(roomId: string): boolean {
    return this.#doubtful.has(roomId) || this.#askedSinceTrap?.has(roomId) === false;
  }

  /**
   * Before a write in `room`, or in one that cannot be told. Rejects while the homeserver cannot be
   * asked; `ask` gives a room's state.
   */
  async resolveFlags(
    room: string | undefined,
    ask: (roomId: string) => Promise<string>,
  ): Promise<void> {
    const isUnasked = room !== undefined && this.#askedSinceTrap?.has(room) === false;
    if (isUnasked) this.#doubtful.add(room);
    for (const roomId of this.#doubtful) {
      if (room !== undefined && room !== roomId) continue;
      try {
        const events = await ask(roomId);
        this.call((state) => state.addRoomState(roomId, events));
      } catch (error) {
        // One who is not in the room any more sends nothing there.
        if (!isFinal(error)) throw error;
      }
      this.#doubtful.delete(roomId);
      this.#askedSinceTrap?.add(roomId);
    }
  }

  /** Puts in force what the core says of the shield now, and how strict Element itself is. */
  applySettings(): void {
    const settings = settingsText();
    if (this.#state === undefined || settings === undefined) return;
    this.call((state) => state.applySettings(settings));
  }

  /** The running Rust half. Rejects with a sentence when it cannot be had. */
  async started(): Promise<void> {
    if (this.#state !== undefined) return;
    this.#isUnloaded = false;
    if (this.#starting === undefined) {
      if (now() - this.#failedAt < RETRY_AFTER) throw this.#failure;
      this.#starting = this.#start();
    }
    try {
      await this.#starting;
    } catch (error) {
      this.#failure = error;
      this.#failedAt = now();
      throw error;
    } finally {
      this.#starting = undefined;
    }
  }

  /**
   * Where a session of this page used it before: begins before the first sync needs it, which then
   * does not wait for it. Where no room was kept it sleeps until something needs it, since compiling
   * it takes a share of the page's start. Nothing is lost when it fails; the sync tries again.
   */
  startEarly(): void {
    if (this.#state !== undefined || this.#starting !== undefined || !hasPickleKey()) return;
    const start = async (): Promise<void> => {
      // Rooms, sessions, writes and hints have a slash in their name, the own device has none.
      const isNeeded = Object.keys(await store.load(AREA)).some((name) => name.includes("/"));
      const isIdle = this.#state === undefined && this.#starting === undefined;
      if (isIdle && !isNeeded) this.#isUnloaded = true;
      else await this.started();
    };
    start().catch(() => {
      this.#failedAt = -Infinity;
    });
  }

  /** No room is known here, and nothing has needed the Rust half yet; until `started` is called. */
  get isUnloaded(): boolean {
    return this.#isUnloaded;
  }

  /** True once `started` has resolved, until a trap. */
  get isRunning(): boolean {
    return this.#state !== undefined;
  }

  /**
   * One call into Rust. What it throws in words goes on to the caller; a trap ends this instance,
   * and `started` builds the next.
   */
  call<Result>(call: (state: EncryptedState) => Result): Result {
    const state = this.#state;
    if (state === undefined) throw new Error(text("stateNotRunning"));
    try {
      // What it is told next is judged by the time at which it comes.
      state.setClock(now());
      return call(state);
    } catch (error) {
      if (NativeWebAssembly !== undefined && error instanceof NativeWebAssembly.RuntimeError) {
        this.#state = undefined;
        this.#askedSinceTrap = new Set();
        throw new Error(text("stateFault"));
      }
      throw error;
    }
  }

  /**
   * Puts on disk what changed. An entry that the store does not take costs that only: it is tried
   * again later, and whoever depends on it asks the Rust half whether it is there. Gives the names
   * of those.
   */
  persist(): Promise<readonly string[]> {
    const write = async (): Promise<readonly string[]> => {
      const failed = new Set<string>();
      // A session that could not be stored is taken out at once, behind what may still be on its way.
      for (let round = 0; round < MAX_ROUNDS; round += 1) {
        const batch = this.call((state) => (state.dirty() ? state.takePersist() : undefined));
        if (batch === undefined) break;
        const refused = await putAll(batch.entries);
        this.call((state) => state.written(batch.id, refused));
        let isAnew = false;
        for (const { key } of batch.entries) isAnew = !failed.delete(key) || isAnew;
        for (const key of refused) failed.add(key);
        // Nothing but what is refused again: what else there was is on disk.
        if (refused.length > 0 && !isAnew) break;
      }
      return [...failed];
    };
    return this.#persisting.run(write);
  }

  /** The same where nothing depends on it: tried again with the next change. */
  persistSoon(): void {
    this.persist().catch(() => undefined);
  }

  /**
   * Runs what uses outbound sessions: one at a time over all tabs, and each with what the tab
   * before it has stored.
   */
  writing<Result>(client: PageClient, task: () => Promise<Result>): Promise<Result> {
    this.#waitingWrites += 1;
    const run = async (): Promise<Result> => {
      this.#waitingWrites -= 1;
      await this.started();
      this.applySettings();
      // Without crypto there is nothing to encrypt with; what needs it says so.
      if (client.getCrypto() !== undefined) await this.#learnDevice(client);
      await this.#learnRun();
      return await withLock(LOCK, async () => {
        await this.persist();
        const stored = JSON.stringify(await store.load(AREA));
        this.call((state) => state.becomeWriter(stored));
        try {
          const result = await task();
          await this.persist();
          return result;
        } finally {
          if (this.#state !== undefined) this.call((state) => state.stopWriting());
        }
      });
    };
    return this.#writing.run(run);
  }

  /** Whether others wait for the one that is under way: what takes long and can go on later gives way. */
  get isAwaited(): boolean {
    return this.#waitingWrites > 0;
  }

  async #start(): Promise<EncryptedState> {
    this.#module ??= await loadModule("state");
    const { stored, key } = await withLock(KEY_LOCK, async () => {
      const entries = await store.load(AREA);
      return { stored: entries, key: await this.#pickleKey(entries) };
    });
    if (this.#isInitialised) glue.__wbg_reset_state();
    else glue.initSync({ module: this.#module });
    this.#isInitialised = true;
    const state = new glue.EncryptedState(key, JSON.stringify(stored), settingsText());
    if (this.#run !== undefined) state.setRun(this.#run);
    this.#device = "";
    this.#state = state;
    return state;
  }

  /**
   * The key that pickles are encrypted with. It lives with the page and they with the extension, so
   * that neither place alone has the sessions; signing out takes it away.
   */
  async #pickleKey(stored: Record<string, string>): Promise<Uint8Array> {
    const kept = localStorageOf(page).getItem(PICKLE_KEY);
    const bytes = kept === null ? undefined : bytesOf(kept);
    if (kept !== null && bytes?.length === PICKLE_KEY_BYTES) {
      this.#key = kept;
      return bytes;
    }
    // What is there was made with a key that is gone.
    for (const name of Object.keys(stored)) {
      await store.put(AREA, name, null);
      delete stored[name];
    }
    const made = new NativeUint8Array(PICKLE_KEY_BYTES);
    fillRandom(made);
    this.#key = base64Of(made);
    localStorageOf(page).setItem(PICKLE_KEY, this.#key);
    return made;
  }

  async #learnDevice(client: PageClient): Promise<void> {
    const name = `${client.getUserId() ?? ""}|${client.getDeviceId() ?? ""}`;
    if (this.#device === name) return;
    const device = await ownDevice(client);
    this.call((state) => state.setOwnDevice(JSON.stringify(device)));
    this.#device = name;
    // Signing out cleared it, and somebody signed in again without a reload.
    if (localStorageOf(page).getItem(PICKLE_KEY) === null) {
      localStorageOf(page).setItem(PICKLE_KEY, this.#key);
    }
  }

  /**
   * Tells Rust which run of the browser this is. Where that cannot be known, nothing is encrypted
   * with what is stored, and this page makes sessions of its own.
   */
  async #learnRun(): Promise<void> {
    if (this.#run !== undefined) return;
    let run: string;
    try {
      run = await browserRun();
    } catch {
      return;
    }
    this.#run = run;
    this.call((state) => state.setRun(run));
  }

  /** Tells Rust whose device this is, as soon as the page's crypto runs; false when it does not. */
  async knowsDevice(): Promise<boolean> {
    const client = runningClient();
    if (client?.getCrypto() === undefined) return false;
    await this.#learnDevice(client);
    return true;
  }
}

/** All at once: the store writes them in this order. The names of those it did not take. */
async function putAll(
  entries: readonly { key: string; value: string | null }[],
): Promise<string[]> {
  const failed: string[] = [];
  const puts: Promise<void>[] = [];
  for (const { key, value } of entries) {
    const put = store.put(AREA, key, value ?? null).catch(() => {
      failed.push(key);
    });
    puts.push(put);
  }
  await NativePromise.all(puts);
  return failed;
}

function hasPickleKey(): boolean {
  try {
    return localStorageOf(page).getItem(PICKLE_KEY) !== null;
  } catch {
    // A document without storage has no session either.
    return false;
  }
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return bytesOfBase64(base64);
  } catch {
    return undefined;
  }
}

function base64Of(bytes: Uint8Array): string {
  return encodeBase64(String.fromCharCode(...bytes));
}

/** What the core says of the shield, as JSON. */
function settingsText(): string | undefined {
  const settings = shieldSettings("encrypted-state");
  if (settings === undefined) return undefined;
  return stringify({ ...settings, options: { ...settings.options, trust: trustInForce() } });
}
