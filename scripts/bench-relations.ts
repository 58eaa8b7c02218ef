/** What encrypted reactions cost: sending one beside a plain one, and reading a thousand. */

import type { Page } from "puppeteer-core";

import {
  launchExtensionBrowser,
  storeSettings,
  testBuild,
} from "../web-tests/e2e/extension-pages.ts";
import type { Driver } from "../web-tests/client/driver.ts";
import type { BrowserKind } from "../web-tests/support/browsers.ts";
import { clientPage, drive, openClient } from "../web-tests/support/client-page.ts";
import { forge } from "../web-tests/support/hostile-member.ts";
import { type Peer, startPeer } from "../web-tests/support/peer.ts";
import type { Account } from "../web-tests/support/synapse.ts";
import { startWorld, type World } from "../web-tests/support/world.ts";

export interface RelationTimes {
  /** Medians from Element's call until the homeserver's answer, in ms, of reactions sent by turns. */
  readonly plain: number;
  readonly encrypted: number;
  /** The longest time the page was held while it read `COUNT` reactions, in ms: median of some readings. */
  readonly stepWithout: number;
  readonly stepWith: number;
  /** From the room's last message back to its first, in ms. */
  readonly readWithout: number;
  readonly readWith: number;
}

export const COUNT = 1_000;
const READINGS = 5;
/** Pairs that share keys and fill caches. */
const WARM_UP = 3;
const PASSWORD = "correct horse battery staple";
const WITH = "chat.example.org";
/** The same page at a site that no build of Mantle knows. */
const WITHOUT = "chat.example.net";

export async function relationTimes(kind: BrowserKind, pairs: number): Promise<RelationTimes> {
  const world = await startWorld();
  const recorder = await world.openRecorder();
  recorder.route(WITHOUT, await clientPage());
  const browser = await launchExtensionBrowser(kind, {
    extension: testBuild(kind),
    proxyPort: recorder.port,
  });
  let carol: Peer | undefined;
  try {
    const options = await browser.openExtensionPage("options.html");
    await storeSettings(options, { version: 1, shields: { relations: "on" } });
    await options.close();
    const account = await world.synapse.register("carol", PASSWORD);
    carol = await startPeer(world.synapse, account);
    const alice = await member(world, await browser.newPage(), "alice", WITH);
    const bob = await member(world, await browser.newPage(), "bob", WITHOUT);
    const { roomId } = await drive(alice.page, "createRoom", {
      name: "Bench",
      encrypted: true,
      invite: [bob.userId, carol.userId],
    });
    await drive(bob.page, "joinRoom", roomId);
    await carol.join(roomId);
    const message = await drive(alice.page, "sendText", roomId, "What do you think?");
    await carol.receive(roomId, "What do you think?");
    const clear = await drive(alice.page, "createRoom", { name: "Clear", encrypted: false });
    const other = await drive(alice.page, "sendText", clear.roomId, "And of this?");

    const times: { plain: number[]; encrypted: number[] } = { plain: [], encrypted: [] };
    for (let pair = 0; pair < pairs + WARM_UP; pair += 1) {
      const plain = await reactTime(alice.page, clear.roomId, other.eventId, `${pair}`);
      const encrypted = await reactTime(alice.page, roomId, message.eventId, `${pair}`);
      if (pair < WARM_UP) continue;
      times.plain.push(plain);
      times.encrypted.push(encrypted);
    }

    const read = await carol.send(roomId, "A thousand");
    await sendReactions(world, account, carol, roomId, read);
    const last = await carol.send(roomId, "All sent");
    for (const { page } of [alice, bob]) await drive(page, "seeEvent", roomId, last, "All sent");
    const readings = { without: [] as Reading[], with: [] as Reading[] };
    for (let reading = 0; reading < READINGS; reading += 1) {
      readings.with.push(await readAgain(alice, roomId, last, { [read]: COUNT }));
      readings.without.push(await readAgain(bob, roomId, last, {}));
    }
    return {
      plain: median(times.plain),
      encrypted: median(times.encrypted),
      stepWithout: median(readings.without.map(({ longest }) => longest)),
      stepWith: median(readings.with.map(({ longest }) => longest)),
      readWithout: median(readings.without.map(({ total }) => total)),
      readWith: median(readings.with.map(({ total }) => total)),
    };
  } finally {
    carol?.stop();
    await browser.close();
    await world.close();
  }
}

