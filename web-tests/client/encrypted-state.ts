import type { ICreateRoomOpts } from "matrix-js-sdk";
import { joined } from "./rooms.ts";
import { client } from "./session.ts";

/** Creates a room with exactly these options and waits until it is known here. */
export async function createRoomAs(options: ICreateRoomOpts): Promise<{ roomId: string }> {
  const { room_id: roomId } = await client().createRoom(options);
  await joined(roomId);
  return { roomId };
}

/** A call that js-sdk knows nothing of, by XMLHttpRequest. */
export function requestByXhr(
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, client().getHomeserverUrl() + path);
    request.setRequestHeader("Authorization", `Bearer ${client().getAccessToken()}`);
    request.setRequestHeader("Content-Type", "application/json");
    request.onload = () => resolve({ status: request.status, body: request.responseText });
    request.onerror = () => reject(new Error("The request failed"));
    request.send(JSON.stringify(body));
  });
}

/** A call that js-sdk knows nothing of, by `fetch` of a `Request`. */
export async function requestAsObject(
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; body: string }> {
  const request = new Request(client().getHomeserverUrl() + path, {
    method,
    headers: {
      Authorization: `Bearer ${client().getAccessToken()}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify(body),
  });
  const response = await fetch(request);
  return { status: response.status, body: await response.text() };
}

/** A state event as the running client holds it. */
export interface HeldState {
  eventId: string | null;
  sender: string | null;
  content: Record<string, unknown>;
}

/** What this client holds in one slot of a room's current state. */
export function heldState(roomId: string, type: string, stateKey = ""): HeldState | null {
  const event = client().getRoom(roomId)?.currentState.getStateEvents(type, stateKey);
  if (event === undefined || event === null) return null;
  return {
    eventId: event.getId() ?? null,
    sender: event.getSender() ?? null,
    content: event.getContent() as Record<string, unknown>,
  };
}

/** Names and topics of all rooms, as a list of rooms would show them. */
export function shownRooms(): Record<string, { name: string; topic: string | null }> {
  return Object.fromEntries(
    client()
      .getRooms()
      .map((room) => {
        const topic = room.currentState.getStateEvents("m.room.topic", "");
        const text = topic?.getContent()["topic"];
        return [room.roomId, { name: room.name, topic: typeof text === "string" ? text : null }];
      }),
  );
}

/** Waits until this is a room's topic. */
export async function seeTopic(roomId: string, topic: string): Promise<void> {
  const limit = Date.now() + 45_000;
  while (shownRooms()[roomId]?.topic !== topic) {
    if (Date.now() > limit) throw new Error("Not within 45 s: the topic arrived");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Ids of the Megolm sessions of a room this client has keys of. */
export async function sessionsOf(roomId: string): Promise<string[]> {
  const keys = (await client().getCrypto()?.exportRoomKeys()) ?? [];
  return keys.filter((key) => key.room_id === roomId).map((key) => key.session_id);
}

/** Leaves a room. */
export async function leaveRoom(roomId: string): Promise<void> {
  await client().leave(roomId);
}

/** Forgets what was synced and keeps the keys, as Element's "clear cache and reload" does. */
export async function clearSyncCache(): Promise<void> {
  client().stopClient();
  await client().store.deleteAllData();
}

/** Writes what was synced to the disk at once; matrix-js-sdk does it every five minutes. */
export async function saveSyncCache(): Promise<void> {
  await client().store.save(true);
}

/** Makes a new key backup and gives its key, in Base64. */
export async function makeBackup(): Promise<{ key: string; version: string }> {
  const crypto = client().getCrypto();
  await crypto?.resetKeyBackup();
  const key = await crypto?.getSessionBackupPrivateKey();
  const version = await crypto?.getActiveSessionBackupVersion();
  if (!key || !version) throw new Error("The key backup did not start");
  return { key: btoa(String.fromCharCode(...key)), version };
}

/** How many keys the server's backup holds. */
export async function backupCount(): Promise<number> {
  const info = await client().getCrypto()?.getKeyBackupInfo();
  return info?.count ?? 0;
}

/** Fetches all keys of the backup into this session. */
export async function restoreBackup(key: string, version: string): Promise<{ imported: number }> {
  const crypto = client().getCrypto();
  const bytes = Uint8Array.from(atob(key), (letter) => letter.charCodeAt(0));
  await crypto?.storeSessionBackupPrivateKey(bytes, version);
  const result = await crypto?.restoreKeyBackup();
  return { imported: result?.imported ?? 0 };
}

/** Publishes this user's cross-signing keys, so that this device is signed by its owner. */
export async function signOwnDevice(): Promise<void> {
  await client()
    .getCrypto()
    ?.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (upload) => {
        // A first upload needs no password (MSC3967).
        await upload(null);
      },
    });
}

/** Whether the user's own cross-signing vouches for a device, as far as this client knows. */
export async function isSignedByOwner(userId: string, deviceId: string): Promise<boolean> {
  const status = await client().getCrypto()?.getDeviceVerificationStatus(userId, deviceId);
  return status?.signedByOwner ?? false;
}

/** The part of matrix-js-sdk's crypto that blocks devices; Element has a button for it no more. */
interface TrustMachine {
  readonly userId: object;
  readonly deviceId: object;
  getDevice(
    userId: object,
    deviceId: object,
  ): Promise<{ setLocalTrust(trust: number): Promise<void> } | undefined>;
}

/** Blocks a device on this client, or takes that back. */
export async function setBlocked(
  userId: string,
  deviceId: string,
  isBlocked: boolean,
): Promise<void> {
  const { olmMachine } = client().getCrypto() as unknown as { olmMachine: TrustMachine };
  // Instances of the WASM's own classes.
  const make = (like: object, text: string): object =>
    new (like.constructor as new (text: string) => object)(text);
  const device = await olmMachine.getDevice(
    make(olmMachine.userId, userId),
    make(olmMachine.deviceId, deviceId),
  );
  if (device === undefined) throw new Error("The device is not known");
  // LocalTrust of matrix-sdk-crypto-wasm: BlackListed, Unset.
  await device.setLocalTrust(isBlocked ? 1 : 3);
}

/** What the crypto hands out of a room's sessions; who gets it has no other way to see it. */
type RoomKeyContent = Record<string, unknown>;

const given: RoomKeyContent[] = [];

/** Keeps, from now on, what this client hands out over Olm as `m.room_key`. */
export function noteGivenRoomKeys(): void {
  const crypto = client().getCrypto();
  if (crypto === undefined) throw new Error("There is no crypto");
  const encrypt = crypto.encryptToDeviceMessages.bind(crypto);
  crypto.encryptToDeviceMessages = (type, devices, payload) => {
    if (type === "m.room_key") given.push(payload as RoomKeyContent);
    return encrypt(type, devices, payload);
  };
}

/** The first of each session of a room. */
export function givenRoomKeys(roomId: string): RoomKeyContent[] {
  const found = new Map<unknown, RoomKeyContent>();
  for (const content of given.filter((one) => one["room_id"] === roomId)) {
    if (!found.has(content["session_id"])) found.set(content["session_id"], content);
  }
  return [...found.values()];
}

/** By session of a room, the Curve25519 key of the device that this client takes for its maker. */
export async function keySendersOf(roomId: string): Promise<Record<string, string>> {
  const keys = (await client().getCrypto()?.exportRoomKeys()) ?? [];
  return Object.fromEntries(
    keys.filter((key) => key.room_id === roomId).map((key) => [key.session_id, key.sender_key]),
  );
}

/** Ids of a user's devices, as this client knows them. */
export async function devicesOf(userId: string): Promise<string[]> {
  const known = await client().getCrypto()?.getUserDeviceInfo([userId]);
  return [...(known?.get(userId)?.keys() ?? [])];
}

/** Lets the crypto sign nothing that holds this text; all else as before. */
export function leaveUnsigned(text: string): void {
  const { olmMachine } = client().getCrypto() as unknown as {
    olmMachine: { sign(message: string): Promise<unknown> };
  };
  const sign = olmMachine.sign.bind(olmMachine);
  // One of its own hides the class's.
  olmMachine.sign = (message) =>
    message.includes(text) ? Promise.reject(new Error("It does not sign this")) : sign(message);
}

/** Whether Element leaves out devices their owners have not signed; a labs setting of its own. */
export function setOnlySigned(isOn: boolean): void {
  const crypto = client().getCrypto();
  // OnlySignedDevicesIsolationMode and AllDevicesIsolationMode.
  const mode = isOn ? { kind: 1 } : { kind: 0, errorOnVerifiedUserProblems: false };
  crypto?.setDeviceIsolationMode(mode as Parameters<typeof crypto.setDeviceIsolationMode>[0]);
}
