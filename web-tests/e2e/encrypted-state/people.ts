/** Who takes part: people with Mantle in pages, and people without it outside any browser. */
import type { Page } from "puppeteer-core";
import type { Credentials } from "../../client/session.ts";
import type { BrowserKind } from "../../support/browsers.ts";
import { clientPage, drive, openClient, setClockAhead } from "../../support/client-page.ts";
import { startPeer } from "../../support/peer.ts";
import type { Peer } from "../../support/peer.ts";
import type { Recorder } from "../../support/recorder.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import type { Account, Synapse } from "../../support/synapse.ts";
import { launchExtensionBrowser, storeSettings, testBuild, until } from "../extension-pages.ts";
import type { ExtensionBrowser } from "../extension-pages.ts";

/** Somebody in a room, whatever their client. */
export interface Person {
  readonly label: string;
  readonly userId: string;
  /** The token of the client that runs now. */
  accessToken(): string;
  join(roomId: string): Promise<void>;
  leave(roomId: string): Promise<void>;
  rename(roomId: string, name: string): Promise<void>;
  setTopic(roomId: string, topic: string): Promise<void>;
  /** Wait until the room is shown like this. */
  seeName(roomId: string, name: string): Promise<void>;
  seeTopic(roomId: string, topic: string): Promise<void>;
  /** What the room is shown as now. */
  name(roomId: string): Promise<string>;
  send(roomId: string, text: string): Promise<void>;
  receive(roomId: string, text: string): Promise<void>;
}

/** How a session is started again. */
interface Restart {
  readonly reload?: boolean;
  readonly clearCache?: boolean;
  /** The page's clock goes ahead so much, in milliseconds, until the next reload. */
  readonly clockAhead?: number;
}

/** Somebody with Mantle. */
export interface Guarded extends Person {
  readonly page: Page;
  readonly credentials: Credentials;
  /** Starts the session again from what the browser kept: in this page or, with `reload`, anew. */
  restart(options?: Restart): Promise<void>;
  /** The same session in another tab; the first tab's client must be stopped. */
  secondTab(): Promise<Guarded>;
}

/** How a page's session is set up. */
export interface GuardedOptions {
  readonly label: string;
  readonly site: string;
  readonly user: string;
  readonly password: string;
  /** js-sdk's own encrypted state beside Mantle's. */
  readonly encryptedState: boolean;
}

/** Of all accounts made here. */
export const PASSWORD = "correct horse battery staple";

/** Runs before Mantle in a page: while `diskFull` is true, nothing of encrypted state is stored. */
export const FULL_DISK = `{
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (message, ...rest) {
    const isWrite = message !== null && message.kind === "store" && message.area === "state";
    if (!isWrite || window.diskFull !== true) return postMessage.call(this, message, ...rest);
    const data = { kind: "refused", id: message.id, why: "The disk is full." };
    setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
  };
}`;

/** A new account, signed in on a page of such a browser. */
export async function openNew(
  { synapse }: World,
  browser: { newPage(): Promise<Page> },
  user: string,
  site: string,
): Promise<Guarded> {
  await synapse.register(user, PASSWORD);
  const label = user;
  return openGuarded(browser, { label, site, user, password: PASSWORD, encryptedState: false });
}

/** A site that no build of Mantle knows. */
export const WITHOUT_MANTLE = "element.example.net";

/** A homeserver, and one browser in which some pages have Mantle and one site has not. */
export interface MixedWorld {
  readonly world: World;
  readonly recorder: Recorder;
  readonly browser: ExtensionBrowser;
  /** A new account, signed in on a page of that site. */
  open(user: string, site: string): Promise<Guarded>;
  /**
   * Leaves these shields to be as they are stored, and all others but `typing` as recommended; in force
   * in the open pages by then.
   */
  storeShields(shields: Record<string, string>): Promise<void>;
  close(): Promise<void>;
}

/** `prepare` runs before the browser is started. */
export async function startMixedWorld(
  kind: BrowserKind,
  prepare?: (world: World, recorder: Recorder) => Promise<void>,
): Promise<MixedWorld> {
  // From an empty cache everybody is told what is true then, not what was two minutes ago.
  const caches = { sync_response_cache_duration: "0s" };
  const world = await startWorld({ synapseConfig: { caches } });
  try {
    const recorder = await world.openRecorder();
    recorder.route(WITHOUT_MANTLE, await clientPage());
    await prepare?.(world, recorder);
    const browser = await launchExtensionBrowser(kind, {
      extension: testBuild(kind),
      proxyPort: recorder.port,
    });
    const protectedPages: Page[] = [];
    let isTypingSent = false;
    let asked = 0;
    /** Whether a page lets the homeserver know that somebody types. */
    const sendsTyping = async (page: Page): Promise<boolean> => {
      asked += 1;
      const path = `/_matrix/client/v3/rooms/!${asked}:settings.example.org/typing/@me:example.org`;
      await page.evaluate(async (url) => {
        await fetch(url, { method: "PUT", body: `{"typing":true}` }).catch(() => undefined);
      }, `https://${HOMESERVER}${path}`);
      return recorder.to(HOMESERVER).some((one) => one.path === path);
    };
    return {
      world,
      recorder,
      browser,
      open: async (user, site) => {
        const person = await openNew(world, browser, user, site);
        if (site !== WITHOUT_MANTLE) protectedPages.push(person.page);
        return person;
      },
      storeShields: async (shields) => {
        isTypingSent = !isTypingSent;
        const typing = isTypingSent ? "off" : "on";
        const options = await browser.openExtensionPage("options.html");
        await storeSettings(options, { version: 1, shields: { ...shields, typing } });
        await options.close();
        // Settings reach pages one after the other; those that one may go by are in force in all of them.
        for (const page of protectedPages) {
          const isInForce = async (): Promise<boolean> =>
            (await sendsTyping(page)) === isTypingSent;
          await until(isInForce, "the settings in a page", 60_000);
        }
      },
      close: async () => {
        await browser.close();
        await world.close();
      },
    };
  } catch (error) {
    // Left alone, its servers would keep this process from ending.
    await world.close();
    throw error;
  }
}

