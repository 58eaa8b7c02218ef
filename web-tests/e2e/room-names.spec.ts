/**
 * Names that people take in one room, among people with Mantle and without. Each test takes names of
 * its own, in a room of its own.
 */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { tabTo, violations } from "../support/axe.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { drive, tryToDrive, unhandled } from "../support/client-page.ts";
import { aboutRoom, holdToDevice, lyingHomeserver, toClient } from "../support/lies.ts";
import type { LyingHomeserver, Plain, WireEvent } from "../support/lies.ts";
import type { Recorder } from "../support/recorder.ts";
import { HOMESERVER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { startMixedWorld, WITHOUT_MANTLE } from "./encrypted-state/people.ts";
import type { Guarded, MixedWorld } from "./encrypted-state/people.ts";
import { tabShowing, until } from "./extension-pages.ts";

/** Longest wait for something that must happen. */
const LIMIT = 60_000;
const FIELD = "org.mantle.member_profile";
const screenshots = path.resolve(import.meta.dirname, "../../build/screenshots");

for (const kind of bothBrowsers) {
  describe(`names in one room in ${kind}`, { timeout: 600_000 }, () => {
    let mixed: MixedWorld;
    let world: World;
    let recorder: Recorder;
    let liar: LyingHomeserver;
    let alice: Guarded;
    /** Without power in her rooms, as everybody but Alice. */
    let bob: Guarded;
    /** Without Mantle. */
    let dave: Guarded;

    before(async () => {
      mixed = await startMixedWorld(kind, async (made, front) => {
        liar = lyingHomeserver(made.synapse.baseUrl);
        front.route(HOMESERVER, liar.route);
      });
      ({ world, recorder } = mixed);
      await choose({ "room-nicknames": "on" });
      alice = await mixed.open("alice", "chat.example.org");
      bob = await mixed.open("bob", "app.element.io");
      dave = await mixed.open("dave", WITHOUT_MANTLE);
    });

    const choose = (shields: Record<string, string>): Promise<void> => mixed.storeShields(shields);

    after(() => mixed?.close());

    /** A room whose state is encrypted, with all of them in it. */
    const openRoom = async (name: string): Promise<string> => {
      const { roomId } = await drive(alice.page, "createRoom", {
        name,
        encrypted: true,
        invite: [bob.userId, dave.userId],
      });
      for (const one of [bob, dave]) await one.join(roomId);
      await bob.seeName(roomId, name);
      // Her client knows by then who is to have her keys, and so does his.
      await alice.send(roomId, `Hello from ${name}`);
      await bob.receive(roomId, `Hello from ${name}`);
      return roomId;
    };
    /** How often a word was in what pages told the homeserver. */
    const told = (word: string): number =>
      recorder
        .to(HOMESERVER)
        .filter(({ path, body }) => path.includes(encodeURIComponent(word)) || body.includes(word))
        .length;
    const memberPath = (roomId: string, { userId }: Guarded): string =>
      `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(userId)}`;
    /** What the homeserver has of somebody in a room. */
    const onServer = (roomId: string, of: Guarded): Promise<Plain> =>
      world.synapse.call(dave.credentials, "GET", memberPath(roomId, of));
    const takeName = async (by: Guarded, roomId: string, name: string): Promise<string> =>
      (await drive(by.page, "setRoomNickname", roomId, name)).eventId;
    const setPublicName = async (of: Guarded, displayname: string): Promise<void> => {
      const path = `/_matrix/client/v3/profile/${encodeURIComponent(of.userId)}/displayname`;
      await world.synapse.call(of.credentials, "PUT", path, { displayname });
    };

    it("without Mantle the homeserver reads it", async () => {
      const roomId = await openRoom("Readable");
      const id = await takeName(dave, roomId, "Davenport");
      assert.ok(told("Davenport") > 0);
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMember", roomId, dave.userId, "Davenport", id);
      }
    });

    it("with Mantle nobody does but people with Mantle, who see it at once and after a reload", async () => {
      const roomId = await openRoom("Sealed");
      const id = await takeName(bob, roomId, "Rosalind");
      for (const { page } of [bob, alice]) {
        await drive(page, "seeMember", roomId, bob.userId, "Rosalind", id);
      }
      await drive(dave.page, "seeMember", roomId, bob.userId, "bob", id);
      assert.deepEqual(await unhandled(dave.page), []);
      assert.equal(told("Rosalind"), 0);
      const content = await onServer(roomId, bob);
      assert.equal(content["displayname"], "bob");
      assert.equal(JSON.stringify(content).includes("Rosalind"), false);
      assert.notEqual(content[FIELD], undefined);
      await bob.send(roomId, "Guess who");
      await alice.receive(roomId, "Guess who");
      for (const clearCache of [false, true]) {
        await alice.restart({ reload: true, clearCache });
        await drive(alice.page, "seeMember", roomId, bob.userId, "Rosalind", id);
        // Beside what was written before her page knew it, too.
        await drive(alice.page, "seeSender", roomId, "Guess who", "Rosalind");
      }
      assert.equal(told("Rosalind"), 0);
    });

    it("what else changes in one's member event keeps it", async () => {
      const roomId = await openRoom("Pictured");
      await drive(bob.page, "seeMember", roomId, bob.userId, "bob");
      const id = await takeName(bob, roomId, "Viola");
      await drive(bob.page, "seeMember", roomId, bob.userId, "Viola", id);
      await choose({ "room-nicknames": "on", profile: "off" });
      try {
        const url = "mxc://hs.example.org/viola";
        const next = (await drive(bob.page, "setOwnRoomPicture", roomId, url)).eventId;
        await drive(alice.page, "seeMember", roomId, bob.userId, "Viola", next);
        const content = await onServer(roomId, bob);
        assert.deepEqual([content["displayname"], content["avatar_url"]], ["bob", url]);
        assert.notEqual(content[FIELD], undefined);
      } finally {
        await choose({ "room-nicknames": "on" });
      }
      assert.equal(told("Viola"), 0);
    });

    it("where it is switched off, nothing of it leaves with something else, and on it is put again", async () => {
      const roomId = await openRoom("Switched");
      const id = await takeName(bob, roomId, "Imogen");
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMember", roomId, bob.userId, "Imogen", id);
      }
      await choose({ "room-nicknames": "off", profile: "off" });
      try {
        await drive(bob.page, "seeMember", roomId, bob.userId, "bob", id);
        // Others' are shown all the same.
        assert.equal((await drive(alice.page, "shownMember", roomId, bob.userId)).name, "Imogen");
        const url = "mxc://hs.example.org/imogen";
        const next = (await drive(bob.page, "setOwnRoomPicture", roomId, url)).eventId;
        await drive(alice.page, "seeMember", roomId, bob.userId, "bob", next);
        assert.equal((await onServer(roomId, bob))["displayname"], "bob");
      } finally {
        await choose({ "room-nicknames": "on" });
      }
      await drive(alice.page, "seeMember", roomId, bob.userId, "Imogen");
      const content = await onServer(roomId, bob);
      assert.equal(content["avatar_url"], "mxc://hs.example.org/imogen");
      assert.equal(told("Imogen"), 0);
    });

    it("is shown when its key comes late", async () => {
      const roomId = await openRoom("Late");
      const held = holdToDevice();
      const end = liar.tell(toClient(alice.credentials.accessToken, held.lie));
      try {
        const id = await takeName(bob, roomId, "Celia");
        await drive(alice.page, "seeMemberEvent", roomId, bob.userId, id);
        await until(async () => held.held() > 0, "his key is held back", LIMIT);
        assert.equal((await drive(alice.page, "shownMember", roomId, bob.userId)).name, "bob");
        held.release();
        await drive(alice.page, "seeMember", roomId, bob.userId, "Celia", id);
      } finally {
        end();
      }
    });

    it("who joins later reads it", async () => {
      const { roomId } = await drive(alice.page, "createRoom", {
        name: "Later",
        encrypted: true,
      });
      const id = await takeName(alice, roomId, "Hermia");
      await drive(alice.page, "seeMember", roomId, alice.userId, "Hermia", id);
      await drive(alice.page, "inviteUser", roomId, bob.userId);
      await bob.join(roomId);
      await drive(bob.page, "seeMember", roomId, alice.userId, "Hermia");
      assert.equal(told("Hermia"), 0);
    });

    it("is taken back by taking the public name, and an old one that is put back is not shown", async () => {
      const roomId = await openRoom("Back");
      const old = await takeName(bob, roomId, "Jessica");
      await drive(alice.page, "seeMember", roomId, bob.userId, "Jessica", old);
      await drive(bob.page, "seeMember", roomId, bob.userId, "Jessica", old);
      const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(old)}`;
      const event = (await world.synapse.call(alice.credentials, "GET", path)) as WireEvent;
      const id = await takeName(bob, roomId, "bob");
      for (const { page } of [alice, bob, dave]) {
        await drive(page, "seeMember", roomId, bob.userId, "bob", id);
      }
      assert.notEqual((await onServer(roomId, bob))[FIELD], undefined, "sealed as well");
      // That it was taken back is no sight before it is opened; what comes after it is, and then so is
      // it.
      const barrier = await takeName(alice, roomId, "Lorenza");
      await drive(alice.page, "seeMember", roomId, alice.userId, "Lorenza", barrier);
      // Under its own id, and as a new event.
      for (const fake of [event, { ...event, event_id: "$made-up" }]) {
        const end = liar.tell(
          toClient(
            alice.credentials.accessToken,
            aboutRoom(roomId, ({ state }) => {
              state.push({ ...fake, origin_server_ts: Date.now() });
              return true;
            }),
          ),
        );
        try {
          await dave.send(roomId, `After ${String(fake.event_id)}`);
          await drive(alice.page, "seeMemberEvent", roomId, bob.userId, String(fake.event_id));
        } finally {
          end();
        }
        // What comes after it was opened, so it would have been.
        const next = await takeName(alice, roomId, `Nerissa ${String(fake.event_id).slice(1, 5)}`);
        await drive(alice.page, "seeMemberEvent", roomId, alice.userId, next);
        await until(
          async () =>
            (await drive(alice.page, "shownMember", roomId, alice.userId)).name?.startsWith(
              "Nerissa",
            ) === true,
          "a later one is opened",
          LIMIT,
        );
        assert.equal((await drive(alice.page, "shownMember", roomId, bob.userId)).name, "bob");
      }
    });

    it("one that somebody else copies into their own is not theirs", async () => {
      const roomId = await openRoom("Copied");
      const id = await takeName(bob, roomId, "Bianca");
      await drive(alice.page, "seeMember", roomId, bob.userId, "Bianca", id);
      const sealed = (await onServer(roomId, bob))[FIELD];
      const content = { membership: "join", displayname: "dave", [FIELD]: sealed };
      const answer = await world.synapse.call(
        dave.credentials,
        "PUT",
        memberPath(roomId, dave),
        content,
      );
      const copy = String(answer["event_id"]);
      await drive(alice.page, "seeMemberEvent", roomId, dave.userId, copy);
      const next = await takeName(bob, roomId, "Katharina");
      await drive(alice.page, "seeMember", roomId, bob.userId, "Katharina", next);
      assert.equal((await drive(alice.page, "shownMember", roomId, dave.userId)).name, "dave");
    });

    it("is refused where it cannot be encrypted, and never sent readable", async () => {
      const roomId = await openRoom("Refused");
      const fails = liar.fail(
        ({ path, method }) => method === "GET" && path.includes("/profile/"),
        "502",
      );
      const outcome = await tryToDrive(bob.page, "setRoomNickname", roomId, "Cordelia");
      fails();
      assert.equal(outcome.ok, false, JSON.stringify(outcome));
      assert.equal(told("Cordelia"), 0);
      assert.equal((await onServer(roomId, bob))["displayname"], "bob");
    });

    /** Mantle's popup over Bob's Element, which shows a room. */
    const openPopup = async (roomId: string): Promise<Page> => {
      await bob.page.evaluate((hash: string) => {
        location.hash = hash;
      }, `#/room/${roomId}`);
      const first = await mixed.browser.openExtensionPage("popup.html");
      const tab = await tabShowing(first, "app.element.io");
      await first.close();
      const popup = await mixed.browser.openExtensionPage(`popup.html?tab=${String(tab)}`);
      await popup.waitForSelector("[data-shield]", { timeout: LIMIT });
      return popup;
    };
    const NAME_FIELD = "#own-name:not([hidden]) input";

    it("is set in the popup by keyboard, sealed like any, and taken back there", async () => {
      const roomId = await openRoom("Popup");
      await mkdir(screenshots, { recursive: true });
      const popup = await openPopup(roomId);
      const field = await popup.waitForSelector(NAME_FIELD, { timeout: LIMIT });
      assert.ok(field !== null);
      for (const width of [320, 900]) {
        await popup.setViewport({ width, height: 900 });
        for (const dark of [false, true]) {
          await mixed.browser.setDark(popup, dark);
          const where = `${width} ${dark ? "dark" : "light"}`;
          assert.deepEqual(await violations(popup), [], where);
          const [inner, outer] = await popup.evaluate(() => [
            document.documentElement.scrollWidth,
            document.documentElement.clientWidth,
          ]);
          assert.ok((inner ?? 0) <= (outer ?? 0) + 1, where);
          const file = `own-name-${kind}-${where.replace(" ", "-")}.png`;
          await popup.screenshot({ path: path.join(screenshots, file) });
        }
      }
      await mixed.browser.setDark(popup, false);
      assert.equal(await tabTo(popup, field), true);
      await popup.keyboard.type("Beatrice");
      await popup.keyboard.press("Enter");
      const says = (where: Page, words: RegExp): Promise<void> =>
        until(
          async () =>
            words.test(
              (await where.$eval("#own-name [role=status]", (one) => one.textContent)) ?? "",
            ),
          `the popup says ${String(words)}`,
          LIMIT,
        );
      await says(popup, /was changed/);
      await popup.screenshot({ path: path.join(screenshots, `own-name-${kind}-set.png`) });
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMember", roomId, bob.userId, "Beatrice");
      }
      await drive(dave.page, "seeMember", roomId, bob.userId, "bob");
      assert.equal(told("Beatrice"), 0);
      assert.equal((await onServer(roomId, bob))["displayname"], "bob");
      await popup.close();

      const again = await openPopup(roomId);
      await again.waitForSelector(NAME_FIELD, { timeout: LIMIT });
      assert.equal(
        await again.$eval(NAME_FIELD, (one) => (one as HTMLInputElement).value),
        "Beatrice",
      );
      // By keyboard: what is above the button may still grow, which a click of the driver misses.
      await again.$eval(NAME_FIELD, (one) => (one as HTMLInputElement).select());
      await again.focus(NAME_FIELD);
      await again.keyboard.press("Backspace");
      await again.keyboard.press("Enter");
      await says(again, /was changed/);
      await drive(alice.page, "seeMember", roomId, bob.userId, "bob");
      assert.notEqual((await onServer(roomId, bob))[FIELD], undefined, "sealed as well");
      await again.close();
    });

    it("is not offered in the popup where it would be readable", async () => {
      const sealed = await openRoom("Offered");
      const { roomId: readable } = await drive(bob.page, "createRoom", {
        name: "Readable for all",
        encrypted: false,
      });
      /** Whether it is; what comes after it in the popup's own order is there by then. */
      const isOffered = async (roomId: string): Promise<boolean> => {
        const popup = await openPopup(roomId);
        try {
          const answer = await popup.evaluate(async () => {
            const api =
              (globalThis as unknown as Record<string, typeof chrome>)["browser"] ?? chrome;
            const tab = Number(new URLSearchParams(location.search).get("tab"));
            const query = { kind: "own-name-query", task: { do: "look" } };
            return (await api.tabs.sendMessage(tab, query)) as { is?: string } | undefined;
          });
          const isShown = await popup.$(NAME_FIELD).then((found) => found !== null);
          assert.ok(!isShown || answer?.is === "offered");
          return answer?.is === "offered";
        } finally {
          await popup.close();
        }
      };
      assert.equal(await isOffered(sealed), true);
      assert.equal(await isOffered(readable), false);
      await choose({ "room-nicknames": "off" });
      try {
        assert.equal(await isOffered(sealed), false);
      } finally {
        await choose({ "room-nicknames": "on" });
      }
    });

    it("is put again when the public name changes", async () => {
      const roomId = await openRoom("Again");
      const id = await takeName(bob, roomId, "Portia");
      await drive(alice.page, "seeMember", roomId, bob.userId, "Portia", id);
      await setPublicName(bob, "Robert");
      try {
        await until(
          async () => {
            const content = await onServer(roomId, bob);
            return content["displayname"] === "Robert" && content[FIELD] !== undefined;
          },
          "the homeserver has both again",
          LIMIT,
        );
        await drive(dave.page, "seeMember", roomId, bob.userId, "Robert");
        await drive(alice.page, "seeMember", roomId, bob.userId, "Portia");
        const { eventId } = await drive(alice.page, "shownMember", roomId, bob.userId);
        assert.notEqual(eventId, id);
        assert.equal(told("Portia"), 0);
      } finally {
        await setPublicName(bob, "bob");
      }
    });
  });
}
