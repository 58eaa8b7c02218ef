/**
 * A repair of many rooms is cut off in the middle in every way it may be: its page closed while it runs
 * and while it rests, the background ended, Element reloaded, the homeserver slow, the network cut; it
 * goes on, and no room is changed twice. `MANTLE_ROOMS=200` makes it as many rooms,
 * which takes a quarter of an hour: run by `scripts/spec`, which lets it.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../support/browsers.ts";
import { answerJson, forward } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, type World, startWorld } from "../support/world.ts";
import { check, openCheckUp, press, reached } from "./checkup-page.ts";
import { type Guarded, openGuarded } from "./encrypted-state/people.ts";
import {
  type ExtensionBrowser,
  FIREFOX_ID,
  inBrowserWindow,
  launchMantle,
  until,
} from "./extension-pages.ts";

const SITE = "chat.example.org";
const PASSWORD = "correct horse battery staple";
const V3 = "/_matrix/client/v3";
/** Each takes two seconds at least, which clients without Mantle need. */
const ROOMS = Number(process.env["MANTLE_ROOMS"] ?? 16);
/** Rooms that are done between two cuts. */
const SHARE = Math.ceil(ROOMS / 20);
/** Rooms made or read at a time. */
const AT_ONCE = 10;
const FINDING = "readable-rooms";
/** For what a person would wait for too, on a machine four times slower. */
const LONG_MS = 300_000;
/** For the rest of them, on such a machine. */
const ALL_MS = 120_000 + ROOMS * 15_000;

type Json = Record<string, unknown>;

async function each<In, Out>(all: readonly In[], use: (one: In) => Promise<Out>): Promise<Out[]> {
  const made: Out[] = [];
  for (let at = 0; at < all.length; at += AT_ONCE) {
    made.push(...(await Promise.all(all.slice(at, at + AT_ONCE).map(use))));
  }
  return made;
}

