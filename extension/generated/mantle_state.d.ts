/* tslint:disable */
/* eslint-disable */

export interface PersistBatch { id: number; entries: { key: string; value: string | null }[] }
export interface Needs {
    answer: number;
    /** Nothing else is said before `inspectMore` has looked at the rest of the answer. */
    more: boolean;
    sessions: { roomId: string; sessionId: string }[];
    owners: string[];
    rooms: string[];
    memberDevices: string[];
}
export type Before =
| { kind: "send"; url?: string }
| { kind: "reply"; body: string }
| { kind: "held"; answer: number; needs: Needs };
export type OpenStep =
| { kind: "more" }
| { kind: "needs"; needs: Needs }
| { kind: "done"; body?: Uint8Array }
| { kind: "split"; first: Uint8Array };
export interface UndecryptableEvent {
    roomId: string;
    eventId: string;
    sessionId: string;
    sender: string;
    stateKey: string;
    ts: number;
    content: Record<string, unknown>;
    reason: "session" | "index" | "owner" | "levels" | "device";
}
export interface RetriedEvent { roomId: string; event: Record<string, unknown> }
/** The person's own name in a room, to be put again where it is gone. */
export interface OwnProfile { eventId: string; contentJson: string; sessionId: string; isOutdated: boolean }
export interface RetryStep { events: RetriedEvent[]; more: boolean }
export type ProblemCode =
| "rollback" | "replay" | "clear-over-encrypted" | "flag-removed" | "foreign-session"
| "key-mismatch" | "room-mismatch" | "not-eligible" | "power-level" | "damaged"
| "gone-device" | "unsigned-device" | "untrusted-device" | "not-passed-on" | "index-used-twice";
export interface Problem { roomId: string; code: ProblemCode; sentence: string }
export interface RoomDue {
    roomId: string;
    why: "membership" | "devices" | "stale" | "name";
    members: { userId: string; membership: string }[];
}
export type WriteRoute =
| { kind: "put" }
| { kind: "create" }
| { kind: "upgrade"; roomId: string }
| { kind: "body" };
export type Plan =
| { kind: "pass" }
| { kind: "rewrite"; body: string }
| { kind: "flag"; roomId: string }
| { kind: "encrypt"; roomId: string; eventType: string; stateKey: string; url: string }
| { kind: "needRoom"; roomId: string; sentence: string }
| { kind: "refuse"; errcode: string; sentence: string };
export type CreatePlan =
| { kind: "pass"; why: "public" | "unencrypted" | "space" | "off" }
| { kind: "ask" }
| { kind: "create"; pendingId: string; body: string; held: number };
export interface PendingEvent { eventType: string; stateKey: string; contentJson: string }
export interface PendingWrite { pendingId: string; roomId: string | null; since: number; events: PendingEvent[]; others: string[] }
export interface SessionView {
    sessionId: string;
    isNew: boolean;
    rotated?: "age" | "messages" | "member-left" | "device-removed" | "visibility" | "unverified" | "asked";
    shareWith: { userId: string; deviceId: string }[];
    refused: { userId: string; deviceId: string; why: "blocked" | "not-cross-signed" }[];
    withoutDevices: string[];
    roomKeyContent: Record<string, unknown>;
    later: LaterShare[];
    more: boolean;
    importJson: string;
    shouldImport: boolean;
}
export interface LaterShare { shareWith: { userId: string; deviceId: string }[]; roomKeyContent: Record<string, unknown> }
export interface MoreShares { shareWith: { userId: string; deviceId: string }[]; later: LaterShare[]; more: boolean }
export interface Put { path: string; body: string }
export interface Reencryption {
    delayMs: number;
    events: (PendingEvent & { path: string; eventId: string; sessionId: string })[];
}
export type Conversion =
| { kind: "refuse"; sentence: string }
| { kind: "convert"; flag?: Put; encrypt: PendingEvent[]; blank: Put[]; redact: string[]; types: string[]; done: boolean };
export interface InvitePreview { type: "org.mantle.room_state"; content: Record<string, unknown> }



/**
 * Encrypted state of one document. Sans-I/O: see `state/engine.rs`.
 */
