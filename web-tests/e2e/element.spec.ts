/** Element's own interface, driven as a person drives it, with and without Mantle. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import {
  addStickers,
  createRoom,
  dismissToasts,
  elementPage,
  ready,
  sendMessage,
  signIn,
} from "../element/page.ts";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import type { Exchange, Handler, Recorder } from "../support/recorder.ts";
import { HOMESERVER, MANAGER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";

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
  close(): Promise<void>;
}

for (const kind of bothBrowsers) {
  describe(`Element's interface in ${kind}`, { skip, timeout: 480_000 }, () => {
    let world: World;
    let without: Visitor;
    let withMantle: Visitor;

    before(async () => {
      const element = await elementPage();
      // Room version 12 gives creators no power in this version of the SDK.
      world = await startWorld({ synapseConfig: { default_room_version: "11" } });
      without = await visitor(world, element, kind);
      withMantle = await visitor(world, element, kind, path.join(root, "build/test", kind));
    });

    after(async () => {
      await without?.close();
      await withMantle?.close();
      await world?.close();
    });

    it("signs in, makes a room and sends a message, and a reload keeps the session", async () => {
      await day(world, without, "without");
      await day(world, withMantle, "with");
      mkdirSync(screenshots, { recursive: true });
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
  });
}

async function visitor(
  world: World,
  element: Handler,
  kind: BrowserKind,
  extension?: string,
): Promise<Visitor> {
  const recorder = await world.openRecorder();
  recorder.route("chat.example.org", element);
  const browser = await launch(kind, {
    proxyPort: recorder.port,
    ...(extension === undefined ? {} : { extension }),
  });
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 800 });
  const errors: string[] = [];
  page.on("pageerror", (error) => {
    // Firefox reports its cookie check here, by a name of chance.
    if (!/: Cookie /.test(String(error))) errors.push(String(error));
  });
  return { recorder, page, errors, close: () => browser.close() };
}

/** A person's first minutes with Element. */
async function day(world: World, { page, recorder }: Visitor, user: string): Promise<void> {
  await world.synapse.register(user, PASSWORD);
  await signIn(page, user, PASSWORD);
  await dismissToasts(page);
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

/** Every request and every connection to one host, preflights included. */
function heard({ recorder }: Visitor, host: string): string[] {
  return [
    ...recorder.exchanges
      .filter((exchange) => exchange.host === host)
      .map(({ method, path: at }) => `${method} ${at}`),
    ...recorder.connections.filter((opened) => opened.host === host).map(() => "CONNECT"),
  ];
}
