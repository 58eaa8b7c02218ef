/** Two browsers of one kind beside each other, one without Mantle and one with it. */
import assert from "node:assert/strict";
import type { Page } from "puppeteer-core";
import { launch } from "../../support/browsers.ts";
import type { BrowserKind } from "../../support/browsers.ts";
import { drive, openClient, unhandled } from "../../support/client-page.ts";
import type { Exchange, Recorder } from "../../support/recorder.ts";
import type { Account, Synapse } from "../../support/synapse.ts";
import type { World } from "../../support/world.ts";
import { launchMantle, pause, storeSettings } from "../extension-pages.ts";
import type { ExtensionBrowser, Json } from "../extension-pages.ts";

/** One of the two. */
export interface Side {
  readonly name: "without" | "with";
  readonly recorder: Recorder;
  /** The client page; another one after `reopen`. */
  page: Page;
  account: Account;
  /** Opens a fresh client page, signed out. */
  reopen(): Promise<void>;
  /** Signs in on the current page and waits for the first sync. */
  signIn(): Promise<void>;
}

/** Both sides of one browser kind. */
export interface Sides {
  readonly without: Side;
  readonly with: Side;
  /** Stores Mantle's settings; `undefined` takes them away. Pages opened afterwards have them. */
  settings(settings: Json | undefined): Promise<void>;
  /** One of Mantle's own pages. */
  openExtensionPage(name: string): Promise<Page>;
  close(): Promise<void>;
}

/** Of everybody who signs in here. */
export const PASSWORD = "correct horse battery staple";
let users = 0;

/** Starts both browsers and opens the client page in each; nobody is signed in yet. */
export async function openSides(kind: BrowserKind, world: World): Promise<Sides> {
  const bare = world.recorder;
  const guarded = await world.openRecorder();
  const [plain, running] = await Promise.all([
    launch(kind, { proxyPort: bare.port }),
    launchMantle(kind, guarded.port),
  ]);
  const sides: Sides = {
    without: await openSide("without", plain, bare, world.synapse),
    with: await openSide("with", running, guarded, world.synapse),
    settings: async (settings) => {
      await store(running, settings);
    },
    openExtensionPage: (name) => running.openExtensionPage(name),
    close: async () => {
      await Promise.all([plain.close(), running.close()]);
    },
  };
  return sides;
}

async function openSide(
  name: Side["name"],
  browser: { newPage(): Promise<Page> },
  recorder: Recorder,
  synapse: Synapse,
): Promise<Side> {
  users += 1;
  const user = `${name}-${Date.now()}-${users}`;
  const side: Side = {
    name,
    recorder,
    page: await browser.newPage(),
    account: await synapse.register(user, PASSWORD),
    reopen: async () => {
      await side.page.close();
      recorder.clear();
      side.page = await browser.newPage();
      await openClient(side.page);
    },
    signIn: async () => {
      const credentials = await drive(side.page, "login", user, PASSWORD);
      await drive(side.page, "start", credentials, { storage: "memory" });
    },
  };
  await openClient(side.page);
  return side;
}

async function store(running: ExtensionBrowser, settings: Json | undefined): Promise<void> {
  const page = await running.openExtensionPage("popup.html");
  await storeSettings(page, settings);
  // The background may write rules anew before the next page asks.
  await pause(300);
  await page.close();
}

/** What an action came to on one side, and what servers saw meanwhile. */
export interface Observed<T> {
  readonly value: T;
  /** Preflights and syncs left out. */
  readonly seen: Exchange[];
}

/** Does the same on both sides. */
export async function onBoth<T>(
  sides: Sides,
  action: (side: Side) => Promise<T>,
): Promise<{ without: Observed<T>; with: Observed<T> }> {
  return {
    without: await observe(sides.without, action),
    with: await observe(sides.with, action),
  };
}

/** Does something on one side and looks at what left the browser. */
export async function observe<T>(
  side: Side,
  action: (side: Side) => Promise<T>,
): Promise<Observed<T>> {
  const from = side.recorder.exchanges.length;
  const value = await action(side);
  // Whatever was only queued has left by now.
  await pause(100);
  const seen = side.recorder.exchanges
    .slice(from)
    .filter(({ method, path }) => method !== "OPTIONS" && !/\/(sync|keys\/query)\b/.test(path));
  return { value, seen };
}

/** Exchanges with one host. */
export function to(observed: Observed<unknown>, host: string | RegExp): Exchange[] {
  return observed.seen.filter((exchange) =>
    typeof host === "string" ? exchange.host === host : host.test(exchange.host),
  );
}

/** Fails when one of the hosts saw anything. */
export function assertNone(observed: Observed<unknown>, host: string | RegExp): void {
  const lines = to(observed, host).map(
    ({ method, path, headers }) => `${method} ${path} as ${headers["sec-fetch-dest"] ?? "?"}`,
  );
  assert.deepEqual(lines, []);
}

/** The JSON body of a request. */
export function sent(exchange: Exchange | undefined): Record<string, unknown> {
  if (exchange === undefined) throw new Error("No such request was seen");
  return JSON.parse(exchange.body.toString("utf8")) as Record<string, unknown>;
}

/** Counts the page's calls of fetch from now on, also those that never leave the browser. */
export async function countFetches(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const world = window as unknown as { fetchedUrls: string[] };
    const next = window.fetch;
    world.fetchedUrls = [];
    window.fetch = (input, init) => {
      world.fetchedUrls.push(input instanceof Request ? input.url : String(input));
      return next.call(window, input, init);
    };
  });
  return () => page.evaluate(() => (window as unknown as { fetchedUrls: string[] }).fetchedUrls);
}

/** Fails unless a signed-in session still does its everyday work. */
export async function assertWorks(side: Side): Promise<void> {
  const { roomId } = await drive(side.page, "createRoom", {
    name: "everyday room",
    encrypted: true,
  });
  await drive(side.page, "roomName", roomId, "everyday room");
  await drive(side.page, "sendText", roomId, "everyday message");
  await drive(side.page, "receive", roomId, "everyday message");
  const file = Buffer.from("everyday file").toString("base64");
  const { uri } = await drive(side.page, "uploadFile", "file.txt", "text/plain", file);
  const { base64 } = await drive(side.page, "download", uri);
  if (base64 !== file) throw new Error("The file came back changed");
  const errors = await unhandled(side.page);
  if (errors.length > 0) throw new Error(`Unhandled in the page: ${errors.join("; ")}`);
}
