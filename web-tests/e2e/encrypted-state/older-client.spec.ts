/** Encrypted names where Element is of 2025 (matrix-js-sdk 37), beside one of 2026 (43). */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../../support/browsers.ts";
import { makeCanaries } from "../../support/canaries.ts";
import { clientPage, drive } from "../../support/client-page.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { launchMantle } from "../extension-pages.ts";
import type { ExtensionBrowser } from "../extension-pages.ts";
import { openGuarded } from "./people.ts";
import type { Guarded } from "./people.ts";

const PASSWORD = "correct horse battery staple";

for (const kind of bothBrowsers) {
  describe(`encrypted names with matrix-js-sdk 37 in ${kind}`, { timeout: 480_000 }, () => {
    let world: World;
    let browser: ExtensionBrowser;
    let alice: Guarded;
    let bob: Guarded;

    before(async () => {
      world = await startWorld({ client: { sdk: "37" } });
      world.recorder.route("app.element.io", await clientPage());
      browser = await launchMantle(kind, world.recorder.port);
      [alice, bob] = [await open("alice", "chat.example.org"), await open("bob", "app.element.io")];
    });

    after(async () => {
      await browser?.close();
      await world?.close();
    });

    it("are written and read by both, and after a reload, and the homeserver has none", async () => {
      const { roomName, topic, newRoomName } = makeCanaries();
      const { roomId } = await drive(alice.page, "createRoom", {
        name: roomName,
        topic,
        encrypted: true,
        invite: [bob.userId],
      });
      await bob.join(roomId);
      for (const one of [alice, bob]) {
        await one.seeName(roomId, roomName);
        await one.seeTopic(roomId, topic);
      }
      // Who made the room is above all levels.
      const power = { users: { [bob.userId]: 100 } };
      await drive(alice.page, "sendState", roomId, "m.room.power_levels", "", power);
      await bob.rename(roomId, newRoomName);
      await alice.seeName(roomId, newRoomName);
      await alice.restart({ reload: true });
      await alice.seeName(roomId, newRoomName);
      await alice.seeTopic(roomId, topic);
      const secrets = [roomName, topic, newRoomName];
      assert.deepEqual(await world.synapse.searchDatabase(secrets), []);
    });

    async function open(user: string, site: string): Promise<Guarded> {
      await world.synapse.register(user, PASSWORD);
      return openGuarded(browser, {
        label: user,
        user,
        password: PASSWORD,
        site,
        encryptedState: false,
      });
    }
  });
}
