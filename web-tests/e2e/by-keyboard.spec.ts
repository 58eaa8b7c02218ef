/**
 * What people come to Mantle for, done by keyboard alone: why stickers are gone, and their manager
 * allowed; all sessions renamed; the names of all rooms encrypted. The homeserver and the recorder
 * say whether it was done.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { tabTo } from "../support/axe.ts";
import { bothBrowsers } from "../support/browsers.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, MANAGER, type World, startWorld } from "../support/world.ts";
import { check, enter, openChecked, openCheckUp, press, reached } from "./checkup-page.ts";
import { type Guarded, PASSWORD } from "./encrypted-state/people.ts";
import {
  type ExtensionBrowser,
  launchMantle,
  ownTabs,
  tabShowing,
  until,
} from "./extension-pages.ts";

const SITE = "chat.example.org";
const V3 = "/_matrix/client/v3";
const NAMES = ["Orchard plans", "Pruning", "Harvest"];

type Json = Record<string, unknown>;

for (const kind of bothBrowsers) {
  describe(`by keyboard alone in ${kind}`, { timeout: 880_000 }, () => {
    let world: World;
    let running: ExtensionBrowser;
    let alice: Guarded;
    let me: Account;
    let checkUp: Page;
    const rooms: string[] = [];

    const call = (method: string, path: string, body?: unknown): Promise<Json> =>
      world.synapse.call(me, method, path, body);

    before(async () => {
      world = await startWorld();
      running = await launchMantle(kind, world.recorder.port);
      alice = await openChecked(world, running, "alice", SITE);
      me = alice.credentials;
    });
    after(async () => {
      await running?.close();
      await world?.close();
    });

    it("somebody finds out why stickers are gone, and allows their manager", async () => {
      const reaches = async (): Promise<boolean> => {
        world.recorder.clear();
        await alice.page.evaluate(async (host) => {
          await fetch(`https://${host}/api/stickers`).catch(() => undefined);
        }, MANAGER);
        return world.recorder.to(MANAGER).length > 0;
      };
      assert.equal(await reaches(), false);
      const first = await running.openExtensionPage("options.html");
      const tab = await tabShowing(first, SITE);
      await first.close();
      const popup = await running.openExtensionPage(`popup.html?tab=${tab}`);
      await popup.waitForSelector("[data-shield]", { timeout: 60_000 });
      await popup.bringToFront();
      const field = await popup.waitForSelector("#search");
      assert.ok(field !== null && (await tabTo(popup, field)));
      await popup.keyboard.type("sticker");
      await enter(popup, '[data-shield="integrations"] summary');
      const why = await popup.waitForSelector('[data-shield="integrations"] .loses', {
        visible: true,
      });
      assert.match((await why?.evaluate((one) => one.textContent)) ?? "", /[Ss]ticker/);
      const list = await popup.waitForSelector("#allow-integrations");
      assert.ok(list !== null && (await tabTo(popup, list)));
      await popup.keyboard.type(MANAGER);
      await enter(popup, '[data-shield="integrations"] .field:has(textarea) .buttons button');
      await until(reaches, "the manager to be reached", 60_000);
      // On to the next task, from the same window.
      // The popup closes itself, at times before the key is let go; the check-up says it was pressed.
      await enter(popup, "#open-check-up").catch(() => undefined);
      const witness = await running.openExtensionPage("options.html");
      await until(
        async () => (await ownTabs(witness)).includes("/checkup.html"),
        "the check-up",
        60_000,
      );
      await witness.close();
    });

    it("somebody renames all sessions", async () => {
      for (const name of ["chat.example.org: Chrome on Windows", "Alice's telephone"]) {
        const identifier = { type: "m.id.user", user: "alice" };
        const login = { type: "m.login.password", identifier, password: PASSWORD };
        await call("POST", `${V3}/login`, { ...login, initial_device_display_name: name });
      }
      checkUp = await openCheckUp(running, SITE);
      await check(checkUp);
      await press(checkUp, "session-names", "Repair…");
      await press(checkUp, "session-names", "Start");
      await reached(checkUp, "session-names", "ended");
      const { devices } = (await call("GET", `${V3}/devices`)) as { devices: Json[] };
      const names = devices.flatMap((device) => device["display_name"] ?? []);
      assert.deepEqual(names, ["Element", "Element", "Element"]);
    });

    it("somebody encrypts the names of all rooms", async () => {
      const encryption = { algorithm: "m.megolm.v1.aes-sha2" };
      for (const name of NAMES) {
        const { room_id: room } = await call("POST", `${V3}/createRoom`, {
          name,
          initial_state: [{ type: "m.room.encryption", state_key: "", content: encryption }],
        });
        rooms.push(String(room));
        // They can be encrypted once Element knows the room.
        await alice.seeName(String(room), name);
      }
      await check(checkUp);
      await press(checkUp, "readable-rooms", "Repair…");
      await checkUp.waitForFunction(
        () => document.body.innerText.includes("This cannot be taken back."),
        { timeout: 60_000 },
      );
      world.recorder.clear();
      await press(checkUp, "readable-rooms", "Start");
      assert.match(await reached(checkUp, "readable-rooms", "ended", 120_000), /3 of 3 done/);
      for (const [index, room] of rooms.entries()) {
        const path = `${V3}/rooms/${encodeURIComponent(room)}/state/m.room.name`;
        assert.equal((await call("GET", path))["name"], "");
        await alice.seeName(room, NAMES[index] ?? "");
      }
      // Nothing that was sent for it has a name in it that anybody could read.
      const told = world.recorder
        .to(HOMESERVER)
        .filter(({ body }) => NAMES.some((name) => String(body).includes(name)));
      assert.deepEqual(told, []);
    });
  });
}
