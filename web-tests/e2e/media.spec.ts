/** Uploads: what leaves, what is asked, against a homeserver that keeps media closed and one that does not. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bothBrowsers } from "../support/browsers.ts";
import { GPS_BYTES, holds, jpegWithPlace, makeCanaries } from "../support/canaries.ts";
import { drive, tryToDrive } from "../support/client-page.ts";
import { insideRoot, isAsked, noQuestion, openQuestion, press } from "../support/question.ts";
import type { Exchange } from "../support/recorder.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { assertWorks, openSides } from "./shields/sides.ts";
import type { Side, Sides } from "./shields/sides.ts";

const root = path.resolve(import.meta.dirname, "../..");
const shots = path.join(root, "build/screenshots");
const canaries = makeCanaries();
const NAME = `${canaries.filename}.jpg`;
const CAMERA = `camera${canaries.keyword}`;
const PHOTO = jpegWithPlace(CAMERA);
const CLEAN = "Send without these details";

/** Uploads of the page, without Mantle's own few bytes to try the server with. */
const uploads = (side: Side): Exchange[] =>
  side.recorder
    .to(HOMESERVER)
    .filter(
      ({ method, path: at }) => /POST|PUT/.test(method) && /\/_matrix\/media\/.*\/upload/.test(at),
    )
    .filter(({ body }) => body.length !== 32);

const samples = (side: Side): Exchange[] =>
  side.recorder
    .to(HOMESERVER)
    .filter(({ path: at, body }) => /\/_matrix\/media\/v3\/upload$/.test(at) && body.length === 32);

/** Fetches without credentials. */
const tries = (side: Side): Exchange[] =>
  side.recorder
    .to(HOMESERVER)
    .filter(
      ({ path: at, headers }) =>
        /\/_matrix\/media\/(v3|r0)\/download/.test(at) && headers.authorization === undefined,
    );

const tells = ({ path: at, body }: Exchange): string[] => [
  ...(holds(at, canaries.filename) ? ["name"] : []),
  ...(body.includes(GPS_BYTES) ? ["place"] : []),
  ...(body.includes(CAMERA) ? ["camera"] : []),
];

const uploadPhoto = (side: Side): ReturnType<typeof tryToDrive<"uploadFile">> =>
  tryToDrive(side.page, "uploadFile", NAME, "image/jpeg", PHOTO.toString("base64"));

/** What the photograph's pixels are made of: everything but its Exif block. */
const SCAN = Buffer.concat([
  PHOTO.subarray(0, 2),
  PHOTO.subarray(PHOTO.indexOf("\xff\xe0", "latin1")),
]);

async function freshPage(sides: Sides, settings?: Record<string, unknown>): Promise<Side> {
  await sides.settings(settings === undefined ? undefined : ({ version: 1, ...settings } as never));
  await sides.with.reopen();
  await sides.with.signIn();
  return sides.with;
}