/** Lets people change a room's state. */
export async function givePower(
  { synapse }: World,
  owner: Account,
  roomId: string,
  ...users: string[]
): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels`;
  const levels = await synapse.call(owner, "GET", path);
  const more = Object.fromEntries(users.map((user) => [user, 50]));
  const all = { ...(levels["users"] as Record<string, number>), ...more };
  await synapse.call(owner, "PUT", path, { ...levels, users: all });
}

/** Signs in on a page of a browser that has Mantle. */
export async function openGuarded(
  browser: { newPage(): Promise<Page> },
  options: GuardedOptions,
): Promise<Guarded> {
  const page = await browser.newPage();
  await openClient(page, `https://${options.site}/`);
  const credentials = await drive(page, "login", options.user, options.password);
  await startIn(page, credentials, options);
  return guarded(browser, page, credentials, options);
}

async function startIn(
  page: Page,
  credentials: Credentials,
  { encryptedState }: GuardedOptions,
): Promise<void> {
  await drive(page, "start", credentials, { storage: "indexeddb", encryptedState });
}

function guarded(
  browser: { newPage(): Promise<Page> },
  page: Page,
  credentials: Credentials,
  options: GuardedOptions,
): Guarded {
  return {
    label: options.label,
    userId: credentials.userId,
    page,
    credentials,
    accessToken: () => credentials.accessToken,
    join: async (roomId) => {
      await drive(page, "joinRoom", roomId);
      await drive(page, "joined", roomId);
    },
    leave: async (roomId) => {
      await drive(page, "leaveRoom", roomId);
    },
    rename: async (roomId, name) => {
      await drive(page, "setRoomName", roomId, name);
    },
    setTopic: async (roomId, topic) => {
      await drive(page, "setRoomTopic", roomId, topic);
    },
    seeName: async (roomId, name) => {
      await named(options.label, "the name", drive(page, "roomName", roomId, name));
    },
    seeTopic: async (roomId, topic) => {
      await named(options.label, "the topic", drive(page, "seeTopic", roomId, topic));
    },
    name: (roomId) => drive(page, "roomName", roomId),
    send: async (roomId, text) => {
      await drive(page, "sendText", roomId, text);
    },
    receive: async (roomId, text) => {
      await named(options.label, "a message", drive(page, "receive", roomId, text));
    },
    restart: async ({ reload = false, clearCache = false, clockAhead = 0 } = {}) => {
      await drive(page, "stop");
      if (clearCache) await drive(page, "clearSyncCache");
      const setBack = clockAhead === 0 ? undefined : await setClockAhead(page, clockAhead);
      if (reload) await openClient(page, `https://${options.site}/`);
      await setBack?.();
      await startIn(page, credentials, options);
    },
    secondTab: async () => {
      const tab = await browser.newPage();
      await openClient(tab, `https://${options.site}/`);
      await startIn(tab, credentials, options);
      return guarded(browser, tab, credentials, { ...options, label: `${options.label}, tab 2` });
    },
  };
}

/** Somebody with an unmodified matrix-js-sdk 43. */
export interface Unguarded extends Person {
  readonly peer: Peer;
  stop(): void;
}

/** Registers and starts a client in this process. */
export async function openUnguarded(
  synapse: Synapse,
  options: {
    label: string;
    user: string;
    password: string;
    encryptedState: boolean;
    baseUrl: string;
  },
): Promise<Unguarded> {
  const { label } = options;
  const account = await synapse.register(options.user, options.password);
  const peer = await startPeer(synapse, account, options);
  return {
    label,
    userId: account.userId,
    peer,
    accessToken: () => account.accessToken,
    join: (roomId) => peer.join(roomId),
    leave: async (roomId) => {
      await peer.client.leave(roomId);
    },
    rename: async (roomId, name) => {
      await peer.client.setRoomName(roomId, name);
    },
    setTopic: async (roomId, topic) => {
      await peer.client.setRoomTopic(roomId, topic);
    },
    seeName: (roomId, name) => named(label, "the name", peer.seeName(roomId, name)),
    seeTopic: (roomId, topic) => named(label, "the topic", peer.seeTopic(roomId, topic)),
    name: async (roomId) => peer.client.getRoom(roomId)?.name ?? "",
    send: async (roomId, text) => {
      await peer.send(roomId, text);
    },
    receive: async (roomId, text) => {
      await named(label, "a message", peer.receive(roomId, text));
    },
    stop: () => peer.stop(),
  };
}

async function named<T>(label: string, what: string, work: Promise<T>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw new Error(`${label} did not see ${what}: ${String(error)}`);
  }
}
