/**
 * A module that traps on a response: what the person sees, and that nothing leaves readable afterwards.
 * The traps are put into copies of the package, where a page of the test switches them on.
 */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { BrowserKind, LaunchedBrowser } from "../support/browsers.ts";
import { drive, openClient } from "../support/client-page.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { testBuild, until } from "./extension-pages.ts";

const PASSWORD = "correct horse battery staple";
const ENCRYPTION = {
  algorithm: "m.megolm.v1.aes-sha2",
  "io.element.msc4362.encrypt_state_events": true,
};

type Module = "core" | "state";
/** The call of each module that sees a response, as it stands in the package, where names are short. */
const CALLS: Readonly<Record<Module, RegExp>> = {
  core: /(?<=[(,](?<module>[\w$]+)=>)\k<module>\.answer\([\w$]+,(?<url>[\w$]+),[\w$]+,[\w$]+\)/,
  state: /(?<=[(,](?<module>[\w$]+)=>)\k<module>\.inspect\([\w$]+,(?<url>[\w$]+),[\w$]+\)/,
};

/** A package whose modules trap on a sync while `window.trapIn` names them, and count how often. */
function trapping(kind: BrowserKind): string {
  const folder = mkdtempSync(path.join(tmpdir(), "mantle-trap-"));
  cpSync(testBuild(kind), folder, { recursive: true });
  const file = path.join(folder, "page.js");
  let script = readFileSync(file, "utf8");
  for (const [module, call] of Object.entries(CALLS)) {
    assert.equal(script.match(new RegExp(call, "g"))?.length, 1, `one call of ${module}`);
    script = script.replace(
      call,
      (was, _name: string, url: string) =>
        `(window.trapIn === "${module}" && /\\/sync\\b/.test(${url}) ? (() => {
          window.traps = (window.traps ?? 0) + 1;
          throw new WebAssembly.RuntimeError("unreachable");
        })() : ${was})`,
    );
  }
  writeFileSync(file, script);
  return folder;
}

describe("a module that traps on a response", { timeout: 600_000 }, () => {
  let world: World;
  let bob: Account;

  before(async () => {
    world = await startWorld();
    bob = await world.synapse.register("bob", PASSWORD);
  });
  after(() => world.close());

  for (const kind of bothBrowsers) {
    describe(kind, () => {
      let browser: LaunchedBrowser;
      let page: Page;
      let folder: string;
      let alice: { userId: string };
      /** A room of Alice's, whose name is encrypted. */
      let ownRoom: string;

      const trapIn = (module: Module | undefined): Promise<void> =>
        page.evaluate((name) => {
          Object.assign(window, { trapIn: name, traps: 0 });
        }, module ?? "");
      const traps = (): Promise<number> =>
        page.evaluate(() => (window as unknown as { traps?: number }).traps ?? 0);
      const name = (what: string): string => `canary-${what}-${kind}`;
      /** Alice names a room, whatever comes of it. */
      const names = (roomId: string, text: string): Promise<string> =>
        drive(page, "setRoomName", roomId, text).then(
          () => "set",
          (error: unknown) => String(error),
        );
      /** Nothing like it went to the homeserver, nor stands in its database. */
      const isSecret = async (text: string): Promise<void> => {
        const sent = world.recorder
          .to(HOMESERVER)
          .filter(({ path: at, body }) => at.includes(text) || body.includes(text))
          .map(({ method, path: at }) => `${method} ${at}`);
        assert.deepEqual(sent, []);
        assert.deepEqual(await world.synapse.searchDatabase([text]), []);
      };
      /** A room of Bob's that begins to encrypt its state in the sync that traps. */
      const flaggedWhile = async (module: Module): Promise<string> => {
        const made = await world.synapse.call(bob, "POST", "/_matrix/client/v3/createRoom", {
          name: "readable",
          invite: [alice.userId],
          power_level_content_override: { users: { [alice.userId]: 100 } },
        });
        const roomId = String(made["room_id"]);
        const room = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`;
        await drive(page, "homeserverCall", "POST", `${room}/join`);
        await drive(page, "roomName", roomId, "readable");
        await trapIn(module);
        await world.synapse.call(bob, "PUT", `${room}/state/m.room.encryption`, ENCRYPTION);
        await until(async () => (await traps()) > 0, `a trap in ${module}`, 60_000);
        return roomId;
      };
      const isNoticeThere = (): Promise<boolean> =>
        page.evaluate(() =>
          [...document.documentElement.children].some(
            (child) => child.localName === "div" && child.childNodes.length === 0,
          ),
        );

      before(async () => {
        folder = trapping(kind);
        browser = await launch(kind, { proxyPort: world.recorder.port, extension: folder });
        page = await browser.newPage();
        await openClient(page);
        const user = `trap-${kind}`;
        await drive(page, "register", user, PASSWORD);
        const credentials = await drive(page, "login", user, PASSWORD);
        alice = credentials as unknown as { userId: string };
        await drive(page, "start", credentials, { storage: "indexeddb" });
        ({ roomId: ownRoom } = await drive(page, "createRoom", {
          name: name("first"),
          topic: "a topic",
          encrypted: true,
          invite: [bob.userId],
        }));
        await drive(page, "roomName", ownRoom, name("first"));
      });
      after(async () => {
        await browser?.close();
        rmSync(folder, { recursive: true, force: true });
      });

      for (const module of ["state", "core"] as const) {
        it(`${module}: what a room encrypts stays so, in a room that began to in that very sync too`, async () => {
          const roomId = await flaggedWhile(module);
          const flagged = (): Promise<boolean> =>
            page.evaluate(
              (id) =>
                window.mxMatrixClientPeg
                  ?.get()
                  ?.getRoom(id)
                  ?.currentState.getStateEvents("m.room.encryption", "") != null,
              roomId,
            );
          // A sync that the core could not look at is not shown: the page does not know of the flag.
          if (module === "core") assert.equal(await flagged(), false);
          else {
            await until(flagged, "the flag while it traps", 60_000);
            await names(roomId, name(`${module}-during`));
          }
          await names(ownRoom, name(`${module}-own-during`));
          await trapIn(undefined);
          await until(flagged, "the flag", 90_000);
          assert.equal(await names(roomId, name(`${module}-after`)), "set");
          assert.equal(await names(ownRoom, name(`${module}-own`)), "set");
          await drive(page, "roomName", ownRoom, name(`${module}-own`));
          for (const what of ["during", "own-during", "after", "own"]) {
            await isSecret(name(`${module}-${what}`));
          }
        });
      }

      it("core: the person is told, and no sync is shown that nobody looked at", async () => {
        await trapIn("core");
        await until(async () => (await traps()) > 2, "traps", 60_000);
        assert.ok(await isNoticeThere(), "no notice");
        const room = `/_matrix/client/v3/rooms/${encodeURIComponent(ownRoom)}`;
        await world.synapse.call(bob, "POST", `${room}/join`);
        const members = (): Promise<number | undefined> =>
          page.evaluate(
            (id) => window.mxMatrixClientPeg?.get()?.getRoom(id)?.getJoinedMemberCount(),
            ownRoom,
          );
        assert.equal(await members(), 1);
        await trapIn(undefined);
        await until(async () => (await members()) === 2, "the next sync", 90_000);
      });
    });
  }
});