for (const kind of bothBrowsers) {
  describe(`media kept closed, in ${kind}`, { timeout: 240_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({ enableAuthenticatedMedia: true });
      sides = await openSides(kind, world);
      await sides.without.signIn();
      await sides.with.signIn();
    });
    after(async () => {
      await sides?.close();
      await world?.close();
    });

    it("sends pictures without place, camera and name, asking nothing", async () => {
      assert.equal((await uploadPhoto(sides.without)).ok, true);
      assert.deepEqual(uploads(sides.without).flatMap(tells), ["name", "place", "camera"]);
      const sent = await uploadPhoto(sides.with);
      assert.ok(sent.ok, JSON.stringify(sent));
      assert.equal(sent.value.progressed, true);
      const [upload] = uploads(sides.with);
      assert.deepEqual(upload && tells(upload), []);
      assert.equal(new URL(`https://h${upload?.path ?? ""}`).search, "");
      assert.equal(upload?.headers["content-type"], "image/jpeg");
      assert.deepEqual(upload?.body, SCAN);
      const { status, base64 } = await drive(sides.with.page, "download", sent.value.uri);
      assert.equal(status, 200);
      assert.deepEqual(Buffer.from(base64, "base64"), SCAN);
    });

    it("tries the server once, from outside the page and without credentials", async () => {
      assert.equal(samples(sides.with).length, 1);
      const seen = tries(sides.with);
      assert.deepEqual(
        seen.map(({ status }) => status),
        [404, 404],
      );
      for (const { headers } of seen) {
        assert.equal(headers.cookie, undefined);
        assert.equal(headers.referer, undefined);
        // Not the page, whose service worker would add the token.
        assert.notEqual(headers.origin, "https://chat.example.org");
      }
      await uploadPhoto(sides.with);
      const side = await freshPage(sides);
      await uploadPhoto(side);
      assert.equal(samples(side).length, 0, "tried again though the last try is fresh");
    });

    it("does so on every other way to upload", async () => {
      for (const how of ["fetch", "create", "r0"] as const) {
        const args = [how, NAME, "image/jpeg", PHOTO.toString("base64")] as const;
        sides.without.recorder.clear();
        sides.with.recorder.clear();
        await drive(sides.without.page, "uploadOtherwise", ...args);
        assert.deepEqual(uploads(sides.without).flatMap(tells), ["name", "place", "camera"], how);
        const { status, uri } = await drive(sides.with.page, "uploadOtherwise", ...args);
        assert.equal(status, 200, `${how}: ${uri}`);
        const [upload] = uploads(sides.with);
        assert.deepEqual(upload?.body, SCAN, how);
        assert.deepEqual(tells(upload), [], how);
      }
    });

    it("leaves encrypted attachments as they are", async () => {
      sides.with.recorder.clear();
      const content = Buffer.from("secret ".repeat(400)).toString("base64");
      const { uri } = await drive(sides.with.page, "uploadEncrypted", content);
      const [upload] = uploads(sides.with);
      assert.equal(upload?.body.length, 2800);
      assert.equal(upload.headers["content-type"], "application/octet-stream");
      const { base64 } = await drive(sides.with.page, "download", uri);
      assert.deepEqual(Buffer.from(base64, "base64"), upload.body);
      assert.equal(samples(sides.with).length + tries(sides.with).length, 0);
    });

    it("asks about a picture that it cannot clean", async () => {
      sides.with.recorder.clear();
      const broken = PHOTO.subarray(0, 60).toString("base64");
      const sending = tryToDrive(sides.with.page, "uploadFile", NAME, "image/jpeg", broken);
      const question = await openQuestion(sides.with.page);
      assert.match(question.title, /cannot clean/);
      assert.match(question.text.join(" "), /breaks off in the middle/);
      await press(sides.with.page, "Do not send");
      const outcome = await sending;
      assert.equal(outcome.ok, false);
      assert.deepEqual(uploads(sides.with), []);
    });

    it("keeps names and details where the person wants that", async () => {
      const options = { media: { metadata: "keep", fileName: "keep" } };
      const side = await freshPage(sides, { options });
      assert.equal((await uploadPhoto(side)).ok, true);
      assert.deepEqual(uploads(side).flatMap(tells), ["name", "place", "camera"]);
      await freshPage(sides);
    });

    it("says of profile pictures that everyone can see them", async () => {
      // Where the person is not asked anyway.
      await freshPage(sides, { shields: { profile: "off" } });
      const { page } = sides.with;
      await drive(page, "setAvatar", "mxc://hs.example.org/abcdef");
      const notice = await insideRoot(page, "html > div:last-of-type", (one) => {
        return one.querySelector("[role=alert]")?.textContent ?? "";
      });
      assert.match(notice, /Your profile picture is world-readable/);
      await freshPage(sides);
    });

    it("leaves the session working", async () => {
      await assertWorks(sides.without);
      await assertWorks(sides.with);
    });
  });

  describe(`media open to anyone, in ${kind}`, { timeout: 400_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({ enableAuthenticatedMedia: false });
      sides = await openSides(kind, world);
      await sides.without.signIn();
      await sides.with.signIn();
      await mkdir(shots, { recursive: true });
    });
    after(async () => {
      await sides?.close();
      await world?.close();
    });

    const isPublic = async (uri: string): Promise<boolean> => {
      const at = uri.replace("mxc://", `${world.synapse.baseUrl}/_matrix/media/v3/download/`);
      return (await fetch(at)).status === 200;
    };

    it("asks first, and sends nothing when told so", async () => {
      const bare = await uploadPhoto(sides.without);
      assert.ok(bare.ok);
      assert.equal(await isPublic(bare.value.uri), true);

      const sending = uploadPhoto(sides.with);
      const question = await openQuestion(sides.with.page);
      assert.equal(question.title, "Anyone with the link could open this picture. Send it?");
      // It promises in /versions what it does not keep.
      assert.match(
        question.text[0] ?? "",
        /hs\.example\.org says that files need signing in, but gave one/,
      );
      assert.match(question.text.join(" "), /where it was made/);
      assert.match(question.text.join(" "), /profile or room picture, which everyone can see/);
      assert.deepEqual(question.choices, [CLEAN, "Send as it is", "Do not send"]);
      assert.deepEqual(
        tries(sides.with).map(({ status }) => status),
        [200, 200],
      );
      await sides.with.page.screenshot({ path: path.join(shots, `media-question-${kind}.png`) });
      await press(sides.with.page, "Do not send");
      const outcome = await sending;
      assert.ok(!outcome.ok);
      assert.match(outcome.error, /You chose not to send this file/);
      assert.deepEqual(uploads(sides.with), []);
    });

    it("treats Escape as no", async () => {
      const sending = uploadPhoto(sides.with);
      await openQuestion(sides.with.page);
      await sides.with.page.keyboard.press("Escape");
      assert.equal((await sending).ok, false);
      assert.deepEqual(uploads(sides.with), []);
    });

    it("sends without details, or as it is, as chosen", async () => {
      for (const [choice, left] of [
        [CLEAN, []],
        ["Send as it is", ["place", "camera"]],
      ] as const) {
        sides.with.recorder.clear();
        const sending = uploadPhoto(sides.with);
        await press(sides.with.page, choice);
        const outcome = await sending;
        assert.ok(outcome.ok, JSON.stringify(outcome));
        assert.equal(outcome.value.progressed, true);
        assert.deepEqual(uploads(sides.with).flatMap(tells), left);
      }
    });

    it("waits longer than Element's 30 seconds without an upload timing out", async () => {
      sides.with.recorder.clear();
      const { page } = sides.with;
      await drive(page, "startUpload", NAME, "image/jpeg", PHOTO.toString("base64"));
      await openQuestion(page);
      await sleep(34_000);
      assert.equal(await isAsked(page), true);
      await press(page, CLEAN);
      assert.equal(await drive(page, "endOfUpload"), "sent");
      assert.equal(uploads(sides.with).length, 1);
    });

    it("takes the question back when the upload is cancelled", async () => {
      sides.with.recorder.clear();
      const cancelled = drive(
        sides.with.page,
        "uploadAndCancel",
        NAME,
        "image/jpeg",
        PHOTO.toString("base64"),
        1_500,
      );
      await openQuestion(sides.with.page);
      await noQuestion(sides.with.page);
      assert.deepEqual(await cancelled, { error: "AbortError" });
      await sleep(300);
      assert.deepEqual(uploads(sides.with), []);
    });

    it("remembers for a room, and for the server, over a reload", async () => {
      const { page } = sides.with;
      await page.evaluate(() => {
        location.hash = "#/room/!one:hs.example.org";
      });
      let sending = uploadPhoto(sides.with);
      assert.equal((await openQuestion(page)).remember.length, 2);
      await press(page, "Do the same in this room from now on");
      await press(page, CLEAN);
      assert.equal((await sending).ok, true);
      sides.with.recorder.clear();
      assert.equal((await uploadPhoto(sides.with)).ok, true);
      assert.deepEqual(uploads(sides.with).flatMap(tells), []);

      await page.evaluate(() => {
        location.hash = "#/room/!other:hs.example.org";
      });
      sending = uploadPhoto(sides.with);
      await press(page, `Do the same on ${HOMESERVER} from now on`);
      await press(page, CLEAN);
      assert.equal((await sending).ok, true);
      const side = await freshPage(sides);
      assert.equal((await uploadPhoto(side)).ok, true);
      assert.deepEqual(uploads(side).flatMap(tells), []);
    });

    it("only records when it shall flag, and does nothing when off", async () => {
      for (const mode of ["flag", "off"]) {
        const side = await freshPage(sides, { shields: { media: mode } });
        assert.equal((await uploadPhoto(side)).ok, true);
        assert.deepEqual(uploads(side).flatMap(tells), ["name", "place", "camera"], mode);
      }
    });

    it("offers another form for links to open media in a clear message", async () => {
      const side = await freshPage(sides);
      const { roomId } = await drive(side.page, "createRoom", { name: "links", encrypted: false });
      const link = `https://${HOMESERVER}/_matrix/media/v3/download/hs.example.org/abcDEF`;
      for (const [choice, expected] of [
        ["Send as mxc:// link", "see mxc://hs.example.org/abcDEF!"],
        [
          "Send the form that needs signing in",
          `see https://${HOMESERVER}/_matrix/client/v1/media/download/hs.example.org/abcDEF!`,
        ],
        ["Send as it is", `see ${link}!`],
      ] as const) {
        side.recorder.clear();
        const sending = drive(side.page, "sendText", roomId, `see ${link}!`);
        await press(side.page, choice);
        await sending;
        const message = side.recorder
          .to(HOMESERVER)
          .find(({ path: at }) => at.includes("/send/m.room.message/"));
        assert.equal((JSON.parse(String(message?.body)) as { body: string }).body, expected);
      }
      await drive(side.page, "sendText", roomId, "no link");
      assert.equal(await isAsked(side.page), false);
    });
  });

  describe(`media blocked, in ${kind}`, { timeout: 120_000 }, () => {
    it("refuses what anyone could open, and sends what it can vouch for", async () => {
      const world = await startWorld({ enableAuthenticatedMedia: false });
      const sides = await openSides(kind, world);
      try {
        const side = await freshPage(sides, { shields: { media: "on" } });
        const outcome = await uploadPhoto(side);
        assert.ok(!outcome.ok);
        assert.match(outcome.error, /Mantle did not send this picture\. hs\.example\.org says/);
        assert.equal(await isAsked(side.page), false);
        assert.deepEqual(uploads(side), []);
        await drive(side.page, "uploadEncrypted", Buffer.from("x".repeat(900)).toString("base64"));
        assert.equal(uploads(side).length, 1);
      } finally {
        await sides.close();
        await world.close();
      }
    });
  });
}
