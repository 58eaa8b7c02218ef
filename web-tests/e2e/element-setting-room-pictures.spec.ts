/** Pictures of rooms that are set where Element's own interface sets them. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import { click, clickText, elementPage, LIMIT, ready, setTheme, signIn } from "../element/page.ts";
import { UI } from "../element/selectors.ts";
import { createEncryptedRoom, openRoom, shownRoom } from "../element/session.ts";
import { visitor } from "../element/visitor.ts";
import type { Visitor } from "../element/visitor.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { plainPicture } from "../support/pictures.ts";
import type { Recorder } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { launchMantle, storeSettings } from "./extension-pages.ts";
import type { ExtensionBrowser } from "./extension-pages.ts";

const PASSWORD = "correct horse battery staple";
const screenshots = path.resolve(import.meta.dirname, "../../build/screenshots");
const skip = elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

for (const kind of bothBrowsers) {
  describe(
    `setting pictures of rooms in Element's interface in ${kind}`,
    { skip, timeout: 600_000 },
    () => {
      let world: World;
      let recorder: Recorder;
      let mantle: ExtensionBrowser;
      let alice: Page;
      let bob: Page;
      /** Without Mantle. */
      let dave: Visitor;
      let bobAccount: Account;
      let daveAccount: Account;
      let folder: string;

      before(async () => {
        await mkdir(screenshots, { recursive: true });
        folder = await mkdtemp(path.join(tmpdir(), "mantle-pictures-"));
        // Version 12 gives creators no power in this version of the SDK.
        world = await startWorld({ synapseConfig: { default_room_version: "11" } });
        const element = await elementPage();
        recorder = await world.openRecorder();
        for (const host of ["chat.example.org", "app.element.io"]) recorder.route(host, element);
        mantle = await launchMantle(kind, recorder.port);
        const settings = await mantle.openExtensionPage("popup.html");
        await storeSettings(settings, { version: 1, shields: { "room-pictures": "on" } });
        await settings.close();
        await world.synapse.register("alice", PASSWORD);
        bobAccount = await world.synapse.register("bob", PASSWORD);
        daveAccount = await world.synapse.register("dave", PASSWORD);
        const open = async (user: string, site: string): Promise<Page> => {
          const page = await mantle.newPage();
          await page.setViewport({ width: 1280, height: 800 });
          await signIn(page, user, PASSWORD, site);
          return page;
        };
        bob = await open("bob", "https://app.element.io/");
        alice = await open("alice", "https://chat.example.org/");
        dave = await visitor(world, kind, false, { "chat.example.org": element });
        await signIn(dave.page, "dave", PASSWORD);
      });

      after(async () => {
        await dave?.close();
        await mantle?.close();
        await world?.close();
        if (folder !== undefined) await rm(folder, { recursive: true });
      });

      const file = async (name: string, colour: [number, number, number], width: number) => {
        const target = path.join(folder, name);
        await writeFile(target, plainPicture(colour, width));
        return target;
      };
      const give = async (page: Page, selector: string, picture: string): Promise<void> => {
        const input = await page.waitForSelector(selector, LIMIT);
        await (input as Awaited<ReturnType<typeof page.$<"input">>>)?.uploadFile(picture);
      };
      const shot = (page: Page, name: string): Promise<unknown> =>
        page.screenshot({ path: path.join(screenshots, `room-pictures-${name}-${kind}.png`) });
      /** Makes a room by Element's dialog, and has the others in it. */
      const makeRoom = async (name: string): Promise<string> => {
        await alice.bringToFront();
        await createEncryptedRoom(alice, name, `About the ${name}`);
        const roomId = await shownRoom(alice);
        const room = encodeURIComponent(roomId);
        const token = await alice.evaluate(
          () => window.mxMatrixClientPeg.get()?.getAccessToken() ?? "",
        );
        for (const account of [bobAccount, daveAccount]) {
          const { userId } = account;
          const invite = `/_matrix/client/v3/rooms/${room}/invite`;
          const inviter = { ...account, accessToken: token };
          await world.synapse.call(inviter, "POST", invite, { user_id: userId });
          await world.synapse.call(account, "POST", `/_matrix/client/v3/join/${room}`, {});
        }
        return roomId;
      };
      /** Waits until the list and the head of the room show a picture of so many pixels. */
      const seePicture = async (page: Page, name: string, width: number): Promise<void> => {
        await page.bringToFront();
        await openRoom(page, name);
        await page.waitForFunction(
          (room: string, wanted: number, ui: typeof UI) => {
            const tile = [...document.querySelectorAll(ui.roomTile)].find(
              (one) => one.querySelector(ui.roomTileName)?.textContent?.trim() === room,
            );
            const head = document.querySelector(ui.roomHeader);
            return [tile, head].every((place) => {
              const picture = place?.querySelector<HTMLImageElement>("img");
              return picture?.src.startsWith("blob:") === true && picture.naturalWidth === wanted;
            });
          },
          LIMIT,
          name,
          width,
          UI,
        );
      };
      const told = (what: Buffer | string): string[] =>
        recorder
          .to(HOMESERVER)
          .filter(({ body }) => body.includes(what))
          .map(({ method, path: where }) => `${method} ${where}`);
      /** Of the picture's data, which no other picture here has. */
      const pixels = (colour: [number, number, number], width: number): Buffer => {
        const png = plainPicture(colour, width);
        return png.subarray(33, 60);
      };

      it("in the room's settings, and everybody with Mantle sees it", async () => {
        const colour: [number, number, number] = [200, 40, 60];
        await makeRoom("Garden");
        recorder.clear();
        await click(alice, UI.roomInfo);
        await clickText(alice, UI.menuItem, "Settings");
        await give(alice, UI.roomPictureField, await file("a.png", colour, 120));
        await alice.waitForSelector(UI.roomPictureChosen, LIMIT);
        await click(alice, UI.roomProfileSave);
        // The dialog goes on showing it.
        await alice.waitForSelector(UI.roomPictureStored, LIMIT);
        await shot(alice, "dialog");
        await click(alice, UI.dialogClose);
        await seePicture(alice, "Garden", 120);
        await shot(alice, "set");
        await seePicture(bob, "Garden", 120);
        await shot(bob, "seen");
        await setTheme(bob, "dark");
        await seePicture(bob, "Garden", 120);
        await shot(bob, "dark");
        await setTheme(bob, "light");
        const states = recorder
          .to(HOMESERVER)
          .filter(({ method, path: where }) => method === "PUT" && where.includes("m.room.avatar"));
        assert.equal(states.length, 1);
        assert.match(states[0]?.path ?? "", /\/state\/m\.room\.encrypted\/m\.room\.avatar(:|%3A)/);
        assert.deepEqual(told(pixels(colour, 120)), []);
        assert.deepEqual(told("a.png"), []);
        // No thumbnail of what the homeserver never had.
        const broken = recorder
          .to(HOMESERVER)
          .filter(
            ({ path: where, status }) =>
              where.includes("/_matrix/") && where.includes("thumbnail") && status >= 400,
          );
        assert.deepEqual(
          broken.map(({ path: where }) => where),
          [],
        );
      });

      it("without Mantle there is the letter, and nothing goes wrong", async () => {
        await dave.page.bringToFront();
        // Without its name the room is called by who is in it.
        await click(dave.page, `${UI.leftPanel} ${UI.roomTile}`);
        await dave.page.waitForSelector(UI.roomLetter, { visible: true, ...LIMIT });
        const pictures = await dave.page.$$(`${UI.roomTilePicture}, ${UI.roomHeaderPicture}`);
        assert.equal(pictures.length, 0);
        await shot(dave.page, "without-mantle");
      });

      it("it is there after a reload", async () => {
        await alice.bringToFront();
        await alice.reload({ waitUntil: "load", ...LIMIT });
        await ready(alice);
        await seePicture(alice, "Garden", 120);
      });

      it("where a new room offers it", async () => {
        const colour: [number, number, number] = [40, 90, 200];
        await makeRoom("Orchard");
        recorder.clear();
        await give(alice, UI.newRoomPicture, await file("b.png", colour, 90));
        await seePicture(alice, "Orchard", 90);
        await shot(alice, "new-room");
        await seePicture(bob, "Orchard", 90);
        assert.deepEqual(told(pixels(colour, 90)), []);
      });
    },
  );
}
