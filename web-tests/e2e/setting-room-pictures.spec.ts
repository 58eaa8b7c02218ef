/**
 * Pictures that people with Mantle give rooms that encrypt their state, and what the homeserver is
 * told of them; and uploads that look the same and are something else.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../support/browsers.ts";
import { GPS_BYTES, jpegWithPlace, pictureHolding } from "../support/canaries.ts";
import { drive, tryToDrive, unhandled } from "../support/client-page.ts";
import { plainPicture, withRemark } from "../support/pictures.ts";
import type { Colour } from "../support/pictures.ts";
import { noticeTexts, openQuestion, press } from "../support/question.ts";
import { answerJson, forward } from "../support/recorder.ts";
import type { Exchange, Recorder } from "../support/recorder.ts";
import { HOMESERVER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { givePower, startMixedWorld, WITHOUT_MANTLE } from "./encrypted-state/people.ts";
import type { Guarded, MixedWorld } from "./encrypted-state/people.ts";
import { until } from "./extension-pages.ts";

/** Longest wait for something that must happen. */
const LIMIT = 45_000;
const RED: Colour = [220, 30, 40];
const GREEN: Colour = [20, 160, 60];
/** The question about the profile's picture is another shield's. */
const MODES = {
  on: { "room-pictures": "on", profile: "off" },
  ask: { "room-pictures": "ask", profile: "off" },
  off: { "room-pictures": "off", profile: "off" },
} as const;
/** The name that an upload has while it waits. */
const NAME = /^mxc:\/\/hs\.example\.org\/[A-Za-z0-9_-]{24}$/;
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';

const canary = (): string => `picture${randomBytes(12).toString("hex")}`;

