/** Element's own interface, driven as a person drives it, with and without Mantle. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import {
  addStickers,
  createRoom,
  elementPage,
  ready,
  sendMessage,
  signIn,
  waitForText,
} from "../element/page.ts";
import {
  acceptInvitation,
  answerCall,
  call,
  callConnected,
  chooseFile,
  createEncryptedRoom,
  editMessage,
  hangUp,
  invite,
  openRoom,
  react,
  register,
  reply,
  replyInThread,
  searchRoom,
  seeFile,
  seeMessage,
  sessionNames,
  shownRoom,
  signOut,
  startDirectChat,
  writeMessage,
} from "../element/session.ts";
import { UI } from "../element/selectors.ts";
import { violationsInPage } from "../support/axe.ts";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { jpegWithPlace, makeCanaries } from "../support/canaries.ts";
import {
  closeNotice,
  coveredParts,
  coversItself,
  noQuestion,
  noticeTexts,
  openQuestion,
  press,
  progressText,
} from "../support/question.ts";
import { lyingHomeserver } from "../support/lies.ts";
import type { Exchange, Handler, Recorder } from "../support/recorder.ts";
import { startTurnServer } from "../support/turn-server.ts";
import type { TurnServer } from "../support/turn-server.ts";
import { HOMESERVER, MANAGER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { until } from "./extension-pages.ts";

const root = path.resolve(import.meta.dirname, "../..");
const screenshots = path.join(root, "build/screenshots");
const PASSWORD = "correct horse battery staple";
const IDENTITY_SERVER = "vector.im";
const TELLING = /^chat\.example\.org: (Chrome Headless|Chrome|Firefox) on Linux$/;
const skip = elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

interface Visitor {
  readonly recorder: Recorder;
  readonly page: Page;
  /** Errors nobody caught. */
  readonly errors: string[];
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

