/** Browsers in which a spec can also open Mantle's own pages and stop its background. */
import { fileURLToPath } from "node:url";
import type { Browser, CDPSession, Page } from "puppeteer-core";
import { type BrowserKind, dismissFirstRun, launch, launchFirefox } from "../support/browsers.ts";
import { project } from "../../scripts/project.ts";

export interface ExtensionBrowser {
  readonly kind: BrowserKind;
  readonly browser: Browser;
  newPage(): Promise<Page>;
  /** One of the extension's own pages, such as `popup.html`, in a tab. */
  openExtensionPage(path: string): Promise<Page>;
  /**
   * Presses the toolbar button over the tab that shows a host, and gives the popup. In Firefox it
   * is shown once more in a tab, since no driver reaches into the real one; the rights that come
   * with the press are the same.
   */
  pressToolbarButton(host: string): Promise<Page>;
  /** Stops the background; the next message starts it again. */
  stopBackground(): Promise<void>;
  /** What pages are told of the person's taste in colours. */
  setDark(page: Page, dark: boolean): Promise<void>;
  /** What pages are told of colours of the person's own, which replace theirs; until the page is closed. */
  setForcedColors(page: Page, forced: boolean): Promise<void>;
  /** Puts the extension in again, as an update does; its own pages are closed by that. */
  reinstall(): Promise<void>;
  close(): Promise<void>;
}

export interface ExtensionBrowserOptions {
  extension?: string;
  proxyPort: number;
  /** Firefox only: a home folder, for the administrator's policy in it. */
  home?: string;
  /** The person's, as in `Accept-Language` without weights. */
  languages?: string;
  /** Leaves the page open that Mantle shows after its installation; or a policy has it show none. */
  keepFirstRun?: boolean;
  /** Gives pages a camera and a microphone that are none, without asking. */
  fakeMedia?: boolean;
}

/** Values that pass between a spec and the extension API. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const FIREFOX_ID = project.firefoxId;
export const FIREFOX_UUID = "0b5e3c1a-6a51-4c39-9a52-6f6d2f0e7a11";
/** Firefox stops an idle background by itself; this soon in the specs. */
const FIREFOX_IDLE_MS = 1_000;

/** `build/test/<kind>` of `scripts/build --site https://chat.example.org --out build/test`. */
export function testBuild(kind: BrowserKind): string {
  return fileURLToPath(new URL(`../../build/test/${kind}`, import.meta.url));
}

export async function launchExtensionBrowser(
  kind: BrowserKind,
  options: ExtensionBrowserOptions,
): Promise<ExtensionBrowser> {
  return kind === "chromium" ? inChromium(options) : inFirefox(options);
}

/** A browser with Mantle as built for the tests. */
export function launchMantle(
  kind: BrowserKind,
  proxyPort: number,
  more: Partial<ExtensionBrowserOptions> = {},
): Promise<ExtensionBrowser> {
  return launchExtensionBrowser(kind, { extension: testBuild(kind), proxyPort, ...more });
}

async function inChromium(options: ExtensionBrowserOptions): Promise<ExtensionBrowser> {
  const launched = await launch("chromium", options);
  const { browser, extensionId } = launched;
  const forcing = new WeakMap<Page, CDPSession>();
  return {
    kind: "chromium",
    browser,
    newPage: () => browser.newPage(),
    openExtensionPage: async (path) => {
      const page = await browser.newPage();
      await page.goto(`chrome-extension://${extensionId ?? ""}/${path}`);
      return page;
    },
    pressToolbarButton: async (host) => {
      const session = await browser.target().createCDPSession();
      const { targetInfos } = await session.send("Target.getTargets", {
        filter: [{ type: "tab" }],
      });
      const tab = targetInfos.find((info) => info.url.startsWith(`https://${host}/`));
      await session.send("Extensions.triggerAction", {
        id: extensionId ?? "",
        targetId: tab?.targetId ?? "",
      });
      await session.detach();
      const popup = await browser.waitForTarget(
        (target) => target.url() === `chrome-extension://${extensionId ?? ""}/popup.html`,
        { timeout: 10_000 },
      );
      return popup.asPage();
    },
    stopBackground: async () => {
      const running = browser.targets().filter((target) => target.type() === "service_worker");
      for (const target of running) {
        const worker = target.url().includes(extensionId ?? "") ? await target.worker() : null;
        // Puppeteer also says goodbye to the target, which may be gone by then.
        await worker?.close().catch(() => undefined);
      }
    },
    setDark: (page, dark) =>
      page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]),
    setForcedColors: async (page, forced) => {
      // Puppeteer has no word for it. It holds for as long as this session does.
      const session = forcing.get(page) ?? (await page.createCDPSession());
      forcing.set(page, session);
      await session.send("Emulation.setEmulatedMedia", {
        features: [{ name: "forced-colors", value: forced ? "active" : "none" }],
      });
    },
    reinstall: async () => {
      await browser.installExtension(options.extension ?? "");
    },
    close: launched.close,
  };
}