interface Member {
  readonly page: Page;
  readonly userId: string;
  /** From an empty cache. */
  restart(): Promise<void>;
}

async function member(world: World, page: Page, user: string, site: string): Promise<Member> {
  await world.synapse.register(user, PASSWORD);
  const open = (): Promise<void> => openClient(page, `https://${site}/`);
  await open();
  const credentials = await drive(page, "login", user, PASSWORD);
  const start = async (): Promise<void> => {
    await drive(page, "start", credentials, { storage: "indexeddb" });
  };
  await start();
  return {
    page,
    userId: credentials.userId,
    restart: async () => {
      await drive(page, "stop");
      await drive(page, "clearSyncCache");
      await open();
      await start();
    },
  };
}

function reactTime(page: Page, roomId: string, eventId: string, key: string): Promise<number> {
  return page.evaluate(
    async (...args: string[]) => {
      const { driver } = window as unknown as { driver: Driver };
      const start = performance.now();
      const outcome = await driver.call("react", args);
      if (!outcome.ok) throw new Error(outcome.error);
      return performance.now() - start;
    },
    roomId,
    eventId,
    key,
  );
}

async function sendReactions(
  world: World,
  account: Account,
  peer: Peer,
  roomId: string,
  eventId: string,
): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.encrypted`;
  for (let count = 0; count < COUNT; count += 1) {
    const relation = { rel_type: "m.annotation", event_id: eventId, key: `${count % 10}` };
    const { "m.relates_to": _copied, ...content } = await forge(peer, roomId, {
      type: "m.reaction",
      content: JSON.stringify({ "m.relates_to": relation }),
      asMessage: true,
    });
    await world.synapse.call(account, "PUT", `${path}/bench${count}`, content);
  }
}

interface Reading {
  readonly longest: number;
  readonly total: number;
}

/**
 * Reads the whole room anew until all of its events are decrypted, with Mantle and without, and with
 * Mantle until as many reactions as `expected` says are shown.
 */
async function readAgain(
  { page, restart }: Member,
  roomId: string,
  last: string,
  expected: Record<string, number>,
): Promise<Reading> {
  // Behind another page Firefox lets each timer wait a second, and matrix-js-sdk sets one before it
  // asks for the next part of a room's history.
  await page.bringToFront();
  await restart();
  await drive(page, "seeEvent", roomId, last, "All sent");
  // The compiler gives names to functions inside a function, by one that a page does not have.
  await page.evaluate("globalThis.__name = (named) => named;");
  await page.evaluate(watchSteps);
  const total = await page.evaluate(readRoom, roomId, COUNT, Object.entries(expected));
  const longest = await page.evaluate(() =>
    (window as unknown as { longestStep(): number }).longestStep(),
  );
  return { longest, total };
}

/** Runs in the page: how long the room's history takes, in ms. Looks often, and costs both sides the same. */
async function readRoom(
  roomId: string,
  least: number,
  expected: [string, number][],
): Promise<number> {
  const { driver } = window as unknown as { driver: Driver };
  const call = async (name: string, ...args: unknown[]): Promise<unknown> => {
    const outcome = await driver.call(name, args);
    if (!outcome.ok) throw new Error(outcome.error);
    return outcome.value;
  };
  const start = performance.now();
  const until = async (isSo: () => Promise<boolean>, what: string): Promise<void> => {
    while (!(await isSo())) {
      if (performance.now() - start > 120_000) throw new Error(`Not all events were ${what}.`);
      await new Promise((resume) => setTimeout(resume, 20));
    }
  };
  await call("loadAll", roomId);
  await until(async () => ((await call("decrypted", roomId)) as number) >= least, "decrypted");
  for (const [eventId, count] of expected) {
    await until(async () => {
      const shown = (await call("reactionsTo", roomId, eventId)) as Record<string, string[]>;
      return Object.values(shown).flat().length === count;
    }, "shown");
  }
  return performance.now() - start;
}

/** Runs in the page: how long at most nothing else ran there, from now on. */
function watchSteps(): void {
  const { port1, port2 } = new MessageChannel();
  let longest = 0;
  let before = performance.now();
  let isOver = false;
  port1.onmessage = () => {
    const now = performance.now();
    longest = Math.max(longest, now - before);
    before = now;
    if (!isOver) port2.postMessage(0);
  };
  port2.postMessage(0);
  (window as unknown as { longestStep(): number }).longestStep = () => {
    isOver = true;
    return longest;
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
