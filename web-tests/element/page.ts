/** Serves Element's interface, and does with it what a person would do. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join, normalize, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import type { ElementHandle, Page } from "puppeteer-core";
import type { Handler } from "../support/recorder.ts";
import { buildElement } from "./build.ts";
import { UI } from "./selectors.ts";

/** Where the page is served. */
export const ELEMENT = "https://chat.example.org/";

/**
 * Of waiting for anything the interface shows: what a machine with much else to do needs for a first
 * sign-in, where the crypto is compiled and the first sync is run. It costs time only where a test fails.
 */
export const LIMIT = { timeout: 180_000 };

const TYPES: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".gif": "image/gif",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".mp3": "audio/mpeg",
  ".ogg": "audio/ogg",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".wasm": "application/wasm",
  ".woff": "font/woff",
  ".woff2": "font/woff2",
};

/** A build of somebody's own, by `--element`; undefined for the tests' interface. */
export const ownBuild: string | undefined = process.env["MANTLE_ELEMENT"];
const CONFIG = fileURLToPath(new URL("../client/config.json", import.meta.url));

/** What config.json says beside the client page's. */
export interface ConfigChanges {
  readonly features?: Readonly<Record<string, boolean>>;
  readonly element_call?: Readonly<Record<string, unknown>>;
}

/** Serves the page as a web server serves Element: what has a hash in its name is kept for good. */
export async function elementPage(own = ownBuild, changes: ConfigChanges = {}): Promise<Handler> {
  const folder = resolve(own ?? (await buildElement()));
  if (!existsSync(join(folder, "index.html"))) {
    throw new Error(`${folder} holds no built Element Web: it has no index.html.`);
  }
  return async (request, response) => {
    const { pathname } = new URL(request.path, ELEMENT);
    const wanted = decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    const name = normalize(wanted).slice(1);
    const file = join(folder, name);
    const isConfig = name === "config.json";
    const isServed = name === "version" || extname(name) !== "";
    if (!isServed || !file.startsWith(folder + sep) || !(isConfig || existsSync(file))) {
      response.writeHead(404).end("Not found");
      return;
    }
    // A build's own servers are not for tests.
    const content = isConfig ? await elementConfig(CONFIG, changes) : await readFile(file);
    const isKept = /^(bundles|i18n)\//.test(name);
    response.writeHead(200, {
      "Content-Type": TYPES[extname(name)] ?? "text/plain",
      "Cache-Control": isKept ? "public, max-age=31536000, immutable" : "no-cache",
    });
    response.end(content);
  };
}

/** The client page's configuration, but for guests and a notice that lies over the room list. */
async function elementConfig(file: string, changes: ConfigChanges): Promise<string> {
  const config = JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>;
  const features = { feature_release_announcement: false, ...changes.features };
  return JSON.stringify({ ...config, disable_guests: true, ...changes, features });
}

/** Signs in through the login form, puts verification off and waits for the list of rooms. */
export async function signIn(
  page: Page,
  user: string,
  password: string,
  site = ELEMENT,
): Promise<void> {
  await page.goto(`${site}#/login`, { waitUntil: "load", ...LIMIT });
  await fill(page, UI.loginUser, user);
  await fill(page, UI.loginPassword, password);
  await click(page, UI.loginSubmit);
  await putVerificationOff(page);
}

/** Signs in where the homeserver's authorisation server does it, whose page has one link: yes. */
export async function signInElsewhere(page: Page): Promise<void> {
  await page.goto(`${ELEMENT}#/login`, { waitUntil: "load", ...LIMIT });
  await click(page, UI.loginElsewhere);
  await click(page, "#allow");
  await putVerificationOff(page);
}

/** Opens an address of Element's, and signs in by the homeserver's own page, which says yes. */
export async function signInBySso(page: Page, fragment: string): Promise<void> {
  await page.goto(`${ELEMENT}${fragment}`, { waitUntil: "load", ...LIMIT });
  // The first page's link to the form, which the tests' site does not have.
  await page.waitForSelector(UI.welcome, { visible: true, ...LIMIT });
  await page.evaluate(() => {
    location.hash = "#/login";
  });
  await click(page, UI.loginBySso);
  await putVerificationOff(page);
}

/** Waits until somebody is signed in, and puts verification off where it is asked for. */
async function putVerificationOff(page: Page): Promise<void> {
  const next = `${UI.verificationSkip}, ${UI.leftPanel}`;
  await page.waitForSelector(next, { visible: true, ...LIMIT });
  if ((await page.$(UI.leftPanel)) === null) {
    await click(page, UI.verificationSkip);
    await clickText(page, UI.button, "I'll verify later");
  }
  await ready(page);
}

