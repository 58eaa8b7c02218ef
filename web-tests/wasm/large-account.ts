/**
 * The module of encrypted state on an account as large as Mantle's bounds, made by the module itself:
 * how long the longest call takes that the page makes, and what memory it takes. For a browser or node.
 */
import type { EncryptedState } from "../../extension/generated/mantle_state.js";
import {
  SESSIONS_IN_STEP,
  TimeSlicer,
  WAITING_IN_STEP,
} from "../../extension/page/room-state/time-slicing.ts";

const MEMBERS = 10_000;
const DEVICES = 5;
/** As the page hands them on: some 500 users and devices at a time. */
const USERS_IN_STEP = 84;
/** Most devices in one to-device request. */
const IN_REQUEST = 100;
const EVENTS = 4_000;
const ROOMS = 1_000;
const NOW = 1_700_000_000_000;
const ALICE = "@alice:example.org";
const SYNC = "https://hs.example.org/_matrix/client/v3/sync?filter=0&timeout=30000&since=a";

export interface LargeAccount {
  /** Of the longest call, in ms. */
  readonly longestSharing: number;
  readonly longestHealing: number;
  /** Which call that was. */
  readonly sharing: string;
  readonly healing: string;
  /** Bytes by which the module's memory grew when all of it was done once more. */
  readonly grown: number;
}

/** The longest call of each kind. */
class Calls {
  readonly longest = new Map<string, number>();

  took<Result>(what: string, call: () => Result): Result {
    const start = performance.now();
    const result = call();
    const took = performance.now() - start;
    this.longest.set(what, Math.max(this.longest.get(what) ?? 0, took));
    return result;
  }

  top(): [string, number] {
    const [first = ["none", 0]] = [...this.longest].sort(([, one], [, other]) => other - one);
    return first as [string, number];
  }
}

type Make = () => EncryptedState;

function key(seed: number): string {
  return `${seed}`.padStart(6, "0").padEnd(43, "k");
}

interface Person {
  readonly state: EncryptedState;
  readonly store: Record<string, string>;
}

function person(make: Make, userId: string, device: object): Person {
  const state = make();
  state.setOwnDevice(JSON.stringify({ ...device, userId }));
  state.setRun("run");
  state.setClock(NOW);
  state.becomeWriter("{}");
  return { state, store: {} };
}

function persist({ state, store }: Person, calls?: Calls): void {
  const take = (): ReturnType<EncryptedState["takePersist"]> => state.takePersist();
  while (state.dirty()) {
    const batch = calls === undefined ? take() : calls.took("takePersist", take);
    if (batch === undefined) return;
    for (const { key: name, value } of batch.entries) {
      if (value === null) delete store[name];
      else store[name] = value;
    }
    state.written(batch.id, []);
  }
}

/** A room of ten thousand members with five devices each is given a session's key, and then a name. */
function share(make: Make, own: object): Calls {
  const calls = new Calls();
  const alice = person(make, ALICE, own);
  const { state } = alice;
  const roomId = "!large:example.org";
  const targets: object[] = [];
  for (let user = 0; user < MEMBERS; user += 1) {
    const devices: object[] = [];
    for (let device = 0; device < DEVICES; device += 1) {
      const curve25519 = key(user * DEVICES + device);
      const standing = { crossSigned: true, verified: false, blocked: false };
      devices.push({ deviceId: `DEVICE${device}`, curve25519, ed25519: curve25519, ...standing });
    }
    targets.push({ userId: `@member${`${user}`.padStart(5, "0")}:example.org`, devices });
  }
  const need = (): ReturnType<EncryptedState["needSession"]> => {
    state.beginTargets(roomId);
    for (let from = 0; from < targets.length; from += USERS_IN_STEP) {
      const some = JSON.stringify(targets.slice(from, from + USERS_IN_STEP));
      calls.took("addTargets", () => {
        state.addTargets(roomId, some);
      });
    }
    const asked = { roomId, now: NOW, encryption: {}, historyVisibility: "shared" };
    return calls.took("needSession", () => state.needSession(JSON.stringify(asked)));
  };
  const session = need();
  persist(alice, calls);
  state.imported(roomId, session.sessionId);
  let given = 0;
  for (let some: ReturnType<EncryptedState["moreShares"]> = session; ;) {
    for (let from = 0; from < some.shareWith.length; from += IN_REQUEST) {
      const names = some.shareWith.slice(from, from + IN_REQUEST);
      const reached = JSON.stringify(names);
      calls.took("shared", () => {
        state.shared(roomId, session.sessionId, reached);
      });
      given += names.length;
    }
    persist(alice, calls);
    if (!some.more) break;
    some = calls.took("moreShares", () => state.moreShares(roomId, session.sessionId));
  }
  if (given !== MEMBERS * DEVICES) throw new Error(`${given} devices were given the key`);
  const ticket = calls.took("encrypt", () =>
    state.encrypt(roomId, "m.room.name", "", '{"name":"Large"}'),
  );
  persist(alice, calls);
  state.takeEncrypted(ticket);
  state.stopWriting();
  const stored = JSON.stringify(alice.store);
  calls.took("becomeWriter", () => {
    state.becomeWriter(stored);
  });
  const again = need();
  if (again.shareWith.length > 0 || again.isNew) throw new Error("The key is given twice");
  const members = targets.map((target) => (target as { userId: string }).userId);
  const asked = JSON.stringify({ members, now: NOW });
  calls.took("reencrypt", () => state.reencrypt(roomId, asked));
  state.free();
  return calls;
}

