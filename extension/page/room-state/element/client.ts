/**
 * Element's running client and its crypto, as far as encrypted state uses them. All of it is the
 * page's own code: nothing is taken on trust, every call is bounded and may fail.
 */
import {
  clearTimer,
  getPrototypeOf,
  isArray,
  NativePromise,
  now,
  page,
  parseJson,
  setTimer,
} from "../../primordials/primordials.ts";
import { STEP_MS, yieldToPage } from "../../primordials/steps.ts";
import { shieldSettings } from "../../core/shield-settings.ts";
import { text } from "../../texts/texts.ts";

/** A device as `CryptoApi.getUserDeviceInfo` gives it (matrix-js-sdk `Device`). */
interface PageDevice {
  readonly deviceId: string;
  readonly userId: string;
  readonly keys: Map<string, string>;
  readonly algorithms?: readonly string[];
  /** By user, then by key. */
  readonly signatures?: Map<string, Map<string, string>>;
  /** -1 blocked, 0 unverified, 1 verified. */
  readonly verified: number;
}

interface PageVerification {
  readonly signedByOwner?: boolean;
  readonly crossSigningVerified?: boolean;
  isVerified(): boolean;
}

interface ToDeviceBatch {
  readonly batch: readonly { userId: string; deviceId: string; payload: object }[];
}

interface ExportedSession {
  readonly sessionId: string;
  readonly roomId: { toString(): string };
}

/** Plain object with which the page's crypto waits for a key, see `KeyFetcher`. */
export interface EventStub {
  getId(): string;
  getWireType(): string;
  getSender(): string;
  getStateKey(): string;
  getWireContent(): object;
  getTs(): number;
  getRoomId(): string;
  getMembershipAtEvent(): undefined;
  attemptDecryption(): Promise<void>;
}

/** The part of `CryptoApi` used, with the two properties of RustCrypto that are none of it. */
export interface PageCrypto {
  readonly eventDecryptor?: { removeEventFromPendingList?(event: EventStub): void };
  readonly globalBlacklistUnverifiedDevices?: boolean;
  /** Of RustCrypto from matrix-js-sdk 34.9 on; not part of `CryptoApi`. */
  readonly deviceIsolationMode?: { readonly kind?: unknown };
  readonly olmMachine?: {
    exportRoomKeys?(predicate: (session: ExportedSession) => boolean): Promise<string>;
    /** With the device's key, and the person's where it is there; so are key backups signed. */
    sign?(message: string): Promise<{ asJSON(): string; free?(): void }>;
  };
  getOwnDeviceKeys(): Promise<{ ed25519: string; curve25519: string }>;
  /** Whether the person's own keys signed a key backup, and whether its key is this session's. */
  isKeyBackupTrusted?(
    info: object,
  ): Promise<{ trusted?: unknown; matchesDecryptionKey?: unknown } | undefined>;
  getUserDeviceInfo(
    userIds: string[],
    download?: boolean,
  ): Promise<Map<string, Map<string, PageDevice>>>;
  getDeviceVerificationStatus(userId: string, deviceId: string): Promise<PageVerification | null>;
  userHasCrossSigningKeys?(userId: string): Promise<boolean>;
  encryptToDeviceMessages?(
    type: string,
    devices: { userId: string; deviceId: string }[],
    payload: object,
  ): Promise<ToDeviceBatch>;
  importRoomKeysAsJson(keys: string): Promise<void>;
  exportRoomKeysAsJson?(): Promise<string>;
  decryptEvent(event: EventStub): Promise<unknown>;
  prepareToEncrypt(room: PageRoom): void;
  /** By room id; not part of `CryptoApi`. */
  readonly roomEncryptors?: Record<string, RoomEncryptor | undefined>;
}

interface RoomEncryptor {
  encryptionSettings?: unknown;
  onCryptoEvent?(config: unknown): void;
}