/** Waits until the list of rooms is there. */
export async function ready(page: Page): Promise<void> {
  await page.waitForSelector(UI.leftPanel, { visible: true, ...LIMIT });
}

/** Puts the topmost notice away, if there is one. */
async function dismissToast(page: Page): Promise<void> {
  await page.evaluate((buttons) => {
    const negative = /^(No|Dismiss|Later|Not now)$/;
    const found = [...document.querySelectorAll<HTMLElement>(buttons)];
    found.find((one) => negative.test(one.textContent?.trim() ?? ""))?.click();
  }, UI.toastButton);
}

/**
 * Asks for sticker packs, which come from an integration manager, and waits for the dialog. False
 * when Element offers none.
 */
export async function addStickers(page: Page): Promise<boolean> {
  await click(page, UI.composerMore);
  await page.waitForSelector(UI.menuItem, { visible: true, ...LIMIT });
  const item = await page.$(UI.stickers);
  if (item === null) return false;
  await item.click();
  await click(page, UI.stickersNone);
  await page.waitForSelector(UI.dialog, { visible: true, ...LIMIT });
  return true;
}

/** Makes a room without encryption by Element's dialog, and waits until it is shown. */
export async function createRoom(page: Page, name: string): Promise<void> {
  await click(page, UI.addRoom);
  await clickText(page, UI.menuItem, "New room");
  await fill(page, UI.newRoomName, name);
  const encryption = UI.newRoomEncrypted;
  await page.waitForSelector(encryption, { visible: true, ...LIMIT });
  const isOn = await page.$eval(encryption, (one) => one.getAttribute("aria-checked") === "true");
  if (isOn) await click(page, encryption);
  await click(page, UI.newRoomMake);
  await waitForText(page, UI.roomName, name);
}

/** Sends a message with the composer and waits until the homeserver has it. */
export async function sendMessage(page: Page, text: string): Promise<void> {
  await click(page, UI.composer);
  await page.type(UI.composer, text);
  await page.keyboard.press("Enter");
  await waitForText(page, UI.messageBody, text);
  await page.waitForSelector(UI.messageSent, { visible: true, ...LIMIT });
}

/** Types into a field once it is there. */
export async function fill(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForSelector(selector, { visible: true, ...LIMIT });
  await page.type(selector, text);
}

/** Clicks once there is something to click. */
export async function click(page: Page, selector: string): Promise<void> {
  await page.waitForSelector(selector, { visible: true, ...LIMIT });
  await press(page, async () => page.$(selector), selector);
}

/** Clicks what is found, once nothing lies over it: a notice may come up at any time. */
async function press(
  page: Page,
  find: () => Promise<ElementHandle | null>,
  what: string,
): Promise<void> {
  const limit = Date.now() + LIMIT.timeout;
  for (;;) {
    // Element draws anew what was found before: then there is another one.
    const found = await find();
    const isFree = await found
      ?.evaluate((one) => {
        one.scrollIntoView({ block: "nearest" });
        const box = one.getBoundingClientRect();
        const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        return top !== null && (one.contains(top) || top.contains(one));
      })
      .catch(() => false);
    if (found !== null && isFree === true) {
      const isClicked = await found.click().then(
        () => true,
        () => false,
      );
      if (isClicked) return;
    }
    if (Date.now() > limit) throw new Error(`Something lies over ${what}, or it went away.`);
    await dismissToast(page);
    await sleep(100);
  }
}

/** Clicks the one of these that says exactly this. */
export async function clickText(page: Page, selector: string, text: string): Promise<void> {
  await waitForText(page, selector, text);
  const find = async (): Promise<ElementHandle | null> => {
    for (const element of await page.$$(selector)) {
      const says = await element.evaluate((one) => one.textContent?.trim()).catch(() => undefined);
      if (says === text) return element;
    }
    return null;
  };
  await press(page, find, `"${text}"`);
}

/** Shows Element light or dark, as its own settings do. */
export async function setTheme(page: Page, theme: "light" | "dark"): Promise<void> {
  await page.evaluate(async (wanted: string) => {
    interface Settings {
      setValue(name: string, room: null, level: string, value: string): Promise<void>;
    }
    const { mxSettingsStore } = window as unknown as { mxSettingsStore: Settings };
    await mxSettingsStore.setValue("theme", null, "device", wanted);
  }, theme);
  await page.waitForFunction(
    (wanted: string) =>
      document.querySelector<HTMLLinkElement>(`link[data-mx-theme=${wanted}]`)?.disabled === false,
    LIMIT,
    theme,
  );
}

/** Waits until one of these says exactly this. */
export async function waitForText(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    (wanted: string, words: string) =>
      [...document.querySelectorAll(wanted)].some((one) => one.textContent?.trim() === words),
    LIMIT,
    selector,
    text,
  );
}