for (const kind of bothBrowsers) {
  describe(`Element's interface in ${kind}`, { skip, timeout: 840_000 }, () => {
    let world: World;
    let without: Visitor;
    let withMantle: Visitor;
    let turn: TurnServer;
    let folder: string | undefined;
    let photo: string;

    before(async () => {
      const element = await elementPage();
      turn = await startTurnServer();
      world = await startWorld({
        // So that files are asked about.
        enableAuthenticatedMedia: false,
        synapseConfig: {
          // Version 12 gives creators no power in this version of the SDK.
          default_room_version: "11",
          turn_uris: [`turn:127.0.0.1:${turn.port}?transport=udp`],
          turn_username: turn.username,
          turn_password: turn.credential,
        },
      });
      mkdirSync(screenshots, { recursive: true });
      folder = mkdtempSync(path.join(tmpdir(), "mantle-photo-"));
      photo = path.join(folder, "photo.jpg");
      writeFileSync(photo, jpegWithPlace("Camera of the tests"));
      without = await visitor(world, element, kind);
      withMantle = await visitor(world, element, kind, path.join(root, "build/test", kind));
    });

    after(async () => {
      await without?.close();
      await withMantle?.close();
      await world?.close();
      turn?.close();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    });

    it("signs in, makes a room and sends a message, and a reload keeps the session", async () => {
      await day(world, without, "without");
      await day(world, withMantle, "with");
      await withMantle.page.screenshot({ path: path.join(screenshots, `element-${kind}.png`) });
      assert.equal(await addStickers(without.page), true);
      // Without an integration manager there is nothing to add, and Element does not offer it.
      assert.equal(await addStickers(withMantle.page), false);
      for (const { page } of [without, withMantle]) {
        await page.reload({ waitUntil: "load", timeout: 60_000 });
        await ready(page);
      }
    });

    it("gives the session a plain name with Mantle, and a telling one without", () => {
      assert.match(deviceName(without), TELLING);
      assert.equal(deviceName(withMantle), "Element");
    });

    it("asks neither identity server nor integration manager with Mantle", () => {
      for (const host of [IDENTITY_SERVER, MANAGER]) {
        assert.notEqual(heard(without, host).length, 0, `${host} heard nothing without Mantle`);
        assert.deepEqual(heard(withMantle, host), []);
      }
    });

    it("throws nothing in the page that it does not throw without Mantle", () => {
      const known = new Set(without.errors);
      assert.deepEqual(
        withMantle.errors.filter((error) => !known.has(error)),
        [],
      );
    });

    it("covers neither header nor composer with what it says, does and asks", async () => {
      const { page, recorder } = withMantle;
      const liar = lyingHomeserver(world.synapse.baseUrl);
      recorder.route(HOMESERVER, liar.route);
      await page.bringToFront();
      const assertFree = async (name: string): Promise<void> => {
        for (const [width, height] of [
          [1280, 800],
          [800, 600],
        ] as const) {
          await page.setViewport({ width, height });
          const parts = [UI.roomHeader, UI.composerBar];
          if (name === "progress") {
            const isApart = async (): Promise<boolean> => !(await coversItself(page));
            await until(isApart, `nothing over another, ${width}`, 3_000);
          }
          await until(
            async () => (await coveredParts(page, parts)).length === 0,
            name,
            3_000,
          ).catch(async () =>
            assert.deepEqual(await coveredParts(page, parts), [], `${name} ${width}`),
          );
          const file = `element-${kind}-free-${name}-${width}.png`;
          await page.screenshot({ path: path.join(screenshots, file) });
        }
        // Of notices and questions their own specs ask, light and dark.
        if (name === "progress") assert.deepEqual(await violationsInPage(page), []);
        await page.setViewport({ width: 1280, height: 800 });
      };
      // The name waits for the homeserver, and is said to.
      const hold = liar.hold(({ method, path: at }) => method === "PUT" && /\/state\//.test(at));
      const made = createEncryptedRoom(page, "Nothing covered", "neither above nor below");
      try {
        await until(async () => (await progressText(page)) !== undefined, "the progress", 60_000);
        await page.waitForSelector(UI.composerBar, { visible: true, timeout: 60_000 });
        await assertFree("progress");
      } finally {
        hold.letGo();
      }
      await made;
      await until(async () => (await noticeTexts(page)).length > 0, "the notice", 60_000);
      await assertFree("notice");
      await closeNotice(page);

      await createRoom(page, "Asked");
      await chooseFile(page, photo);
      await openQuestion(page);
      await assertFree("question");
      await press(page, "Do not send");
      await noQuestion(page);
      // Element says in a dialog of its own that the file was not sent.
      await page.waitForSelector(UI.dialogButton, { visible: true, timeout: 60_000 });
      await page.keyboard.press("Escape");
      await page.waitForSelector(UI.dialog, { hidden: true, timeout: 60_000 });
    });

    it("carries a person through a whole day with another one, every shield at its default", async () => {
      const { page } = withMantle;
      const shot = async (name: string, of = page): Promise<void> => {
        await of.screenshot({ path: path.join(screenshots, `element-${kind}-${name}.png`) });
      };
      const roomName = `Orchard ${makeCanaries().roomName}`;
      const topic = `apples ${makeCanaries().topic}`;

      // Another person, on another site of the same browser: all that both do goes through Mantle.
      await world.synapse.register("sam", PASSWORD);
      const sam = await withMantle.newPage();
      await sam.bringToFront();
      await signIn(sam, "sam", PASSWORD, "https://app.element.io/");

      await page.bringToFront();
      await signOut(page);
      withMantle.recorder.clear();
      const before = withMantle.errors.length;
      await register(page, "robin", PASSWORD);

      await createEncryptedRoom(page, roomName, topic);
      assert.match(await closeNotice(page), /encrypts the name/);
      await invite(page, "@sam:hs.example.org");
      const roomId = await shownRoom(page);
      await sam.bringToFront();
      await acceptInvitation(sam, roomId);
      await waitForText(sam, UI.roomName, roomName);
      await shot("invited", sam);

      await page.bringToFront();
      await writeMessage(page, UI.room, "first words");
      await sam.bringToFront();
      await seeMessage(sam, "first words");
      await writeMessage(sam, UI.room, "an answer");
      await page.bringToFront();
      await react(page, "an answer");
      await reply(page, "an answer", "a reply");
      await editMessage(page, "first words", " at last");
      await replyInThread(page, "an answer", "in a thread");
      await shot("room");
      await searchRoom(page, "answer");

      await createRoom(page, "Meadow");
      await chooseFile(page, photo);
      await openQuestion(page);
      await shot("question");
      await press(page, "Send without these details");
      await seeFile(page);
      await openRoom(page, roomName);
      await chooseFile(page, photo);
      await seeFile(page);

      await startDirectChat(page, "@sam:hs.example.org", "hello sam");
      const chatId = await shownRoom(page);
      await sam.bringToFront();
      await acceptInvitation(sam, chatId);
      await seeMessage(sam, "hello sam");
      await page.bringToFront();
      await call(page);
      await sam.bringToFront();
      await answerCall(sam);
      await page.bringToFront();
      await callConnected(page);
      await until(() => turn.relayed() > 0, "something said over the homeserver's relay");
      await shot("call");
      await hangUp(page);

      assert.deepEqual(await sessionNames(page), ["Element"]);
      await signOut(page);
      await signIn(page, "robin", PASSWORD);
      await shot("again");
      await sam.close();

      assert.deepEqual(await world.synapse.searchDatabase([roomName, topic]), []);
      assertQuiet(withMantle.recorder.exchanges);
      // Element leaves some of its own uncaught, when it signs out and in Firefox when it calls.
      const uncaught = withMantle.errors.slice(before);
      assert.ok(uncaught.length < 10, uncaught.join("\n"));
      const told = withMantle.recorder.to(HOMESERVER).map(({ path: at }) => at);
      assert.ok(told.some((at) => at.includes("/receipt/m.read.private/")));
      assert.deepEqual(
        told.filter((at) => /\/receipt\/m\.read\/|\/typing\//.test(at)),
        [],
      );
    });
  });
}

async function visitor(
  world: World,
  element: Handler,
  kind: BrowserKind,
  extension?: string,
): Promise<Visitor> {
  const recorder = await world.openRecorder();
  for (const site of ["chat.example.org", "app.element.io"]) recorder.route(site, element);
  const browser = await launch(kind, {
    proxyPort: recorder.port,
    fakeMedia: true,
    ...(extension === undefined ? {} : { extension }),
  });
  const errors: string[] = [];
  const newPage = async (): Promise<Page> => {
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 800 });
    page.on("pageerror", (error) => {
      // Firefox reports its cookie check here, by a name of chance.
      if (!/: Cookie /.test(String(error))) errors.push(String(error));
    });
    return page;
  };
  return { recorder, page: await newPage(), errors, newPage, close: () => browser.close() };
}