interface PageStateEvent {
  getType(): string;
  getContent(): object;
  getSender(): string | undefined;
  getTs(): number;
  readonly event: object;
}

interface PageRoomState {
  getStateEvents(type: string, stateKey: string): PageStateEvent | null;
  setStateEvents(events: unknown[]): void;
  readonly events: Map<string, Map<string, PageStateEvent>>;
  readonly members: Record<string, unknown>;
}

interface PageMember {
  readonly userId: string;
  readonly membership?: string;
  readonly events: { readonly member?: { getSender(): string | undefined } };
}

export interface PageRoom {
  readonly roomId: string;
  readonly name: string;
  readonly currentState: PageRoomState;
  getMyMembership(): string;
  getEncryptionTargetMembers(): Promise<PageMember[]>;
  getBlacklistUnverifiedDevices?(): boolean | null;
  loadMembersIfNeeded?(): Promise<unknown>;
  hasEncryptionStateEvent(): boolean;
  getCanonicalAlias(): string | null;
  getMember(userId: string): PageMember | null;
  getJoinedMemberCount?(): number;
  getMembersWithMembership(membership: string): PageMember[];
  recalculate(): void;
}

/** The part of `MatrixClient` used. */
export interface PageClient {
  readonly baseUrl: string;
  getUserId(): string | null;
  getDeviceId(): string | null;
  getAccessToken(): string | null;
  getRoom(roomId: string): PageRoom | null;
  getRooms(): PageRoom[];
  getCrypto(): PageCrypto | undefined;
  getEventMapper(): (event: object) => unknown;
  getAccountData(type: string): { getContent(): object } | undefined;
  sendToDevice(
    type: string,
    content: Map<string, Map<string, object>>,
    txnId?: string,
  ): Promise<unknown>;
  isInitialSyncComplete(): boolean;
  /** matrix-js-sdk from 38.4: whether it encrypts and opens state by itself. */
  enableEncryptedStateEvents?: boolean;
  on(event: string, listener: (payload: unknown) => void): void;
}

/** A device that may be given a key, as the Rust half asks for it. */
export interface TargetDevice {
  deviceId: string;
  curve25519: string;
  ed25519: string;
  crossSigned: boolean;
  verified: boolean;
  blocked: boolean;
}

export interface Target {
  userId: string;
  devices: TargetDevice[];
}

export interface DeviceName {
  userId: string;
  deviceId: string;
}

/** Own device with its published keys. */
export interface OwnDevice {
  userId: string;
  deviceId: string;
  curve25519: string;
  ed25519: string;
}

/** What the page cannot do, in words for the person; the write it was needed for is refused. */
export class PageCryptoError extends Error {}

/** Of matrix-js-sdk's `DeviceIsolationModeKind`: what Element calls excluding insecure devices. */
const ONLY_SIGNED_DEVICES = 1;
/** Users and devices that are handed on at a time. */
const TARGETS_AT_ONCE = 500;
/** Users whose devices the page's crypto is asked for at a time, for each of whom it reads its store. */
const USERS_AT_ONCE = 1_000;
/** Most devices in one to-device request; what matrix-sdk-crypto takes as well. */
const MAX_IN_REQUEST = 100;
/** How long an answer of the page's crypto is waited for. */
const CRYPTO_LIMIT = 15_000;
/** The same for a signature, without which a change goes out as well. */
const SIGN_LIMIT = 3_000;
/** How long a homeserver that wants requests slower may hold up all of one sending. */
const RETRY_LIMIT = 30_000;
/** Between two requests of which the first was refused as one too many. */
const MIN_WAIT = 500;
/** How long for the devices of a user the page has not followed until now. */
const DEVICES_LIMIT = 6_000;

