/**
 * The check-up: what it finds, what it asks, and repairs against a real homeserver, all of it by
 * keyboard alone. Three tasks are those that people come for: why stickers are gone, and their manager
 * allowed; all sessions renamed; the names of all rooms encrypted.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import { tabTo, violations } from "../support/axe.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { answerJson, forward } from "../support/recorder.ts";
import type { Exchange } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { drive } from "../support/client-page.ts";
import { HOMESERVER, MANAGER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import {
  check as checkByKeyboard,
  enter,
  openChecked,
  openCheckUp,
  press as pressByKeyboard,
  reached as repairReached,
} from "./checkup-page.ts";
import { PASSWORD } from "./encrypted-state/people.ts";
import type { Guarded } from "./encrypted-state/people.ts";
import {
  type ExtensionBrowser,
  callApi,
  launchMantle,
  pause,
  tabShowing,
  until,
} from "./extension-pages.ts";

const SITE = "chat.example.org";
const SCREENSHOTS = fileURLToPath(new URL("../../build/screenshots", import.meta.url));
const V3 = "/_matrix/client/v3";
const MANAGER_URL = `https://${MANAGER}/`;
const WIDGET = "im.vector.modular.widgets";
/** Of encrypted rooms; the first has more that is found. */
const NAMES = ["Orchard plans", "Pruning", "Harvest"];

type Json = Record<string, unknown>;