/** A person's first minutes with Element. */
async function day(world: World, { page, recorder }: Visitor, user: string): Promise<void> {
  await world.synapse.register(user, PASSWORD);
  await signIn(page, user, PASSWORD);
  await createRoom(page, "Garden");
  await sendMessage(page, "Good morning");
  const sent = recorder
    .to(HOMESERVER)
    .find(({ path: at }) => /\/send\/m\.room\.message\//.test(at));
  assert.equal(bodyOf(sent)["body"], "Good morning");
  assert.equal(sent?.status, 200);
}

function deviceName({ recorder }: Visitor): string {
  const login = recorder
    .to(HOMESERVER)
    .find(({ method, path: at }) => method === "POST" && at.endsWith("/login"));
  return String(bodyOf(login)["initial_device_display_name"]);
}

function bodyOf(exchange: Exchange | undefined): Record<string, unknown> {
  return JSON.parse(exchange?.body.toString("utf8") || "{}") as Record<string, unknown>;
}

/** Fails when something was asked over and over, or refused more than Element makes of it anyway. */
function assertQuiet(exchanges: readonly Exchange[]): void {
  const counts = new Map<string, number>();
  const tokenOf = ({ headers }: Exchange): string | undefined => headers.authorization;
  const signedOut = new Set(
    exchanges
      .filter(({ method, path: at }) => method === "POST" && at.endsWith("/logout"))
      .map(tokenOf),
  );
  for (const exchange of exchanges) {
    const { method, host, path: at, status } = exchange;
    if (method === "OPTIONS" || /\/sync\?/.test(at)) continue;
    // What Element had under way when the person signed out.
    if (status === 401 && signedOut.has(tokenOf(exchange))) continue;
    const place = at.replace(/\?.*/, "").replace(/m\d{13}\.\d+$/, "");
    const line = `${status} ${method} ${host}${place}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  // The last one: Element looks into a room it was let into before a sync has said so.
  const expected =
    /^404 GET .*(auth_issuer|dehydrated_device|favicon\.ico|welcome\.html|room_keys\/version)$|^401 POST .*\/(register|device_signing\/upload)$|^403 GET .*\/initialSync$/;
  const refused = [...counts].filter(([line]) => /^[45]/.test(line) && !expected.test(line));
  const often = [...counts].filter(([, count]) => count > 80);
  assert.deepEqual({ refused, often }, { refused: [], often: [] });
}

/** Every request and every connection to one host, preflights included. */
function heard({ recorder }: Visitor, host: string): string[] {
  return [
    ...recorder.exchanges
      .filter((exchange) => exchange.host === host)
      .map(({ method, path: at }) => `${method} ${at}`),
    ...recorder.connections.filter((opened) => opened.host === host).map(() => "CONNECT"),
  ];
}
