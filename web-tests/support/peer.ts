import { SILENT } from "./quiet-sdk.ts";
import { createClient, MatrixEventEvent, RoomEvent, SyncState, ClientEvent } from "matrix-js-sdk";
import type { MatrixClient, MatrixEvent } from "matrix-js-sdk";
import type { Account, Synapse } from "./synapse.ts";

/** A second user with an unmodified client of their own, outside any browser. */
export interface Peer {
  readonly userId: string;
  readonly client: MatrixClient;
  /** Sessions by room that a key backup gave, before anything was synced. */
  readonly restored: ReadonlyMap<string, readonly string[]>;
  join(roomId: string): Promise<void>;
  send(roomId: string, body: string): Promise<string>;
  /** Waits until a room is shown by this name. */
  seeName(roomId: string, name: string): Promise<void>;
  /** Waits until this is a room's topic. */
  seeTopic(roomId: string, topic: string): Promise<void>;
  /** Waits for a message, decrypted if need be. */
  receive(roomId: string, body: string): Promise<{ eventId: string; encrypted: boolean }>;
  stop(): void;
}

// Node 20 lacks it and js-sdk 43 needs it (ECMAScript 2024).
const promises = Promise as unknown as { withResolvers?: () => unknown };
promises.withResolvers ??= () => {
  let resolve: unknown;
  let reject: unknown;
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
};

const LIMIT_MS = 45_000;

/** Starts syncing with end-to-end encryption, straight at the homeserver or by another way. */
export async function startPeer(
  synapse: Synapse,
  account: Account,
  options: {
    /** Another address of the homeserver, for instance a recorder's. */
    baseUrl?: string;
    /** js-sdk's own encrypted state, as Element's labs flag switches it on. */
    encryptedState?: boolean;
    /** Key (Base64) and version of a backup to fetch all keys from. */
    restore?: { key: string; version: string };
  } = {},
): Promise<Peer> {
  const client = createClient({
    baseUrl: options.baseUrl ?? synapse.baseUrl,
    ...account,
    logger: SILENT,
    enableEncryptedStateEvents: options.encryptedState ?? false,
  });
  await client.initRustCrypto({ useIndexedDB: false });
  const restored =
    options.restore === undefined
      ? new Map<string, string[]>()
      : await restoreBackup(client, options.restore);
  const synced = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => {
      if (state === SyncState.Prepared) resolve();
    });
  });
  await client.startClient({ initialSyncLimit: 20 });
  await synced;
  return {
    userId: account.userId,
    client,
    restored,
    join: async (roomId) => {
      await client.joinRoom(roomId);
      await until(() => client.getRoom(roomId)?.getMyMembership() === "join", "is in the room");
    },
    send: async (roomId, body) => (await client.sendTextMessage(roomId, body)).event_id,
    seeName: (roomId, name) =>
      until(() => client.getRoom(roomId)?.name === name, `sees the name ${name}`),
    seeTopic: (roomId, topic) =>
      until(() => topicOf(client, roomId) === topic, `sees the topic ${topic}`),
    receive: (roomId, body) => receive(client, roomId, body),
    stop: () => client.stopClient(),
  };
}

async function restoreBackup(
  client: MatrixClient,
  backup: { key: string; version: string },
): Promise<Map<string, string[]>> {
  const crypto = client.getCrypto();
  await crypto?.storeSessionBackupPrivateKey(Buffer.from(backup.key, "base64"), backup.version);
  await crypto?.restoreKeyBackup();
  const sessions = new Map<string, string[]>();
  for (const key of (await crypto?.exportRoomKeys()) ?? []) {
    sessions.set(key.room_id, [...(sessions.get(key.room_id) ?? []), key.session_id]);
  }
  return sessions;
}

async function receive(
  client: MatrixClient,
  roomId: string,
  body: string,
): Promise<{ eventId: string; encrypted: boolean }> {
  const find = (): MatrixEvent | undefined =>
    client
      .getRoom(roomId)
      ?.getLiveTimeline()
      .getEvents()
      .find((event) => event.getContent()["body"] === body);
  await new Promise<void>((resolve, reject) => {
    const limit = setTimeout(() => {
      stop();
      reject(new Error("The message did not reach the second user in time"));
    }, LIMIT_MS);
    const check = (): void => {
      if (find() === undefined) return;
      stop();
      resolve();
    };
    const stop = (): void => {
      clearTimeout(limit);
      client.off(RoomEvent.Timeline, check);
      client.off(MatrixEventEvent.Decrypted, check);
    };
    client.on(RoomEvent.Timeline, check);
    client.on(MatrixEventEvent.Decrypted, check);
    check();
  });
  const event = find();
  return { eventId: event?.getId() ?? "", encrypted: event?.isEncrypted() ?? false };
}

/** The topic a client would show. */
export function topicOf(client: MatrixClient, roomId: string): string | undefined {
  const content = client.getRoom(roomId)?.currentState.getStateEvents("m.room.topic", "");
  const topic: unknown = content?.getContent()["topic"];
  return typeof topic === "string" ? topic : undefined;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  while (!condition()) {
    if (Date.now() > limit) throw new Error(`The second user did not get there in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
