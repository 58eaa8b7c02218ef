/**
 * Keys of somebody's session that others hand out first, as their own, and dates that a homeserver
 * makes up: whose name it is, and which is the newest, hangs on neither where a Mantle set it.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { testBuild } from "../../report/run.ts";
import { bothBrowsers, launch } from "../../support/browsers.ts";
import { drive } from "../../support/client-page.ts";
import { aboutRoom, inject, lyingHomeserver, toClient } from "../../support/lies.ts";
import type { LyingHomeserver, WireEvent } from "../../support/lies.ts";
import { startPeer } from "../../support/peer.ts";
import type { Peer } from "../../support/peer.ts";
import type { Account } from "../../support/synapse.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { until } from "../extension-pages.ts";
import { PASSWORD, openGuarded } from "./people.ts";
import type { Guarded } from "./people.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const LIMIT_MS = 60_000;
const [FIRST, SECOND] = ["chat.example.org", "app.element.io"];

for (const kind of bothBrowsers) {
  describe(`keys that others hand out first in ${kind}`, { timeout: 420_000 }, () => {
    let world: World;
    let liar: LyingHomeserver;
    let browser: Awaited<ReturnType<typeof launch>>;
    let alice: Guarded;
    let bob: Guarded;
    let bobsAccount: Account;
    let mallory: Peer;
    let madeUp: Peer;
    let madeUpAccount: Account;
    let letGo: () => void;
    /** Rooms by what is done to them. */
    const rooms = { squatted: "", unsigned: "", deleted: "", redated: "" };
    /** The name that Alice has replaced, as the homeserver has it. */
    let old: WireEvent;

    const newRoom = async (name: string, period?: number): Promise<string> => {
      const { roomId } = await drive(alice.page, "createRoomAs", {
        name,
        preset: "private_chat" as never,
        invite: [bobsAccount.userId, mallory.userId],
        initial_state: [
          {
            type: "m.room.encryption",
            state_key: "",
            content: {
              algorithm: "m.megolm.v1.aes-sha2",
              ...(period === undefined ? {} : { rotation_period_msgs: period }),
            },
          },
        ],
      });
      await alice.seeName(roomId, name);
      await mallory.join(roomId);
      // So the key was handed out to her.
      await mallory.seeName(roomId, name);
      const join = `/_matrix/client/v3/join/${encodeURIComponent(roomId)}`;
      await world.synapse.call(bobsAccount, "POST", join, {});
      return roomId;
    };

    /** Gives Bob's device a room's keys, over Olm, as somebody's own; the homeserver has them then. */
    const handOut = async (roomId: string, by: Peer): Promise<void> => {
      const crypto = by.client.getCrypto();
      assert.ok(crypto !== undefined);
      const { userId, deviceId } = bob.credentials;
      const isKnown = async (): Promise<boolean> =>
        (await crypto.getUserDeviceInfo([userId], true)).get(userId)?.has(deviceId) ?? false;
      await until(isKnown, "Bob's device being known", LIMIT_MS);
      for (const content of await drive(alice.page, "givenRoomKeys", roomId)) {
        const device = { userId, deviceId };
        const { batch } = await crypto.encryptToDeviceMessages("m.room_key", [device], content);
        const [message, ...rest] = batch;
        assert.ok(message !== undefined && rest.length === 0, "Bob's device is reached");
        const messages = new Map([[userId, new Map([[deviceId, message.payload]])]]);
        await by.client.sendToDevice("m.room.encrypted", messages);
      }
    };

    /** The same before anybody else does, so that Bob's Element takes them for the sender's own. */
    const handOutFirst = async (roomId: string, by: Peer): Promise<void> => {
      await handOut(roomId, by);
      const own = await by.client.getCrypto()?.getOwnDeviceKeys();
      const keys = await drive(alice.page, "givenRoomKeys", roomId);
      const isTaken = async (): Promise<boolean> => {
        const senders = await drive(bob.page, "keySendersOf", roomId);
        return keys.every((key) => senders[String(key["session_id"])] === own?.curve25519);
      };
      await until(isTaken, "Bob's Element taking the keys for the sender's own", LIMIT_MS);
    };

    before(async () => {
      world = await startWorld();
      liar = lyingHomeserver(world.synapse.baseUrl);
      world.recorder.route(HOMESERVER, liar.route);
      const { synapse } = world;
      await synapse.register("alice", PASSWORD);
      bobsAccount = await synapse.register("bob", PASSWORD);
      const malloryAccount = await synapse.register("mallory", PASSWORD);
      mallory = await startPeer(synapse, malloryAccount, { encryptedState: true });
      browser = await launch(kind, { proxyPort: world.recorder.port, extension: testBuild(kind) });
      const site = { password: PASSWORD, encryptedState: false };
      alice = await openGuarded(browser, { ...site, label: "Alice", site: FIRST, user: "alice" });
      await drive(alice.page, "noteGivenRoomKeys");
      // A homeserver can make one up that looks the same.
      const login = await synapse.call(undefined, "POST", "/_matrix/client/v3/login", {
        type: "m.login.password",
        identifier: { type: "m.id.user", user: "alice" },
        password: PASSWORD,
      });
      madeUpAccount = {
        userId: alice.userId,
        accessToken: String(login["access_token"]),
        deviceId: String(login["device_id"]),
      };
      madeUp = await startPeer(synapse, madeUpAccount, { encryptedState: true });

      rooms.squatted = await newRoom("Orchard canary");
      rooms.deleted = await newRoom("Meadow canary");
      rooms.redated = await newRoom("Brook canary", 1);
      await drive(alice.page, "leaveUnsigned", "Harbour canary");
      rooms.unsigned = await newRoom("Harbour canary");
      await alice.setTopic(rooms.unsigned, "Ships canary");
      await mallory.seeTopic(rooms.unsigned, "Ships canary");
      const path = `/_matrix/client/v3/rooms/${encodeURIComponent(rooms.redated)}/state`;
      const state = (await synapse.call(bobsAccount, "GET", path)) as unknown as WireEvent[];
      const found = state.find((event) => event.state_key === "m.room.name:");
      assert.ok(found !== undefined, "The name is encrypted");
      old = { ...found, unsigned: {} };
      await alice.rename(rooms.redated, "River canary");
      await mallory.seeName(rooms.redated, "River canary");

      // From here on Alice's own keys are late.
      const held = liar.hold(
        (request) =>
          request.headers.authorization === `Bearer ${alice.accessToken()}` &&
          request.path.includes("/sendToDevice/"),
      );
      letGo = held.letGo;
      bob = await openGuarded(browser, { ...site, label: "Bob", site: SECOND, user: "bob" });
      await handOutFirst(rooms.squatted, mallory);
      await handOutFirst(rooms.unsigned, mallory);
      await handOutFirst(rooms.redated, mallory);
      await handOutFirst(rooms.deleted, madeUp);
    });

    after(async () => {
      mallory?.stop();
      madeUp?.stop();
      await browser?.close();
      await world?.close();
    });

    it("shows the name of its author when a member gave its key first, as his own", async () => {
      await bob.seeName(rooms.squatted, "Orchard canary");
      await bob.restart({ reload: true, clearCache: true });
      await bob.seeName(rooms.squatted, "Orchard canary");
    });

    it("shows it when the homeserver gave the key by a device that it deletes then", async () => {
      await bob.seeName(rooms.deleted, "Meadow canary");
      madeUp.stop();
      await world.synapse.call(madeUpAccount, "POST", "/_matrix/client/v3/logout", {});
      const { userId } = bob.credentials;
      await until(
        async () => {
          const known = await drive(bob.page, "devicesOf", alice.userId);
          return !known.includes(madeUpAccount.deviceId);
        },
        `${userId} knowing that it is gone`,
        LIMIT_MS,
      );
      await bob.restart({ reload: true, clearCache: true });
      await bob.seeName(rooms.deleted, "Meadow canary");
    });

    it("keeps away what nobody signed, whose key a member gave first as his own", async () => {
      // Signed, of the same session, and later: when it is shown, the name has been looked at.
      await bob.seeTopic(rooms.unsigned, "Ships canary");
      assert.doesNotMatch(await bob.name(rooms.unsigned), /canary/);
    });

    describe("once the author's own keys are there", () => {
      before(() => letGo());

      it("goes on with the author's names, whoever hands the keys out again", async () => {
        await alice.rename(rooms.squatted, "Vineyard canary");
        await bob.seeName(rooms.squatted, "Vineyard canary");
        await handOut(rooms.squatted, mallory);
        await alice.rename(rooms.squatted, "Garden canary");
        await bob.seeName(rooms.squatted, "Garden canary");
        await bob.restart({ reload: true, clearCache: true });
        await bob.seeName(rooms.squatted, "Garden canary");
      });

      it("takes no older name for the newest, whatever date the homeserver gives it", async () => {
        await bob.seeName(rooms.redated, "River canary");
        const anew = { ...old, origin_server_ts: Date.now() + DAY_MS };
        const told = inject(rooms.redated, "timeline", [anew]);
        const endInjection = liar.tell(toClient(bob.accessToken(), told.lie));
        await alice.setTopic(rooms.redated, "Water canary");
        await bob.seeTopic(rooms.redated, "Water canary");
        await until(() => told.toldTo() > 0, "the lie being told", LIMIT_MS);
        await alice.setTopic(rooms.redated, "Fish canary");
        await bob.seeTopic(rooms.redated, "Fish canary");
        assert.equal(await bob.name(rooms.redated), "River canary");

        // Also as the state of now, to a client that has forgotten everything but its keys. A name that
        // is in no list of the answer at all is one that the homeserver withholds.
        endInjection();
        let count = 0;
        const isName = (event: WireEvent): boolean => event.state_key === "m.room.name:";
        const lie = aboutRoom(rooms.redated, ({ state, timeline }) => {
          if (![...state, ...timeline].some(isName)) return false;
          for (const list of [state, timeline]) {
            list.splice(0, list.length, ...list.filter((event) => !isName(event)));
          }
          state.push(structuredClone(anew));
          count += 1;
          return true;
        });
        liar.tell(toClient(bob.accessToken(), lie));
        await bob.restart({ reload: true, clearCache: true });
        await bob.seeTopic(rooms.redated, "Fish canary");
        await bob.seeName(rooms.redated, "River canary");
        assert.ok(count > 0, "the lie was told");
      });
    });
  });
}
