/**
 * One room's life among people with Mantle and without: Alice and Bob (Mantle, js-sdk 43 with its own
 * encrypted state on, Bob's in Firefox off), Erin (Mantle, js-sdk 35), Carol (unmodified js-sdk 43
 * that speaks MSC4362) and Dave (unmodified, speaks it not). Each step goes on where the one before
 * ended.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { HeldState } from "../../client/encrypted-state.ts";
import { bothBrowsers } from "../../support/browsers.ts";
import { clientPage, drive, unhandled } from "../../support/client-page.ts";
import {
  holdToDevice,
  homeserverFront,
  isSync,
  lyingHomeserver,
  toClient,
} from "../../support/lies.ts";
import type { LyingHomeserver, WireEvent } from "../../support/lies.ts";
import { makeCanaries } from "../../support/canaries.ts";
import type { Canaries } from "../../support/canaries.ts";
import { startPeer } from "../../support/peer.ts";
import type { Recorder } from "../../support/recorder.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { launchExtensionBrowser, testBuild, until } from "../extension-pages.ts";
import type { ExtensionBrowser } from "../extension-pages.ts";
import { openGuarded, openUnguarded } from "./people.ts";
import type { Guarded, Person, Unguarded } from "./people.ts";

const PASSWORD = "correct horse battery staple";
/** Longest wait for something that must happen. */
const LIMIT = 45_000;

/** A site that no build of Mantle knows. */
const WITHOUT_MANTLE = "element.example.net";

const held = (one: Guarded, roomId: string, type: string, key: string): Promise<HeldState | null> =>
  drive(one.page, "heldState", roomId, type, key);