/** State of a thousand rooms, four events each, and the keys of it. */
function encryptedState(make: Make, own: object): { answer: Uint8Array; keys: object[] } {
  const alice = person(make, ALICE, own);
  const { state } = alice;
  const join: Record<string, object> = {};
  const keys: object[] = [];
  for (let room = 0; room < ROOMS; room += 1) {
    const roomId = `!room${room}:example.org`;
    const devices: object[] = [{ deviceId: "BOB", curve25519: key(1), ed25519: key(1) }];
    const event = (type: string, content: object): object => ({
      type,
      ...{ sender: ALICE, content, state_key: "", origin_server_ts: NOW },
      event_id: `$${type}${room}`.padEnd(44, "x"),
    });
    const events = [
      event("m.room.create", { room_version: "10" }),
      event("m.room.power_levels", { users: { [ALICE]: 100 } }),
      event("m.room.encryption", {
        ...{ algorithm: "m.megolm.v1.aes-sha2" },
        "io.element.msc4362.encrypt_state_events": true,
      }),
    ];
    state.beginTargets(roomId);
    state.addTargets(roomId, JSON.stringify([{ userId: "@bob:example.org", devices }]));
    const asked = { roomId, now: NOW, encryption: {}, historyVisibility: "shared" };
    const session = state.needSession(JSON.stringify(asked));
    persist(alice);
    state.imported(roomId, session.sessionId);
    state.shared(roomId, session.sessionId, JSON.stringify(session.shareWith));
    keys.push(...(JSON.parse(session.importJson) as object[]));
    for (const type of ["m.room.name", "m.room.topic", "org.example.one", "org.example.two"]) {
      const content = JSON.stringify({ name: `the secret of ${room}`, padding: "x".repeat(40) });
      const ticket = state.encrypt(roomId, type, "", content);
      persist(alice);
      const { body } = state.takeEncrypted(ticket);
      events.push({
        ...event("m.room.encrypted", JSON.parse(body) as object),
        ...{ state_key: `${type}:`, event_id: `$${room}${type}`.padEnd(44, "y") },
      });
    }
    join[roomId] = { state: { events }, timeline: { events: [] } };
  }
  state.free();
  const answer = JSON.stringify({ next_batch: "b", rooms: { join } });
  return { answer: new TextEncoder().encode(answer), keys };
}

/** Four thousand events come, and all their keys later, at once. */
function heal(make: Make, own: object, { answer, keys }: ReturnType<typeof encryptedState>): Calls {
  const calls = new Calls();
  // The same device: whose it is need not be proved.
  const alice = person(make, ALICE, own);
  const { state } = alice;
  const bytes = answer.slice();
  const slicer = new TimeSlicer();
  let needs = calls.took("inspect", () => state.inspect("GET", SYNC, bytes));
  while (needs?.more === true) {
    const { answer: id } = needs;
    needs = calls.took("inspectMore", () => state.inspectMore(id));
  }
  for (let isDone = needs === undefined; !isDone;) {
    const start = performance.now();
    const step = calls.took("open", () => state.open(needs?.answer ?? 0, slicer.most, bytes));
    slicer.took(performance.now() - start);
    isDone = step.kind === "done";
  }
  persist(alice, calls);
  let waiting = 0;
  for (let isMore = true; isMore;) {
    const some = calls.took("takeUndecryptable", () => state.takeUndecryptable(WAITING_IN_STEP));
    waiting += some.length;
    isMore = some.length === WAITING_IN_STEP;
  }
  calls.took("retryNeeds", () => state.retryNeeds());
  for (let from = 0; from < keys.length; from += SESSIONS_IN_STEP) {
    const some = JSON.stringify(keys.slice(from, from + SESSIONS_IN_STEP));
    calls.took("addRoomKeys", () => state.addRoomKeys(some));
  }
  let healed = 0;
  for (let isMore = true; isMore;) {
    const start = performance.now();
    const step = calls.took("retried", () => state.retried(slicer.most));
    slicer.took(performance.now() - start);
    for (const _ of step.events) healed += 1;
    isMore = step.more;
  }
  persist(alice, calls);
  state.free();
  if (waiting !== EVENTS || healed !== EVENTS) {
    throw new Error(`${waiting} events waited, ${healed} were opened`);
  }
  return calls;
}

/** `own`: id and keys of a device; `memory`: bytes of the module's memory. */
export function largeAccount(make: Make, own: object, memory: () => number): LargeAccount {
  const state = encryptedState(make, own);
  const sharing = share(make, own);
  const healing = heal(make, own, state);
  const before = memory();
  const again = [share(make, own), heal(make, own, state)] as const;
  const grown = memory() - before;
  // Of two runs the quicker: the first one compiles.
  const best = (one: Calls, other: Calls): [string, number] => {
    const calls = new Calls();
    for (const [what, took] of one.longest) {
      calls.longest.set(what, Math.min(took, other.longest.get(what) ?? took));
    }
    return calls.top();
  };
  const [longSharing, longHealing] = [best(sharing, again[0]), best(healing, again[1])];
  return {
    longestSharing: longSharing[1],
    longestHealing: longHealing[1],
    sharing: longSharing[0],
    healing: longHealing[0],
    grown,
  };
}
