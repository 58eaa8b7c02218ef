import { SILENT } from "./quiet-sdk.ts";
import { createClient, MatrixEventEvent, RoomEvent, SyncState, ClientEvent } from "matrix-js-sdk";
import type { MatrixClient, MatrixEvent } from "matrix-js-sdk";
import type { Account, Synapse } from "./synapse.ts";

/** A second user with an unmodified client of their own, outside any browser. */
export interface Peer {
  readonly userId: string;
  readonly client: MatrixClient;
  join(roomId: string): Promise<void>;
  send(roomId: string, body: string): Promise<string>;
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

const LIMIT_MS = 20_000;

/** Starts syncing with end-to-end encryption, straight at the homeserver. */
export async function startPeer(synapse: Synapse, account: Account): Promise<Peer> {
  const client = createClient({ baseUrl: synapse.baseUrl, ...account, logger: SILENT });
  await client.initRustCrypto({ useIndexedDB: false });
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
    join: async (roomId) => {
      await client.joinRoom(roomId);
      await until(() => client.getRoom(roomId)?.getMyMembership() === "join");
    },
    send: async (roomId, body) => (await client.sendTextMessage(roomId, body)).event_id,
    receive: (roomId, body) => receive(client, roomId, body),
    stop: () => client.stopClient(),
  };
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

async function until(condition: () => boolean): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  while (!condition()) {
    if (Date.now() > limit) throw new Error("The second user did not get there in time");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
