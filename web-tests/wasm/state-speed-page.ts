/** Runs in the browser: encrypted state's module beside crypto-wasm, on answers made up here. */

import {
  DecryptionSettings,
  DeviceId,
  EncryptionAlgorithm,
  EncryptionSettings,
  initAsync,
  OlmMachine,
  RoomId,
  RoomSettings,
  StoreHandle,
  TrustRequirement,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import cryptoBase64 from "crypto-wasm";
import stateBase64 from "mantle-state-wasm";

import { EncryptedState, initSync } from "../../extension/generated/mantle_state.js";
import { type LargeAccount, largeAccount } from "./large-account.ts";
import {
  TimeSlicer,
  SESSIONS_IN_STEP,
  WAITING_IN_STEP,
} from "../../extension/page/room-state/time-slicing.ts";

/** Medians over the rounds; times in ms. */
export interface AnswerSpeed {
  readonly bytes: number;
  readonly parse: number;
  /** Copied in, looked through, nothing found. */
  readonly pass: number;
  /** Ratio to parse, the median of the rounds' own. */
  readonly passRatio: number;
  /** Another answer of that size with 1 % encrypted state, which was opened before. */
  readonly rewriteRatio: number;
  /** The longest single call of the rewrite. */
  readonly longestCall: number;
}

/** Events per second, and ratios as medians of the rounds' own. */
export interface OpeningSpeed {
  readonly events: number;
  readonly own: number;
  /** crypto-wasm as Element runs it, with its store in IndexedDB. */
  readonly cryptoWasm: number;
  /** crypto-wasm with everything in memory, which no Element does. */
  readonly inMemory: number;
  /** How many times as fast as each of them. */
  readonly ratio: number;
  readonly ratioInMemory: number;
  /** The first of them again, with the time Mantle needs to get the keys out of crypto-wasm. */
  readonly ratioWithKeys: number;
  /** The longest single call. */
  readonly longestCall: number;
  /** The same where all keys come later and at once, as from a backup. */
  readonly longestHealing: number;
}

const USER = "@bench:example.org";
const SYNC = "https://hs.example.org/_matrix/client/v3/sync?filter=0&timeout=30000";
const SLOTS = ["m.room.name", "m.room.topic", "org.example.one", "org.example.two"];

interface Encrypted {
  readonly roomId: string;
  /** JSON of the whole event. */
  readonly text: string;
}

/** What every room of the answers has, in clear; the flag only where state is encrypted. */
function clearState(roomId: string, isFlagged: boolean): object[] {
  const event = (type: string, stateKey: string, content: object): object => ({
    type,
    sender: USER,
    content,
    state_key: stateKey,
    origin_server_ts: 1_700_000_000_000,
    event_id: `$${type}${stateKey}${roomId.slice(1, 9)}`.padEnd(44, "x"),
    unsigned: { age: 1_234 },
  });
  return [
    event("m.room.create", "", { room_version: "10", creator: USER }),
    event("m.room.power_levels", "", { users: { [USER]: 100 } }),
    event("m.room.member", USER, { membership: "join", displayname: "Bench" }),
    event("m.room.encryption", "", {
      algorithm: "m.megolm.v1.aes-sha2",
      ...(isFlagged ? { "io.element.msc4362.encrypt_state_events": true } : {}),
    }),
  ];
}

/** The key is what Element stores its own by (`rustCryptoStoreKey`); any will do. */
const STORE = { name: "bench", key: new Uint8Array(32).fill(7) } as const;

/** What a page start does: a machine on what is on disk, nothing of it in memory. */
async function startMachine(): Promise<OlmMachine> {
  const store = await StoreHandle.openWithKey(STORE.name, STORE.key);
  return OlmMachine.initFromStore(new UserId(USER), new DeviceId("BENCH"), store);
}

class Bench {
  /** In memory. */
  readonly #machine: OlmMachine;
  readonly #device: object;
  readonly #events: readonly Encrypted[];
  readonly #keys: string;

  constructor(machine: OlmMachine, device: object, events: readonly Encrypted[], keys: string) {
    this.#machine = machine;
    this.#device = device;
    this.#events = events;
    this.#keys = keys;
  }

  /** Interleaved: each round parses, passes and rewrites once. */
  answers(bytes: number, rounds: number): AnswerSpeed {
    const encoder = new TextEncoder();
    const plain = syncText(bytes, []);
    const mixed = syncText(bytes, this.#events.slice(0, Math.round(bytes / 45_000)));
    const plainBytes = encoder.encode(plain.text);
    const mixedBytes = encoder.encode(mixed.text);
    const state = this.#newState();
    state.addRoomKeys(this.#keys);
    // Once before: the events are opened, and every function is compiled.
    const { body } = this.#through(state, mixedBytes);
    checkRewritten(body, mixed.encrypted);
    this.#through(state, plainBytes);
    const times = Math.max(1, Math.round(LEAST_TIMED / bytes));
    const parses: number[] = [];
    const passes: number[] = [];
    const passRatios: number[] = [];
    const rewriteRatios: number[] = [];
    let longestCall = 0;
    for (let round = 0; round < rounds; round += 1) {
      const parse = timed(times, () => JSON.parse(plain.text));
      const pass = timed(times, () => {
        if (state.inspect("GET", SYNC, plainBytes) !== undefined) throw new Error("Not passed");
      });
      const parseMixed = timed(1, () => JSON.parse(mixed.text));
      const rewritten = this.#through(state, mixedBytes);
      checkRewritten(rewritten.body, mixed.encrypted);
      parses.push(parse);
      passes.push(pass);
      passRatios.push(pass / parse);
      rewriteRatios.push(rewritten.time / parseMixed);
      longestCall = Math.max(longestCall, rewritten.longestCall);
    }
    state.free();
    return {
      bytes: plainBytes.length,
      parse: median(parses),
      pass: median(passes),
      passRatio: median(passRatios),
      rewriteRatio: median(rewriteRatios),
      longestCall,
    };
  }

  /**
   * The same fresh events by all, by turns. Element's crypto-wasm never has its sessions in memory:
   * each `decryptRoomEvent` fetches one from IndexedDB and decrypts it, so that is what is compared
   * with; a machine in memory shows what the cipher alone costs. Mantle works on keys that it got
   * from crypto-wasm before, all at once, and their export counts in a ratio of its own.
   */
  async opening(rounds: number): Promise<OpeningSpeed> {
    const { text, encrypted } = syncText(0, this.#events);
    const bytes = new TextEncoder().encode(text);
    const own: number[] = [];
    const withKeys: number[] = [];
    const theirs: number[] = [];
    const inMemory: number[] = [];
    let longestCall = 0;
    let longestHealing = 0;
    for (let round = 0; round < rounds; round += 1) {
      const machine = await startMachine();
      theirs.push(await this.#decryptAll(machine));
      machine.close();
      inMemory.push(await this.#decryptAll(this.#machine));

      const fresh = await startMachine();
      const start = performance.now();
      const keys = await fresh.exportRoomKeys(() => true);
      const exported = performance.now() - start;
      fresh.close();
      const state = this.#newState();
      const added = timed(1, () => state.addRoomKeys(keys));
      const opened = this.#through(state, bytes);
      checkRewritten(opened.body, encrypted);
      own.push(opened.time);
      withKeys.push(opened.time + exported + added);
      longestCall = Math.max(longestCall, opened.longestCall);
      state.free();
      longestHealing = Math.max(longestHealing, this.#retry(bytes, keys));
    }
    const perSecond = (times: readonly number[]): number => (encrypted * 1_000) / median(times);
    const ratio = (others: readonly number[], times: readonly number[]): number =>
      median(times.map((time, round) => (others[round] ?? Number.NaN) / time));
    return {
      events: encrypted,
      own: perSecond(own),
      cryptoWasm: perSecond(theirs),
      inMemory: perSecond(inMemory),
      ratio: ratio(theirs, own),
      ratioInMemory: ratio(inMemory, own),
      ratioWithKeys: ratio(theirs, withKeys),
      longestCall,
      longestHealing,
    };
  }

  /** The longest call while events that came without their keys are opened. */
  #retry(bytes: Uint8Array, keys: string): number {
    const state = this.#newState();
    this.#through(state, bytes);
    let longest = 0;
    const counted = <T>(call: () => T): T => {
      const start = performance.now();
      const result = call();
      longest = Math.max(longest, performance.now() - start);
      return result;
    };
    let waiting = 0;
    for (let isMore = true; isMore;) {
      const some = counted(() => state.takeUndecryptable(WAITING_IN_STEP));
      waiting += some.length;
      isMore = some.length === WAITING_IN_STEP;
    }
    counted(() => state.retryNeeds());
    const all = JSON.parse(keys) as unknown[];
    for (let from = 0; from < all.length; from += SESSIONS_IN_STEP) {
      const some = JSON.stringify(all.slice(from, from + SESSIONS_IN_STEP));
      counted(() => state.addRoomKeys(some));
    }
    const slicer = new TimeSlicer();
    let retried = 0;
    for (let isMore = true; isMore;) {
      const start = performance.now();
      const step = counted(() => state.retried(slicer.most));
      slicer.took(performance.now() - start);
      retried += step.events.length;
      isMore = step.more;
    }
    state.free();
    const wanted = this.#events.length;
    if (waiting !== wanted || retried !== wanted) {
      throw new Error(`${waiting} of ${wanted} waited, ${retried} were opened`);
    }
    return longest;
  }

  async #decryptAll(machine: OlmMachine): Promise<number> {
    const settings = new DecryptionSettings(TrustRequirement.Untrusted);
    const start = performance.now();
    for (const event of this.#events) {
      await machine.decryptRoomEvent(event.text, new RoomId(event.roomId), settings);
    }
    return performance.now() - start;
  }

  large(memory: () => number): LargeAccount {
    const random = crypto.getRandomValues(new Uint8Array(32));
    return largeAccount(() => new EncryptedState(random, "{}"), this.#device, memory);
  }

  #newState(): EncryptedState {
    const state = new EncryptedState(crypto.getRandomValues(new Uint8Array(32)), "{}");
    state.setOwnDevice(JSON.stringify(this.#device));
    state.addDevices(JSON.stringify([{ userId: USER, devices: [this.#device] }]));
    return state;
  }

  /** What the page does with an answer. Calls that supply keys and devices are not counted. */
  #through(
    state: EncryptedState,
    answered: Uint8Array,
  ): { body: Uint8Array | undefined; time: number; longestCall: number } {
    // The page's bytes are written over, and those here are needed again.
    const bytes = answered.slice();
    let time = 0;
    let longestCall = 0;
    const slicer = new TimeSlicer();
    const counted = <T>(call: () => T): T => {
      const start = performance.now();
      const result = call();
      const took = performance.now() - start;
      time += took;
      longestCall = Math.max(longestCall, took);
      return result;
    };
    let needs = counted(() => state.inspect("GET", SYNC, bytes));
    while (needs?.more === true) {
      const { answer } = needs;
      needs = counted(() => state.inspectMore(answer));
    }
    if (needs === undefined) return { body: undefined, time, longestCall };
    const { answer } = needs;
    for (let step = 0; step < 10_000; step += 1) {
      for (const roomId of needs?.memberDevices ?? []) state.membersAdded(roomId);
      needs = undefined;
      const before = time;
      const outcome = counted(() => state.open(answer, slicer.most, bytes));
      if (outcome.kind === "more") slicer.took(time - before);
      if (outcome.kind === "needs") needs = outcome.needs;
      if (outcome.kind === "done") return { body: outcome.body, time, longestCall };
    }
    throw new Error("The answer is never done");
  }
}

/** A sync answer of about so many bytes, with the encrypted events spread over it. */
function syncText(
  bytes: number,
  encrypted: readonly Encrypted[],
): { text: string; encrypted: number } {
  const byRoom = new Map<string, string[]>();
  for (const { roomId, text } of encrypted) {
    byRoom.set(roomId, [...(byRoom.get(roomId) ?? []), text]);
  }
  const others = Math.round(bytes / 180_000);
  for (let room = 0; room < others && byRoom.size < 300; room += 1) {
    const roomId = `!plain${room}:example.org`;
    if (!byRoom.has(roomId)) byRoom.set(roomId, []);
  }
  const share = Math.round(bytes / 450 / Math.max(byRoom.size, 1));
  const rooms = [...byRoom].map(([roomId, texts], at) => {
    const state = clearState(roomId, texts.length > 0).map((event) => JSON.stringify(event));
    const events: string[] = [];
    const keys = { sender: key(at), session: key(at + 1_000) };
    for (let index = 0; index < share; index += 1) {
      (index % 3 === 0 ? events : state).push(filler(at, index, keys));
    }
    // Somewhere in between, as they come.
    for (const [index, text] of texts.entries()) {
      state.splice(
        4 + Math.floor(((index + 1) * (state.length - 4)) / (texts.length + 1)),
        0,
        text,
      );
    }
    return (
      `${JSON.stringify(roomId)}:{"state":{"events":[${state.join(",")}]},` +
      `"timeline":{"events":[${events.join(",")}],"limited":false,"prev_batch":"t1"},` +
      `"ephemeral":{"events":[]},"account_data":{"events":[]},"unread_notifications":{}}`
    );
  });
  const text =
    `{"next_batch":"s1_2_3","rooms":{"join":{${rooms.join(",")}}},` +
    `"account_data":{"events":[]},"device_one_time_keys_count":{"signed_curve25519":50}}`;
  return { text, encrypted: encrypted.length };
}

/** 43 letters of base64, as keys have, the same in each run. */
function key(seed: number): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  let value = seed;
  const next = (): string => {
    value = (value * 1_103_515_245 + 12_345) % 2_147_483_648;
    return letters.charAt((value >> 16) & 63);
  };
  return Array.from({ length: 43 }, next).join("");
}

/** An event of everyday kind: messages of encrypted rooms in the timeline, members in the state. */
function filler(
  room: number,
  index: number,
  keys: { readonly sender: string; readonly session: string },
): string {
  const id = `$${room}-${index}-`.padEnd(44, "e");
  const common = `"sender":"@user${index}:example.org","event_id":"${id}","origin_server_ts":17000${index}`;
  if (index % 3 === 0) {
    return (
      `{"type":"m.room.encrypted",${common},"content":{"algorithm":"m.megolm.v1.aes-sha2",` +
      `"ciphertext":"${"AwgAEnAkBmciEAyhh1j6DCk29UXJ7kv".repeat(7)}","device_id":"ABCDEFGHIJ",` +
      `"sender_key":"${keys.sender}","session_id":"${keys.session}"},"unsigned":{"age":17}}`
    );
  }
  return (
    `{"type":"m.room.member",${common},"state_key":"@user${index}:example.org","content":` +
    `{"membership":"join","displayname":"User ${index} \\"of\\" {many}","avatar_url":` +
    `"mxc://example.org/${"a".repeat(24)}"},"unsigned":{"age":17,"replaces_state":"${id}",` +
    `"prev_content":{"membership":"invite","displayname":"User ${index}"}}}`
  );
}

function checkRewritten(body: Uint8Array | undefined, wanted: number): void {
  const text = body === undefined ? "" : new TextDecoder().decode(body);
  const found = text.split("the secret of ").length - 1;
  if (found !== wanted) throw new Error(`${found} of ${wanted} events were opened`);
}

/** Bytes that are timed together at the least: Firefox's clock has milliseconds, and 6 MB pass in one. */
const LEAST_TIMED = 50_000_000;

/** The mean of so many calls. */
function timed(times: number, work: () => unknown): number {
  const start = performance.now();
  for (let call = 0; call < times; call += 1) work();
  return (performance.now() - start) / times;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** Makes sessions and events with crypto-wasm, which also opens them for comparison. */
async function prepare(rooms: number): Promise<Bench> {
  const { memory } = initSync({ module: new WebAssembly.Module(bytesOf(stateBase64)) });
  moduleBytes = () => memory.buffer.byteLength;
  const wasm = new Blob([bytesOf(cryptoBase64)], { type: "application/wasm" });
  await initAsync(URL.createObjectURL(wasm));
  const machine = await startMachine();
  const events: Encrypted[] = [];
  for (let room = 0; room < rooms; room += 1) {
    const roomId = `!secret${room}:example.org`;
    const settings = new RoomSettings();
    settings.algorithm = EncryptionAlgorithm.MegolmV1AesSha2;
    settings.encryptStateEvents = true;
    await machine.setRoomSettings(new RoomId(roomId), settings);
    const encryption = new EncryptionSettings();
    encryption.encryptStateEvents = true;
    await machine.shareRoomKey(new RoomId(roomId), [new UserId(USER)], encryption);
    for (const [slot, type] of SLOTS.entries()) {
      const secret = `the secret of ${room}`;
      const content = { name: secret, padding: "x".repeat(40) };
      const encrypted = await machine.encryptStateEvent(
        new RoomId(roomId),
        type,
        "",
        JSON.stringify(content),
      );
      const text = JSON.stringify({
        type: "m.room.encrypted",
        sender: USER,
        content: JSON.parse(encrypted) as object,
        state_key: `${type}:`,
        origin_server_ts: 1_700_000_001_000 + slot,
        event_id: `$secret${room}-${slot}`.padEnd(44, "y"),
        unsigned: { age: 17 },
        room_id: roomId,
      });
      events.push({ roomId, text });
    }
  }
  const { curve25519, ed25519 } = machine.identityKeys;
  const device = {
    userId: USER,
    deviceId: "BENCH",
    curve25519: curve25519.toBase64(),
    ed25519: ed25519.toBase64(),
  };
  const keys = await machine.exportRoomKeys(() => true);
  machine.close();
  const inMemory = await OlmMachine.initialize(new UserId(USER), new DeviceId("OTHER"));
  await inMemory.importExportedRoomKeys(keys, () => undefined);
  return new Bench(inMemory, device, events, keys);
}

let bench: Bench | undefined;
let moduleBytes = (): number => 0;

/** What scripts/bench calls in the page. */
export interface StateSpeed {
  prepare(rooms: number): Promise<void>;
  answers(bytes: number, rounds: number): AnswerSpeed;
  opening(rounds: number): Promise<OpeningSpeed>;
  large(): LargeAccount;
}

declare global {
  interface Window {
    stateSpeed: StateSpeed;
  }
}

const ready = (): Bench => {
  if (bench === undefined) throw new Error("prepare() comes first");
  return bench;
};

window.stateSpeed = {
  prepare: async (rooms) => {
    bench = await prepare(rooms);
  },
  answers: (bytes, rounds) => ready().answers(bytes, rounds),
  opening: (rounds) => ready().opening(rounds),
  large: () => ready().large(() => moduleBytes()),
};