export class EncryptedState {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Devices of users.
     *
     * # Errors
     * A sentence when the text is not that.
     */
    addDevices(json: string): void;
    /**
     * What an inviter told.
     *
     * # Errors
     * A sentence when it is not that.
     */
    addInvitePreview(sender: string, content_json: string): void;
    /**
     * Current member events that carry people's names in a room; `retried` gives the names.
     *
     * # Errors
     * A sentence when the text is no array.
     */
    addMemberProfiles(room_id: string, events: string): void;
    /**
     * Keys exported from the page's crypto; how many were new or better.
     *
     * # Errors
     * A sentence when the text is no array.
     */
    addRoomKeys(_export: string): number;
    /**
     * A room's readable state.
     *
     * # Errors
     * A sentence when the text is no array.
     */
    addRoomState(room_id: string, events: string): void;
    /**
     * The device's signature under that text.
     */
    addSignature(signature: string): void;
    /**
     * Some of those who may read it, with their devices.
     *
     * # Errors
     * A sentence.
     */
    addTargets(room_id: string, targets: string): void;
    /**
     * Puts the shield's settings in force, as JSON text of what `shieldSettings` of the core says.
     */
    applySettings(settings: string): void;
    /**
     * Encrypted state events the running client holds.
     *
     * # Errors
     * A sentence when the text is no array.
     */
    backfill(room_id: string, events: string): void;
    /**
     * Takes over what other tabs have stored; this tab may write.
     *
     * # Errors
     * A sentence when the text is no object.
     */
    becomeWriter(stored: string): void;
    /**
     * Before a request is sent whose answer may hold state.
     */
    before(method: string, url: string): Before;
    /**
     * Begins to say who may read a room.
     *
     * # Errors
     * A sentence.
     */
    beginTargets(room_id: string): void;
    /**
     * What converting a room takes.
     *
     * # Errors
     * A sentence.
     */
    convertRoom(room_id: string, state_json: string): Conversion;
    /**
     * The room was not made.
     *
     * # Errors
     * A sentence.
     */
    createFailed(pending_id: string): void;
    /**
     * The room was made.
     *
     * # Errors
     * A sentence.
     */
    created(pending_id: string, room_id: string): void;
    /**
     * Element's crypto has other devices of these users by now, a JSON array.
     *
     * # Errors
     * A sentence when the text is not that.
     */
    devicesChanged(users: string): void;
    /**
     * Whether `takePersist` has something.
     */
    dirty(): boolean;
    /**
     * Gives an answer up.
     */
    drop(answer: number): void;
    /**
     * Encrypts an event of `reencrypt`, whose id is `base`.
     *
     * # Errors
     * A sentence.
     */
    encryptAgain(room_id: string, event_type: string, state_key: string, content_json: string, base: string): number;
    /**
     * Encrypts an event; the ticket gives it out once its index is stored.
     *
     * # Errors
     * A sentence.
     */
    encrypt(room_id: string, event_type: string, state_key: string, content_json: string): number;
    /**
     * Whether the room's flag was ever seen.
     */
    encryptsState(room_id: string): boolean;
    /**
     * Forgets everything, the store's entries too.
     */
    forgetAll(): void;
    /**
     * They have another now, which everybody can read.
     */
    forgetOwnProfile(room_id: string): void;
    /**
     * Whether `retried` has something that no key is waited for.
     */
    hasNews(): boolean;
    /**
     * Whether `setOwnDevice` was called.
     */
    hasOwnDevice(): boolean;
    /**
     * Whether events wait that could not be opened yet.
     */
    hasUndecryptable(): boolean;
    /**
     * The page's crypto has the session.
     *
     * # Errors
     * A sentence.
     */
    imported(room_id: string, session_id: string): void;
    /**
     * Request bodies that name what state they want; `undefined` where they need no change.
     */
    includeEncryptedType(method: string, url: string, body: Uint8Array | number[]): Uint8Array | undefined;
    /**
     * Goes on with the look at an answer; as `inspect`.
     *
     * # Errors
     * A sentence when the answer is done or was given up.
     */
    inspectMore(answer: number): Needs | undefined;
    /**
     * A whole answer; `undefined` when its bytes go on as they are.
     */
    inspect(method: string, url: string, body: Uint8Array): Needs | undefined;
    /**
     * What to tell an invited user's devices.
     */
    invitePreview(room_id: string): InvitePreview | undefined;
    /**
     * False when the slot of an event that was decrypted late has another one by now.
     */
    isCurrent(room_id: string, event_type: string, state_key: string, event_id: string): boolean;
    /**
     * Whether what waits under this id is on disk.
     */
    isPendingStored(pending_id: string): boolean;
    /**
     * Whether this event is one of them.
     */
    isUndecryptable(room_id: string, event_id: string): boolean;
    /**
     * Whether this tab may write.
     */
    isWriter(): boolean;
    /**
     * The devices of all the room's members were added.
     */
    membersAdded(room_id: string): void;
    /**
     * Further devices that must get the key of the session that was asked for last.
     *
     * # Errors
     * A sentence.
     */
    moreShares(room_id: string, session_id: string): MoreShares;
    /**
     * The session to encrypt with, and who of those that were added must get its key.
     *
     * # Errors
     * A sentence.
     */
    needSession(json: string): SessionView;
    /**
     * `pickle_key`: 32 bytes. `stored`: a JSON object of everything `takePersist` gave.
     *
     * # Errors
     * A sentence when the key has another length.
     */
    constructor(pickle_key: Uint8Array | number[], stored: string, settings?: string | null);
    /**
     * The user has set the room's flag.
     */
    noteFlag(room_id: string): void;
    /**
     * Goes on with an answer. `into`, where given, has its bytes as they came: the edited ones are
     * put there where there is room, which saves the browser an array of that size and, where
     * nothing grew, all that did not change.
     *
     * # Errors
     * A sentence for an answer that is not there.
     */
    open(answer: number, most: number, into?: Uint8Array | null): OpenStep;
    /**
     * The person's own name in a room.
     */
    ownProfile(room_id: string): OwnProfile | undefined;
    /**
     * Rooms in which they have one.
     */
    ownProfiles(): string[];
    /**
     * One pending event is on the server.
     *
     * # Errors
     * A sentence.
     */
    pendingSent(pending_id: string, event_type: string, state_key: string): void;
    /**
     * Everything that still must be sent.
     */
    pendingWrites(): PendingWrite[];
    /**
     * A `createRoom`.
     *
     * # Errors
     * A sentence.
     */
    planCreate(body: Uint8Array | number[], now: number, consent?: string | null): CreatePlan;
    /**
     * A `PUT` of state.
     */
    planPut(method: string, url: string, body: Uint8Array | number[]): Plan;
    /**
     * What happened, each thing once.
     */
    problems(): Problem[];
    /**
     * An event was redacted, as the homeserver says.
     */
    redact(room_id: string, event_id: string): void;
    /**
     * Current state to send once more.
     *
     * # Errors
     * A sentence.
     */
    reencrypt(room_id: string, json: string): Reencryption;
    /**
     * Tries at most `most` waiting events again: those that open now, clear.
     */
    retried(most: number): RetryStep;
    /**
     * What the waiting events need.
     */
    retryNeeds(): Needs | undefined;
    /**
     * Which of the plans below a request of the page needs.
     */
    routeWrite(method: string, url: string): WriteRoute;
    /**
     * Rooms with an outbound session.
     */
    sessions(): string[];
    /**
     * Says how late it is, in milliseconds since the epoch.
     */
    setClock(now: number): void;
    /**
     * Whether this Element encrypts all of a flagged room's state by itself where it is let.
     */
    setEncryptsAll(encrypts_all: boolean): void;
    /**
     * Says which device this is.
     *
     * # Errors
     * A sentence when its keys cannot be read.
     */
    setOwnDevice(json: string): void;
    /**
     * Says which run of the browser this is: known by its memory, never by its disk.
     */
    setRun(run: string): void;
    /**
     * These devices were sent the key.
     *
     * # Errors
     * A sentence.
     */
    shared(room_id: string, session_id: string, devices: string): void;
    /**
     * Rooms to share or rotate keys in.
     */
    sharingDue(): RoomDue[];
    /**
     * Another tab may write.
     */
    stopWriting(): void;
    /**
     * The encrypted event.
     *
     * # Errors
     * A sentence while its index is not stored.
     */
    takeEncrypted(ticket: number): Put;
    /**
     * What is to be stored.
     */
    takePersist(): PersistBatch | undefined;
    /**
     * Those of them that were not given out yet, at most so many.
     */
    takeUndecryptable(most: number): UndecryptableEvent[];
    /**
     * What the device is to sign of the event that is encrypted next; none where it goes unsigned.
     */
    textToSign(room_id: string, event_type: string, state_key: string, content_json: string, now: number): string | undefined;
    /**
     * The room has a successor.
     *
     * # Errors
     * A sentence.
     */
    upgraded(old_room_id: string, new_room_id: string, now: number): void;
    /**
     * The batch is on disk but for the entries with these keys.
     */
    written(id: number, failed: string[]): void;
}

export function __wbg_reset_state(): void;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
