import { client } from "./session.ts";

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

/** Leaves a room. */
export async function leaveRoom(roomId: string): Promise<void> {
  await client().leave(roomId);
}

/** Forgets what was synced and keeps the keys, as Element's "clear cache and reload" does. */
export async function clearSyncCache(): Promise<void> {
  client().stopClient();
  await client().store.deleteAllData();
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