for (const kind of bothBrowsers) {
  describe(`check-up in ${kind}`, { timeout: 880_000 }, () => {
    let world: World;
    let running: ExtensionBrowser;
    let alice: Guarded;
    let me: Account;
    let checkUp: Page;

    const call = (method: string, path: string, body?: unknown): Promise<Json> =>
      world.synapse.call(me, method, path, body);
    const accountData = (type: string): string => `${V3}/user/${me.userId}/account_data/${type}`;
    const readData = (type: string): Promise<Json> => call("GET", accountData(type));
    const state = (roomId: string, type: string): Promise<Json> =>
      call("GET", `${V3}/rooms/${encodeURIComponent(roomId)}/state/${type}`);
    const sessionNames = async (): Promise<unknown[]> => {
      const { devices } = (await call("GET", `${V3}/devices`)) as { devices: Json[] };
      // The one of the registration has none.
      return devices.flatMap((device) => device["display_name"] ?? []).sort();
    };
    /** An old room, made before Mantle: encrypted, with a name that everyone on the way reads. */
    const oldRoom = async (name: string, more: Json[] = []): Promise<string> => {
      const encryption = { algorithm: "m.megolm.v1.aes-sha2" };
      const { room_id: roomId } = await call("POST", `${V3}/createRoom`, {
        name,
        topic: `${name} topic`,
        initial_state: [{ type: "m.room.encryption", state_key: "", content: encryption }, ...more],
      });
      return String(roomId);
    };

    before(async () => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      world = await startWorld();
      running = await launchMantle(kind, world.recorder.port);
      alice = await openChecked(world, running, "alice", SITE);
      me = alice.credentials;
    });
    after(async () => {
      await running?.close();
      await world?.close();
    });

    const check = (): Promise<void> => checkByKeyboard(checkUp);

    async function findings(): Promise<Record<string, string[]>> {
      const shown = await checkUp.$$eval("#findings .finding", (all) =>
        all.map((one) => [
          (one as HTMLElement).dataset["finding"] ?? "",
          [...one.querySelectorAll("details li")].map((item) => item.textContent ?? ""),
        ]),
      );
      const found = Object.fromEntries(shown) as Record<string, string[]>;
      // Whether the homeserver takes her for there is a matter of seconds.
      delete found["presence"];
      return found;
    }

    const press = (finding: string, label: string): Promise<void> =>
      pressByKeyboard(checkUp, finding, label);

    async function repair(finding: string): Promise<void> {
      await press(finding, "Repair…");
      await press(finding, "Start");
    }

    const reached = (finding: string, wanted: string): Promise<string> =>
      repairReached(checkUp, finding, wanted);

    const asked = (): string[] =>
      world.recorder
        .to(HOMESERVER)
        .filter(isOfCheckUp)
        .map(({ method, path }) => `${method} ${path.split("?")[0] ?? ""}`);

    it("asks nothing before it is told to, and then its homeserver only", async () => {
      checkUp = await openCheckUp(running, SITE);
      world.recorder.clear();
      const text = await checkUp.$eval("body", (body) => body.innerText);
      assert.match(text, /Check-up of @alice:hs\.example\.org/);
      assert.match(text, /What your homeserver hs\.example\.org is asked/);
      await pause(500);
      assert.deepEqual(asked(), []);
      await check();
      const user = encodeURIComponent(me.userId);
      assert.deepEqual(asked(), [
        `GET ${V3}/devices`,
        `GET ${V3}/sync`,
        `GET ${V3}/account/3pid`,
        `GET ${V3}/pushers`,
        `GET ${V3}/room_keys/version`,
        `GET ${V3}/profile/${user}`,
        `GET ${V3}/presence/${user}/status`,
      ]);
      const [profile] = world.recorder
        .to(HOMESERVER)
        .filter(({ path }) => path.includes("/profile/"));
      assert.equal(profile?.headers.authorization, undefined, "as anybody asks");
      const others = world.recorder.exchanges.filter(({ host }) => host !== HOMESERVER);
      assert.deepEqual(
        others.filter(({ host }) => host !== SITE).map(({ host }) => host),
        [],
      );
      // The session was named by Mantle, so there is nothing to find but what every account shows.
      assert.deepEqual(await findings(), { "public-profile": ["alice"] });
    });

    it("finds what older Elements left: names, servers, words, widgets", async () => {
      for (const name of ["chat.example.org: Chrome on Windows", "Alice's telephone"]) {
        const identifier = { type: "m.id.user", user: "alice" };
        const login = { type: "m.login.password", identifier, password: PASSWORD };
        await call("POST", `${V3}/login`, { ...login, initial_device_display_name: name });
      }
      await call("PUT", accountData("m.identity_server"), { base_url: "https://vector.im" });
      await call("PUT", accountData("m.widgets"), {
        integration_manager: {
          content: { type: "m.integration_manager", url: MANAGER_URL, name: "Manager" },
        },
        stickers: {
          content: {
            type: "m.stickerpicker",
            url: "https://stickers.example.org/",
            name: "Stickers",
          },
        },
      });
      const rule = { pattern: "orchard", actions: ["notify"] };
      await call("PUT", `${V3}/pushrules/global/content/orchard`, rule);
      const roomId = await oldRoom("Orchard plans", [
        {
          type: WIDGET,
          state_key: "pad",
          content: { type: "m.custom", url: "https://pad.example.org/p/1", name: "Pad" },
        },
      ]);
      // Its name can be encrypted once Element knows the room.
      await alice.seeName(roomId, "Orchard plans");
      await check();
      const [manager, stickers, pad, ...sessions] = [
        "Manager (scalar.vector.im)",
        "Stickers (stickers.example.org)",
        "pad.example.org (Orchard plans)",
        "Alice's telephone",
        "chat.example.org: Chrome on Windows",
      ];
      const found = await findings();
      assert.deepEqual(found["session-names"]?.sort(), sessions);
      delete found["session-names"];
      assert.deepEqual(found, {
        "public-profile": ["alice"],
        "guest-access": ["Orchard plans"],
        "readable-rooms": ["Orchard plans (name, topic)"],
        "identity-server": ["vector.im"],
        "integration-manager": [manager],
        "account-widgets": [stickers],
        "room-widgets": [pad],
        keywords: ["orchard"],
      });
      await checkUp.screenshot({
        path: join(SCREENSHOTS, `checkup-${kind}.png`),
        fullPage: true,
      });
    });

    it("breaks no rule of WCAG 2.2 AA with what it found, in any colours, and fits 320 pixels", async () => {
      await checkUp.setViewport({ width: 320, height: 900 });
      await checkUp.$$eval("details", (all) => {
        for (const fold of all) fold.open = true;
      });
      for (const dark of [true, false]) {
        await running.setDark(checkUp, dark);
        await checkUp.waitForFunction(
          (wanted) => matchMedia("(prefers-color-scheme: dark)").matches === wanted,
          {},
          dark,
        );
        assert.deepEqual(await violations(checkUp), [], dark ? "dark" : "light");
        const name = `checkup-${kind}-320-${dark ? "dark" : "light"}.png`;
        await checkUp.screenshot({ path: join(SCREENSHOTS, name), fullPage: true });
      }
      const isWide = await checkUp.evaluate(
        () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
      );
      assert.equal(isWide, false);
      await checkUp.setViewport({ width: 900, height: 1200 });
      await running.setForcedColors(checkUp, true);
      await checkUp.waitForFunction(() => matchMedia("(forced-colors: active)").matches);
      assert.deepEqual(await violations(checkUp), [], "the person's own colours");
      const name = `checkup-${kind}-forced-colours.png`;
      await checkUp.screenshot({ path: join(SCREENSHOTS, name), fullPage: true });
      await running.setForcedColors(checkUp, false);
    });

    it("renames sessions and gives them their names back", async () => {
      world.recorder.clear();
      await press("session-names", "Repair…");
      assert.deepEqual(asked(), [], "a preview changes nothing");
      await press("session-names", "Start");
      assert.match(await reached("session-names", "ended"), /2 of 2 done[^]*Repaired\./);
      assert.deepEqual(await sessionNames(), ["Element", "Element", "Element"]);
      const puts = world.recorder.to(HOMESERVER).filter(({ method }) => method === "PUT");
      assert.deepEqual(
        puts.map(({ body }) => String(body)),
        ['{"display_name":"Element"}', '{"display_name":"Element"}'],
      );
      await press("session-names", "Undo");
      await until(async () => (await sessionNames()).includes("Alice's telephone"));
      assert.match(await reached("session-names", "ended"), /2 of 2 taken back[^]*Taken back\./);
      assert.deepEqual(await sessionNames(), [
        "Alice's telephone",
        "Element",
        "chat.example.org: Chrome on Windows",
      ]);
      await press("session-names", "Close");
      // Who works by keyboard goes on from the finding, and not from the page's beginning.
      await checkUp.waitForSelector('[data-finding="session-names"] .repair', { hidden: true });
      const focused = await checkUp.evaluate(() => document.activeElement?.id ?? "");
      assert.equal(focused, "finding-session-names");
      await check();
    });

    it("waits as long as the homeserver asks, and says so", async () => {
      let refusedAt = 0;
      const writes: Exchange[] = [];
      world.recorder.route(HOMESERVER, (request, response) => {
        if (request.method === "PUT" && request.path.startsWith(`${V3}/devices/`)) {
          writes.push(request as Exchange);
          if (refusedAt === 0) {
            refusedAt = Date.now();
            const error = { errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 3_000 };
            return answerJson(request, response, 429, error);
          }
        }
        return forward(world.synapse.baseUrl, request, response);
      });
      await repair("session-names");
      await checkUp.waitForFunction(
        () => document.body.innerText.includes("Your homeserver wants it slower"),
        { timeout: 10_000 },
      );
      await reached("session-names", "ended");
      world.recorder.route(HOMESERVER, { forward: world.synapse.baseUrl });
      assert.equal(writes.length, 3);
      const waited = (writes[1]?.time ?? 0) - refusedAt;
      assert.ok(waited >= 2_950, `tried again after ${waited} ms`);
      assert.deepEqual(await sessionNames(), ["Element", "Element", "Element"]);
    });

    it("takes servers, words and widgets out, each with the way back", async () => {
      const widgets = await readData("m.widgets");
      await repair("identity-server");
      await reached("identity-server", "ended");
      assert.deepEqual(await readData("m.identity_server"), { base_url: null });
      await press("identity-server", "Undo");
      await until(async () => (await readData("m.identity_server"))["base_url"] !== null);

      await repair("integration-manager");
      await reached("integration-manager", "ended");
      assert.deepEqual(Object.keys(await readData("m.widgets")), ["stickers"]);
      await press("integration-manager", "Undo");
      await until(async () => Object.keys(await readData("m.widgets")).length === 2);
      assert.deepEqual(await readData("m.widgets"), widgets);

      const rule = `${V3}/pushrules/global/content/orchard`;
      const before = await call("GET", rule);
      await repair("keywords");
      await reached("keywords", "ended");
      await assert.rejects(call("GET", rule), /404/);
      await press("keywords", "Undo");
      await until(async () => (await call("GET", rule))["pattern"] === "orchard");
      assert.deepEqual(await call("GET", rule), before);

      const { joined_rooms: rooms } = await call("GET", `${V3}/joined_rooms`);
      const pad = (): Promise<Json> => state((rooms as string[])[0] ?? "", `${WIDGET}/pad`);
      const put = await pad();
      await repair("room-widgets");
      await reached("room-widgets", "ended");
      assert.deepEqual(await pad(), {});
      await check();
      assert.equal((await findings())["room-widgets"], undefined);
      await press("room-widgets", "Undo");
      await until(async () => "url" in (await pad()));
      assert.deepEqual(await pad(), put);
    });

    it("leaves what was changed meanwhile", async () => {
      for (const finding of ["identity-server"])
        await press(finding, "Close").catch(() => undefined);
      await check();
      await call("PUT", accountData("m.identity_server"), { base_url: "https://is.example.org" });
      await repair("identity-server");
      assert.match(await reached("identity-server", "ended"), /changed by somebody meanwhile/);
      assert.deepEqual(await readData("m.identity_server"), { base_url: "https://is.example.org" });
    });

    it("encrypts names of rooms, and says who will not see them", async () => {
      const { joined_rooms: joined } = await call("GET", `${V3}/joined_rooms`);
      const rooms = [...(joined as string[])];
      for (const name of NAMES.slice(1)) {
        const room = await oldRoom(name);
        await alice.seeName(room, name);
        rooms.push(room);
      }
      await check();
      await press("readable-rooms", "Repair…");
      await checkUp.waitForFunction(
        () => document.body.innerText.includes("This cannot be taken back."),
        { timeout: 60_000 },
      );
      world.recorder.clear();
      await press("readable-rooms", "Start");
      const said = await repairReached(checkUp, "readable-rooms", "ended", 120_000);
      assert.match(said, /3 of 3 done/);
      for (const [index, room] of rooms.entries()) {
        assert.equal((await state(room, "m.room.name"))["name"], "");
        assert.equal((await state(room, "m.room.topic"))["topic"], "");
        await alice.seeName(room, NAMES[index] ?? "");
      }
      // Nothing that was sent for it has a name in it that anybody could read.
      const told = world.recorder
        .to(HOMESERVER)
        .filter(({ body }) => NAMES.some((name) => String(body).includes(name)));
      assert.deepEqual(told, []);
      await check();
      assert.equal((await findings())["readable-rooms"], undefined);
    });

    it("closes what her rooms and profile show everybody, each with the way back", async () => {
      const open = [
        ["m.room.history_visibility", { history_visibility: "world_readable" }],
        ["m.room.guest_access", { guest_access: "can_join" }],
      ] as const;
      const { room_id: id } = await call("POST", `${V3}/createRoom`, {
        name: "Town hall",
        preset: "public_chat",
        room_alias_name: "town-hall",
        initial_state: open.map(([type, content]) => ({ type, state_key: "", content })),
      });
      const roomId = String(id);
      const listing = `${V3}/directory/list/room/${encodeURIComponent(roomId)}`;
      await call("PUT", listing, { visibility: "public" });
      const profile = `/_matrix/client/unstable/uk.tcpip.msc4133/profile/${me.userId}`;
      const zone = "us.cloke.msc4175.tz";
      await call("PUT", `${profile}/${zone}`, { [zone]: "Europe/Paris" });
      const value = async (type: string, key: string): Promise<unknown> =>
        (await state(roomId, type))[key];
      const findings: [string, () => Promise<unknown>, unknown, unknown][] = [
        [
          "open-history",
          () => value("m.room.history_visibility", "history_visibility"),
          ...(["world_readable", "shared"] as const),
        ],
        [
          "guest-access",
          () => value("m.room.guest_access", "guest_access"),
          ...(["can_join", "forbidden"] as const),
        ],
        [
          "listed-rooms",
          async () => (await call("GET", listing))["visibility"],
          ...(["public", "private"] as const),
        ],
        [
          "time-zone",
          async () => (await call("GET", `${V3}/profile/${me.userId}`))[zone] ?? "none",
          ...(["Europe/Paris", "none"] as const),
        ],
        [
          "account-widgets",
          async () => "stickers" in (await readData("m.widgets")),
          ...([true, false] as const),
        ],
      ];
      await check();
      for (const [finding, read, before, after] of findings) {
        assert.equal(await read(), before, finding);
        await repair(finding);
        await reached(finding, "ended");
        assert.equal(await read(), after, `${finding}, repaired`);
        await press(finding, "Undo");
        await until(async () => (await read()) === before, `${finding}, taken back`, 30_000);
        assert.match(await reached(finding, "ended"), /Taken back\./);
      }
    });

    it("tells of a key backup that is not known to be hers, and not of her own", async () => {
      const key = Buffer.from("somebody else's key, 32 bytes...").toString("base64");
      const { version } = await call("POST", `${V3}/room_keys/version`, {
        algorithm: "m.megolm_backup.v1.curve25519-aes-sha2",
        auth_data: { public_key: key.replaceAll("=", ""), signatures: {} },
      });
      await check();
      assert.deepEqual((await findings())["key-backup"], [`${String(version)} (version)`]);
      const said = await checkUp.$eval('[data-finding="key-backup"]', (one) => {
        return (one as HTMLElement).innerText;
      });
      assert.match(said, /^your homeserver\s/);
      assert.match(said, /In Element's settings under Encryption/);
      assert.doesNotMatch(said, /Repair/);
      await drive(alice.page, "makeBackup");
      await check();
      assert.equal((await findings())["key-backup"], undefined);
      assert.equal(await checkUp.$eval("#unread", (part) => part.checkVisibility()), false);
    });

    it("has encrypted changes of rooms wake nobody, and messages as ever, with the way back", async () => {
      const bob = await world.synapse.register("bob", PASSWORD);
      const { joined_rooms: rooms } = await call("GET", `${V3}/joined_rooms`);
      const room = `${V3}/rooms/${encodeURIComponent(String((rooms as string[])[0]))}`;
      await call("POST", `${room}/invite`, { user_id: bob.userId });
      await world.synapse.call(bob, "POST", `${room}/join`, {});
      const levels = await call("GET", `${room}/state/m.room.power_levels`);
      const users = { ...(levels["users"] as object), [bob.userId]: 50 };
      await call("PUT", `${room}/state/m.room.power_levels`, { ...levels, users });
      let sent = 0;
      const send = (where: string): Promise<Json> => {
        sent += 1;
        const wire = { algorithm: "m.megolm.v1.aes-sha2", ciphertext: `${kind}${sent}` };
        return world.synapse.call(bob, "PUT", `${room}/${where}`, wire);
      };
      const message = (): Promise<Json> => send(`send/m.room.encrypted/pushed${sent}`);
      const change = (): Promise<Json> => send("state/m.room.encrypted/m.room.topic:");
      const pushed = async (): Promise<number> => {
        const { notifications } = await call("GET", `${V3}/notifications`);
        return (notifications as Json[]).length;
      };
      /** How many more she is notified of; a message after it is always one of them. */
      const wakes = async (what: () => Promise<Json>): Promise<number> => {
        const before = await pushed();
        await what();
        await message();
        await until(async () => (await pushed()) > before, "the message is counted", 20_000);
        return (await pushed()) - before - 1;
      };
      const pusher = { app_id: "org.example", pushkey: "phone", app_display_name: "Telephone" };
      const target = { url: "https://push.example.org/_matrix/push/v1/notify" };
      const more = { device_display_name: "Phone", lang: "en", data: target };
      await call("POST", `${V3}/pushers/set`, { kind: "http", ...pusher, ...more });
      try {
        await check();
        assert.deepEqual((await findings())["state-pushes"], ["Telephone (push.example.org)"]);
        assert.deepEqual([await wakes(change), await wakes(message)], [1, 1]);
        await repair("state-pushes");
        await reached("state-pushes", "ended");
        assert.deepEqual([await wakes(change), await wakes(message)], [0, 1]);
        await press("state-pushes", "Undo");
        await until(async () => (await wakes(change)) === 1, "it wakes again", 30_000);
        assert.match(await reached("state-pushes", "ended"), /Taken back\./);
        await press("state-pushes", "Close");
        await check();
        await repair("state-pushes");
        await reached("state-pushes", "ended");
        await check();
        assert.equal((await findings())["state-pushes"], undefined, "it is decided");
      } finally {
        await call("POST", `${V3}/pushers/set`, { kind: null, ...pusher });
      }
      await check();
    });

    it("is found from the popup, which says how much was found", async () => {
      const tab = await tabShowing(checkUp, SITE);
      const popup = await running.openExtensionPage(`popup.html?tab=${tab}`);
      const card = await popup.waitForSelector("#check-up:not([hidden])", { timeout: 20_000 });
      const shown = await checkUp.$$eval("#findings .finding", (all) => all.length);
      const said = await card?.evaluate((one) => (one as HTMLElement).innerText);
      assert.match(said ?? "", new RegExp(`^${shown} things? (?:is|are) known of you already`));
      const { id: own } = await callApi<{ id: number }>(checkUp, "tabs.getCurrent");
      const opened = async (): Promise<number[]> => {
        const tabs = await callApi<{ id: number; url?: string }[]>(checkUp, "tabs.query", {});
        return tabs
          .filter(({ id, url }) => id !== own && url?.includes("/checkup.html") === true)
          .map(({ id }) => id);
      };
      // The popup closes itself, at times before the key is let go; the check-up says it was pressed.
      await enter(popup, "#open-check-up").catch(() => undefined);
      await until(async () => (await opened()).length === 1, "the check-up", 60_000);
      await callApi(checkUp, "tabs.remove", await opened());
    });

    it("is left for the popup, which says why stickers are gone and lets their manager be allowed", async () => {
      const reaches = async (): Promise<boolean> => {
        world.recorder.clear();
        await alice.page.evaluate(async (host) => {
          await fetch(`https://${host}/api/stickers`).catch(() => undefined);
        }, MANAGER);
        return world.recorder.to(MANAGER).length > 0;
      };
      assert.equal(await reaches(), false);
      const tab = await tabShowing(checkUp, SITE);
      const popup = await running.openExtensionPage(`popup.html?tab=${tab}`);
      await popup.waitForSelector("[data-shield]", { timeout: 60_000 });
      await popup.bringToFront();
      const field = await popup.waitForSelector("#search");
      assert.ok(field !== null && (await tabTo(popup, field)));
      await popup.keyboard.type("sticker");
      const shown = await popup.$$eval("[data-shield]", (rows) =>
        rows.filter((row) => row.checkVisibility()).map((row) => row.getAttribute("data-shield")),
      );
      assert.deepEqual(shown, ["integrations"]);
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
      await popup.close();
    });

    it("leaves the focus beside what is closed, also where a repair stands by itself", async () => {
      await checkUp.close();
      checkUp = await openCheckUp(running, SITE);
      await checkUp.waitForSelector("#repairs:not([hidden]) .repair");
      const left = (): Promise<number> => checkUp.$$eval("#repairs .repair", (all) => all.length);
      const begun = await left();
      assert.ok(begun > 1, `${begun} repairs`);
      for (let more = begun - 1; more >= 0; more -= 1) {
        // The last one, which ends it.
        await enter(checkUp, "#repairs .finding .actions button:last-of-type");
        await until(async () => (await left()) === more, "one repair less", 30_000);
        const place = await checkUp.evaluate(() => {
          const active = document.activeElement;
          return active?.closest("#repairs h3") === active ? "a repair" : (active?.id ?? "");
        });
        assert.equal(place, more > 0 ? "a repair" : "check");
      }
    });

    it("keeps nothing of it once the session is over", async () => {
      const kept = async (): Promise<string[]> => {
        const all = await callApi<Record<string, string>>(checkUp, "storage.local.get", null);
        return Object.keys(all).filter((name) => name.includes("/check-up/"));
      };
      assert.ok((await kept()).length > 0);
      await alice.page.evaluate(() => localStorage.clear());
      await until(async () => (await kept()).length === 0, "the end of what was kept", 20_000);
    });
  });
}

/** What the check-up asks for, and Element's own session does not while nothing happens. */
function isOfCheckUp({ path, headers }: Exchange): boolean {
  return (
    // Element's crypto asks for it too, when it likes, but not past the browser's cache.
    (path.endsWith("/room_keys/version") && headers["cache-control"] === "no-cache") ||
    /\/v3\/(?:devices|account\/3pid|pushers|profile\/|presence\/)/.test(path) ||
    /account_data\/|pushrules\/global\/content|\/state\//.test(path) ||
    (path.startsWith(`${V3}/sync`) && path.includes("im.vector.modular.widgets"))
  );
}
