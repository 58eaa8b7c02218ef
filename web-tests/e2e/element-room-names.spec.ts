/** Names and pictures in one room that are taken where Element's own interface takes them. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import {
  click,
  elementPage,
  LIMIT,
  ready,
  setTheme,
  signIn,
  waitForText,
} from "../element/page.ts";
import { UI } from "../element/selectors.ts";
import {
  createEncryptedRoom,
  openRoom,
  seeMessage,
  shownRoom,
  writeMessage,
} from "../element/session.ts";
import { visitor } from "../element/visitor.ts";
import type { Visitor } from "../element/visitor.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { plainPicture, withRemark } from "../support/pictures.ts";
import type { Colour } from "../support/pictures.ts";
import type { Handler, Recorder } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { launchMantle, storeSettings } from "./extension-pages.ts";
import type { ExtensionBrowser } from "./extension-pages.ts";

const PASSWORD = "correct horse battery staple";
const FIELD = "org.mantle.member_profile";
const screenshots = path.resolve(import.meta.dirname, "../../build/screenshots");
const skip = elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

for (const kind of bothBrowsers) {
  describe(
    `names in one room in Element's interface in ${kind}`,
    { skip, timeout: 600_000 },
    () => {
      let world: World;
      let element: Handler;
      let mantle: ExtensionBrowser;
      /** Alice's other browser. */
      let other: ExtensionBrowser;
      const recorders: Recorder[] = [];
      let alice: Page;
      let bob: Page;
      let second: Page;
      /** Without Mantle. */
      let dave: Visitor;
      let aliceAccount: Account;
      let bobAccount: Account;
      let daveAccount: Account;
      let roomId: string;
      let folder: string;

      /** A browser with Mantle that seals names, behind a recorder of its own. */
      const launch = async (): Promise<ExtensionBrowser> => {
        const recorder = await world.openRecorder();
        for (const host of ["chat.example.org", "app.element.io"]) recorder.route(host, element);
        recorders.push(recorder);
        const browser = await launchMantle(kind, recorder.port);
        const settings = await browser.openExtensionPage("popup.html");
        await storeSettings(settings, { version: 1, shields: { "room-nicknames": "on" } });
        await settings.close();
        return browser;
      };
      const open = async (browser: ExtensionBrowser, user: string, site: string): Promise<Page> => {
        const page = await browser.newPage();
        await page.setViewport({ width: 1280, height: 800 });
        await signIn(page, user, PASSWORD, site);
        return page;
      };

      before(async () => {
        await mkdir(screenshots, { recursive: true });
        folder = await mkdtemp(path.join(tmpdir(), "mantle-own-picture-"));
        // Version 12 gives creators no power in this version of the SDK.
        world = await startWorld({ synapseConfig: { default_room_version: "11" } });
        element = await elementPage();
        aliceAccount = await world.synapse.register("alice", PASSWORD);
        bobAccount = await world.synapse.register("bob", PASSWORD);
        daveAccount = await world.synapse.register("dave", PASSWORD);
        mantle = await launch();
        bob = await open(mantle, "bob", "https://app.element.io/");
        alice = await open(mantle, "alice", "https://chat.example.org/");
        dave = await visitor(world, kind, false, { "chat.example.org": element });
        await signIn(dave.page, "dave", PASSWORD);
        await alice.bringToFront();
        await createEncryptedRoom(alice, "Garden", "About the Garden");
        roomId = await shownRoom(alice);
        const room = encodeURIComponent(roomId);
        const token = await alice.evaluate(
          () => window.mxMatrixClientPeg.get()?.getAccessToken() ?? "",
        );
        const inviter = { ...aliceAccount, accessToken: token };
        for (const account of [bobAccount, daveAccount]) {
          const invite = `/_matrix/client/v3/rooms/${room}/invite`;
          await world.synapse.call(inviter, "POST", invite, { user_id: account.userId });
          await world.synapse.call(account, "POST", `/_matrix/client/v3/join/${room}`, {});
        }
        await bob.bringToFront();
        await openRoom(bob, "Garden");
      });

      after(async () => {
        await dave?.close();
        await other?.close();
        await mantle?.close();
        await world?.close();
        if (folder !== undefined) await rm(folder, { recursive: true });
      });

      const shot = (page: Page, name: string): Promise<unknown> =>
        page.screenshot({ path: path.join(screenshots, `room-names-${name}-${kind}.png`) });
      /** Says with a wait that ran out what it was for, and what is shown instead. */
      const expecting = async (page: Page, what: string, wait: Promise<unknown>): Promise<void> => {
        try {
          await wait;
        } catch (error) {
          const tiles = await page.$$eval(`${UI.roomBody} ${UI.message}`, (all) =>
            all.slice(-6).map((one) => one.textContent?.trim()),
          );
          const dialogs = await page.$$eval(UI.dialog, (all) => all.map((one) => one.textContent));
          const shown = JSON.stringify({ tiles, dialogs });
          throw new Error(`Not in time: ${what}. Last shown: ${shown}`, { cause: error });
        }
      };
      /** Writes a command into the composer, and sends it as one would with a pointer. */
      const command = async (page: Page, words: string): Promise<void> => {
        await page.bringToFront();
        await click(page, UI.composerSend);
        await page.type(UI.composerSend, words);
        await click(page, UI.composerSendButton);
        // Element empties the composer once it is done, and would take what is typed meanwhile with it.
        const wait = page.waitForFunction(
          (composer: string) => document.querySelector(composer)?.textContent?.trim() === "",
          LIMIT,
          UI.composerSend,
        );
        await expecting(page, `"${words}" is done`, wait);
      };
      /** What Element writes before its client was told of the new name has the one before it. */
      const isCalled = (page: Page, name: string): Promise<void> => {
        const wait = page.waitForFunction(
          (room: string, user: string, wanted: string) => {
            interface Rooms {
              getRoom(id: string): {
                getMember(user: string): { rawDisplayName: string } | null;
              } | null;
            }
            const client = window.mxMatrixClientPeg.get() as unknown as Rooms | null;
            return client?.getRoom(room)?.getMember(user)?.rawDisplayName === wanted;
          },
          { ...LIMIT, polling: 200 },
          roomId,
          aliceAccount.userId,
          name,
        );
        return expecting(page, `the client knows the name ${name}`, wait);
      };
      /** Waits until a message is shown as this sender's. */
      const seeSender = (page: Page, message: string, name: string): Promise<void> => {
        const wait = page.waitForFunction(
          (words: string, wanted: string, ui: typeof UI) => {
            const tiles = [...document.querySelectorAll(`${ui.roomBody} ${ui.message}`)];
            const at = tiles.findIndex(
              (one) => one.querySelector(ui.messageBody)?.textContent?.trim() === words,
            );
            // Of several in a row the first has it over it.
            const shown = tiles
              .slice(0, at + 1)
              .map((one) => one.querySelector(ui.messageSender)?.textContent?.trim())
              .filter((one) => one !== undefined);
            return shown.at(-1) === wanted;
          },
          { ...LIMIT, polling: 200 },
          message,
          name,
          UI,
        );
        return expecting(page, `"${message}" is shown as ${name}'s`, wait);
      };
      /** Requests in which a word stood, whoever sent them. */
      const told = (word: Buffer | string): string[] =>
        recorders
          .flatMap((recorder) => recorder.to(HOMESERVER))
          .filter(({ path: where, body }) => where.includes(`${word}`) || body.includes(word))
          .map(({ method, path: where }) => `${method} ${where}`);
      const onServer = (): Promise<Record<string, unknown>> => {
        const [room, user] = [roomId, aliceAccount.userId].map(encodeURIComponent);
        const where = `/_matrix/client/v3/rooms/${room ?? ""}/state/m.room.member/${user ?? ""}`;
        return world.synapse.call(daveAccount, "GET", where);
      };

      it("by the command, everybody with Mantle sees it, and it is never sent in clear", async () => {
        await command(alice, "/myroomnick Rosalind");
        for (const page of [alice, bob]) await isCalled(page, "Rosalind");
        await writeMessage(alice, UI.room, "Guess who");
        await seeSender(alice, "Guess who", "Rosalind");
        await shot(alice, "set");
        await bob.bringToFront();
        await seeSender(bob, "Guess who", "Rosalind");
        await click(bob, UI.members);
        await waitForText(bob, UI.memberName, "Rosalind");
        await shot(bob, "seen");
        const written = recorders
          .flatMap((recorder) => recorder.to(HOMESERVER))
          .filter(({ method, path: where }) => method === "PUT" && where.includes("m.room.member"));
        assert.equal(written.length, 1);
        assert.match(String(written[0]?.body), new RegExp(`"${FIELD}"`));
        assert.deepEqual(told("Rosalind"), []);
        const content = await onServer();
        assert.equal(content["displayname"], "alice");
        assert.notEqual(content[FIELD], undefined);
      });

      it("without Mantle there is the public one, and no line of a change", async () => {
        await dave.page.bringToFront();
        // Without its name the room is called by who is in it.
        await click(dave.page, `${UI.leftPanel} ${UI.roomTile}`);
        await seeMessage(dave.page, "Guess who");
        await seeSender(dave.page, "Guess who", "alice");
        const text = await dave.page.$eval(UI.room, (room) => room.textContent ?? "");
        assert.doesNotMatch(text, /Rosalind/);
        assert.doesNotMatch(text, /changed (their|her|his) (display )?name/);
        await shot(dave.page, "without-mantle");
      });

      it("it is there after a reload", async () => {
        for (const page of [alice, bob]) {
          await page.bringToFront();
          await page.reload({ waitUntil: "load", ...LIMIT });
          await ready(page);
          await openRoom(page, "Garden");
          await seeSender(page, "Guess who", "Rosalind");
        }
      });

      it("another device of one's own shows it, in a browser of its own", async () => {
        other = await launch();
        second = await open(other, "alice", "https://chat.example.org/");
        await openRoom(second, "Garden");
        await isCalled(second, "Rosalind");
        await click(second, UI.members);
        await waitForText(second, UI.memberName, "Rosalind");
        // That device reads nothing from before it was there; what comes now it does.
        await alice.bringToFront();
        await writeMessage(alice, UI.room, "Still me");
        await second.bringToFront();
        await seeSender(second, "Still me", "Rosalind");
        await shot(second, "second-device");
        assert.deepEqual(told("Rosalind"), []);
      });

      it("and changes it for all of them", async () => {
        await command(second, "/roomnick Celia");
        for (const page of [second, alice, bob]) await isCalled(page, "Celia");
        await writeMessage(second, UI.room, "From here");
        for (const page of [second, alice, bob]) {
          await page.bringToFront();
          await seeSender(page, "From here", "Celia");
        }
        assert.deepEqual(told("Celia"), []);
        assert.equal((await onServer())["displayname"], "alice");
      });

      /** Waits until a message is shown with a picture that was decrypted here, of so many pixels. */
      const seePicture = async (page: Page, message: string, width: number): Promise<void> => {
        await page.bringToFront();
        const wait = page.waitForFunction(
          (words: string, wanted: number, ui: typeof UI) => {
            const tiles = [...document.querySelectorAll(`${ui.roomBody} ${ui.message}`)];
            const tile = tiles.find(
              (one) => one.querySelector(ui.messageBody)?.textContent?.trim() === words,
            );
            const picture = tile?.querySelector<HTMLImageElement>(ui.messagePicture);
            return picture?.src.startsWith("blob:") === true && picture.naturalWidth === wanted;
          },
          { ...LIMIT, polling: 200 },
          message,
          width,
          UI,
        );
        await expecting(page, `"${message}" has a picture of ${width} pixels`, wait);
      };

      it("a picture by the command leaves encrypted, and everybody with Mantle sees it", async () => {
        const colour: Colour = [200, 40, 60];
        const remark = "whereitwastaken";
        const file = path.join(folder, "me.png");
        const plain = plainPicture(colour, 90);
        await writeFile(file, withRemark(plain, remark));
        await alice.bringToFront();
        const chooser = alice.waitForFileChooser(LIMIT);
        const done = command(alice, "/myroomavatar");
        await (await chooser).accept([file]);
        await click(alice, UI.uploadSend);
        await done;
        const isThere = async (): Promise<boolean> =>
          JSON.stringify(await onServer()).length > 1_000;
        const limit = Date.now() + LIMIT.timeout;
        while (!(await isThere()) && Date.now() < limit) {
          await new Promise((resume) => setTimeout(resume, 200));
        }
        // By somebody else's message in between, the next has a picture beside it.
        await bob.bringToFront();
        await writeMessage(bob, UI.room, "Well?");
        await alice.bringToFront();
        await seeMessage(alice, "Well?");
        await writeMessage(alice, UI.room, "How do I look?");
        for (const page of [alice, bob, second]) await seePicture(page, "How do I look?", 90);
        await seeSender(bob, "How do I look?", "Celia");
        await shot(bob, "picture-seen");
        await bob.bringToFront();
        await setTheme(bob, "dark");
        await seePicture(bob, "How do I look?", 90);
        await shot(bob, "picture-dark");
        await setTheme(bob, "light");
        // No byte of it, nor of its name and details.
        for (const word of [plain.subarray(33, 60), remark, "me.png"]) {
          assert.deepEqual(told(word), []);
        }
        const content = await onServer();
        assert.equal(content["avatar_url"] ?? null, null);
        assert.equal(content["displayname"], "alice");
      });

      it("and without Mantle there is the public one, the letter", async () => {
        await dave.page.bringToFront();
        await seeMessage(dave.page, "How do I look?");
        await seeSender(dave.page, "How do I look?", "alice");
        assert.equal((await dave.page.$$(UI.messagePicture)).length, 0);
        await shot(dave.page, "picture-without-mantle");
      });

      it("the picture is there after a reload", async () => {
        for (const page of [alice, bob]) {
          await page.bringToFront();
          await page.reload({ waitUntil: "load", ...LIMIT });
          await ready(page);
          await openRoom(page, "Garden");
          await seePicture(page, "How do I look?", 90);
        }
      });

      it("the public one takes it back", async () => {
        await command(alice, "/myroomnick alice");
        for (const page of [second, alice, bob]) await isCalled(page, "alice");
        await writeMessage(alice, UI.room, "Myself again");
        for (const page of [alice, bob, second]) {
          await page.bringToFront();
          await seeSender(page, "Myself again", "alice");
        }
      });
    },
  );
}