/** Own settings beside those of `support/browsers.ts`: a fixed address for extension pages. */
async function inFirefox(options: ExtensionBrowserOptions): Promise<ExtensionBrowser> {
  const browser = await launchFirefox(options, {
    // Lets a spec navigate to the extension's own pages.
    args: ["--remote-allow-system-access"],
    env: options.home === undefined ? process.env : { ...process.env, HOME: options.home },
    extraPrefsFirefox: {
      "extensions.background.idle.timeout": FIREFOX_IDLE_MS,
      "extensions.webextensions.uuids": JSON.stringify({ [FIREFOX_ID]: FIREFOX_UUID }),
      // Stands for the person's "Allow" in the browser's own question.
      "extensions.webextOptionalPermissionPrompts": false,
      "network.prefetch-next": true,
    },
  });
  if (options.extension !== undefined) {
    await browser.installExtension(options.extension);
    if (options.keepFirstRun !== true) await dismissFirstRun("firefox", browser);
  }
  const openExtensionPage = async (path: string): Promise<Page> => {
    const page = await browser.newPage();
    // The page moves to another process, so puppeteer never sees the end of this navigation.
    page.goto(`moz-extension://${FIREFOX_UUID}/${path}`).catch(() => undefined);
    await until(async () => {
      const address = await page.evaluate(() => `${location.href} ${document.readyState}`);
      return address.startsWith("moz-extension://") && address.endsWith("complete");
    });
    return page;
  };
  return {
    kind: "firefox",
    browser,
    newPage: () => browser.newPage(),
    openExtensionPage,
    pressToolbarButton: async (host) => {
      const id = await inBrowserWindow(browser, pressed(host));
      return openExtensionPage(`popup.html?tab=${id}`);
    },
    // The browser's own clock does it; a spec can only wait.
    stopBackground: () =>
      until(
        async () => (await inBrowserWindow(browser, BACKGROUND_STATE)) === "stopped",
        "the background's end",
      ),
    setDark: async (_page, dark) => {
      const pref = '"layout.css.prefers-color-scheme.content-override"';
      await inBrowserWindow(
        browser,
        `(async () => { Services.prefs.setIntPref(${pref}, ${dark ? 0 : 1}); return "set"; })()`,
      );
    },
    setForcedColors: async (_page, forced) => {
      const pref = '"browser.display.document_color_use"';
      await inBrowserWindow(
        browser,
        `(async () => { Services.prefs.setIntPref(${pref}, ${forced ? 2 : 0}); return "set"; })()`,
      );
    },
    reinstall: async () => {
      await browser.installExtension(options.extension ?? "");
    },
    close: async () => {
      const killer = setTimeout(() => browser.process()?.kill("SIGKILL"), 10_000);
      await browser.close().catch(() => browser.process()?.kill("SIGKILL"));
      clearTimeout(killer);
    },
  };
}

const BACKGROUND_STATE = `(async () => {
  const { ExtensionParent } = ChromeUtils.importESModule(
    "resource://gre/modules/ExtensionParent.sys.mjs");
  return ExtensionParent.GlobalManager.getExtension("${FIREFOX_ID}").backgroundState;
})()`;

function pressed(host: string): string {
  return `(async () => {
    const { ExtensionParent } = ChromeUtils.importESModule(
      "resource://gre/modules/ExtensionParent.sys.mjs");
    const extension = ExtensionParent.GlobalManager.getExtension("${FIREFOX_ID}");
    gBrowser.selectedTab = gBrowser.tabs.find((tab) =>
      tab.linkedBrowser.currentURI.spec.startsWith("https://${host}/"));
    const button = ExtensionParent.apiManager.global.browserActionFor(extension);
    const tab = extension.tabManager.getWrapper(gBrowser.selectedTab);
    // A press closes a popup that is still open; the next one counts.
    for (let press = 0; press < 10 && !tab.hasActiveTabPermission; press += 1) {
      await button.triggerAction(window);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return String(tab.id);
  })()`;
}

