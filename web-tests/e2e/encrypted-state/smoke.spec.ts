/** Names and topics between Mantle in both browsers and unmodified clients; the homeserver learns none. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { DecryptionSettings, RoomId, TrustRequirement } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import { ClientEvent } from "matrix-js-sdk";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../../support/browsers.ts";
import type { BrowserKind } from "../../support/browsers.ts";
import {
  drive,
  openClient,
  runBeforeMantle,
  tryToDrive,
  unhandled,
} from "../../support/client-page.ts";
import { forge, putState, sendForgery } from "../../support/hostile-member.ts";
import { isSync, lyingHomeserver } from "../../support/lies.ts";
import type { LyingHomeserver } from "../../support/lies.ts";
import { startPeer } from "../../support/peer.ts";
import type { Peer } from "../../support/peer.ts";
import { noticeTexts, openQuestion, press } from "../../support/question.ts";
import type { Recorder } from "../../support/recorder.ts";
import type { Account } from "../../support/synapse.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import {
  callApi,
  launchExtensionBrowser,
  storeSettings,
  tabShowing,
  testBuild,
  until,
} from "../extension-pages.ts";
import type { ExtensionBrowser, Json } from "../extension-pages.ts";
import { givePower, openGuarded } from "./people.ts";

const PASSWORD = "correct horse battery staple";
const OTHER_TYPE = "org.example.state";
/** Longest wait for something that must happen. */
const LIMIT = 45_000;
/** Part of every name and topic, and of nothing else. */
const CANARY = "canary-7f3a";
/** As MSC3414 has them: it names no type. */
const OPAQUE = "c29tZSBvcGFxdWUga2V5";
const FIRST_ROOM = "Mantle encrypts the name and topic of new rooms.";
const ENCRYPTION = {
  type: "m.room.encryption",
  state_key: "",
  content: { algorithm: "m.megolm.v1.aes-sha2" },
};

/**
 * Runs before Mantle in a page: keeps the sizes of the WASM that is compiled of bytes, and puts off
 * the moment at which Mantle, asleep for some seconds, wakes in any case.
 */
const WATCH_SLEEP = `
  window.compiled = [];
  const { compile } = WebAssembly;
  WebAssembly.compile = (bytes) => {
    window.compiled.push(bytes.byteLength);
    return compile(bytes);
  };
  const later = window.setTimeout;
  window.setTimeout = (run, wait, ...rest) => later(run, wait === 5_000 ? 3_600_000 : wait, ...rest);
`;

interface SlidingEvent {
  readonly type: string;
  readonly content: { readonly name?: string };
}

interface StoredEvent {
  readonly type: string;
  readonly event_id: string;
  readonly state_key: string;
  readonly content: { readonly session_id: string };
}

/** What stands inside an encrypted state event. */
interface Payload {
  readonly content: unknown;
  readonly authorship?: {
    readonly user_id: string;
    readonly device_id: string;
    readonly session_id: string;
    readonly counter: number;
  };
  readonly signatures?: Record<string, Record<string, string>>;
}

interface LedgerRow {
  readonly shield: string;
  readonly action: string;
  readonly endpoint: string;
}

interface NamedEvent {
  readonly type: string;
  readonly event_id: string;
  readonly content: { readonly name?: string };
  readonly unsigned?: { readonly prev_content?: { readonly name?: string } };
}

interface Chunk {
  readonly chunk: NamedEvent[];
}

interface SearchAnswer {
  readonly search_categories: {
    readonly room_events: {
      readonly results: { readonly context: { readonly events_after: NamedEvent[] } }[];
      readonly state: Record<string, NamedEvent[]>;
    };
  };
}

interface Person {
  readonly user: string;
  readonly browser: ExtensionBrowser;
  readonly recorder: Recorder;
  readonly liar: LyingHomeserver;
  page: Page;
  credentials: Awaited<ReturnType<typeof signIn>>;
}

