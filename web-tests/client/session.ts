import {
  ClientEvent,
  createClient,
  IndexedDBStore,
  InteractiveAuth,
  MemoryStore,
  Method,
  PendingEventOrdering,
  SyncState,
} from "matrix-js-sdk";
import type {
  AuthDict,
  LoginRequest,
  LoginResponse,
  MatrixClient,
  RegisterRequest,
  RegisterResponse,
} from "matrix-js-sdk";
import { SlidingSync } from "matrix-js-sdk/lib/sliding-sync";
import { load } from "./discovery.ts";
import type { Loaded } from "./discovery.ts";
import { defaultDeviceDisplayName } from "./platform.ts";

/** Credentials as the homeserver gave them. */
export interface Credentials {
  userId: string;
  deviceId: string;
  accessToken: string;
}

let current: MatrixClient | undefined;
let identityToken: string | undefined;

/** Begins at script start, as in Element. */
export const loaded: Promise<Loaded> = load();

/** The signed-in client. */
export function client(): MatrixClient {
  if (current === undefined) throw new Error("Nobody is signed in");
  return current;
}

/** What Element hangs on `window`. */
export const clientPeg = {
  get: (): MatrixClient | null => current ?? null,
  safeGet: client,
};

/** The token of the identity server account, once there is one. */
export function setIdentityToken(token: string | undefined): void {
  identityToken = token;
}

/** Signs in with a password. */
export async function login(user: string, password: string): Promise<Credentials> {
  const { config, homeserverUrl, identityServerUrl } = await loaded;
  const temporary = createClient({
    baseUrl: homeserverUrl,
    ...(identityServerUrl === undefined ? {} : { idBaseUrl: identityServerUrl }),
  });
  await temporary.loginFlows();
  const request: LoginRequest = {
    type: "m.login.password",
    identifier: { type: "m.id.user", user },
    password,
    initial_device_display_name: defaultDeviceDisplayName(config),
  };
  // matrix-js-sdk 35 has no such method.
  const answer =
    typeof temporary.loginRequest === "function"
      ? await temporary.loginRequest(request)
      : await temporary.http.request<LoginResponse>(Method.Post, "/login", undefined, request);
  return {
    userId: answer.user_id,
    deviceId: answer.device_id,
    accessToken: answer.access_token,
  };
}

/** Registers through interactive authentication, with js-sdk's own code for it. */
export async function register(
  username: string,
  password: string,
): Promise<Credentials & { requests: number }> {
  const { config, homeserverUrl } = await loaded;
  const temporary = createClient({ baseUrl: homeserverUrl });
  let requests = 0;
  const auth = new InteractiveAuth<RegisterResponse>({
    matrixClient: temporary,
    doRequest: (authData: AuthDict | null) => {
      requests += 1;
      const body: RegisterRequest = {
        username,
        password,
        initial_device_display_name: defaultDeviceDisplayName(config),
        ...(authData === null ? {} : { auth: authData as NonNullable<RegisterRequest["auth"]> }),
      };
      return temporary.registerRequest(body);
    },
    stateUpdated: (stage) => {
      if (stage === "m.login.dummy") void auth.submitAuthDict({ type: "m.login.dummy" });
    },
    requestEmailToken: () => Promise.reject(new Error("No e-mail stage expected")),
  });
  const answer = await auth.attemptAuth();
  return {
    userId: answer.user_id,
    deviceId: String(answer.device_id),
    accessToken: String(answer.access_token),
    requests,
  };
}

/** Builds the client with crypto and storage, starts syncing and waits for the first sync. */
export async function start(
  credentials: Credentials,
  options: {
    storage: "indexeddb" | "memory";
    /** js-sdk's own encrypted state (43 and later), as Element's labs flag switches it on. */
    encryptedState?: boolean;
    /** Simplified sliding sync (MSC4186), as Element's labs flag switches it on. */
    slidingSync?: boolean;
  },
): Promise<void> {
  const { homeserverUrl, identityServerUrl, config } = await loaded;
  const persistent = options.storage === "indexeddb";
  const store = persistent
    ? new IndexedDBStore({ indexedDB, dbName: "riot-web-sync", localStorage })
    : new MemoryStore();
  const created = createClient({
    baseUrl: homeserverUrl,
    ...(identityServerUrl === undefined ? {} : { idBaseUrl: identityServerUrl }),
    ...credentials,
    store,
    timelineSupport: true,
    useAuthorizationHeader: true,
    identityServer: { getAccessToken: () => Promise.resolve(identityToken ?? null) },
    verificationMethods: [],
    enableEncryptedStateEvents: options.encryptedState ?? false,
  });
  current = created;
  await store.startup();
  await created.initRustCrypto({ useIndexedDB: persistent });
  await tellServiceWorker(homeserverUrl, credentials.accessToken);
  void created.getThirdpartyProtocols().catch(() => undefined);
  const synced = new Promise<void>((resolve) => {
    const onSync = (state: SyncState): void => {
      if (state !== SyncState.Prepared && state !== SyncState.Syncing) return;
      created.off(ClientEvent.Sync, onSync);
      resolve();
    };
    created.on(ClientEvent.Sync, onSync);
  });
  await created.startClient({
    pendingEventOrdering: PendingEventOrdering.Detached,
    lazyLoadMembers: true,
    threadSupport: true,
    // As Element does unless its configuration says otherwise.
    ...(config["enable_client_well_known_lookups"] === false
      ? {}
      : { clientWellKnownPollPeriod: 2 * 60 * 60 }),
    initialSyncLimit: 20,
    ...(options.slidingSync === true ? { slidingSync: slidingSyncOf(created) } : {}),
  });
  await synced;
}

function slidingSyncOf(of: MatrixClient): SlidingSync {
  const everything = { timeline_limit: 20, required_state: [["*", "*"]] };
  const lists = new Map([["all", { ranges: [[0, 99]], ...everything }]]);
  return new SlidingSync(of.baseUrl, lists, everything, of, 30_000);
}

async function tellServiceWorker(homeserverUrl: string, token: string): Promise<void> {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return;
  const { port1, port2 } = new MessageChannel();
  const told = new Promise<void>((resolve) => {
    port1.onmessage = () => resolve();
    setTimeout(resolve, 2_000);
  });
  worker.postMessage({ type: "token", origin: new URL(homeserverUrl).origin, token }, [port2]);
  await told;
}
