/** Uploads: what leaves, what is asked, against a homeserver that keeps media closed and one that does not. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ElementHandle } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import { createRoom, elementPage, signIn } from "../element/page.ts";
import { UI } from "../element/selectors.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { GPS_BYTES, holds, jpegWithPlace, makeCanaries } from "../support/canaries.ts";
import { drive, tryToDrive } from "../support/client-page.ts";
import { isAsked, noQuestion, noticeTexts, openQuestion, press } from "../support/question.ts";
import type { Exchange } from "../support/recorder.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { assertWorks, openSides } from "./shields/sides.ts";
import type { Side, Sides } from "./shields/sides.ts";
import { callApi, until } from "./extension-pages.ts";

const root = path.resolve(import.meta.dirname, "../..");
const shots = path.join(root, "build/screenshots");
const PASSWORD = "correct horse battery staple";
const canaries = makeCanaries();
const NAME = `${canaries.filename}.jpg`;
const CAMERA = `camera${canaries.keyword}`;
const PHOTO = jpegWithPlace(CAMERA);
const CLEAN = "Send without these details";
const vectors = path.join(root, "core/media/tests/vectors/kinds");
/** Files that are told, not cleaned, and the sentence for each. */
const TELLING = [
  {
    name: "xmp.mp4",
    type: "video/mp4",
    noun: "film",
    says: "This film says where it was made, when it was made and who made or changed it. It holds titles or comments.",
  },
  {
    name: "path.xlsx",
    type: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    noun: "document",
    says: "This document says who made or changed it. It holds names of folders on a computer.",
  },
  {
    name: "raw.rw2",
    type: "image/x-panasonic-rw2",
    noun: "raw photograph",
    says: "This raw photograph says where it was made and which device or program made it. It holds technical details.",
  },
] as const;

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
  describe(`media kept closed, in ${kind}`, { timeout: 480_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({
        enableAuthenticatedMedia: true,
        // Version 12 gives creators no power in the SDK of Element's interface here.
        synapseConfig: { default_room_version: "11" },
      });
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
      for (const how of ["fetch", "create", "create by XHR", "r0"] as const) {
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

    it("holds an upload whose body is a stream until it was looked into", async (test) => {
      // Firefox makes a text of such a body.
      if (kind === "firefox") return test.skip("Firefox sends no streams");
      sides.with.recorder.clear();
      const args = ["stream", NAME, "image/jpeg", PHOTO.toString("base64")] as const;
      const { status } = await drive(sides.with.page, "uploadOtherwise", ...args);
      assert.equal(status, 200);
      const [upload] = uploads(sides.with);
      assert.deepEqual(upload?.body, SCAN);
      assert.deepEqual(tells(upload), []);
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

    it("asks about a raw photograph, and tells what a film says that it sends", async () => {
      const { page } = sides.with;
      sides.with.recorder.clear();
      const read = async (name: string): Promise<string> =>
        (await readFile(path.join(vectors, name))).toString("base64");
      const raw = await read("subdirectory.nef");
      const sending = tryToDrive(page, "uploadFile", "a.nef", "image/x-nikon-nef", raw);
      const question = await openQuestion(page);
      assert.equal(question.title, "Mantle cannot clean this raw photograph. Send it?");
      await press(page, "Send it");
      assert.equal((await sending).ok, true);
      assert.deepEqual(uploads(sides.with)[0]?.body, Buffer.from(raw, "base64"));

      sides.with.recorder.clear();
      const film = await read("xmp.mp4");
      assert.equal((await tryToDrive(page, "uploadFile", "a.mp4", "video/mp4", film)).ok, true);
      assert.deepEqual(uploads(sides.with)[0]?.body, Buffer.from(film, "base64"));
      const wanted = /^This film says where it was made, .*Mantle sent it as it is/;
      await until(
        async () => (await noticeTexts(page)).some((text) => wanted.test(text)),
        "a notice about the film",
      );
    });

    it("keeps names and details where the person wants that", async () => {
      const options = { media: { metadata: "keep", fileName: "keep" } };
      const side = await freshPage(sides, { options });
      assert.equal((await uploadPhoto(side)).ok, true);
      assert.deepEqual(uploads(side).flatMap(tells), ["name", "place", "camera"]);
      await freshPage(sides);
    });

    it("says of profile and room pictures that everyone can see them", async () => {
      // Where the person is not asked anyway.
      await freshPage(sides, { shields: { profile: "off" } });
      const { page } = sides.with;
      const notice = (wanted: RegExp): Promise<void> =>
        until(
          async () => (await noticeTexts(page)).some((text) => wanted.test(text)),
          String(wanted),
        );
      await drive(page, "setAvatar", "mxc://hs.example.org/abcdef");
      await notice(/Your profile picture is world-readable/);
      const { roomId } = await drive(page, "createRoom", { name: "face", encrypted: true });
      await drive(page, "setRoomAvatar", roomId, "mxc://hs.example.org/abcdef");
      await notice(/The room's picture is world-readable/);
      await freshPage(sides);
    });

    it("tries the server again when its versions change, and when the last try is old", async () => {
      const { recorder } = sides.with;
      const once = async (why: string): Promise<void> => {
        const side = await freshPage(sides);
        assert.equal((await uploadPhoto(side)).ok, true);
        assert.equal(samples(side).length, 1, why);
        assert.equal((await uploadPhoto(side)).ok, true);
        assert.equal(samples(side).length, 1, `${why}: tried twice`);
      };
      recorder.route(HOMESERVER, {
        forward: world.synapse.baseUrl,
        rewrite: ({ path: at }, original) => {
          if (!at.startsWith("/_matrix/client/versions")) return undefined;
          const answer = JSON.parse(String(original)) as { versions: string[] };
          return Buffer.from(
            JSON.stringify({ ...answer, versions: [...answer.versions, "v1.99"] }),
          );
        },
      });
      try {
        await once("its versions changed");
      } finally {
        recorder.route(HOMESERVER, { forward: world.synapse.baseUrl });
      }
      await once("its versions changed back");

      const options = await sides.openExtensionPage("options.html");
      const name = "page/https://chat.example.org/media/probe/https://hs.example.org";
      const stored = await callApi<Record<string, string>>(options, "storage.local.get", name);
      const tried = JSON.parse(stored[name] ?? "{}") as { media: string; time: number };
      assert.equal(tried.media, "closed");
      const old = { ...tried, time: tried.time - 31 * 24 * 3_600_000 };
      await callApi(options, "storage.local.set", { [name]: JSON.stringify(old) });
      await options.close();
      await once("a month has gone by");
    });

    it("sends voice messages without their name", async () => {
      sides.with.recorder.clear();
      // As Element does it in a clear room (`VoiceRecordComposerTile`).
      const sound = Buffer.from(`OggS${"\0".repeat(200)}`).toString("base64");
      const args = ["Voice message.ogg", "audio/ogg", sound] as const;
      assert.equal((await tryToDrive(sides.with.page, "uploadFile", ...args)).ok, true);
      const [upload] = uploads(sides.with);
      assert.equal(upload?.path, "/_matrix/media/v3/upload");
      assert.equal(upload.headers["content-type"], "audio/ogg");
    });

    it("leaves the session working", async () => {
      await assertWorks(sides.without);
      await assertWorks(sides.with);
    });

    it(
      "cleans what is attached, dropped, pasted or set as a face in Element's interface",
      {
        skip: elementInstalled() ? false : "run scripts/setup --with element",
      },
      async () => {
        const { recorder, page: before } = sides.with;
        recorder.route("chat.example.org", await elementPage());
        await world.synapse.register(`element-${kind}`, PASSWORD);
        const page = await before.browser().newPage();
        await page.setViewport({ width: 1280, height: 800 });
        await signIn(page, `element-${kind}`, PASSWORD);
        await createRoom(page, "Pictures");
        const folder = await mkdtemp(path.join(tmpdir(), "mantle-media-"));
        const file = path.join(folder, NAME);
        await writeFile(file, PHOTO);
        try {
          /** Does something and waits for the one upload that comes of it. */
          const uploadsOne = async (what: string, action: () => Promise<void>): Promise<void> => {
            recorder.clear();
            await action();
            await until(() => uploads(sides.with).length > 0, what, 60_000);
            const [upload] = uploads(sides.with);
            assert.deepEqual(upload && tells(upload), [], what);
            assert.deepEqual(upload?.body, SCAN, what);
          };
          const confirm = async (): Promise<void> => {
            const send = await page.waitForSelector(UI.uploadSend, {
              visible: true,
              timeout: 60_000,
            });
            await send?.click();
            await page.waitForSelector(UI.uploadDialog, {
              hidden: true,
              timeout: 60_000,
            });
          };
          const give = (type: "drop" | "paste", selector: string): Promise<void> =>
            page.$eval(
              selector,
              (target, how, name, base64) => {
                const given = new DataTransfer();
                const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
                given.items.add(new File([bytes], name, { type: "image/jpeg" }));
                const event = new Event(how, { bubbles: true, cancelable: true });
                const member = how === "drop" ? "dataTransfer" : "clipboardData";
                Object.defineProperty(event, member, { value: given });
                target.dispatchEvent(event);
              },
              type,
              NAME,
              PHOTO.toString("base64"),
            );
          await uploadsOne("attached", async () => {
            const input = await page.waitForSelector(UI.composerFile);
            await (input as ElementHandle<HTMLInputElement>).uploadFile(file);
            await confirm();
          });
          await uploadsOne("dropped", async () => {
            await give("drop", UI.roomTimeline);
            await confirm();
          });
          await uploadsOne("pasted", async () => {
            await give("paste", UI.composer);
            await confirm();
          });
          await uploadsOne("face", async () => {
            const menu = await page.waitForSelector(UI.userMenu, {
              visible: true,
              timeout: 60_000,
            });
            await menu?.click();
            await page.waitForFunction(
              (item) => {
                const items = [...document.querySelectorAll<HTMLElement>(item)];
                const found = items.find((one) => one.textContent?.trim() === "All settings");
                found?.click();
                return found !== undefined;
              },
              { timeout: 60_000 },
              UI.menuItem,
            );
            const input = await page.waitForSelector(UI.profilePicture, {
              timeout: 60_000,
            });
            await (input as ElementHandle<HTMLInputElement>).uploadFile(file);
          });
        } finally {
          await rm(folder, { recursive: true, force: true });
          await page.close();
        }
      },
    );
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

    for (const { name, type, noun, says } of TELLING) {
      it(`says in words what a ${noun} tells`, async () => {
        sides.with.recorder.clear();
        const { page } = sides.with;
        const file = (await readFile(path.join(vectors, name))).toString("base64");
        const sending = tryToDrive(page, "uploadFile", name, type, file);
        const question = await openQuestion(page);
        assert.equal(question.title, `Anyone with the link could open this ${noun}. Send it?`);
        assert.ok(question.text.includes(says), question.text.join("\n"));
        assert.deepEqual(question.choices, ["Send it", "Do not send"]);
        await page.screenshot({
          path: path.join(shots, `media-${noun.split(" ")[0] ?? noun}-${kind}.png`),
        });
        await press(page, "Do not send");
        assert.equal((await sending).ok, false);
        assert.deepEqual(uploads(sides.with), []);
      });
    }

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
      const { page } = sides.with;
      await drive(page, "startUpload", NAME, "image/jpeg", PHOTO.toString("base64"));
      await openQuestion(page);
      await drive(page, "cancelUpload");
      await noQuestion(page);
      assert.equal(await drive(page, "endOfUpload"), "AbortError");
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

    it("lists what it remembers, and asks again once that is taken back", async () => {
      const side = sides.with;
      const options = await sides.openExtensionPage("options.html");
      const lines = (): Promise<string[]> =>
        options.$$eval("#answers li span", (all) => all.map((one) => one.textContent ?? ""));
      await until(async () => (await lines()).length === 2, "two answers");
      const day = String.raw`\(\d{4}-\d\d-\d\d\)`;
      const what = `send without hidden details ${day}$`;
      const [room, server] = (await lines()).sort();
      assert.match(
        room ?? "",
        new RegExp(`^Files to a room, in Element on chat.example.org: ${what}`),
      );
      assert.match(server ?? "", new RegExp(`^Files to ${HOMESERVER}, in Element on .*: ${what}`));
      await options.setViewport({ width: 800, height: 1000 });
      await options.$eval("#answers", (part) => part.scrollIntoView({ block: "center" }));
      await options.screenshot({ path: path.join(shots, `media-answers-${kind}.png`) });
      for (const left of [1, 0]) {
        await options.click("#answers li button");
        await until(async () => (await lines()).length === left, `${left} answers`);
      }
      await options.close();
      side.recorder.clear();
      const sending = uploadPhoto(side);
      await press(side.page, "Do not send");
      assert.equal((await sending).ok, false);
      assert.deepEqual(uploads(side), []);
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

    it("does so in encrypted rooms, before the message is encrypted", async () => {
      const { page, recorder } = sides.with;
      const link = `https://${HOMESERVER}/_matrix/media/v3/download/hs.example.org/abcDEF`;
      const invite = [sides.without.account.userId];
      const { roomId } = await drive(page, "createRoom", { name: "e", encrypted: true, invite });
      await drive(sides.without.page, "joinRoom", roomId);
      // As a person would, before the message is there.
      await page.keyboard.press("Shift");
      for (const [choice, expected] of [
        ["Send as mxc:// link", "see mxc://hs.example.org/abcDEF!"],
        ["Send as it is", `see ${link}!`],
      ] as const) {
        const sending = drive(page, "sendText", roomId, `see ${link}!`);
        await press(page, choice);
        await sending;
        const read = await drive(sides.without.page, "receive", roomId, expected);
        assert.equal(read.encrypted, true);
      }
      await drive(page, "sendText", roomId, "no link");
      assert.equal(await isAsked(page), false);
      recorder.clear();
      // What is not sent stays there, and Element offers to send it again or to drop it.
      const sending = tryToDrive(page, "sendText", roomId, `and ${link}!`);
      await press(page, "Do not send");
      const outcome = await sending;
      assert.ok(!outcome.ok);
      assert.match(outcome.error, /You chose not to send this message/);
      const sends = recorder.to(HOMESERVER).filter(({ path: at }) => at.includes("/send/"));
      assert.deepEqual(sends, []);
    });

    it("offers another form for a copied link, however it was copied", async () => {
      const { page } = sides.with;
      const link = `https://${HOMESERVER}/_matrix/media/r0/thumbnail/hs.example.org/abcDEF?width=1`;
      const mxc = "mxc://hs.example.org/abcDEF";
      // Only a page in front may use the clipboard.
      await page.bringToFront();
      const signedIn = `https://${HOMESERVER}/_matrix/client/v1/media/thumbnail/hs.example.org/abcDEF?width=1`;
      await page.evaluate((text: string) => {
        const field = document.createElement("textarea");
        field.id = "field";
        const line = document.createElement("p");
        line.id = "line";
        line.textContent = text;
        document.body.append(field, line);
      }, `see ${link}`);
      /** What would be pasted now. */
      const pasted = async (): Promise<string> => {
        await page.$eval("#field", (field) => {
          (field as HTMLTextAreaElement).value = "";
          (field as HTMLTextAreaElement).focus();
        });
        await page.keyboard.down("Control");
        await page.keyboard.press("v");
        await page.keyboard.up("Control");
        return page.$eval("#field", (field) => (field as HTMLTextAreaElement).value);
      };
      const copy = async (): Promise<void> => {
        await page.evaluate(() => {
          (document.activeElement as HTMLElement | null)?.blur();
          getSelection()?.selectAllChildren(document.querySelector("#line") as Element);
        });
        await page.keyboard.down("Control");
        await page.keyboard.press("c");
        await page.keyboard.up("Control");
      };
      await copy();
      const question = await openQuestion(page);
      assert.equal(question.title, "The link you copied may open a file to anyone. Keep it?");
      assert.match(question.text[0] ?? "", /from hs\.example\.org without signing in/);
      await page.screenshot({ path: path.join(shots, `media-copied-${kind}.png`) });
      await page.keyboard.press("Escape");
      await noQuestion(page);
      await until(async () => (await pasted()) === `see ${link}`, "what was copied");
      for (const [choice, expected] of [
        ["Copy it as mxc:// link", `see ${mxc}`],
        ["Copy the form that needs signing in", `see ${signedIn}`],
        ["Keep it as it is", `see ${link}`],
      ] as const) {
        await copy();
        await press(page, choice);
        await noQuestion(page);
        await until(async () => (await pasted()) === expected, expected);
      }
      // Element's "copy link" and the like.
      await page.evaluate((text: string) => {
        document.addEventListener("click", () => void navigator.clipboard.writeText(text), {
          once: true,
        });
      }, link);
      await page.click("#line");
      await press(page, "Copy it as mxc:// link");
      await noQuestion(page);
      await until(async () => (await pasted()) === mxc, mxc);
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