describe("encrypted state", { timeout: 600_000, skip: bothBrowsers.length < 2 }, () => {
  let world: World;
  let alice: Person;
  let bob: Person;
  let carol: Peer;
  let carolAccount: Account;
  let dave: Peer;
  let roomId: string;

  before(async () => {
    world = await startWorld();
    const account = async (user: string) => world.synapse.register(user, PASSWORD);
    await Promise.all([account("alice"), account("bob")]);
    carolAccount = await account("carol");
    [carol, dave] = await Promise.all([
      startPeer(world.synapse, carolAccount, { encryptedState: true }),
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

  /** A room's state as the homeserver has it. */
  const stateOf = async (someone: Person, id: string): Promise<StoredEvent[]> => {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(id)}/state`;
    return (await world.synapse.call(someone.credentials, "GET", path)) as unknown as StoredEvent[];
  };

  /** How often the page explains what encrypted names mean for others. */
  const explained = async ({ page }: Person): Promise<number> =>
    (await noticeTexts(page)).filter((text) => text.startsWith(FIRST_ROOM)).length;
  /** A room from before Mantle, as its owner made it elsewhere. */
  const oldRoom = async (owner: Person, name: string, invite: string[]): Promise<string> => {
    const path = "/_matrix/client/v3/createRoom";
    const body = { name, invite, initial_state: [ENCRYPTION] };
    return String((await world.synapse.call(owner.credentials, "POST", path, body))["room_id"]);
  };
  const statePath = (id: string, type: string): string =>
    `/_matrix/client/v3/rooms/${encodeURIComponent(id)}/state/${type}`;
  const clearName = async (someone: Person, id: string): Promise<unknown> =>
    (await world.synapse.call(someone.credentials, "GET", statePath(id, "m.room.name")))["name"];
  const isRedacted = async (someone: Person, id: string, eventId = ""): Promise<boolean> => {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(id)}/event/${encodeURIComponent(eventId)}`;
    const event = await world.synapse.call(someone.credentials, "GET", path);
    return (event["content"] as { name?: string }).name === undefined;
  };
  const openPopup = async (someone: Person): Promise<Page> => {
    const first = await someone.browser.openExtensionPage("popup.html");
    const tab = await tabShowing(first, "chat.example.org");
    await first.close();
    return someone.browser.openExtensionPage(`popup.html?tab=${String(tab)}`);
  };
  const clickInPopup = async (someone: Person, what: "room" | "all"): Promise<void> => {
    const popup = await openPopup(someone);
    await popup.waitForSelector(`#rooms:not([hidden]) button[data-what=${what}]`);
    await popup.click(`#rooms button[data-what=${what}]`);
    // Firefox may be about to replace the window that it is asked to show.
    await someone.page.bringToFront().catch(() => someone.page.bringToFront());
  };

  it("a new room has its name for everyone who can read it, and for the homeserver none", async () => {
    ({ roomId } = await drive(alice.page, "createRoom", {
      name: `Garden ${CANARY}`,
      topic: `Tomatoes ${CANARY}`,
      encrypted: true,
      invite: [bob.credentials.userId, carol.userId, dave.userId],
    }));
    await drive(alice.page, "roomName", roomId, `Garden ${CANARY}`);
    await until(async () => (await explained(alice)) === 1, "it is explained", LIMIT);
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
    await givePower(world, alice.credentials, roomId, bob.credentials.userId, carol.userId);
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

  it("a name says inside who set it and after what, signed by their device", async () => {
    let counter = 0;
    for (const someone of [alice, bob]) {
      const { userId } = someone.credentials;
      const name = `Hill of ${someone.user} ${CANARY}`;
      await drive(someone.page, "setRoomName", roomId, name);
      // Who writes next has read this one.
      for (const reader of [alice, bob]) await drive(reader.page, "roomName", roomId, name);
      await carol.seeName(roomId, name);
      const state = await stateOf(someone, roomId);
      const event = state.find((one) => one.state_key === "m.room.name:");
      const payload = await insideOf(carol, roomId, event);
      assert.deepEqual(payload.content, { name });
      const { authorship, signatures } = payload;
      assert.equal(authorship?.user_id, userId);
      assert.equal(authorship.session_id, event?.content.session_id);
      assert.ok(authorship.counter > counter, `${authorship.counter} after ${counter}`);
      counter = authorship.counter;
      const [keyId, ...others] = Object.keys(signatures?.[userId] ?? {});
      assert.deepEqual([keyId, others], [`ed25519:${authorship.device_id}`, []]);
    }
  });

  for (const name of ["alice", "bob"] as const) {
    it(`${name} encrypts the name of an old room from the popup`, async () => {
      const someone = name === "alice" ? alice : bob;
      const oldId = await oldRoom(someone, `Older ${name}`, [carol.userId]);
      await carol.join(oldId);
      const renamed = { name: `Old ${name}` };
      const older = (await stateOf(someone, oldId)).find(({ type }) => type === "m.room.name");
      await world.synapse.call(
        someone.credentials,
        "PUT",
        statePath(oldId, "m.room.name"),
        renamed,
      );
      await drive(someone.page, "roomName", oldId, `Old ${name}`);
      await someone.page.evaluate((id) => {
        location.hash = `#/room/${id}`;
      }, oldId);
      await clickInPopup(someone, "room");
      const question = await openQuestion(someone.page);
      assert.match(question.title, /Encrypt this room's name/);
      assert.match(question.text.join(" "), /1 other person is given the key/);
      const before = (await stateOf(someone, oldId)).find(({ type }) => type === "m.room.name");
      if (name === "bob") {
        await press(someone.page, "Also remove the readable name and topic from history");
      }
      // A homeserver that wants each step slower, once.
      const hasty = new Set<string>();
      const end = someone.liar.fail(({ method, path }) => {
        const step = path.replace(/\/mantle[^/]*$/, "");
        const isFirst = method === "PUT" && /\/(state|redact)\//.test(step) && !hasty.has(step);
        hasty.add(step);
        return isFirst;
      }, "429");
      await press(someone.page, "Encrypt");
      await until(
        async () => ((await clearName(someone, oldId)) ?? "") === "",
        "the clear name is blank",
        LIMIT,
      );
      await drive(someone.page, "roomName", oldId, `Old ${name}`);
      await carol.seeName(oldId, `Old ${name}`);
      for (const event of [before, older]) {
        if (name === "bob") {
          await until(
            () => isRedacted(someone, oldId, event?.event_id),
            "a name is redacted",
            LIMIT,
          );
        } else assert.equal(await isRedacted(someone, oldId, event?.event_id), false);
      }
      await until(
        async () => (await noticeTexts(someone.page)).some((text) => /encrypted now/.test(text)),
        "it is done",
        LIMIT,
      );
      assert.ok(end() >= 3, "The homeserver was too slow for it");
    });

    it(`${name} encrypts the names of all old rooms from the popup`, async () => {
      const someone = name === "alice" ? alice : bob;
      // Somebody who has no device yet.
      const { userId, accessToken } = await world.synapse.register(`newcomer-${name}`, PASSWORD);
      const names = ["First", "Second"].map((which) => `${which} of ${name}`);
      const rooms = await Promise.all(names.map((one) => oldRoom(someone, one, [userId])));
      const joins = `/_matrix/client/v3/join/${encodeURIComponent(rooms[0] ?? "")}`;
      await world.synapse.call({ userId, deviceId: "", accessToken }, "POST", joins, {});
      for (const [at, id] of rooms.entries()) {
        await drive(someone.page, "roomName", id, names[at] ?? "");
      }
      await clickInPopup(someone, "all");
      const question = await openQuestion(someone.page);
      assert.match(question.title, /names and topics of 2 rooms/);
      assert.match(question.text.join(" "), /1 of 1 other people cannot be given the key/);
      await press(someone.page, "Encrypt");
      await until(
        async () => (await noticeTexts(someone.page)).some((text) => /of 2 rooms are/.test(text)),
        "it is done",
        LIMIT,
      );
      for (const [at, id] of rooms.entries()) {
        assert.equal((await clearName(someone, id)) ?? "", "");
        const state = await stateOf(someone, id);
        assert.ok(state.some((event) => event.state_key === "m.room.name:"));
        await drive(someone.page, "roomName", id, names[at] ?? "");
      }
      const [id = ""] = rooms;
      await someone.page.evaluate((hash) => {
        location.hash = hash;
      }, `#/room/${id}`);
      const popup = await openPopup(someone);
      await popup.waitForSelector("#rooms[data-shown=encrypted]");
      await popup.close();
      // As if emptying it had failed.
      const left = { name: `Left of ${name}` };
      const path = statePath(id, "m.room.name");
      const event = await world.synapse.call(someone.credentials, "PUT", path, left);
      await clickInPopup(someone, "room");
      await press(someone.page, "Also remove the readable name and topic from history");
      await press(someone.page, "Encrypt");
      await until(
        () => isRedacted(someone, id, String(event["event_id"])),
        "it is emptied and redacted",
        LIMIT,
      );
      assert.equal(await clearName(someone, id), "");
      await drive(someone.page, "roomName", id, names[0] ?? "");
      await reload(someone);
      await drive(someone.page, "roomName", id, names[0] ?? "");
    });
  }

  for (const [by, to] of [
    ["alice", "bob"],
    ["bob", "alice"],
  ] as const) {
    const pair = (): [Person, Person] => (by === "alice" ? [alice, bob] : [bob, alice]);
    const peerHasKey = async (id: string): Promise<boolean> => {
      const event = await encryptedName(pair()[0], id);
      // What comes with an event or before it was dealt with once the event is shown.
      await until(
        () => carol.client.getRoom(id)?.findEventById(event.eventId) !== undefined,
        "Carol has the event",
        LIMIT,
      );
      const keys = (await carol.client.getCrypto()?.exportRoomKeys()) ?? [];
      return keys.some((key) => key.session_id === event.sessionId);
    };
    const encryptedName = async (
      someone: Person,
      id: string,
    ): Promise<{ eventId: string; sessionId: string }> => {
      const state = await stateOf(someone, id);
      const found = state.find((event) => event.state_key === "m.room.name:");
      assert.ok(found !== undefined, "The name is encrypted");
      return { eventId: found.event_id, sessionId: found.content.session_id };
    };

    it(`${to} sees the name on an invite of ${by}`, async () => {
      const [inviter, invited] = pair();
      const name = `Party of ${by} ${CANARY}`;
      const made = await drive(inviter.page, "createRoom", {
        name,
        encrypted: true,
        invite: [invited.credentials.userId],
      });
      await drive(invited.page, "roomName", made.roomId, name);
      const me = invited.credentials.userId;
      const member = await drive(invited.page, "heldState", made.roomId, "m.room.member", me);
      assert.equal(member?.content["membership"], "invite");
      // Alice was told before the reload.
      assert.equal(await explained(inviter), by === "alice" ? 0 : 1);
    });

    it(`${by} goes on with a room's key after a reload, and not after the browser's end`, async () => {
      const [someone, other] = pair();
      const { roomId: id } = await drive(someone.page, "createRoom", {
        name: `Year of ${by} ${CANARY}`,
        encrypted: true,
        invite: [other.credentials.userId],
      });
      await drive(other.page, "joinRoom", id);
      const rename = async (word: string): Promise<string> => {
        const name = `${word} of ${by} ${CANARY}`;
        await drive(someone.page, "setRoomName", id, name);
        await drive(other.page, "roomName", id, name);
        return (await encryptedName(someone, id)).sessionId;
      };
      const first = await rename("Spring");
      await reload(someone);
      assert.equal(await rename("Summer"), first);
      // What lies in the browser's memory alone ends with it.
      const settings = await someone.browser.openExtensionPage("popup.html");
      await callApi(settings, "storage.session.remove", "run");
      await settings.close();
      await reload(someone);
      const second = await rename("Autumn");
      assert.notEqual(second, first);
      await reload(someone);
      assert.equal(await rename("Winter"), second);
    });

    it(`a guest in ${to}'s browser has the module asleep until the first room needs it`, async () => {
      const [inviter, { browser, recorder }] = pair();
      const size = statSync(join(testBuild(browser.kind), "mantle_state_bg.wasm")).size;
      const isAwake = async (page: Page): Promise<boolean> =>
        ((await page.evaluate("compiled")) as number[]).includes(size);
      await world.synapse.register(`guest-of-${by}`, PASSWORD);
      const guest = await openGuarded(browser, {
        label: `a guest of ${by}`,
        user: `guest-of-${by}`,
        password: PASSWORD,
        // Where no session knows a room.
        site: "app.element.io",
        encryptedState: false,
      });
      await drive(guest.page, "saveSyncCache");
      await runBeforeMantle(guest.page, WATCH_SLEEP);
      const account = { ...guest.credentials, accessToken: guest.accessToken() };
      const data = `/_matrix/client/v3/user/${encodeURIComponent(guest.userId)}/account_data`;
      /** Waits until syncs without a room were answered. */
      const syncsPass = async (from: number): Promise<void> => {
        const answered = (): number =>
          recorder.exchanges
            .slice(from)
            .filter((exchange) => isSync(exchange) && exchange.status === 200)
            .filter(({ headers }) => headers.authorization === `Bearer ${guest.accessToken()}`)
            .length;
        for (const round of [1, 2, 3]) {
          await world.synapse.call(account, "PUT", `${data}/org.example.wake`, { from, round });
          await until(() => answered() >= round, "a sync was answered", LIMIT);
        }
      };
      const before = recorder.exchanges.length;
      await guest.restart({ reload: true });
      await syncsPass(before);
      assert.equal(await isAwake(guest.page), false);

      // It is needed in another tab first.
      await drive(guest.page, "stop");
      const tab = await browser.newPage();
      await runBeforeMantle(tab, WATCH_SLEEP);
      await openClient(tab, "https://app.element.io/");
      const then = recorder.exchanges.length;
      await drive(tab, "start", guest.credentials, { storage: "indexeddb" });
      await syncsPass(then);
      assert.equal(await isAwake(tab), false);
      const name = `Cabin of ${by} ${CANARY}`;
      const { roomId: id } = await drive(inviter.page, "createRoom", {
        name,
        encrypted: true,
        invite: [guest.userId],
      });
      await drive(tab, "roomName", id, name);
      const member = await drive(tab, "heldState", id, "m.room.member", guest.userId);
      assert.equal(member?.content["membership"], "invite");
      assert.equal(await isAwake(tab), true);
      await drive(tab, "joinRoom", id);
      await drive(tab, "joined", id);
      await drive(tab, "roomName", id, name);
      await drive(tab, "stop");
      await tab.close();

      // This page was not loaded anew since.
      assert.equal(await isAwake(guest.page), false);
      await guest.restart();
      await guest.seeName(id, name);
      assert.equal(await isAwake(guest.page), true);
      await guest.restart({ reload: true });
      await guest.seeName(id, name);
      const newer = `Lodge of ${by} ${CANARY}`;
      await drive(inviter.page, "setRoomName", id, newer);
      await guest.seeName(id, newer);
      assert.deepEqual(await unhandled(guest.page), []);
      await drive(guest.page, "stop");
      await guest.page.close();
    });

    it(`${by} leaves a public room readable, and Mantle's record says so`, async () => {
      const [someone] = pair();
      const name = `Market of ${by}`;
      const { roomId: id } = await drive(someone.page, "createRoomAs", {
        name,
        preset: "public_chat" as never,
        initial_state: [ENCRYPTION],
      });
      await drive(someone.page, "roomName", id, name);
      assert.equal(await clearName(someone, id), name);
      const isRecorded = async (): Promise<boolean> =>
        (await flagged(someone)).some((endpoint) => endpoint.includes("createRoom"));
      await until(isRecorded, "it is recorded", LIMIT);
    });

    it(`${by} gives who is invited no key where they may not see what was before`, async () => {
      const [someone] = pair();
      const name = `Cellar of ${by} ${CANARY}`;
      const from = someone.recorder.exchanges.length;
      const { roomId: id } = await drive(someone.page, "createRoomAs", {
        name,
        preset: "private_chat" as never,
        invite: [carol.userId],
        initial_state: [
          ENCRYPTION,
          {
            type: "m.room.history_visibility",
            state_key: "",
            content: { history_visibility: "joined" },
          },
        ],
      });
      await drive(someone.page, "roomName", id, name);
      const told = someone.recorder.exchanges
        .slice(from)
        .filter(({ path, body }) => path.includes("/sendToDevice/") && body.includes(carol.userId));
      assert.equal(told.length, 0);
      await carol.join(id);
      await until(() => peerHasKey(id), "Carol has the key", LIMIT);
    });

    it(`${to} reads what has one of MSC3414's opaque keys where the room has no flag`, async () => {
      const [owner, reader] = pair();
      const people = [owner.credentials.userId, reader.credentials.userId];
      const { room_id: id } = await carol.client.createRoom({
        invite: people,
        initial_state: [ENCRYPTION],
      });
      for (const one of [owner, reader]) await drive(one.page, "joinRoom", id);
      const isThere = (user: string): boolean =>
        carol.client.getRoom(id)?.getMember(user)?.membership === "join";
      await until(() => people.every(isThere), "Carol knows who is in her room", LIMIT);
      const topic = `Poppies of ${by} ${CANARY}`;
      await sendForgery(world.synapse, carolAccount, carol, id, {
        type: "m.room.topic",
        content: JSON.stringify({ topic }),
        packed: OPAQUE,
      });
      for (const one of [reader, owner]) await topicIs(one.page, id, topic);
    });

    it(`${to} takes no opaque key where the room has the flag`, async () => {
      const [owner, reader] = pair();
      const name = `Field of ${by} ${CANARY}`;
      const { roomId: id } = await drive(owner.page, "createRoom", {
        name,
        encrypted: true,
        invite: [carol.userId, reader.credentials.userId],
      });
      await drive(reader.page, "joinRoom", id);
      await carol.join(id);
      await givePower(world, owner.credentials, id, carol.userId);
      await carol.seeName(id, name);
      await drive(reader.page, "roomName", id, name);
      await sendForgery(world.synapse, carolAccount, carol, id, {
        type: "m.room.topic",
        content: JSON.stringify({ topic: `Tares of ${by} ${CANARY}` }),
        packed: OPAQUE,
      });
      const later = `Meadow of ${by} ${CANARY}`;
      await sendForgery(world.synapse, carolAccount, carol, id, {
        type: "m.room.name",
        content: JSON.stringify({ name: later }),
      });
      for (const one of [reader, owner]) {
        await drive(one.page, "roomName", id, later);
        const shown = (await drive(one.page, "shownRooms"))[id];
        assert.doesNotMatch(shown?.topic ?? "", /Tares/);
      }
    });

    it(`sliding sync of ${to} asks for encrypted state and names the room`, async () => {
      const [, reader] = pair();
      const name = (await drive(reader.page, "shownRooms"))[roomId]?.name;
      assert.match(name ?? "", /canary/);
      const path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
      const body = {
        lists: {
          all: { ranges: [[0, 50]], timeline_limit: 1, required_state: [["m.room.name", ""]] },
        },
      };
      for (const call of ["homeserverCall", "requestAsObject", "requestByXhr"] as const) {
        const answer = await drive(reader.page, call, "POST", path, body);
        assert.equal(answer.status, 200, `${call}: ${answer.body}`);
        const { rooms } = JSON.parse(answer.body) as {
          rooms: Record<string, { name?: string; required_state?: SlidingEvent[] }>;
        };
        assert.equal(rooms[roomId]?.name, name, call);
        const asked = reader.recorder.exchanges.filter(({ path }) => path.includes("msc3575/sync"));
        assert.match(String(asked.at(-1)?.body), /"m\.room\.encrypted"/, call);
        const clear = rooms[roomId]?.required_state?.find(({ type }) => type === "m.room.name");
        assert.equal(clear?.content.name, name, `${call}: ${answer.body}`);
      }
    });

    it(`${to} is given the name in every other answer too`, async () => {
      const [writer, reader] = pair();
      const rule = "/_matrix/client/v3/pushrules/global/override/org.example.names";
      const conditions = ["m.room.encrypted", "m.room.name:"].map((pattern, at) => ({
        kind: "event_match",
        key: at === 0 ? "type" : "state_key",
        pattern,
      }));
      await world.synapse.call(reader.credentials, "PUT", rule, {
        conditions,
        actions: ["notify"],
      });
      const { next_batch: from } = await world.synapse.call(
        reader.credentials,
        "GET",
        "/_matrix/client/v3/sync?timeout=0",
      );
      const newest = `News of ${by} ${CANARY}`;
      await drive(writer.page, "setRoomName", roomId, newest);
      await drive(reader.page, "roomName", roomId, newest);
      const get = async (path: string): Promise<unknown> => {
        const answer = await drive(reader.page, "homeserverCall", "GET", path);
        assert.equal(answer.status, 200, `${path}: ${answer.body}`);
        const found: unknown = JSON.parse(answer.body);
        assert.equal(hasEncryptedState(found), false, `${path}: ${answer.body}`);
        return found;
      };
      const name = (await drive(reader.page, "shownRooms"))[roomId]?.name ?? "";
      assert.match(name, /canary/);
      const { eventId } = await encryptedName(reader, roomId);
      const room = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`;
      const event = encodeURIComponent(eventId);
      assert.deepEqual(await get(`${room}/state/m.room.name/`), { name });
      const state = (await get(`${room}/state`)) as NamedEvent[];
      const messages = (await get(`${room}/messages?dir=b&limit=200`)) as { chunk: NamedEvent[] };
      const context = (await get(`${room}/context/${event}?limit=2`)) as { event: NamedEvent };
      const alone = (await get(`${room}/event/${event}`)) as NamedEvent;
      const initial = (await get(`${room}/initialSync?limit=20`)) as {
        state: NamedEvent[];
        messages: { chunk: NamedEvent[] };
      };
      const notified = (await get("/_matrix/client/v3/notifications?limit=50")) as {
        notifications: { room_id: string; event: NamedEvent }[];
      };
      for (const events of [
        state,
        messages.chunk,
        [context.event],
        [alone],
        initial.state,
        initial.messages.chunk,
        notified.notifications.map((one) => one.event),
      ]) {
        const found = events.find((one) => one.event_id === eventId);
        assert.deepEqual([found?.type, found?.content.name], ["m.room.name", name]);
      }
      // The name before, which the homeserver knows encrypted only.
      assert.match(alone.unsigned?.prev_content?.name ?? "", /canary/);

      // Someone answers in a thread below the name, and a topic of Carol's refers to it.
      const topic = `Radishes of ${by} ${CANARY}`;
      const content = { topic };
      const type = "m.room.topic";
      const topicId = await putState(
        world.synapse,
        carolAccount,
        roomId,
        "m.room.encrypted",
        `${type}:`,
        {
          ...(await forge(carol, roomId, { type, content: JSON.stringify(content) })),
          "m.relates_to": { rel_type: "m.reference", event_id: eventId },
        },
      );
      await topicIs(reader.page, roomId, topic);
      await world.synapse.call(carolAccount, "PUT", `${room}/send/m.room.message/thread-${by}`, {
        msgtype: "m.text",
        body: "A fine name",
        "m.relates_to": { rel_type: "m.thread", event_id: eventId },
      });
      const first = room.replace("/v3/", "/v1/");
      const threads = (await get(`${first}/threads`)) as Chunk;
      const related = (await get(`${first}/relations/${event}/m.reference`)) as Chunk;
      const old = encodeURIComponent(String(from));
      const id = encodeURIComponent(roomId);
      const streamed = (await get(
        `/_matrix/client/v3/events?from=${old}&room_id=${id}&timeout=0&limit=100`,
      )) as Chunk;
      for (const { chunk } of [threads, streamed]) {
        const found = chunk.find((one) => one.event_id === eventId);
        assert.deepEqual([found?.type, found?.content.name], ["m.room.name", name]);
      }
      for (const { chunk } of [related, streamed]) {
        const found = chunk.find((one) => one.event_id === topicId);
        assert.deepEqual([found?.type, found?.content], [type, content]);
      }
      for (const path of [
        `v1/room_summary/${id}`,
        `unstable/im.nheko.summary/summary/${id}`,
        `unstable/im.nheko.summary/rooms/${id}/summary`,
      ]) {
        const summary = (await get(`/_matrix/client/${path}`)) as { name?: string; topic?: string };
        assert.deepEqual([summary.name, summary.topic], [name, topic], path);
      }
      const space = await drive(reader.page, "createRoomAs", {
        name: "Space",
        creation_content: { type: "m.space" },
      });
      const via = { via: ["hs.example.org"] };
      await drive(reader.page, "sendState", space.roomId, "m.space.child", roomId, via);
      const tree = `/_matrix/client/v1/rooms/${encodeURIComponent(space.roomId)}/hierarchy`;
      const { rooms } = (await get(tree)) as { rooms: { room_id: string; name?: string }[] };
      assert.equal(rooms.find((one) => one.room_id === roomId)?.name, name);
    });

    it(`${to} is given the name beside what a search finds`, async () => {
      const [writer, reader] = pair();
      const room = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`;
      const word = `gooseberries-${by}`;
      // From before the room was encrypted, or by a client that does not encrypt.
      await world.synapse.call(carolAccount, "PUT", `${room}/send/m.room.message/${word}`, {
        msgtype: "m.text",
        body: word,
      });
      const name = `Harvest of ${by} ${CANARY}`;
      await drive(writer.page, "setRoomName", roomId, name);
      await drive(reader.page, "roomName", roomId, name);
      const { eventId } = await encryptedName(reader, roomId);
      // Else the homeserver is not asked about encrypted rooms.
      await withSettings(reader, { shields: { search: "off" } }, async () => {
        await drive(reader.page, "roomName", roomId, name);
        const answer = await drive(
          reader.page,
          "homeserverCall",
          "POST",
          "/_matrix/client/v3/search",
          {
            search_categories: {
              room_events: {
                search_term: word,
                keys: ["content.body"],
                filter: { rooms: [roomId] },
                event_context: { before_limit: 1, after_limit: 5 },
                include_state: true,
              },
            },
          },
        );
        assert.equal(answer.status, 200, answer.body);
        const { room_events: found } = (JSON.parse(answer.body) as SearchAnswer).search_categories;
        for (const events of [found.results[0]?.context.events_after, found.state[roomId]]) {
          const event = events?.find((one) => one.event_id === eventId);
          assert.deepEqual([event?.type, event?.content.name], ["m.room.name", name]);
        }
      });
    });

    it(`${by} gives no key to a device that ${by} has blocked`, async () => {
      const [someone, other] = pair();
      const device = [carol.userId, carol.client.getDeviceId() ?? ""] as const;
      const path = `Path of ${by} ${CANARY}`;
      await drive(someone.page, "setRoomName", roomId, path);
      await drive(other.page, "roomName", roomId, path);
      await carol.seeName(roomId, path);
      await drive(someone.page, "setBlocked", ...device, true);
      const cave = `Cave of ${by} ${CANARY}`;
      await drive(someone.page, "setRoomName", roomId, cave);
      await drive(other.page, "roomName", roomId, cave);
      assert.equal(await peerHasKey(roomId), false);
      await drive(someone.page, "setBlocked", ...device, false);
      const again = `Lake of ${by} ${CANARY}`;
      await drive(someone.page, "setRoomName", roomId, again);
      await drive(other.page, "roomName", roomId, again);
      await carol.seeName(roomId, again);
      assert.equal(await peerHasKey(roomId), true);
    });

    for (const way of ["when that is set", "when Element does"]) {
      it(`${by} gives keys to cross-signed devices only, and shows names of such, ${way}`, async () => {
        const [someone, other] = pair();
        // A kind of notice comes once a page.
        await reload(someone);
        const within = async (task: () => Promise<void>): Promise<void> => {
          if (way === "when that is set") {
            return withSettings(someone, options({ trust: "cross-signed" }), task);
          }
          await drive(someone.page, "setOnlySigned", true);
          await task();
          await drive(someone.page, "setOnlySigned", false);
        };
        await drive(other.page, "signOwnDevice");
        const { userId, deviceId } = other.credentials;
        await until(
          () => drive(someone.page, "isSignedByOwner", userId, deviceId),
          "the signature is known",
          LIMIT,
        );
        const told: unknown[] = [];
        carol.client.on(ClientEvent.ReceivedToDeviceMessage, ({ message }) => {
          told.push(message.type);
        });
        await within(async () => {
          const name = `Vault of ${by} ${way} ${CANARY}`;
          const made = await drive(someone.page, "createRoom", {
            name,
            encrypted: true,
            invite: [userId, carol.userId],
          });
          await drive(other.page, "joinRoom", made.roomId);
          await drive(other.page, "roomName", made.roomId, name);
          await carol.join(made.roomId);
          assert.equal(await peerHasKey(made.roomId), false);
          // Nor the name itself, which invites have.
          assert.ok(!told.includes("org.mantle.room_state"));
          // What a device sets that its owner has not signed is not shown either, and that is said.
          await givePower(world, someone.credentials, made.roomId, carol.userId);
          await carol.client.setRoomName(made.roomId, `Cellar of ${by} ${way} ${CANARY}`);
          await until(
            async () =>
              (await noticeTexts(someone.page)).some((text) => /has not verified/.test(text)),
            "the person is told",
            LIMIT,
          );
          const shown = await drive(someone.page, "heldState", made.roomId, "m.room.name", "");
          assert.equal(shown?.content["name"], name);
          // What the other sets is.
          await givePower(world, someone.credentials, made.roomId, userId);
          const next = `Attic of ${by} ${way} ${CANARY}`;
          await drive(other.page, "setRoomName", made.roomId, next);
          await drive(someone.page, "roomName", made.roomId, next);
        });
      });
    }

    it(`${by} is asked for each new room, when that is set`, async () => {
      const [someone] = pair();
      await withSettings(someone, options({ newRooms: "ask", types: [OTHER_TYPE] }), async () => {
        // Type and key together must not have more than 255 bytes.
        const key = (length: number): string => "k".repeat(length - OTHER_TYPE.length - 1);
        const content = { text: CANARY };
        const send = (length: number) =>
          tryToDrive(someone.page, "sendState", roomId, OTHER_TYPE, key(length), content);
        const tooLong = await send(256);
        assert.equal(!tooLong.ok && tooLong.errcode, "M_TOO_LARGE");
        assert.equal((await send(255)).ok, true);
        for (const choice of ["Encrypt", "Leave readable"]) {
          const name = `${choice} ${by} ${choice === "Encrypt" ? CANARY : "readable"}`;
          const making = drive(someone.page, "createRoom", { name, encrypted: true });
          const question = await openQuestion(someone.page);
          assert.match(question.title, /Encrypt this room's name and topic/);
          await press(someone.page, choice);
          const made = await making;
          await drive(someone.page, "roomName", made.roomId, name);
          const found = await world.synapse.searchDatabase([name]);
          assert.equal(found.length > 0, choice !== "Encrypt", choice);
        }
      });
    });
  }

  it("every name came from a device whose owner was known by its own signature", async () => {
    for (const someone of [alice, bob]) {
      const flags = await flagged(someone);
      assert.deepEqual(
        flags.filter((endpoint) => /\((?:gone-device|foreign-session)\)/.test(endpoint)),
        [],
        someone.user,
      );
    }
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
});

/** As the unmodified crypto of a peer reads it. */
async function insideOf(peer: Peer, roomId: string, event: unknown): Promise<Payload> {
  const { olmMachine } = peer.client.getCrypto() as unknown as { olmMachine: OlmMachine };
  const wire = JSON.stringify({ ...(event as object), room_id: roomId });
  const settings = new DecryptionSettings(TrustRequirement.Untrusted);
  const decrypted = await olmMachine.decryptRoomEvent(wire, new RoomId(roomId), settings);
  const payload = JSON.parse(decrypted.event) as Payload;
  const authorship = (payload as unknown as Record<string, unknown>)["org.mantle.authorship"];
  return { ...payload, ...(authorship === undefined ? {} : { authorship }) } as Payload;
}

async function person(world: World, kind: BrowserKind, user: string): Promise<Person> {
  const recorder = await world.openRecorder();
  const liar = lyingHomeserver(world.synapse.baseUrl);
  recorder.route(HOMESERVER, liar.route);
  const browser = await launchExtensionBrowser(kind, {
    extension: testBuild(kind),
    proxyPort: recorder.port,
  });
  const page = await browser.newPage();
  await openClient(page);
  const credentials = await signIn(page, user);
  return { user, browser, recorder, liar, page, credentials };
}

async function signIn(page: Page, user: string) {
  const credentials = await drive(page, "login", user, PASSWORD);
  await drive(page, "start", credentials, { storage: "indexeddb" });
  return credentials;
}

/** Does something with other settings; the page has them from its start. */
async function withSettings(
  someone: Person,
  stored: Record<string, Json>,
  work: () => Promise<void>,
): Promise<void> {
  const settings = await someone.browser.openExtensionPage("popup.html");
  try {
    await storeSettings(settings, { version: 1, ...stored });
    await reload(someone);
    await work();
    await storeSettings(settings, undefined);
    await reload(someone);
  } finally {
    await settings.close();
  }
}

/** Options of the shield. */
const options = (values: Record<string, Json>): Record<string, Json> => ({
  options: { "encrypted-state": values },
});

async function reload(someone: Person): Promise<void> {
  await drive(someone.page, "stop");
  await openClient(someone.page);
  await drive(someone.page, "start", someone.credentials, { storage: "indexeddb" });
}

/** What Mantle's record says was let pass of encrypted state: endpoints, and why. */
async function flagged({ browser }: Person): Promise<string[]> {
  const settings = await browser.openExtensionPage("popup.html");
  const { ledger } = await callApi<{ ledger?: { rows: LedgerRow[] } }>(
    settings,
    "storage.local.get",
    "ledger",
  );
  await settings.close();
  const rows = (ledger?.rows ?? []).filter(
    ({ shield, action }) => shield === "encrypted-state" && action === "flagged",
  );
  return rows.map(({ endpoint }) => endpoint);
}

/** Whether an answer has an encrypted state event anywhere. */
function hasEncryptedState(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { type, state_key: key } = value as { type?: unknown; state_key?: unknown };
  // What was refused stays as it came.
  if (type === "m.room.encrypted" && key !== undefined && key !== OPAQUE) return true;
  return Object.values(value).some(hasEncryptedState);
}

async function topicIs(page: Page, roomId: string, topic: string): Promise<void> {
  await until(
    async () => (await drive(page, "shownRooms"))[roomId]?.topic === topic,
    `the topic ${topic}`,
    LIMIT,
  );
}
