/**
 * Names and pictures that people take in one room, among people with Mantle and without. Each test takes names of
 * its own, in a room of its own.
 */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { tabTo, violations } from "../support/axe.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { drive, tryToDrive, unhandled } from "../support/client-page.ts";
import { aboutRoom, holdToDevice, lyingHomeserver, toClient } from "../support/lies.ts";
import type { LyingHomeserver, Plain, WireEvent } from "../support/lies.ts";
import { plainPicture, upload, withRemark } from "../support/pictures.ts";
import type { Colour } from "../support/pictures.ts";
import { closeNotice, isAsked, noticeTexts, openQuestion, press } from "../support/question.ts";
import { corsHeaders } from "../support/recorder.ts";
import type { Recorder } from "../support/recorder.ts";
import { HOMESERVER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { startMixedWorld, WITHOUT_MANTLE } from "./encrypted-state/people.ts";
import type { Guarded, MixedWorld } from "./encrypted-state/people.ts";
import { tabShowing, until } from "./extension-pages.ts";

/** Longest wait for something that must happen. */
const LIMIT = 60_000;
const RED: Colour = [220, 30, 40];
const GREEN: Colour = [20, 160, 60];
const BLUE: Colour = [30, 60, 200];
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';
const FIELD = "org.mantle.member_profile";
const screenshots = path.resolve(import.meta.dirname, "../../build/screenshots");

for (const kind of bothBrowsers) {
  describe(`names in one room in ${kind}`, { timeout: 1_200_000 }, () => {
    let mixed: MixedWorld;
    let world: World;
    let recorder: Recorder;
    let liar: LyingHomeserver;
    let alice: Guarded;
    /** Without power in her rooms, as everybody but Alice. */
    let bob: Guarded;
    /** Without Mantle. */
    let dave: Guarded;
    /** What the homeserver gives in place of any file, and how often it did. */
    let swapped: Buffer | undefined;
    let swaps = 0;
    let folder: string;

    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), "mantle-own-picture-"));
      mixed = await startMixedWorld(kind, async (made, front) => {
        liar = lyingHomeserver(made.synapse.baseUrl);
        front.route(HOMESERVER, (request, response) => {
          const isMedia = request.method === "GET" && request.path.includes("/media/");
          if (!isMedia || swapped === undefined) return liar.route(request, response);
          swaps += 1;
          const headers = { ...corsHeaders(request.headers), "content-type": "image/png" };
          response.writeHead(200, headers);
          response.end(swapped);
          return undefined;
        });
      });
      ({ world, recorder } = mixed);
      await choose({ "room-nicknames": "on" });
      alice = await mixed.open("alice", "chat.example.org");
      bob = await mixed.open("bob", "app.element.io");
      dave = await mixed.open("dave", WITHOUT_MANTLE);
    });

    const choose = (shields: Record<string, string>): Promise<void> => mixed.storeShields(shields);

    after(async () => {
      await mixed?.close();
      if (folder !== undefined) await rm(folder, { recursive: true });
    });

    // In rooms of before, a new public name has each client write and read once more what stands there.
    afterEach(async () => {
      for (const { credentials } of [alice, bob]) {
        const base = "/_matrix/client/v3";
        const { call } = world.synapse;
        const { joined_rooms: rooms } = await call(credentials, "GET", `${base}/joined_rooms`);
        for (const roomId of rooms as string[]) {
          await call(credentials, "POST", `${base}/rooms/${encodeURIComponent(roomId)}/leave`, {});
        }
      }
    });

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
    /**
     * Waits until what a new room begins with has come. Synapse puts what is sent at the same time beside
     * each other, and tells with the later one of its sender's member event before both of them: any
     * client holds that for the current one.
     */
    const settled = (by: Guarded, roomId: string, name: string): Promise<void> =>
      by.seeName(roomId, name);
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
        // An answer to bring it: there is nothing else for half a minute.
        await dave.send(roomId, "After the key");
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
      await settled(alice, roomId, "Later");
      const id = await takeName(alice, roomId, "Hermia");
      await drive(alice.page, "seeMember", roomId, alice.userId, "Hermia", id);
      await drive(alice.page, "inviteUser", roomId, bob.userId);
      await bob.join(roomId);
      await drive(bob.page, "seeMember", roomId, alice.userId, "Hermia");
      assert.equal(told("Hermia"), 0);
    });

    it("is put again after somebody has left, so that who joins after that reads it", async () => {
      const { roomId } = await drive(alice.page, "createRoom", {
        name: "Left",
        encrypted: true,
        invite: [dave.userId],
      });
      await dave.join(roomId);
      await settled(alice, roomId, "Left");
      const id = await takeName(alice, roomId, "Ophelia");
      await drive(alice.page, "seeMember", roomId, alice.userId, "Ophelia", id);
      await drive(dave.page, "seeMember", roomId, alice.userId, "alice", id);
      const session = async (): Promise<unknown> => {
        const path = memberPath(roomId, alice);
        const content = await world.synapse.call(alice.credentials, "GET", path);
        return (content[FIELD] as Plain | undefined)?.["session_id"];
      };
      const first = await session();
      assert.equal(typeof first, "string");
      await dave.leave(roomId);
      // The key of the first session is given to nobody who comes from now on.
      await until(
        async () => ![first, undefined].includes((await session()) as string | undefined),
        "the name is sealed in the room's new session",
        LIMIT,
      );
      await drive(alice.page, "inviteUser", roomId, bob.userId);
      await bob.join(roomId);
      await drive(bob.page, "seeMember", roomId, alice.userId, "Ophelia");
      const shown = await drive(bob.page, "shownMember", roomId, alice.userId);
      await drive(alice.page, "seeMember", roomId, alice.userId, "Ophelia", shown.eventId ?? "");
      assert.notEqual(shown.eventId, id);
      assert.equal(told("Ophelia"), 0);
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

    /** As `/myroomavatar` does it: what is uploaded is named in the member event. */
    const takePicture = async (by: Guarded, roomId: string, bytes: Buffer): Promise<string> => {
      const base64 = bytes.toString("base64");
      const { uri } = await drive(by.page, "uploadPicture", "me.png", "image/png", base64);
      return (await drive(by.page, "setOwnRoomPicture", roomId, uri)).eventId;
    };
    const setPublicPicture = async (of: Guarded, colour: Colour): Promise<string> => {
      const url = await upload(world.synapse, of.credentials, plainPicture(colour, 30));
      const path = `/_matrix/client/v3/profile/${encodeURIComponent(of.userId)}/avatar_url`;
      await world.synapse.call(of.credentials, "PUT", path, { avatar_url: url });
      return url;
    };
    const pictureOnServer = async (roomId: string, of: Guarded): Promise<unknown> =>
      (await onServer(roomId, of))["avatar_url"];

    it("without Mantle a picture is read by the homeserver, as is where it stands", async () => {
      const roomId = await openRoom("Readable picture");
      await takePicture(dave, roomId, withRemark(plainPicture(RED, 40), "davesremark"));
      assert.ok(told("davesremark") > 0);
      const url = await pictureOnServer(roomId, dave);
      assert.match(String(url), /^mxc:/);
      await until(
        async () => (await drive(alice.page, "memberPicture", roomId, dave.userId)) === url,
        "everybody is shown it",
        LIMIT,
      );
    });

    it("with Mantle a picture leaves encrypted, beside the public one, and with a name", async () => {
      const url = await setPublicPicture(bob, GREEN);
      const roomId = await openRoom("Sealed picture");
      await until(async () => (await pictureOnServer(roomId, bob)) === url, "it is public", LIMIT);
      // The one that was sealed before is set on top of what the page knows.
      await until(
        async () => (await drive(bob.page, "memberPicture", roomId, bob.userId)) === url,
        "his page knows it",
        LIMIT,
      );
      recorder.clear();
      const secret = withRemark(plainPicture(RED, 300), "bobsremark");
      await takePicture(bob, roomId, secret);
      for (const { page } of [bob, alice]) {
        const shown = await drive(page, "seeMemberPicture", roomId, bob.userId, RED);
        assert.equal(shown.width, 192);
      }
      const uploaded = recorder
        .to(HOMESERVER)
        .filter(({ method, path }) => method === "POST" && path.includes("/_matrix/media/"));
      assert.equal(uploaded.length, 1);
      assert.equal(uploaded[0]?.headers["content-type"], "application/octet-stream");
      // Without what no pixel shows.
      assert.equal(uploaded[0]?.body.length, plainPicture(RED, 300).length);
      const id = await takeName(bob, roomId, "Silvia");
      await drive(alice.page, "seeMember", roomId, bob.userId, "Silvia", id);
      for (const { page } of [bob, alice]) {
        await drive(page, "seeMemberPicture", roomId, bob.userId, RED);
      }
      const content = await onServer(roomId, bob);
      assert.deepEqual([content["displayname"], content["avatar_url"]], ["bob", url]);
      assert.notEqual(content[FIELD], undefined);
      const placed = JSON.parse(String(uploaded[0]?.answer)) as { content_uri?: string };
      // In other rooms the public picture, which changed, may have others put again meanwhile.
      const where = memberPath(roomId, bob);
      const written = recorder
        .to(HOMESERVER)
        .filter(({ method, path }) => method === "PUT" && path.startsWith(where));
      assert.equal(written.length, 2);
      for (const { body } of written) {
        assert.equal(body.includes(String(placed.content_uri)), false);
        assert.equal(body.toString().includes("#mantle"), false);
      }
      for (const word of ["bobsremark", "Silvia", "me.png"]) assert.equal(told(word), 0);
      assert.equal(await drive(dave.page, "memberPicture", roomId, bob.userId), url);
      assert.deepEqual(await unhandled(dave.page), []);
      for (const clearCache of [false, true]) {
        await alice.restart({ reload: true, clearCache });
        await drive(alice.page, "seeMemberPicture", roomId, bob.userId, RED);
        await drive(alice.page, "seeMember", roomId, bob.userId, "Silvia");
      }
    });

    it("who joins later sees the picture", async () => {
      const { roomId } = await drive(alice.page, "createRoom", { name: "Later", encrypted: true });
      await settled(alice, roomId, "Later");
      await takePicture(alice, roomId, plainPicture(BLUE, 80));
      await drive(alice.page, "seeMemberPicture", roomId, alice.userId, BLUE);
      await drive(alice.page, "inviteUser", roomId, bob.userId);
      await bob.join(roomId);
      await drive(bob.page, "seeMemberPicture", roomId, alice.userId, BLUE);
    });

    it("a picture is put again when the public one changes, taken back by that, and not put back", async () => {
      const roomId = await openRoom("Picture again");
      const old = await takePicture(bob, roomId, plainPicture(RED, 60));
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMemberPicture", roomId, bob.userId, RED);
      }
      const url = await setPublicPicture(bob, BLUE);
      await until(
        async () => {
          const content = await onServer(roomId, bob);
          return content["avatar_url"] === url && content[FIELD] !== undefined;
        },
        "the homeserver has both again",
        LIMIT,
      );
      for (const { page } of [alice, bob]) {
        await until(
          async () => (await drive(page, "shownMember", roomId, bob.userId)).eventId !== old,
          "the member event is another",
          LIMIT,
        );
        await drive(page, "seeMemberPicture", roomId, bob.userId, RED);
      }
      const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(old)}`;
      const event = (await world.synapse.call(alice.credentials, "GET", path)) as WireEvent;
      await drive(bob.page, "setOwnRoomPicture", roomId, url);
      for (const { page } of [alice, bob]) {
        await until(
          async () => (await drive(page, "memberPicture", roomId, bob.userId)) === url,
          "the public one is shown",
          LIMIT,
        );
      }
      assert.notEqual((await onServer(roomId, bob))[FIELD], undefined, "sealed as well");
      // What comes after it is opened, and then so is that it was taken back.
      const barrier = await takeName(alice, roomId, "Ursula");
      await drive(alice.page, "seeMember", roomId, alice.userId, "Ursula", barrier);
      const end = liar.tell(
        toClient(
          alice.credentials.accessToken,
          aboutRoom(roomId, ({ state }) => {
            state.push({ ...event, event_id: "$made-up-picture", origin_server_ts: Date.now() });
            return true;
          }),
        ),
      );
      try {
        await dave.send(roomId, "After the picture");
        await drive(alice.page, "seeMemberEvent", roomId, bob.userId, "$made-up-picture");
      } finally {
        end();
      }
      const next = await takeName(alice, roomId, "Lucetta");
      await drive(alice.page, "seeMember", roomId, alice.userId, "Lucetta", next);
      const shown = await drive(alice.page, "memberPicture", roomId, bob.userId);
      assert.doesNotMatch(String(shown), /#mantle/);
    });

    it("a picture swapped for another's ciphertext is not shown", async () => {
      const roomId = await openRoom("Swapped");
      [swapped, swaps] = [plainPicture(GREEN, 50), 0];
      try {
        await takePicture(bob, roomId, plainPicture(RED, 70));
        await until(
          async () =>
            (await drive(alice.page, "memberPicture", roomId, bob.userId))?.includes("#mantle") ===
            true,
          "it is opened",
          LIMIT,
        );
        const name = (await drive(alice.page, "memberPicture", roomId, bob.userId)) ?? "";
        await drive(alice.page, "pictureAddress", name);
        await until(async () => swaps > 0, "it is fetched", LIMIT);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        assert.equal(await drive(alice.page, "pictureAddress", name), null);
      } finally {
        swapped = undefined;
      }
    });

    it("what is no picture or too large is refused, and so is any where it cannot be encrypted", async () => {
      const roomId = await openRoom("Refused pictures");
      const before = await pictureOnServer(roomId, bob);
      recorder.clear();
      const tries = async (bytes: Buffer, type = "image/png"): Promise<string> => {
        const { uri } = await drive(
          bob.page,
          "uploadPicture",
          "me.png",
          type,
          bytes.toString("base64"),
        );
        const outcome = await tryToDrive(bob.page, "setOwnRoomPicture", roomId, uri);
        assert.equal(outcome.ok, false, JSON.stringify(outcome));
        return JSON.stringify(outcome);
      };
      assert.match(await tries(Buffer.from(SVG), "image/svg+xml"), /PNG, JPEG, GIF or WebP/);
      assert.match(await tries(Buffer.alloc(10_000_001)), /at most 10 MB/);
      const fails = liar.fail(
        ({ path, method }) => method === "GET" && path.includes("/profile/"),
        "502",
      );
      await tries(withRemark(plainPicture(RED, 40), "cordeliasremark"));
      fails();
      assert.equal(told("cordeliasremark"), 0);
      assert.equal(told("<svg"), 0);
      assert.equal(await pictureOnServer(roomId, bob), before);
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

    it("a picture is taken back in the popup by keyboard, and the name stays", async () => {
      const roomId = await openRoom("Popup picture");
      await mkdir(screenshots, { recursive: true });
      const id = await takeName(bob, roomId, "Phebe");
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMember", roomId, bob.userId, "Phebe", id);
      }
      await takePicture(bob, roomId, plainPicture(RED, 60));
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMemberPicture", roomId, bob.userId, RED);
      }
      const popup = await openPopup(roomId);
      const take = await popup.waitForSelector("#own-picture:not([hidden]) button", {
        timeout: LIMIT,
      });
      assert.ok(take !== null);
      for (const dark of [false, true]) {
        await popup.setViewport({ width: 320, height: 900 });
        await mixed.browser.setDark(popup, dark);
        assert.deepEqual(await violations(popup), []);
        const isWide = await popup.evaluate(
          () => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1,
        );
        assert.equal(isWide, false);
        const file = `own-picture-${kind}-${dark ? "dark" : "light"}.png`;
        await popup.screenshot({ path: path.join(screenshots, file) });
      }
      assert.equal(await tabTo(popup, take), true);
      await popup.keyboard.press("Enter");
      await until(
        () => popup.$eval("#own-picture", (one) => (one as HTMLElement).hidden),
        "it is taken back",
        LIMIT,
      );
      await popup.close();
      const url = await pictureOnServer(roomId, bob);
      for (const { page } of [alice, bob]) {
        await until(
          async () => (await drive(page, "memberPicture", roomId, bob.userId)) === url,
          "the public one is shown",
          LIMIT,
        );
        await drive(page, "seeMember", roomId, bob.userId, "Phebe");
      }
      assert.notEqual((await onServer(roomId, bob))[FIELD], undefined);
    });

    it("a picture is chosen in the page that the popup sends one to, and leaves encrypted", async () => {
      const roomId = await openRoom("Picked");
      const id = await takeName(bob, roomId, "Audrey");
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMember", roomId, bob.userId, "Audrey", id);
      }
      const file = path.join(folder, "picked.png");
      const pick = async (bytes: Buffer): Promise<void> => {
        await writeFile(file, bytes);
        const popup = await openPopup(roomId);
        const button = await popup.waitForSelector("#own-name:not([hidden]) #own-picture-pick", {
          timeout: LIMIT,
        });
        assert.ok(button !== null);
        assert.equal(await tabTo(popup, button), true);
        await popup.keyboard.press("Enter");
        await until(
          async () =>
            /Go on in Element/.test(
              (await popup.$eval("#own-name [role=status]", (one) => one.textContent)) ?? "",
            ),
          "the popup says where to go on",
          LIMIT,
        );
        await popup.screenshot({ path: path.join(screenshots, `own-picture-pick-${kind}.png`) });
        await popup.close();
        await bob.page.bringToFront();
        const question = await openQuestion(bob.page);
        assert.equal(question.title, "Your picture in this room");
        await bob.page.screenshot({
          path: path.join(screenshots, `own-picture-question-${kind}.png`),
        });
        const chooser = bob.page.waitForFileChooser({ timeout: LIMIT });
        await press(bob.page, "Choose a picture…");
        await (await chooser).accept([file]);
      };
      await pick(withRemark(plainPicture(BLUE, 60), "bobsremark"));
      for (const { page } of [alice, bob]) {
        await drive(page, "seeMemberPicture", roomId, bob.userId, BLUE).catch(
          async (error: unknown) => {
            const said = (await noticeTexts(bob.page)).join(" ");
            const asked = (await isAsked(bob.page)) ? (await openQuestion(bob.page)).title : "";
            throw new Error(`${String(error)}; Mantle says "${said}" and asks "${asked}"`, {
              cause: error,
            });
          },
        );
        await drive(page, "seeMember", roomId, bob.userId, "Audrey");
      }
      assert.equal(told("bobsremark"), 0);
      assert.equal(told("picked.png"), 0);
      const pixels = plainPicture(BLUE, 60).subarray(33, 60);
      assert.deepEqual(
        recorder.to(HOMESERVER).filter(({ body }) => body.includes(pixels)),
        [],
      );
      // What is no picture is refused in words.
      await pick(Buffer.from(SVG));
      assert.match(await closeNotice(bob.page), /PNG, JPEG, GIF or WebP/);
      assert.equal(told("www.w3.org/2000/svg"), 0);
      await drive(alice.page, "seeMemberPicture", roomId, bob.userId, BLUE);
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