/** The client as Element exposes it; undefined before login. */
export function runningClient(): PageClient | undefined {
  const { mxMatrixClientPeg: peg } = page as unknown as {
    mxMatrixClientPeg?: { get?(): PageClient | null };
  };
  try {
    return peg?.get?.() ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * Shows the running client to each; to be called before each request of the page. One that does not
 * know this Element fails alone, and leaves its part of it as it is.
 */
export function watchClient(
  ...watchers: readonly ((client: PageClient | undefined) => void)[]
): () => void {
  return () => {
    const client = runningClient();
    for (let index = 0; index < watchers.length; index += 1) {
      try {
        watchers[index]?.(client);
      } catch {
        // See above.
      }
    }
  };
}

/**
 * Takes a stub back from the page's crypto, which keeps each event that it was to decrypt until the
 * key is there, and has no public call for this. Where it has none at all, the stub stays.
 */
export function forgetStub(client: PageClient | undefined, stub: EventStub): void {
  try {
    client?.getCrypto()?.eventDecryptor?.removeEventFromPendingList?.(stub);
  } catch {
    // See above.
  }
}

/** An address at the client's homeserver; `path` starts with a slash. */
export function addressAt({ baseUrl }: { readonly baseUrl: string }, path: string): string {
  return `${baseUrl.endsWith("/") ? baseUrl.slice(0, -1) : baseUrl}${path}`;
}

/** What an error says for people: our own and Rust's do, others are the browser's or the page's. */
export function sentenceIn(error: unknown): string | undefined {
  const isOurs =
    error instanceof PageCryptoError || (error instanceof Error && error.name === "Error");
  return isOurs ? error.message : undefined;
}

/** A client whose crypto runs; undefined when there is none within the time. */
export async function cryptoClient(limit: number): Promise<PageClient | undefined> {
  for (let waited = 0; ; waited += 100) {
    const client = runningClient();
    if (client?.getCrypto() !== undefined) return client;
    if (waited >= limit) return undefined;
    await pause(100);
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new NativePromise((resolve) => {
    setTimer(resolve, milliseconds);
  });
}

/** The promise's value, or a rejection once the time is over. */
export async function within<Value>(promise: Promise<Value>, limit: number): Promise<Value> {
  let timer: number | undefined;
  try {
    return await new NativePromise<Value>((resolve, reject) => {
      timer = setTimer(() => {
        reject(new PageCryptoError(text("cryptoSilent")));
      }, limit);
      promise.then(resolve, reject);
    });
  } finally {
    if (timer !== undefined) clearTimer(timer);
  }
}

export async function ownDevice(client: PageClient): Promise<OwnDevice> {
  const { ed25519, curve25519 } = await within(cryptoOf(client).getOwnDeviceKeys(), CRYPTO_LIMIT);
  return {
    userId: client.getUserId() ?? "",
    deviceId: client.getDeviceId() ?? "",
    curve25519,
    ed25519,
  };
}

/**
 * The device's signature under a text, by the page's own crypto, which has the key; undefined where
 * it does not sign.
 */
export async function signAsDevice(client: PageClient, text: string): Promise<string | undefined> {
  const machine = cryptoOf(client).olmMachine;
  if (typeof machine?.sign !== "function") return undefined;
  try {
    const signatures = await within(machine.sign(text), SIGN_LIMIT);
    const all = parseJson(signatures.asJSON()) as Record<string, Record<string, unknown>>;
    signatures.free?.();
    const own = all[client.getUserId() ?? ""]?.[`ed25519:${client.getDeviceId() ?? ""}`];
    return typeof own === "string" ? own : undefined;
  } catch {
    // What is not signed is judged by who gave its key, as everybody's was before.
    return undefined;
  }
}

/** Throws in words when this Element cannot hand out keys. */
export function checkCanShare(client: PageClient): void {
  if (typeof cryptoOf(client).encryptToDeviceMessages !== "function") {
    throw new PageCryptoError(text("elementTooOld"));
  }
}

/**
 * Everyone who is to read the room's state, with all devices but the own one, and their trust as far
 * as it matters. A room may have ten thousand members: `take` is given some at a time, and the page goes
 * on in between. False where the page does not know somebody's devices yet.
 */
export async function eachTarget(
  client: PageClient,
  room: PageRoom,
  take: (targets: readonly Target[]) => void,
): Promise<boolean> {
  const members = await within(room.getEncryptionTargetMembers(), CRYPTO_LIMIT);
  const ids: string[] = [];
  for (const { userId } of members) ids.push(userId);
  // In order, which the Rust half takes in faster.
  ids.sort();
  const known = await devicesOf(client, room, ids);
  const crypto = cryptoOf(client);
  const isStrict =
    room.getBlacklistUnverifiedDevices?.() ?? crypto.globalBlacklistUnverifiedDevices ?? false;
  // A question to the page's crypto for each device.
  const isJudged = isStrict || trustInForce() === "cross-signed";
  let targets: Target[] = [];
  let count = 0;
  let start = now();
  for (const userId of ids) {
    const devices: TargetDevice[] = [];
    for (const device of known.get(userId)?.values() ?? []) {
      const { deviceId } = device;
      if (userId === client.getUserId() && deviceId === client.getDeviceId()) continue;
      const curve25519 = device.keys.get(`curve25519:${deviceId}`);
      const ed25519 = device.keys.get(`ed25519:${deviceId}`);
      if (curve25519 === undefined || ed25519 === undefined) continue;
      const status = isJudged
        ? await within(crypto.getDeviceVerificationStatus(userId, deviceId), CRYPTO_LIMIT)
        : null;
      const isVerified = status?.isVerified() ?? false;
      devices.push({
        deviceId,
        curve25519,
        ed25519,
        crossSigned: status?.signedByOwner ?? status?.crossSigningVerified ?? false,
        verified: isVerified,
        // The page's own switch "never send to unverified devices" holds for state as well.
        blocked: device.verified === -1 || (isStrict && !isVerified),
      });
    }
    targets.push({ userId, devices });
    count += 1 + devices.length;
    if (count < TARGETS_AT_ONCE) continue;
    take(targets);
    targets = [];
    count = 0;
    if (now() - start < STEP_MS) continue;
    await yieldToPage();
    start = now();
  }
  if (targets.length > 0) take(targets);
  return ids.every((userId) => known.has(userId));
}

/** Whose devices count, for giving and for reading: as set, and none that Element itself leaves out. */
export function trustInForce(): "all" | "cross-signed" {
  const isSet = shieldSettings("encrypted-state")?.options["trust"] === "cross-signed";
  const mode = runningClient()?.getCrypto()?.deviceIsolationMode?.kind;
  return isSet || mode === ONLY_SIGNED_DEVICES ? "cross-signed" : "all";
}

/** Whether a device may have what encrypted state protects; for keys, Rust says so. */
export function mayHaveState({ blocked, crossSigned, verified }: TargetDevice): boolean {
  return !blocked && (trustInForce() === "all" || crossSigned || verified);
}

/** Devices by user; users the page does not follow yet are followed first, within a bounded time. */
async function devicesOf(
  client: PageClient,
  room: PageRoom,
  userIds: readonly string[],
): Promise<Map<string, Map<string, PageDevice>>> {
  const crypto = cryptoOf(client);
  const known = new Map<string, Map<string, PageDevice>>();
  let missing = userIds;
  let wasAsked = false;
  for (let waited = 0; ; waited += 200) {
    for (let from = 0; from < missing.length; from += USERS_AT_ONCE) {
      const some = missing.slice(from, from + USERS_AT_ONCE);
      const found = await within(crypto.getUserDeviceInfo(some), CRYPTO_LIMIT);
      for (const [userId, devices] of found) known.set(userId, devices);
    }
    missing = missing.filter((userId) => !known.has(userId));
    if (missing.length === 0 || waited >= DEVICES_LIMIT) return known;
    // Makes Element follow the devices of everyone in the room.
    if (!wasAsked) crypto.prepareToEncrypt(room);
    wasAsked = true;
    await pause(200);
  }
}

/**
 * What an owner has to do with a device: they have signed it (or the person has compared its keys);
 * they sign their devices and not this one; they sign none, so that nobody can tell theirs from one
 * that a homeserver made up.
 */
type Standing = "signed" | "unsigned" | "plain";

/** What a device signs, and its own signature; the Rust half checks it. */
export type DeviceList = {
  deviceId: string;
  algorithms: readonly string[];
  keys: Record<string, string>;
  signature: string | null;
  standing?: Standing;
}[];

async function standingsOf(
  crypto: PageCrypto,
  userId: string,
  devices: readonly PageDevice[],
): Promise<Map<string, Standing>> {
  const standings = new Map<string, Standing>();
  let isSigner = (await crypto.userHasCrossSigningKeys?.(userId)) ?? false;
  for (const { deviceId, verified } of devices) {
    const status = await crypto.getDeviceVerificationStatus(userId, deviceId);
    const isSigned = status?.signedByOwner ?? status?.crossSigningVerified ?? false;
    isSigner ||= isSigned;
    const isGood = verified !== -1 && (isSigned || (status?.isVerified() ?? false));
    standings.set(deviceId, isGood ? "signed" : verified === -1 ? "unsigned" : "plain");
  }
  for (const [deviceId, standing] of standings) {
    if (isSigner && standing === "plain") standings.set(deviceId, "unsigned");
  }
  return standings;
}

/** undefined: the page's crypto does not say. One user of whom it does not is no other's matter. */
async function knownStandings(
  crypto: PageCrypto,
  userId: string,
  devices: ReadonlyMap<string, PageDevice>,
): Promise<Map<string, Standing> | undefined> {
  try {
    return await within(standingsOf(crypto, userId, [...devices.values()]), CRYPTO_LIMIT);
  } catch {
    return undefined;
  }
}

/**
 * Identity keys by user, for binding a session to its owner. With what its owner has to do with a
 * device where that matters: it is a call for each.
 */
export async function deviceKeysOf(
  client: PageClient,
  userIds: string[],
  isWithStanding: boolean,
): Promise<Map<string, DeviceList>> {
  const crypto = cryptoOf(client);
  const known = await within(crypto.getUserDeviceInfo(userIds, true), DEVICES_LIMIT);
  const result = new Map<string, DeviceList>();
  for (const [userId, devices] of known) {
    const list: DeviceList = [];
    const standings = isWithStanding ? await knownStandings(crypto, userId, devices) : undefined;
    for (const { deviceId, keys, algorithms, signatures } of devices.values()) {
      const standing = standings?.get(deviceId);
      list.push({
        deviceId,
        algorithms: algorithms ?? [],
        keys: Object.fromEntries(keys),
        signature: signatures?.get(userId)?.get(`ed25519:${deviceId}`) ?? null,
        ...(standing === undefined ? {} : { standing }),
      });
    }
    result.set(userId, list);
  }
  return result;
}

/** Room-key export (JSON array) of the sessions asked for, by `roomId|sessionId`. */
export async function exportSessions(
  client: PageClient,
  wanted: ReadonlySet<string>,
): Promise<string> {
  const crypto = cryptoOf(client);
  const machine = crypto.olmMachine;
  if (typeof machine?.exportRoomKeys === "function") {
    const isWanted = ({ roomId, sessionId }: ExportedSession): boolean =>
      wanted.has(`${roomId.toString()}|${sessionId}`);
    return within(machine.exportRoomKeys(isWanted), CRYPTO_LIMIT);
  }
  if (crypto.exportRoomKeysAsJson === undefined) return "[]";
  const all = parseJson(await within(crypto.exportRoomKeysAsJson(), CRYPTO_LIMIT));
  if (!Array.isArray(all)) return "[]";
  const found: unknown[] = [];
  for (const key of all as { room_id?: string; session_id?: string }[]) {
    if (wanted.has(`${key.room_id ?? ""}|${key.session_id ?? ""}`)) found.push(key);
  }
  return JSON.stringify(found);
}

/** Puts a session into the page's own store: reading, backup and other devices get it from there. */
export async function importSession(client: PageClient, keys: string): Promise<void> {
  await within(cryptoOf(client).importRoomKeysAsJson(keys), CRYPTO_LIMIT);
}

/**
 * Sends a to-device event through the page's Olm channel. `reached` is told, part by part, which
 * devices the homeserver has it for: what fails later takes none of that back, and those that could
 * not be reached are not among them. Where it says false, the others are left out.
 */
export async function sendThroughOlm(
  client: PageClient,
  type: string,
  devices: readonly DeviceName[],
  content: object,
  reached: (devices: DeviceName[]) => boolean,
): Promise<void> {
  checkCanShare(client);
  const waits = new RetryWaits();
  for (let from = 0; from < devices.length; from += MAX_IN_REQUEST) {
    const some = devices.slice(from, from + MAX_IN_REQUEST);
    for (const batch of await encryptFor(cryptoOf(client), type, some, content, waits)) {
      if (batch.batch.length === 0) continue;
      const messages = new Map<string, Map<string, object>>();
      const names: DeviceName[] = [];
      for (const { userId, deviceId, payload } of batch.batch) {
        const mine = messages.get(userId) ?? new Map<string, object>();
        messages.set(userId, mine.set(deviceId, payload));
        names.push({ userId, deviceId });
      }
      // Not `queueToDevice`: that resolves before the homeserver has anything.
      await waits.within(() =>
        within(client.sendToDevice("m.room.encrypted", messages), CRYPTO_LIMIT),
      );
      if (!reached(names)) return;
    }
  }
}

/**
 * Asks again when the homeserver wants requests slower, until the time for all of them is over: by
 * the clock, and by what was waited for, so that a clock that is set back does not matter.
 */
class RetryWaits {
  readonly #until = now() + RETRY_LIMIT;
  #left = RETRY_LIMIT;

  async within<Value>(request: () => Promise<Value>): Promise<Value> {
    for (;;) {
      try {
        return await request();
      } catch (error) {
        const asked = retryAfter(error);
        if (asked === undefined) throw error;
        // A homeserver that says "at once" must not be asked thousands of times.
        const wait = asked < MIN_WAIT ? MIN_WAIT : asked;
        if (wait > this.#left || now() + wait > this.#until) throw error;
        this.#left -= wait;
        await pause(wait);
      }
    }
  }
}

/**
 * How long the homeserver wants requests to wait, from what matrix-js-sdk throws; undefined where it
 * was something else. One that does not say so is asked again after a second.
 */
function retryAfter(error: unknown): number | undefined {
  const { httpStatus, data } = (error ?? {}) as {
    httpStatus?: unknown;
    data?: { retry_after_ms?: unknown } | null;
  };
  if (httpStatus !== 429) return undefined;
  const wait = data?.retry_after_ms;
  return typeof wait === "number" && wait > 0 ? wait : 1_000;
}

/** One batch, or one for each device when a single one spoils it (no one-time keys left). */
async function encryptFor(
  crypto: PageCrypto,
  type: string,
  devices: readonly DeviceName[],
  content: object,
  waits: RetryWaits,
): Promise<ToDeviceBatch[]> {
  const encrypt = async (some: readonly DeviceName[]): Promise<ToDeviceBatch> =>
    within(
      crypto.encryptToDeviceMessages?.(type, [...some], content) ??
        NativePromise.resolve({ batch: [] }),
      CRYPTO_LIMIT,
    );
  try {
    return [await waits.within(() => encrypt(devices))];
  } catch (error) {
    // Hundred requests in place of one would be refused as well.
    if (error instanceof PageCryptoError || retryAfter(error) !== undefined) throw error;
    if (devices.length === 1) return [];
  }
  const batches: ToDeviceBatch[] = [];
  for (const device of devices) {
    try {
      batches.push(await encrypt([device]));
    } catch {
      // This device cannot be reached now; it is asked again the next time.
    }
  }
  return batches;
}

/** The state the client holds of a room, members left out, as client-server API JSON. */
export function roomStateOf(room: PageRoom): object[] {
  const events: object[] = [];
  for (const [type, byKey] of room.currentState.events) {
    if (type === "m.room.member") continue;
    for (const { event } of byKey.values()) events.push(event);
  }
  return events;
}

/** Whether people were invited to the room as to a direct chat, or it is on the person's list. */
export function isDirect(client: PageClient, room: PageRoom): boolean {
  const lists = Object.values(client.getAccountData("m.direct")?.getContent() ?? {}) as unknown[];
  if (lists.some((list) => isArray(list) && list.includes(room.roomId))) return true;
  const members = room.currentState.events.get("m.room.member");
  const says = (content: object | undefined): boolean =>
    (content as { is_direct?: unknown } | undefined)?.is_direct === true;
  return [...(members?.values() ?? [])].some((event) => {
    // Who has joined since was invited by the event before.
    const { unsigned } = event.event as { unsigned?: { prev_content?: object } };
    return says(event.getContent()) || says(unsigned?.prev_content);
  });
}

/** The client whose own encrypted state Mantle has taken over. */
let takenOver: PageClient | undefined;

/** Whether the running client would encrypt by itself all that MSC4362 lets be encrypted. */
export function encryptsAll(): boolean {
  const client = runningClient();
  return (
    client !== undefined && (takenOver === client || client.enableEncryptedStateEvents === true)
  );
}

/**
 * matrix-js-sdk's own encrypted state uses the session of the messages, whose key nobody gets who
 * joins later. So it is switched off in the running client: what it would encrypt comes here.
 * `isOurs`: false gives it back. Its crypto keeps the setting it was started with.
 */
export function takeOverState(client: PageClient, isOurs: boolean): void {
  if (isOurs && client.enableEncryptedStateEvents === true) {
    client.enableEncryptedStateEvents = false;
    takenOver = client;
  } else if (!isOurs && takenOver === client) {
    client.enableEncryptedStateEvents = true;
    takenOver = undefined;
  }
}

let isMended = false;

/**
 * matrix-js-sdk (35 and 43) throws when the content of `m.room.encryption` changes, and loses the
 * rest of that sync: so also when somebody turns encrypted state on. The new content was accepted
 * by the crypto itself at that point, so it is taken over.
 */
export function letEncryptionChange(client: PageClient): void {
  if (isMended) return;
  const [encryptor] = Object.values(client.getCrypto()?.roomEncryptors ?? {});
  if (typeof encryptor?.onCryptoEvent !== "function") return;
  const prototype = getPrototypeOf(encryptor) as RoomEncryptor;
  prototype.onCryptoEvent = function onCryptoEvent(this: RoomEncryptor, config: unknown): void {
    this.encryptionSettings = config;
  };
  isMended = true;
}

/**
 * Puts a state event into the running client as if a sync had brought it; false when the client has
 * not come so far. One without an id is what an inviter told of a room: it counts only on that
 * person's own invite.
 */
export function deliver(
  client: PageClient,
  roomId: string,
  event: { readonly event_id?: unknown; readonly sender?: unknown },
): boolean {
  const room = client.getRoom(roomId);
  if (room === null) return false;
  if (event.event_id === undefined) {
    const own = room.getMember(client.getUserId() ?? "");
    const inviter = own?.events.member?.getSender();
    if (room.getMyMembership() !== "invite" || event.sender !== inviter) return false;
  }
  room.currentState.setStateEvents([client.getEventMapper()(event)]);
  room.recalculate();
  return true;
}

function cryptoOf(client: PageClient): PageCrypto {
  const crypto = client.getCrypto();
  if (crypto === undefined) {
    throw new PageCryptoError(text("cryptoNotReadyYet"));
  }
  return crypto;
}