/** Runs a script in Firefox's own window, which puppeteer has no call for. */
export async function inBrowserWindow(browser: Browser, expression: string): Promise<string> {
  interface Answer {
    result: { contexts?: { context: string; url: string }[]; result?: { value?: string } };
  }
  interface Connection {
    send(method: string, parameters: unknown): Promise<Answer>;
  }
  const { connection } = browser as unknown as { connection: Connection };
  const tree = await connection.send("browsingContext.getTree", { "moz:scope": "chrome" });
  const window = tree.result.contexts?.find((context) => context.url.endsWith("browser.xhtml"));
  const answer = await connection.send("script.evaluate", {
    target: { context: window?.context },
    awaitPromise: true,
    expression,
  });
  const value = answer.result.result?.value;
  if (value === undefined) {
    throw new Error(`Firefox refused a script of the spec: ${JSON.stringify(answer.result)}`);
  }
  return value;
}

/** Calls the extension API in one of the extension's pages: `callApi(page, "tabs.query", {})`. */
export async function callApi<Result = Json>(
  page: Page,
  name: string,
  ...values: Json[]
): Promise<Result> {
  const answer = await page.evaluate(
    async (path: string, list: string) => {
      const world = globalThis as unknown as Record<string, unknown>;
      let owner: unknown = undefined;
      let found: unknown = world["browser"] ?? world["chrome"];
      for (const part of path.split(".")) {
        owner = found;
        found = (found as Record<string, unknown>)[part];
      }
      const called = found as (...given: unknown[]) => Promise<unknown>;
      return JSON.stringify((await called.apply(owner, JSON.parse(list) as unknown[])) ?? null);
    },
    name,
    JSON.stringify(values),
  );
  return JSON.parse(answer) as Result;
}

/** Paths of Mantle's own pages that are open in tabs, seen from one of them. */
export function ownTabs(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const { browser, chrome } = globalThis as unknown as Record<string, typeof globalThis.chrome>;
    const views = (browser ?? chrome)?.extension.getViews({ type: "tab" }) ?? [];
    return views.map((view) => view.location.pathname).sort();
  });
}

/** Writes Mantle's stored settings, or takes them away. */
export async function storeSettings(page: Page, settings: Json | undefined): Promise<void> {
  if (settings === undefined) {
    await callApi(page, "storage.local.remove", "settings");
  } else {
    const text = typeof settings === "string" ? settings : JSON.stringify(settings);
    await callApi(page, "storage.local.set", { settings: text });
  }
}

interface LedgerRow {
  readonly shield: string;
  readonly action: string;
  readonly host: string;
  readonly endpoint: string;
  readonly count: number;
  /** When it happened last, in milliseconds since the epoch. */
  readonly last: number;
}

/** Writes the ledger's rows of some days up to now, one value a day as the background does. */
export async function storeLedger(
  page: Page,
  days: number,
  rowsOf: (day: number, time: number) => LedgerRow[],
): Promise<void> {
  const values: Record<string, Json> = {};
  for (let day = 0; day < days; day += 1) {
    const time = Date.now() - day * 24 * 60 * 60 * 1000;
    const date = new Date(time);
    const name = [date.getFullYear(), date.getMonth() + 1, date.getDate()]
      .map((part) => String(part).padStart(2, "0"))
      .join("-");
    values[`ledger/${name}`] = rowsOf(day, time).map((row) => ({ ...row }));
  }
  await callApi(page, "storage.local.set", values);
}

/** Id of the tab that shows an address; for the popup's `?tab=`. */
export async function tabShowing(page: Page, host: string): Promise<number> {
  const tabs = await callApi<{ id: number; url?: string }[]>(page, "tabs.query", {});
  const found = tabs.find((tab) => tab.url?.startsWith(`https://${host}/`));
  if (found === undefined) {
    throw new Error(`No tab shows ${host}, or Mantle may not see it.`);
  }
  return found.id;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits until `condition` holds; throws after `limit` milliseconds. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  what = "what the spec waits for",
  limit = 30_000,
): Promise<void> {
  const begin = Date.now();
  let last: unknown;
  while (Date.now() < begin + limit) {
    try {
      if (await condition()) {
        return;
      }
      last = undefined;
    } catch (error) {
      last = error;
    }
    // Asking keeps a browser busy that has something to do: what is late is asked for less often.
    await pause(Math.min(50 + (Date.now() - begin) / 20, 250));
  }
  const why = last instanceof Error ? ` (${last.message})` : "";
  throw new Error(`Not within ${limit / 1_000} s: ${what}${why}.`, { cause: last });
}