for (const kind of bothBrowsers) {
  describe(`check-up of many rooms in ${kind}`, { timeout: 2 * ALL_MS + 600_000 }, () => {
    let world: World;
    let running: ExtensionBrowser;
    let alice: Guarded;
    let me: Account;
    let checkUp: Page;
    let rooms: string[];

    const call = (method: string, path: string, body?: unknown): Promise<Json> =>
      world.synapse.call(me, method, path, body);
    const nameOf = async (room: string): Promise<unknown> =>
      (await call("GET", `${V3}/rooms/${encodeURIComponent(room)}/state/m.room.name`))["name"];

    before(async () => {
      world = await startWorld();
      me = await world.synapse.register("alice", PASSWORD);
      const encryption = { algorithm: "m.megolm.v1.aes-sha2" };
      const names = Array.from({ length: ROOMS }, (_, index) => `Plot ${index}`);
      rooms = await each(names, async (name) => {
        const { room_id: room } = await call("POST", `${V3}/createRoom`, {
          name,
          initial_state: [{ type: "m.room.encryption", state_key: "", content: encryption }],
        });
        return String(room);
      });
      running = await launchMantle(kind, world.recorder.port);
      alice = await openGuarded(running, {
        label: "Alice",
        site: SITE,
        user: "alice",
        password: PASSWORD,
        encryptedState: false,
      });
      me = alice.credentials;
      // Where Element says who is signed in: what a repair needs is kept for nobody else.
      await alice.page.evaluate((userId) => localStorage.setItem("mx_user_id", userId), me.userId);
      await alice.seeName(rooms[0] ?? "", "Plot 0");
      await alice.seeName(rooms[ROOMS - 1] ?? "", `Plot ${ROOMS - 1}`);
    });
    after(async () => {
      await running?.close();
      await world?.close();
    });

    const settled = (): Promise<number> =>
      checkUp.$eval(`[data-finding="${FINDING}"] progress`, (bar) =>
        Number((bar as HTMLProgressElement).value),
      );

    async function settles(more: number): Promise<number> {
      const wanted = (await settled()) + more;
      // Asked again and again: the driver lets no single question wait for so long.
      await until(async () => (await settled()) >= wanted, `${more} more rooms`, LONG_MS);
      return settled();
    }

    /** Ends the background in the middle of whatever it does. */
    async function killBackground(): Promise<void> {
      if (kind === "chromium") return running.stopBackground();
      // Firefox would wait until it is idle, which it is not now.
      await inBrowserWindow(
        running.browser,
        `(async () => {
          const { ExtensionParent } = ChromeUtils.importESModule(
            "resource://gre/modules/ExtensionParent.sys.mjs");
          await ExtensionParent.GlobalManager.getExtension("${FIREFOX_ID}").terminateBackground();
          return "ended";
        })()`,
      );
    }

    it("is cut by closing its page, and goes on where it was in another", async () => {
      checkUp = await openCheckUp(running, SITE);
      await check(checkUp);
      const found = await checkUp.$eval(`[data-finding="${FINDING}"] h3`, (one) => one.textContent);
      assert.match(found ?? "", new RegExp(`^${ROOMS} encrypted rooms`));
      await press(checkUp, FINDING, "Repair…");
      await checkUp.waitForFunction(
        () => document.body.innerText.includes("This cannot be taken back."),
        { timeout: LONG_MS },
      );
      world.recorder.clear();
      await press(checkUp, FINDING, "Start");
      await checkUp.waitForSelector(`[data-finding="${FINDING}"] progress`);
      const before = await settles(SHARE);
      await checkUp.close();
      checkUp = await openCheckUp(running, SITE);
      const said = await reached(checkUp, FINDING, "cut");
      assert.match(said, /This repair was cut off: press “Go on”\./);
      assert.ok((await settled()) >= before, `${await settled()} of ${before}`);
      await press(checkUp, FINDING, "Go on");
      await settles(SHARE);
    });

    it("goes on while the background is ended and started again", async () => {
      await killBackground();
      await settles(SHARE);
    });

    it("waits as long as the homeserver asks, and then goes on", async () => {
      let refused = 0;
      world.recorder.route(HOMESERVER, (request, response) => {
        if (refused < 2 && request.method === "PUT" && request.path.includes("/state/")) {
          refused += 1;
          const error = { errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 2_000 };
          return answerJson(request, response, 429, error);
        }
        return forward(world.synapse.baseUrl, request, response);
      });
      await settles(SHARE);
      world.recorder.route(HOMESERVER, { forward: world.synapse.baseUrl });
      assert.equal(refused, 2);
    });

    it("tries again where the network was cut", async () => {
      let cut = 0;
      world.recorder.route(HOMESERVER, (request, response) => {
        if (cut < 2 && request.method === "PUT" && request.path.includes("/state/")) {
          cut += 1;
          response.destroy();
          return;
        }
        return forward(world.synapse.baseUrl, request, response);
      });
      await settles(SHARE);
      world.recorder.route(HOMESERVER, { forward: world.synapse.baseUrl });
      assert.equal(cut, 2);
    });

    it("pauses when it is told to, also over a new page, and resumes", async () => {
      await press(checkUp, FINDING, "Pause");
      assert.match(await reached(checkUp, FINDING, "paused"), /Paused\./);
      await checkUp.close();
      checkUp = await openCheckUp(running, SITE);
      assert.match(await reached(checkUp, FINDING, "paused"), /Paused\./);
      const before = await settled();
      assert.ok(before < ROOMS, "not over yet");
      await press(checkUp, FINDING, "Go on");
      await settles(SHARE);
    });

    it("outlives a reload of Element, and ends with every room done once", async () => {
      await alice.restart({ reload: true });
      await checkUp.waitForSelector(
        `[data-finding="${FINDING}"] .repair:is([data-state="paused"], [data-state="ended"], [data-state="running"])`,
      );
      // It pauses where Element did not answer for too long, and says so.
      const end = Date.now() + ALL_MS;
      const state = (): Promise<string> =>
        checkUp.$eval(
          `[data-finding="${FINDING}"] .repair`,
          (card) => (card as HTMLElement).dataset["state"] ?? "",
        );
      while ((await state()) !== "ended") {
        assert.ok(Date.now() < end, `still ${await state()}, ${await settled()} done`);
        if ((await state()) === "paused") await press(checkUp, FINDING, "Go on");
        await new Promise((resume) => setTimeout(resume, 500));
      }
      const said = await reached(checkUp, FINDING, "ended");
      assert.match(said, new RegExp(`${ROOMS} of ${ROOMS} done[^]*Repaired\\.`));
      const names = await each(rooms, nameOf);
      assert.deepEqual(
        names.filter((name) => name !== ""),
        [],
      );
      // No readable name was emptied twice.
      const emptied = world.recorder
        .to(HOMESERVER)
        // What was refused or cut off on its way has changed nothing.
        .filter(({ method, path, status }) => {
          return method === "PUT" && status === 200 && /\/state\/m\.room\.name/.test(path);
        })
        .map(({ path }) => path.replace(/\/state\/.*/, ""));
      const twice = emptied.filter((path, index) => emptied.indexOf(path) !== index);
      assert.equal(new Set(emptied).size, ROOMS);
      assert.deepEqual(twice, []);
    });
  });
}
