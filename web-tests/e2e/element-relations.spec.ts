/** Reactions and replies that are given where Element's own interface gives them. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import { click, elementPage, LIMIT, ready, setTheme, signIn } from "../element/page.ts";
import { UI } from "../element/selectors.ts";
import {
  act,
  createEncryptedRoom,
  openRoom,
  react,
  reply,
  seeMessage,
  shownRoom,
  writeMessage,
} from "../element/session.ts";
import { visitor } from "../element/visitor.ts";
import type { Visitor } from "../element/visitor.ts";
import { bothBrowsers } from "../support/browsers.ts";
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
    `reactions and replies in Element's interface in ${kind}`,
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

      before(async () => {
        await mkdir(screenshots, { recursive: true });
        // Version 12 gives creators no power in this version of the SDK.
        world = await startWorld({ synapseConfig: { default_room_version: "11" } });
        const element = await elementPage();
        recorder = await world.openRecorder();
        for (const host of ["chat.example.org", "app.element.io"]) recorder.route(host, element);
        mantle = await launchMantle(kind, recorder.port);
        const settings = await mantle.openExtensionPage("popup.html");
        await storeSettings(settings, { version: 1, shields: { relations: "on" } });
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
        await alice.bringToFront();
        await createEncryptedRoom(alice, "Garden", "About the Garden");
        const room = encodeURIComponent(await shownRoom(alice));
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
        await bob.bringToFront();
        await openRoom(bob, "Garden");
        await dave.page.bringToFront();
        // Without its name the room is called by who is in it.
        await click(dave.page, `${UI.leftPanel} ${UI.roomTile}`);
        await alice.bringToFront();
        await writeMessage(alice, UI.room, "What do you think?");
        await writeMessage(alice, UI.room, "And of this?");
        await seeMessage(dave.page, "And of this?");
      });

      after(async () => {
        await dave?.close();
        await mantle?.close();
        await world?.close();
      });

      const shot = (page: Page, name: string): Promise<unknown> =>
        page.screenshot({ path: path.join(screenshots, `relations-${name}-${kind}.png`) });
      /** Waits until a message in `place` has what `inside` names, or has nothing of it. */
      const sees = async (
        page: Page,
        words: string,
        inside: string,
        { place = UI.roomBody as string, isThere = true } = {},
      ): Promise<void> => {
        await page.bringToFront();
        await page.waitForFunction(
          (text: string, where: string, wanted: string, is: boolean, ui: typeof UI) => {
            const tiles = [...document.querySelectorAll(`${where} ${ui.message}`)];
            // What answers it quotes it, above its own words; without Mantle in these.
            const tile = tiles.find(
              (one) =>
                [...one.querySelectorAll(ui.messageBody)]
                  .at(-1)
                  ?.textContent?.trim()
                  .endsWith(text) === true,
            );
            return tile !== undefined && (tile.querySelector(wanted) !== null) === is;
          },
          { ...LIMIT, polling: 200 },
          words,
          place,
          inside,
          isThere,
          UI,
        );
      };
      /** What people with Mantle have sent of reactions and of what answers what. */
      const told = (): string[] =>
        recorder
          .to(HOMESERVER)
          .filter(
            ({ method, path: where, body }) =>
              method === "PUT" &&
              (where.includes("m.reaction") || /m\.in_reply_to|👍/u.test(body.toString())),
          )
          .map(({ method, path: where }) => `${method} ${where}`);

      it("a reaction is never sent in clear, and everybody with Mantle sees it", async () => {
        await bob.bringToFront();
        await react(bob, "What do you think?");
        for (const page of [bob, alice]) await sees(page, "What do you think?", UI.reaction);
        assert.deepEqual(told(), []);
      });

      it("so is what a message answers", async () => {
        await bob.bringToFront();
        await reply(bob, "And of this?", "Better");
        for (const page of [bob, alice]) await sees(page, "Better", UI.replyChain);
        await shot(alice, "seen");
        assert.deepEqual(told(), []);
      });

      it("in a thread, too", async () => {
        await alice.bringToFront();
        await act(alice, "What do you think?", "Reply in thread");
        await writeMessage(alice, UI.thread, "Between us");
        await bob.bringToFront();
        await click(bob, UI.threadSummary);
        const inThread = { place: UI.thread as string };
        await sees(bob, "Between us", UI.messageBody, inThread);
        await act(bob, "Between us", "React", UI.thread);
        await click(bob, UI.quickReaction);
        for (const page of [bob, alice]) await sees(page, "Between us", UI.reaction, inThread);
        await shot(alice, "thread");
        await setTheme(alice, "dark");
        await sees(alice, "Between us", UI.reaction, inThread);
        await shot(alice, "thread-dark");
        await click(alice, UI.panelClose);
        await sees(alice, "Better", UI.replyChain);
        await shot(alice, "dark");
        await setTheme(alice, "light");
        assert.deepEqual(told(), []);
      });

      it("without Mantle there is no reaction, and a reply is a message like others", async () => {
        await sees(dave.page, "Better", UI.replyChain, { isThere: false });
        await sees(dave.page, "What do you think?", UI.reaction, { isThere: false });
        await shot(dave.page, "without-mantle");
        await click(dave.page, UI.threadSummary);
        const inThread = { place: UI.thread as string, isThere: false };
        await sees(dave.page, "Between us", UI.reaction, inThread);
        await shot(dave.page, "thread-without-mantle");
      });

      it("they are there after a reload, and one's own is taken back", async () => {
        for (const page of [bob, alice]) {
          await page.bringToFront();
          await page.reload({ waitUntil: "load", ...LIMIT });
          await ready(page);
          await openRoom(page, "Garden");
          await sees(page, "What do you think?", UI.reaction);
          await sees(page, "Better", UI.replyChain);
        }
        await bob.bringToFront();
        await click(bob, `${UI.roomBody} ${UI.reaction}`);
        for (const page of [bob, alice]) {
          await sees(page, "What do you think?", UI.reaction, { isThere: false });
          await page.waitForFunction(
            (room: string) =>
              !/Message deleted/.test(document.querySelector(room)?.textContent ?? ""),
            { timeout: 20_000 },
            UI.roomBody,
          );
        }
        assert.deepEqual(told(), []);
      });
    },
  );
}