for (const kind of bothBrowsers) {
  describe(`setting encrypted pictures of rooms in ${kind}`, { timeout: 600_000 }, () => {
    let mixed: MixedWorld;
    let world: World;
    let recorder: Recorder;
    let alice: Guarded;
    let bob: Guarded;
    /** Without Mantle. */
    let dave: Guarded;
    let roomId: string;
    /** Encrypted, but its state is readable. */
    let plainId: string;

    const set = async (mode: keyof typeof MODES): Promise<void> => {
      await mixed.storeShields(MODES[mode]);
      await alice.restart({ reload: true });
    };

    before(async () => {
      mixed = await startMixedWorld(kind);
      ({ world, recorder } = mixed);
      alice = await mixed.open("alice", "chat.example.org");
      bob = await mixed.open("bob", "app.element.io");
      dave = await mixed.open("dave", WITHOUT_MANTLE);
      const invite = [bob.userId, dave.userId];
      ({ roomId } = await drive(alice.page, "createRoom", {
        name: "Garden",
        encrypted: true,
        invite,
      }));
      for (const { page: one } of [bob, dave]) await drive(one, "joinRoom", roomId);
      await bob.seeName(roomId, "Garden");
      ({ roomId: plainId } = await drive(dave.page, "createRoom", {
        name: "Yard",
        encrypted: true,
        invite: [alice.userId],
      }));
      await alice.join(plainId);
      await givePower(world, dave.credentials, plainId, alice.userId);
    });

    after(() => mixed?.close());

    const by = ({ credentials }: Guarded): Exchange[] =>
      recorder
        .to(HOMESERVER)
        .filter(({ headers }) => headers.authorization === `Bearer ${credentials.accessToken}`);
    const bodiesWith = (who: Guarded, what: string | Buffer): Exchange[] =>
      by(who).filter(({ body, path }) => body.includes(what) || path.includes(String(what)));
    const uploads = (who: Guarded): Exchange[] =>
      by(who).filter(({ method, path }) => method !== "GET" && path.includes("/_matrix/media/"));
    const upload = async (
      who: Guarded,
      bytes: Buffer,
      name = "room.png",
      type = "image/png",
    ): Promise<string> =>
      (await drive(who.page, "uploadPicture", name, type, bytes.toString("base64"))).uri;
    /** Sets a room's picture as Element's settings do: upload, then state. */
    const setPicture = async (who: Guarded, bytes: Buffer, room = roomId): Promise<string> => {
      const uri = await upload(who, bytes);
      await drive(who.page, "setRoomAvatar", room, uri);
      return uri;
    };
    const stateWrites = (who: Guarded): string[] =>
      by(who)
        .filter(({ method, path }) => method === "PUT" && path.includes("/state/"))
        .map(({ path }) => decodeURIComponent(path.split("/state/")[1] ?? ""));

    it("without it a picture is read by the homeserver, which shows what it is for", async () => {
      await set("off");
      for (const who of [dave, alice]) {
        const own = await drive(who.page, "createRoom", { name: "Shed", encrypted: true });
        recorder.clear();
        const secret = canary();
        const uri = await upload(who, pictureHolding(secret));
        assert.equal(uploads(who).filter(({ body }) => body.includes(secret)).length, 1);
        assert.ok(uploads(who).some(({ answer }) => answer.includes(uri)));
        await drive(who.page, "setRoomAvatar", own.roomId, uri);
        const pictures = stateWrites(who).filter((state) => state.includes("m.room.avatar"));
        assert.deepEqual(pictures, ["m.room.avatar/"]);
      }
    });

    it("the homeserver gets no byte of the picture, nor its name and kind", async () => {
      await set("on");
      recorder.clear();
      const secret = canary();
      const uri = await setPicture(alice, pictureHolding(secret));
      assert.match(uri, NAME);
      // Not by its bytes, its name, its kind, or the name it had meanwhile.
      for (const what of [secret, "room.png", "image/png", "m.room.avatar", uri.slice(-24)]) {
        const told = bodiesWith(alice, what).filter(
          ({ path }) => !path.includes("/state/m.room.encrypted/m.room.avatar"),
        );
        assert.deepEqual(
          told.map(({ path }) => path),
          [],
          what,
        );
      }
      const [ciphertext, ...more] = uploads(alice);
      assert.deepEqual(more, []);
      assert.equal(ciphertext?.headers["content-type"], "application/octet-stream");
      assert.equal(ciphertext?.body.length, pictureHolding(secret).length);
      assert.deepEqual(stateWrites(alice), ["m.room.encrypted/m.room.avatar:"]);
      await until(() => drive(bob.page, "hasRoomPicture", roomId), "Bob has it", LIMIT);
    });

    it("people with Mantle see it, one's own device at once and after a reload", async () => {
      const uri = await setPicture(alice, plainPicture(RED, 300));
      const own = await drive(alice.page, "pictureAddress", uri);
      assert.match(own ?? "", /^blob:/);
      for (const { page } of [alice, bob]) {
        const shown = await drive(page, "seeRoomPicture", roomId, RED);
        assert.equal(shown.width, 192);
      }
      for (const one of [alice, bob]) {
        await one.restart({ reload: true });
        await drive(one.page, "seeRoomPicture", roomId, RED);
      }
    });

    it("who has no Mantle sees none, asks for none, and stays healthy", async () => {
      const held = await drive(bob.page, "heldState", roomId, "m.room.avatar");
      const { url: place } = held?.content["file"] as { url: string };
      const fetched = (who: Guarded): number =>
        bodiesWith(who, place.slice("mxc://".length)).length;
      await alice.send(roomId, "There is a picture now");
      await dave.receive(roomId, "There is a picture now");
      assert.equal((await drive(dave.page, "roomPicture", roomId)).url, null);
      assert.ok(fetched(bob) > 0);
      assert.equal(fetched(dave), 0);
      assert.deepEqual(await unhandled(dave.page), []);
    });

    it("another takes its place, and it can be taken away", async () => {
      await setPicture(alice, plainPicture(GREEN, 60));
      await drive(bob.page, "seeRoomPicture", roomId, GREEN);
      recorder.clear();
      await drive(alice.page, "setRoomAvatar", roomId, undefined as never);
      await until(
        async () => !(await drive(bob.page, "hasRoomPicture", roomId)),
        "it is gone",
        LIMIT,
      );
      assert.deepEqual(stateWrites(alice), ["m.room.encrypted/m.room.avatar:"]);
    });

    it("so is the picture that a room is made with, whose name is encrypted", async () => {
      const secret = canary();
      const uri = await upload(alice, pictureHolding(secret));
      recorder.clear();
      const made = await drive(alice.page, "createRoom", {
        name: "Orchard",
        encrypted: true,
        invite: [bob.userId],
        avatar: uri,
      });
      await drive(bob.page, "joinRoom", made.roomId);
      for (const { page } of [alice, bob]) {
        await until(() => drive(page, "hasRoomPicture", made.roomId), "it is there", LIMIT);
        await until(
          async () =>
            (await drive(page, "roomPicture", made.roomId)).url?.startsWith("blob:") === true,
          "it is shown",
          LIMIT,
        );
      }
      const creation = by(alice).find(({ path }) => path.endsWith("/createRoom"));
      assert.equal(creation?.body.includes("m.room.avatar"), false);
      for (const what of [secret, uri.slice(-24)])
        assert.deepEqual(bodiesWith(alice, what), [], what);
      assert.ok(stateWrites(alice).includes("m.room.encrypted/m.room.avatar:"));
    });

    it("that of a room without encryption goes out as ever", async () => {
      const secret = canary();
      const uri = await upload(alice, pictureHolding(secret));
      recorder.clear();
      const made = await drive(alice.page, "createRoom", {
        name: "Street",
        encrypted: false,
        avatar: uri,
      });
      assert.equal(uploads(alice).filter(({ body }) => body.includes(secret)).length, 1);
      const shown = async (): Promise<boolean> =>
        /\/thumbnail\//.test((await drive(alice.page, "roomPicture", made.roomId)).url ?? "");
      await until(shown, "it is shown", LIMIT);
    });

    it("hidden details go before it is encrypted", async () => {
      const bytes = withRemark(plainPicture(RED, 70), "made at home");
      await setPicture(alice, bytes);
      const shown = await drive(bob.page, "seeRoomPicture", roomId, RED);
      assert.equal(shown.width, 70);
      const held = await drive(bob.page, "heldState", roomId, "m.room.avatar");
      const info = held?.content["info"];
      assert.deepEqual(info, { mimetype: "image/png", size: plainPicture(RED, 70).length });
    });

    it("an SVG is refused in words, whatever it is said to be, and does not leave", async () => {
      recorder.clear();
      for (const [name, type] of [
        ["a.svg", "image/svg+xml"],
        ["a.png", "image/png"],
      ] as const) {
        const uri = await upload(alice, Buffer.from(SVG), name, type);
        const outcome = await tryToDrive(alice.page, "setRoomAvatar", roomId, uri);
        assert.match(outcome.ok ? "" : outcome.error, /PNG, JPEG, GIF or WebP/);
      }
      assert.deepEqual(uploads(alice), []);
      assert.deepEqual(stateWrites(alice), []);
    });

    it("where the upload fails nothing is set, and the same picture can be tried again", async () => {
      const secret = canary();
      const uri = await upload(alice, pictureHolding(secret));
      recorder.clear();
      let isFull = true;
      recorder.route(HOMESERVER, (request, response) => {
        const isUpload = request.method === "POST" && request.path.includes("/_matrix/media/");
        if (!isUpload || !isFull) return forward(world.synapse.baseUrl, request, response);
        answerJson(request, response, 500, { errcode: "M_UNKNOWN", error: "full" });
        return undefined;
      });
      const failed = await tryToDrive(alice.page, "setRoomAvatar", roomId, uri);
      assert.match(failed.ok ? "" : failed.error, /could not be uploaded/);
      assert.deepEqual(stateWrites(alice), []);
      isFull = false;
      await drive(alice.page, "setRoomAvatar", roomId, uri);
      assert.deepEqual(stateWrites(alice), ["m.room.encrypted/m.room.avatar:"]);
      assert.deepEqual(bodiesWith(alice, secret), []);
    });

    it("a profile's picture goes out as ever, cleaned and under its own address", async () => {
      recorder.clear();
      const uri = await upload(alice, jpegWithPlace("camera"), "me.jpg", "image/jpeg");
      assert.deepEqual(
        uploads(alice).filter(({ path }) => path.includes("filename")),
        [],
      );
      await drive(alice.page, "setAvatar", uri);
      const [sent] = uploads(alice).filter(
        ({ headers }) => headers["content-type"] === "image/jpeg",
      );
      assert.ok(sent !== undefined);
      assert.equal(sent.body.includes(GPS_BYTES), false);
      assert.doesNotMatch(sent.path, /me\.jpg/);
      const { avatar_url: actual } = await drive(alice.page, "profile", alice.userId);
      assert.ok(sent.answer.includes(actual ?? "none"), actual);
      assert.equal(bodiesWith(alice, uri.slice(-24)).length, 0);
      // What Element remembers of it leads there too.
      const shown = await drive(alice.page, "pictureAddress", uri);
      assert.ok(shown?.includes((actual ?? "none").slice("mxc://".length)), shown ?? "");
    });

    it("the picture of a room whose state is readable is set as ever", async () => {
      recorder.clear();
      const secret = canary();
      await setPicture(alice, pictureHolding(secret), plainId);
      const sent = uploads(alice).filter(({ body }) => body.includes(secret));
      assert.equal(sent.length, 1);
      const answer = JSON.parse(String(sent[0]?.answer)) as { content_uri: string };
      const place = answer.content_uri.slice("mxc://".length);
      const shown = async (): Promise<boolean> =>
        (await drive(dave.page, "roomPicture", plainId)).url?.includes(`/thumbnail/${place}`) ===
        true;
      await until(shown, "Dave has it", LIMIT);
    });

    it("a message's picture does not wait", async () => {
      recorder.clear();
      const secret = canary();
      const { uri } = await drive(
        alice.page,
        "uploadFile",
        "m.png",
        "image/png",
        pictureHolding(secret).toString("base64"),
      );
      assert.equal(uploads(alice).filter(({ body }) => body.includes(secret)).length, 1);
      assert.ok(uploads(alice).some(({ answer }) => answer.includes(uri)));
      assert.deepEqual(await unhandled(alice.page), []);
    });

    it("asked once a room, the answer holds, and a no sets nothing", async () => {
      await set("ask");
      recorder.clear();
      const first = await upload(alice, plainPicture(RED, 50));
      const refused = tryToDrive(alice.page, "setRoomAvatar", roomId, first);
      const question = await openQuestion(alice.page);
      assert.match(question.text.join(" "), /first letter/);
      // The room has encrypted pictures already: none is to follow them readable.
      assert.deepEqual(question.choices, ["Encrypt", "Do not set it"]);
      await press(alice.page, "Do not set it");
      assert.equal((await refused).ok, false);
      assert.deepEqual([uploads(alice).length, stateWrites(alice).length], [0, 0]);
      const set1 = drive(alice.page, "setRoomAvatar", roomId, first);
      await openQuestion(alice.page);
      await press(alice.page, "Encrypt");
      await set1;
      await drive(bob.page, "seeRoomPicture", roomId, RED);
      await setPicture(alice, plainPicture(GREEN, 50));
      await drive(bob.page, "seeRoomPicture", roomId, GREEN);
      const written = stateWrites(alice);
      assert.deepEqual([...new Set(written)], ["m.room.encrypted/m.room.avatar:"]);
    });

    it("with it switched off later the file is readable, which is said", async () => {
      await set("off");
      recorder.clear();
      const secret = canary();
      await setPicture(alice, pictureHolding(secret));
      assert.equal(uploads(alice).filter(({ body }) => body.includes(secret)).length, 1);
      assert.deepEqual(stateWrites(alice), ["m.room.encrypted/m.room.avatar:"]);
      assert.match((await noticeTexts(alice.page)).join(" "), /only its address is encrypted/);
    });
  });
}