describe("encrypted state among all clients", { concurrency: 2, timeout: 600_000 }, () => {
  let world: World;

  before(async () => {
    world = await startWorld();
  });
  after(() => world?.close());

  for (const kind of bothBrowsers) {
    describe(`in ${kind}`, { concurrency: 1 }, () => {
      let recorder: Recorder;
      let liar: LyingHomeserver;
      let browser: ExtensionBrowser;
      let alice: Guarded;
      let bob: Guarded;
      let erin: Guarded;
      let carol: Unguarded;
      let dave: Unguarded;
      let frank: Unguarded;
      let canaries: Canaries;
      let roomId: string;
      let secondRoomId: string;
      let backup: { key: string; version: string };
      let renames = 0;
      const given: string[] = [];

      /** A name or topic nobody else may see; all are looked for in the end. */
      const secret = (what: string): string => {
        renames += 1;
        const text = `${canaries.roomName}${what}${renames}x`;
        given.push(text);
        return text;
      };
      const everybodySees = async (people: Person[], name: string, topic?: string) => {
        await Promise.all(
          people.map(async (person) => {
            await person.seeName(roomId, name);
            if (topic !== undefined) await person.seeTopic(roomId, topic);
          }),
        );
      };
      /** The encrypted state the homeserver holds of a room. */
      const encryptedState = async (id: string): Promise<Record<string, WireEvent>> => {
        const state = (await world.synapse.call(
          { userId: "", deviceId: "", accessToken: alice.accessToken() },
          "GET",
          `/_matrix/client/v3/rooms/${encodeURIComponent(id)}/state`,
        )) as unknown as WireEvent[];
        const encrypted = state.filter(({ type }) => type === "m.room.encrypted");
        return Object.fromEntries(encrypted.map((event) => [String(event.state_key), event]));
      };
      /** No state of the room is encrypted with one of these sessions any more. */
      const encryptedAnew = (id: string, former: ReadonlySet<string>): Promise<void> =>
        until(
          async () => {
            const state = Object.values(await encryptedState(id));
            return state.every((event) => !former.has(sessionOf(event)));
          },
          "name and topic are encrypted anew",
          LIMIT,
        );
      const sessionOf = (event: WireEvent | undefined): string =>
        String((event?.content as { session_id?: string } | undefined)?.session_id);

      before(async () => {
        canaries = makeCanaries();
        recorder = await world.openRecorder();
        liar = lyingHomeserver(world.synapse.baseUrl);
        recorder.route(HOMESERVER, liar.route);
        recorder.route("chat.mozilla.org", await clientPage({ sdk: "35" }));
        recorder.route("staging.element.io", await clientPage());
        recorder.route("develop.element.io", await clientPage());
        recorder.route(WITHOUT_MANTLE, await clientPage());
        const baseUrl = homeserverFront(recorder, liar.route);
        browser = await launchExtensionBrowser(kind, {
          extension: testBuild(kind),
          proxyPort: recorder.port,
        });
        const name = (person: string): string => `${person}-${kind}`;
        const page = async (
          person: string,
          site: string,
          encryptedState: boolean,
        ): Promise<Guarded> => {
          await world.synapse.register(name(person), PASSWORD);
          return openGuarded(browser, {
            label: `${person} (Mantle)`,
            user: name(person),
            password: PASSWORD,
            site,
            encryptedState,
          });
        };
        const peer = (person: string, encryptedState: boolean): Promise<Unguarded> =>
          openUnguarded(world.synapse, {
            label: `${person} (js-sdk 43${encryptedState ? ", flag on" : ""})`,
            user: name(person),
            password: PASSWORD,
            encryptedState,
            baseUrl,
          });
        const isFirst = kind === "chromium";
        [carol, dave, frank] = await Promise.all([
          peer("carol", true),
          peer("dave", false),
          peer("frank", true),
        ]);
        alice = await page("alice", "chat.example.org", true);
        bob = await page("bob", "app.element.io", isFirst);
        erin = await page("erin", "chat.mozilla.org", false);
        backup = await drive(alice.page, "makeBackup");
      });

      after(async () => {
        for (const one of [carol, dave, frank]) one?.stop();
        await browser?.close();
      });

      it("creates a room whose name and topic only its members see", async () => {
        const name = secret("name");
        const topic = secret("topic");
        const made = await drive(alice.page, "createRoom", {
          name,
          topic,
          encrypted: true,
          invite: [bob.userId, carol.userId, frank.userId],
        });
        roomId = made.roomId;
        await everybodySees([alice], name, topic);
        await Promise.all([bob.join(roomId), carol.join(roomId), frank.join(roomId)]);
        await everybodySees([bob, carol], name, topic);
        assert.deepEqual(Object.keys(await encryptedState(roomId)).sort(), [
          "m.room.name:",
          "m.room.topic:",
        ]);
      });

      it("carries on: new names and topics from every client that speaks it", async () => {
        await drive(alice.page, "sendState", roomId, "m.room.power_levels", "", {
          users: {
            [bob.userId]: 50,
            [carol.userId]: 50,
            [erin.userId]: 50,
          },
        });
        const first = secret("name");
        await alice.rename(roomId, first);
        await everybodySees([alice, bob, carol], first);
        const second = secret("topic");
        await bob.setTopic(roomId, second);
        await everybodySees([alice, bob, carol], first, second);
        const third = secret("name");
        await carol.rename(roomId, third);
        await everybodySees([alice, bob, carol], third, second);
        const fourth = secret("topic");
        await alice.setTopic(roomId, fourth);
        await everybodySees([alice, bob, carol], third, fourth);
      });

      it("lets later joiners see what was there, and those without stay healthy", async () => {
        const name = secret("name");
        const topic = secret("topic");
        await alice.rename(roomId, name);
        await alice.setTopic(roomId, topic);
        await drive(alice.page, "inviteUser", roomId, dave.userId);
        await drive(alice.page, "inviteUser", roomId, erin.userId);
        await Promise.all([dave.join(roomId), erin.join(roomId)]);
        await everybodySees([erin], name, topic);
        const later = secret("name");
        await erin.rename(roomId, later);
        await everybodySees([alice, bob, carol, erin], later, topic);
        await alice.send(roomId, `hello from alice in ${kind}`);
        await dave.receive(roomId, `hello from alice in ${kind}`);
        await dave.send(roomId, `hello from dave in ${kind}`);
        await Promise.all(
          [alice, bob, carol, erin].map((one) => one.receive(roomId, `hello from dave in ${kind}`)),
        );
        assert.ok(!given.includes(await dave.name(roomId)), "Dave's client reads no such state");
      });

      it("sends a name once more to who had joined before the key came", async () => {
        const name = secret("name");
        const { roomId: id } = await drive(alice.page, "createRoom", { name, encrypted: true });
        await alice.seeName(id, name);
        // Unmodified clients never open state whose key comes after it.
        const hold = liar.hold(
          ({ path, headers }) =>
            path.includes("/sendToDevice/m.room.encrypted/") &&
            headers.authorization === `Bearer ${alice.accessToken()}`,
        );
        await drive(alice.page, "inviteUser", id, carol.userId);
        await carol.join(id);
        await until(
          () => carol.peer.client.getRoom(id)?.hasEncryptionStateEvent() ?? false,
          "Carol has the room's state",
          LIMIT,
        );
        await until(() => hold.held() > 0, "her key is on its way", LIMIT);
        assert.notEqual(await carol.name(id), name);
        hold.letGo();
        await carol.seeName(id, name);
      });

      /** Sessions that encrypted something while Dave was there. */
      const daves = new Set<string>();
      /** How much the homeserver had been sent by then. */
      let untilLeaving = 0;

      it("changes the session when a member leaves, and encrypts anew what he could read", async () => {
        for (const event of Object.values(await encryptedState(roomId)))
          daves.add(sessionOf(event));
        untilLeaving = recorder.exchanges.length;
        await dave.leave(roomId);
        await encryptedAnew(roomId, daves);
        const name = secret("name");
        await alice.rename(roomId, name);
        await everybodySees([alice, bob, carol, erin], name);
        const now = await encryptedState(roomId);
        assert.ok(!daves.has(sessionOf(now["m.room.name:"])), "A session Dave knows is used");
      });

      it("shows the names on a new device", async () => {
        const name = secret("name");
        await alice.rename(roomId, name);
        // Pages of one site share a cache, which lets only one of two equal syncs go at a time.
        await drive(bob.page, "stop");
        const device = await openGuarded(browser, {
          label: "bob's new device (Mantle)",
          user: `bob-${kind}`,
          password: PASSWORD,
          site: "staging.element.io",
          encryptedState: true,
        });
        await device.seeName(roomId, name);
        await drive(device.page, "stop");
        await device.page.close();
        // It is signed out, so what it could read is encrypted anew.
        const before = new Set(Object.values(await encryptedState(roomId)).map(sessionOf));
        const account = { ...device.credentials, accessToken: device.accessToken() };
        await world.synapse.call(account, "POST", "/_matrix/client/v3/logout", {});
        await encryptedAnew(roomId, before);
        await bob.restart();
        await everybodySees([alice, bob, carol, erin], name);
      });

      it("gives its keys to a new device without Mantle, which shows the names after a reload", async () => {
        const name = secret("name");
        await alice.rename(roomId, name);
        await carol.seeName(roomId, name);
        const session = sessionOf((await encryptedState(roomId))["m.room.name:"]);
        // It publishes its own keys after its first sync, so it is given others' later still.
        const device = await openGuarded(browser, {
          label: "carol's new device (js-sdk 43, flag on)",
          user: `carol-${kind}`,
          password: PASSWORD,
          site: WITHOUT_MANTLE,
          encryptedState: true,
        });
        await until(
          async () => (await drive(device.page, "sessionsOf", roomId)).includes(session),
          "it has the key",
          LIMIT,
        );
        await device.restart({ reload: true });
        await device.seeName(roomId, name);
        await drive(device.page, "stop");
        await device.page.close();
      });

      it("changes a session that is used up, and comes to rest", async () => {
        const [name, topic] = [secret("name"), secret("topic")];
        const { roomId: id } = await drive(alice.page, "createRoomAs", {
          name,
          topic,
          preset: "private_chat" as never,
          invite: [carol.userId],
          initial_state: [
            {
              type: "m.room.encryption",
              state_key: "",
              content: { algorithm: "m.megolm.v1.aes-sha2", rotation_period_msgs: 1 },
            },
          ],
        });
        await alice.seeName(id, name);
        await alice.seeTopic(id, topic);
        const writes = (): number =>
          recorder.exchanges.filter(
            ({ host, method, path }) =>
              host === HOMESERVER &&
              method === "PUT" &&
              decodeURIComponent(path).includes(`${id}/state/m.room.encrypted/`),
          ).length;
        // Name and topic have one session again, of which whoever joins is given the key.
        const isOne = async (): Promise<boolean> => {
          const state = await encryptedState(id);
          return sessionOf(state["m.room.name:"]) === sessionOf(state["m.room.topic:"]);
        };
        const used = new Set<string>();
        for (let round = 1; round <= 3; round += 1) {
          await until(isOne, "both are encrypted with one session", LIMIT);
          used.add(sessionOf((await encryptedState(id))["m.room.name:"]));
          const next = secret("name");
          await alice.rename(id, next);
          await alice.seeName(id, next);
        }
        await until(isOne, "both are encrypted with one session", LIMIT);
        const last = given.at(-1) ?? "";
        await carol.join(id);
        await carol.seeName(id, last);
        await carol.seeTopic(id, topic);
        assert.equal(used.size, 3);
        // Two at first, one renewed; two for each rename; perhaps both for Carol, who was quick.
        assert.ok(writes() <= 3 + 3 * 2 + 2, `${writes()} writes`);
      });

      it("shows a name whose key comes after the very first sync", async () => {
        const keys = holdToDevice();
        const name = secret("name");
        await drive(bob.page, "stop");
        const end = liar.tell(toClient(bob.accessToken(), keys.lie));
        const { roomId: id } = await drive(alice.page, "createRoom", {
          name,
          encrypted: true,
          invite: [bob.userId],
        });
        await alice.seeName(id, name);
        const account = { userId: bob.userId, deviceId: "", accessToken: bob.accessToken() };
        const join = `/_matrix/client/v3/join/${encodeURIComponent(id)}`;
        await world.synapse.call(account, "POST", join, {});
        await bob.restart({ reload: true, clearCache: true });
        await until(() => keys.held() > 0, "a key is on its way", LIMIT);
        await until(
          async () => (await held(bob, id, "m.room.encrypted", "m.room.name:")) !== null,
          "the encrypted name is there",
          LIMIT,
        );
        assert.notEqual(await bob.name(id), name);
        keys.release();
        // Wakes the sync that waits.
        await alice.send(id, "wake up");
        await bob.seeName(id, name);
        end();
      });

      it("shows a name whose key comes late, without a reload", async () => {
        const keys = holdToDevice();
        const end = liar.tell(toClient(bob.accessToken(), keys.lie));
        const name = secret("name");
        const made = await drive(alice.page, "createRoom", {
          name,
          encrypted: true,
          invite: [bob.userId, carol.userId, frank.userId],
        });
        secondRoomId = made.roomId;
        await bob.join(secondRoomId);
        await until(
          async () => (await held(bob, secondRoomId, "m.room.encrypted", "m.room.name:")) !== null,
          "the encrypted name is there",
          LIMIT,
        );
        await until(() => keys.held() > 0, "a key is on its way", LIMIT);
        assert.notEqual(await bob.name(secondRoomId), name);
        keys.release();
        // Wakes the sync that waits.
        await alice.send(secondRoomId, "wake up");
        await bob.seeName(secondRoomId, name);
        end();
        await Promise.all([carol.join(secondRoomId), frank.join(secondRoomId)]);
        await carol.seeName(secondRoomId, name);
      });

      it("shows a name whose key comes with it, in the same answer", async () => {
        await drive(bob.page, "stop");
        await frank.leave(secondRoomId);
        await until(
          async () => {
            const member = await held(alice, secondRoomId, "m.room.member", frank.userId);
            return member?.content["membership"] === "leave";
          },
          "Alice knows that Frank left",
          LIMIT,
        );
        const name = secret("name");
        await alice.rename(secondRoomId, name);
        await bob.restart();
        await bob.seeName(secondRoomId, name);
      });

      it("sets a name again that was set while the old one was being encrypted anew", async () => {
        const made = await drive(alice.page, "createRoom", {
          name: secret("name"),
          encrypted: true,
          invite: [erin.userId, carol.userId, frank.userId],
        });
        const id = made.roomId;
        await Promise.all([erin.join(id), carol.join(id), frank.join(id)]);
        await drive(alice.page, "sendState", id, "m.room.power_levels", "", {
          users: { [carol.userId]: 50 },
        });
        const first = secret("name");
        await alice.rename(id, first);
        await Promise.all([alice, carol, erin].map((one) => one.seeName(id, first)));
        const nameNow = async (): Promise<WireEvent | undefined> =>
          (await encryptedState(id))["m.room.name:"];
        // What Alice's Mantle sends once Frank is gone arrives later than a name of Carol's.
        const hold = liar.hold(({ method, path, headers }) => {
          const isName = decodeURIComponent(path).endsWith("/m.room.encrypted/m.room.name:");
          const isAlice = headers.authorization === `Bearer ${alice.accessToken()}`;
          return method === "PUT" && isName && isAlice;
        });
        await frank.leave(id);
        await until(() => hold.held() > 0, "the name is encrypted anew", LIMIT);
        const name = secret("name");
        await carol.rename(id, name);
        const carols = (await nameNow())?.event_id;
        hold.letGo();
        await until(async () => (await nameNow())?.event_id !== carols, "it arrived", LIMIT);
        const undone = (await nameNow())?.event_id;
        await until(async () => (await nameNow())?.event_id !== undone, "it is mended", LIMIT);
        await Promise.all([alice, carol, erin].map((one) => one.seeName(id, name)));
      });

      it("lets a deputy encrypt anew what its maker does not, a minute later", async () => {
        const name = secret("name");
        const made = await drive(alice.page, "createRoom", {
          name,
          encrypted: true,
          invite: [erin.userId, frank.userId],
        });
        const id = made.roomId;
        await Promise.all([erin.join(id), frank.join(id)]);
        await drive(alice.page, "sendState", id, "m.room.power_levels", "", {
          users: { [erin.userId]: 50 },
        });
        await erin.seeName(id, name);
        const writer = async (): Promise<unknown> =>
          (await encryptedState(id))["m.room.name:"]?.sender;
        await drive(alice.page, "stop");
        await frank.leave(id);
        await until(
          async () =>
            (await held(erin, id, "m.room.member", frank.userId))?.content["membership"] ===
            "leave",
          "Erin knows that Frank left",
          LIMIT,
        );
        assert.equal(await writer(), alice.userId);
        // It counts from when her Mantle has seen to it, which shows nowhere: so perhaps twice.
        for (const [minutes, seconds] of [
          [2, 4],
          [4, 15],
          [6, 30],
        ] as const) {
          await erin.restart({ reload: true, clockAhead: minutes * 60_000 });
          const limit = Date.now() + seconds * 1_000;
          while ((await writer()) !== erin.userId && Date.now() < limit) await sleep(100);
          if ((await writer()) === erin.userId) break;
        }
        assert.equal(await writer(), erin.userId);
        await erin.restart({ reload: true });
        await erin.seeName(id, name);
        await alice.restart();
        await alice.seeName(id, name);
      });

      it("starts from a cold cache, and from a warm one", async () => {
        const name = await bob.name(roomId);
        const second = await bob.name(secondRoomId);
        assert.ok(given.includes(name) && given.includes(second));
        for (const clearCache of [true, false]) {
          await bob.restart({ reload: true, clearCache });
          await bob.seeName(roomId, name);
          await bob.seeName(secondRoomId, second);
        }
        const later = secret("name");
        await alice.rename(roomId, later);
        await bob.seeName(roomId, later);
      });

      it("encrypts with its own session before Element's first sync is through, too", async () => {
        const first = secret("name");
        await alice.rename(secondRoomId, first);
        await alice.seeName(secondRoomId, first);
        await drive(alice.page, "saveSyncCache");
        const nameNow = async (): Promise<WireEvent | undefined> =>
          (await encryptedState(secondRoomId))["m.room.name:"];
        const before = await nameNow();
        const hold = liar.hold(
          (request) =>
            isSync(request) && request.headers.authorization === `Bearer ${alice.accessToken()}`,
        );
        await alice.restart({ reload: true });
        await until(() => hold.held() > 0, "the first sync is on its way", LIMIT);
        const name = secret("name");
        await alice.rename(secondRoomId, name);
        const after = await nameNow();
        hold.letGo();
        assert.notEqual(after?.event_id, before?.event_id);
        assert.equal(sessionOf(after), sessionOf(before));
        await Promise.all([alice, bob].map((one) => one.seeName(secondRoomId, name)));
      });

      it("goes on in another tab, and in the first one when that is closed", async () => {
        await drive(bob.page, "stop");
        const tab = await bob.secondTab();
        const name = secret("name");
        await tab.rename(roomId, name);
        await everybodySees([tab, alice, carol, erin], name);
        await drive(tab.page, "stop");
        await tab.page.close();
        await bob.restart();
        const last = secret("name");
        await bob.rename(roomId, last);
        await everybodySees([bob, alice, carol, erin], last);
      });

      it("puts the keys into the page's own backup, from which other clients show the names", async () => {
        // A room in which nobody else can give a new device the key.
        const [name, topic] = [secret("name"), secret("topic")];
        const made = await drive(alice.page, "createRoom", { name, topic, encrypted: true });
        const id = made.roomId;
        await alice.seeTopic(id, topic);
        const account = { userId: "", deviceId: "", accessToken: alice.accessToken() };
        const session = sessionOf((await encryptedState(id))["m.room.name:"]);
        const sessions = [id, session].map(encodeURIComponent).join("/");
        const path = `/_matrix/client/v3/room_keys/keys/${sessions}?version=${backup.version}`;
        const isKept = (): Promise<boolean> =>
          world.synapse.call(account, "GET", path).then(
            () => true,
            () => false,
          );
        await until(isKept, "the backup has the key", 2 * LIMIT);
        await drive(alice.page, "stop");
        const login = (await world.synapse.call(undefined, "POST", "/_matrix/client/v3/login", {
          type: "m.login.password",
          identifier: { type: "m.id.user", user: `alice-${kind}` },
          password: PASSWORD,
        })) as { user_id: string; device_id: string; access_token: string };
        const restored = await startPeer(
          world.synapse,
          {
            userId: login.user_id,
            deviceId: login.device_id,
            accessToken: login.access_token,
          },
          { encryptedState: true, restore: backup },
        );
        try {
          assert.ok(restored.restored.get(id)?.includes(session), "The backup gives the session");
          await restored.seeName(id, name);
          await restored.seeTopic(id, topic);
        } finally {
          restored.stop();
        }
        const device = await openGuarded(browser, {
          label: "alice's new device (Mantle)",
          user: `alice-${kind}`,
          password: PASSWORD,
          site: "develop.element.io",
          encryptedState: true,
        });
        assert.notEqual(await device.name(id), name);
        await drive(device.page, "restoreBackup", backup.key, backup.version);
        await device.seeName(id, name);
        await device.seeTopic(id, topic);
        await drive(device.page, "stop");
        await device.page.close();
        await alice.restart();
      });

      it("let only one member encrypt each of them anew after the leave", () => {
        // Nobody has set a topic since then.
        const writes = recorder.exchanges
          .slice(untilLeaving)
          .filter(({ host, method }) => host === HOMESERVER && method === "PUT")
          .filter(({ path }) => {
            const [room, rest] = decodeURIComponent(path).split("/state/");
            return room?.endsWith(roomId) && rest?.startsWith("m.room.encrypted/m.room.topic:");
          });
        assert.deepEqual(
          writes.map(({ headers }) => headers.origin),
          // After Dave left and after Bob's device was signed out.
          ["https://chat.example.org", "https://chat.example.org"],
          "Alice, who made it, and nobody else",
        );
      });

      it("told nobody else: not the homeserver, not its database, and no errors", async () => {
        assert.ok(given.length > 10);
        const told = recorder.exchanges.flatMap(({ host, method, path, headers, body }) => {
          const everything = `${path}\n${JSON.stringify(headers)}\n${body.toString("utf8")}`;
          const found = given.filter((text) => everything.includes(text));
          return found.map((text) => `${host} ${method} ${path.split("?")[0]}: ${text}`);
        });
        assert.deepEqual(told, []);
        assert.deepEqual(await world.synapse.searchDatabase(given), []);
        for (const { page, label } of [alice, bob, erin]) {
          assert.deepEqual(await unhandled(page), [], label);
        }
      });
    });
  }
});
