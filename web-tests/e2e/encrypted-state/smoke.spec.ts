/** Names and topics between Mantle in both browsers and unmodified clients; the homeserver learns none. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../../support/browsers.ts";
import type { BrowserKind } from "../../support/browsers.ts";
import { drive, openClient, unhandled } from "../../support/client-page.ts";
import { startPeer } from "../../support/peer.ts";
import type { Peer } from "../../support/peer.ts";
import { openQuestion, press } from "../../support/question.ts";
import type { Recorder } from "../../support/recorder.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { launchExtensionBrowser, tabShowing, testBuild, until } from "../extension-pages.ts";
import type { ExtensionBrowser } from "../extension-pages.ts";

const PASSWORD = "correct horse battery staple";
/** Part of every name and topic, and of nothing else. */
const CANARY = "canary-7f3a";

interface Person {
  readonly user: string;
  readonly browser: ExtensionBrowser;
  readonly recorder: Recorder;
  page: Page;
  credentials: Awaited<ReturnType<typeof signIn>>;
}

describe("encrypted state", { timeout: 300_000, skip: bothBrowsers.length < 2 }, () => {
  let world: World;
  let alice: Person;
  let bob: Person;
  let carol: Peer;
  let dave: Peer;
  let roomId: string;

  before(async () => {
    world = await startWorld();
    const account = async (user: string) => world.synapse.register(user, PASSWORD);
    await Promise.all([account("alice"), account("bob")]);
    [carol, dave] = await Promise.all([
      startPeer(world.synapse, await account("carol"), { encryptedState: true }),
      startPeer(world.synapse, await account("dave")),
    ]);
    alice = await person(world, "chromium", "alice");
    bob = await person(world, "firefox", "bob");
  });

  after(async () => {
    carol?.stop();
    dave?.stop();
    await Promise.all([alice?.browser.close(), bob?.browser.close()]);
    await world?.close();
  });

  it("a new room has its name for everyone who can read it, and for the homeserver none", async () => {
    ({ roomId } = await drive(alice.page, "createRoom", {
      name: `Garden ${CANARY}`,
      topic: `Tomatoes ${CANARY}`,
      encrypted: true,
      invite: [bob.credentials.userId, carol.userId, dave.userId],
    }));
    await drive(alice.page, "roomName", roomId, `Garden ${CANARY}`);
    await drive(bob.page, "joinRoom", roomId);
    await carol.join(roomId);
    await dave.join(roomId);
    await drive(bob.page, "roomName", roomId, `Garden ${CANARY}`);
    await carol.seeName(roomId, `Garden ${CANARY}`);
    await carol.seeTopic(roomId, `Tomatoes ${CANARY}`);
    await topicIs(bob.page, roomId, `Tomatoes ${CANARY}`);
    await topicIs(alice.page, roomId, `Tomatoes ${CANARY}`);
  });

  it("a client without encrypted state stays healthy", async () => {
    await drive(alice.page, "sendText", roomId, "Good morning");
    assert.equal((await dave.receive(roomId, "Good morning")).encrypted, true);
    assert.doesNotMatch(dave.client.getRoom(roomId)?.name ?? "", /canary/);
  });

  it("a rename by either side arrives in the running sessions", async () => {
    await drive(alice.page, "setRoomName", roomId, `Orchard ${CANARY}`);
    await drive(bob.page, "roomName", roomId, `Orchard ${CANARY}`);
    await drive(alice.page, "roomName", roomId, `Orchard ${CANARY}`);
    await carol.seeName(roomId, `Orchard ${CANARY}`);
    await promote(world, alice, roomId, [bob.credentials.userId, carol.userId]);
    await drive(bob.page, "setRoomName", roomId, `Meadow ${CANARY}`);
    await drive(alice.page, "roomName", roomId, `Meadow ${CANARY}`);
    await carol.seeName(roomId, `Meadow ${CANARY}`);
    await carol.client.setRoomName(roomId, `Brook ${CANARY}`);
    await drive(alice.page, "roomName", roomId, `Brook ${CANARY}`);
    await drive(bob.page, "roomName", roomId, `Brook ${CANARY}`);
  });

  it("a reload keeps the names, and the next rename works", async () => {
    for (const someone of [alice, bob]) await reload(someone);
    await drive(alice.page, "roomName", roomId, `Brook ${CANARY}`);
    await drive(bob.page, "roomName", roomId, `Brook ${CANARY}`);
    await drive(alice.page, "setRoomName", roomId, `Heath ${CANARY}`);
    await drive(bob.page, "roomName", roomId, `Heath ${CANARY}`);
    await carol.seeName(roomId, `Heath ${CANARY}`);
  });

  it("the homeserver never had a name or a topic", async () => {
    for (const { recorder } of [alice, bob]) {
      const told = recorder.exchanges.filter(({ body, path }) =>
        `${decodeURIComponent(path)}${body.toString("utf8")}`.includes(CANARY),
      );
      assert.deepEqual(
        told.map(({ method, path }) => `${method} ${path}`),
        [],
      );
    }
    assert.deepEqual(await world.synapse.searchDatabase([CANARY]), []);
    for (const { page } of [alice, bob]) assert.deepEqual(await unhandled(page), []);
  });

  for (const name of ["alice", "bob"] as const) {
    it(`${name} encrypts the name of an old room from the popup`, async () => {
      const someone = name === "alice" ? alice : bob;
      const old = await world.synapse.call(
        someone.credentials,
        "POST",
        "/_matrix/client/v3/createRoom",
        {
          name: `Old ${name}`,
          invite: [carol.userId],
          initial_state: [
            {
              type: "m.room.encryption",
              state_key: "",
              content: { algorithm: "m.megolm.v1.aes-sha2" },
            },
          ],
        },
      );
      const oldId = String(old["room_id"]);
      await carol.join(oldId);
      await drive(someone.page, "roomName", oldId, `Old ${name}`);
      await someone.page.evaluate((id) => {
        location.hash = `#/room/${id}`;
      }, oldId);
      const first = await someone.browser.openExtensionPage("popup.html");
      const tab = await tabShowing(first, "chat.example.org");
      await first.close();
      const popup = await someone.browser.openExtensionPage(`popup.html?tab=${String(tab)}`);
      await popup.waitForSelector("#rooms:not([hidden]) button[data-what=room]");
      await popup.click("#rooms button[data-what=room]");
      // Firefox may be about to replace the window that it is asked to show.
      await someone.page.bringToFront().catch(() => someone.page.bringToFront());
      const question = await openQuestion(someone.page);
      assert.match(question.title, /Encrypt this room's name/);
      assert.match(question.text.join(" "), /All 1 other people are given the key/);
      await press(someone.page, "Encrypt");
      const clear = async (): Promise<unknown> =>
        (
          await world.synapse.call(
            someone.credentials,
            "GET",
            `/_matrix/client/v3/rooms/${encodeURIComponent(oldId)}/state/m.room.name`,
          )
        )["name"];
      await until(async () => ((await clear()) ?? "") === "", "the clear name is blank", 25_000);
      await drive(someone.page, "roomName", oldId, `Old ${name}`);
      await carol.seeName(oldId, `Old ${name}`);
    });
  }
});

async function person(world: World, kind: BrowserKind, user: string): Promise<Person> {
  const recorder = await world.openRecorder();
  const browser = await launchExtensionBrowser(kind, {
    extension: testBuild(kind),
    proxyPort: recorder.port,
  });
  const page = await browser.newPage();
  await openClient(page);
  const credentials = await signIn(page, user);
  return { user, browser, recorder, page, credentials };
}

async function signIn(page: Page, user: string) {
  const credentials = await drive(page, "login", user, PASSWORD);
  await drive(page, "start", credentials, { storage: "indexeddb" });
  return credentials;
}

async function reload(someone: Person): Promise<void> {
  await drive(someone.page, "stop");
  await openClient(someone.page);
  await drive(someone.page, "start", someone.credentials, { storage: "indexeddb" });
}

async function topicIs(page: Page, roomId: string, topic: string): Promise<void> {
  await until(
    async () => (await drive(page, "shownRooms"))[roomId]?.topic === topic,
    `the topic ${topic}`,
  );
}

async function promote(world: World, by: Person, roomId: string, users: string[]): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels`;
  const levels = await world.synapse.call(by.credentials, "GET", path);
  const now = levels["users"] as Record<string, number>;
  const more = Object.fromEntries(users.map((user) => [user, 50]));
  await world.synapse.call(by.credentials, "PUT", path, { ...levels, users: { ...now, ...more } });
}
