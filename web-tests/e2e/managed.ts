/** Browsers that get Mantle from their administrator: by policy, from a server, packed and signed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { type BrowserKind, firefoxNetwork } from "../support/browsers.ts";
import { certificate } from "../support/certificate.ts";
import type { PolicyScope } from "../support/managed-browsers.ts";
import {
  FIREFOX_ID,
  FIREFOX_UUID,
  type Json,
  callApi,
  inBrowserWindow,
  pause,
  until,
} from "./extension-pages.ts";

/** A browser with a profile that outlives it, so that it can be started again. */
export interface ManagedBrowser {
  readonly kind: BrowserKind;
  newPage(): Promise<Page>;
  /** Waits until policy has brought the extension. */
  openExtensionPage(path: string): Promise<Page>;
  /** True while the extension is there. */
  isInstalled(): Promise<boolean>;
  /** Looks for an update now and has it installed; browsers do so every few hours. */
  update(page: Page): Promise<void>;
  /** What the background wrote to its console. */
  backgroundLog(): Promise<string[]>;
  close(): Promise<void>;
}

export interface ManagedOptions {
  scope: PolicyScope;
  proxyPort: number;
  profile: string;
  /** Chrome's id; Firefox's is in the manifest. */
  extensionId: string;
}

/** An empty folder for a profile. */
export function newProfile(): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "mantle-profile-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  return { folder, remove };
}

export async function launchManaged(
  kind: BrowserKind,
  options: ManagedOptions,
): Promise<ManagedBrowser> {
  return kind === "chromium" ? inChromium(options) : inFirefox(options);
}

/** The fenced block of docs/enterprise.md under `<!-- tested: <name> -->`. */
export function documented(name: string): string {
  const page = readFileSync(
    fileURLToPath(new URL("../../docs/enterprise.md", import.meta.url)),
    "utf8",
  );
  const block = new RegExp(`<!-- tested: ${name} -->\\s*\`\`\`\\w+\\n([^]*?)\\n\`\`\``).exec(page);
  if (block?.[1] === undefined) throw new Error(`docs/enterprise.md has no example ${name}.`);
  return block[1];
}

async function inChromium(options: ManagedOptions): Promise<ManagedBrowser> {
  const { spkiHash } = await certificate();
  const browser = await puppeteer.launch({
    executablePath: options.scope.executablePath,
    userDataDir: options.profile,
    headless: true,
    pipe: true,
    enableExtensions: true,
    acceptInsecureCerts: true,
    // It would also keep extensions from being installed and updated.
    ignoreDefaultArgs: ["--disable-background-networking"],
    args: [
      "--no-sandbox",
      `--proxy-server=http://127.0.0.1:${options.proxyPort}`,
      "--ignore-certificate-errors",
      `--ignore-certificate-errors-spki-list=${spkiHash}`,
      "--disable-component-update",
      "--disable-features=HttpsUpgrades,LocalNetworkAccessChecks",
      "--disable-quic",
      "--no-pings",
    ],
  });
  const origin = `chrome-extension://${options.extensionId}`;
  const lines: string[] = [];
  browser.on("targetcreated", (target) => {
    if (target.type() !== "service_worker" || !target.url().startsWith(origin)) return;
    void target.worker().then((worker) => {
      worker?.on("console", (message) => lines.push(message.text()));
    });
  });
  const openExtensionPage = async (path: string): Promise<Page> => {
    let page: Page | undefined;
    await until(async () => {
      const tried = await browser.newPage();
      try {
        await tried.goto(`${origin}/${path}`);
        page = tried;
      } catch (error) {
        // Not there yet; Chromium then shows a page of its own.
        await tried.close().catch(() => undefined);
        throw error;
      }
      return true;
    }, "the extension that policy installs");
    return page as Page;
  };
  return {
    kind: "chromium",
    newPage: () => browser.newPage(),
    openExtensionPage,
    isInstalled: async () => {
      const tried = await browser.newPage();
      const answer = await tried.goto(`${origin}/popup.html`).catch(() => undefined);
      await tried.close().catch(() => undefined);
      return answer !== undefined;
    },
    update: async (page) => {
      const { status } = await callApi<{ status: string }>(page, "runtime.requestUpdateCheck");
      if (status !== "update_available") throw new Error(`Chromium says: ${status}.`);
      // It waits until the extension is idle; its open pages would hold it back.
      await page.close();
      for (const target of browser.targets().filter((one) => one.type() === "service_worker")) {
        const worker = target.url().startsWith(origin) ? await target.worker() : null;
        await worker?.close().catch(() => undefined);
      }
      // Chromium waits five seconds more, in case the extension wakes up.
      await pause(7_000);
    },
    backgroundLog: () => Promise.resolve(lines),
    close: () => closeBrowser(browser),
  };
}

async function inFirefox(options: ManagedOptions): Promise<ManagedBrowser> {
  // Nothing else hands out what an extension's background says.
  const output = join(options.profile, "mantle-test-output");
  const program = join(options.profile, "firefox-with-output");
  const { executablePath } = options.scope;
  writeFileSync(program, `#!/bin/sh\nexec '${executablePath}' "$@" >>'${output}'\n`, {
    mode: 0o755,
  });
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: program,
    userDataDir: options.profile,
    headless: true,
    acceptInsecureCerts: true,
    args: ["--remote-allow-system-access"],
    extraPrefsFirefox: {
      "extensions.webextensions.uuids": JSON.stringify({ [FIREFOX_ID]: FIREFOX_UUID }),
      ...firefoxNetwork(options.proxyPort),
      // Stands for the person's "Allow" in the browser's own question.
      "extensions.webextOptionalPermissionPrompts": false,
      "devtools.console.stdout.content": true,
      "extensions.update.enabled": true,
      "extensions.update.autoUpdateDefault": true,
    },
  });
  const state = (): Promise<string> =>
    inBrowserWindow(
      browser,
      `(async () => {
        const { AddonManager } = ChromeUtils.importESModule(
          "resource://gre/modules/AddonManager.sys.mjs");
        const addon = await AddonManager.getAddonByID("${FIREFOX_ID}");
        return addon === null ? "absent" : addon.isActive ? addon.version : "inactive";
      })()`,
    );
  return {
    kind: "firefox",
    newPage: () => browser.newPage(),
    openExtensionPage: async (path) => {
      await until(async () => /^\d/.test(await state()), "the extension that policy installs");
      const page = await browser.newPage();
      // The page moves to another process, so puppeteer never sees the end of this navigation.
      page.goto(`moz-extension://${FIREFOX_UUID}/${path}`).catch(() => undefined);
      await until(async () => {
        const address = await page.evaluate(() => `${location.href} ${document.readyState}`);
        return address.startsWith("moz-extension://") && address.endsWith("complete");
      });
      return page;
    },
    isInstalled: async () => (await state()) !== "absent",
    update: async () => {
      const outcome = await inBrowserWindow(
        browser,
        `(async () => {
          const { AddonManager } = ChromeUtils.importESModule(
            "resource://gre/modules/AddonManager.sys.mjs");
          const addon = await AddonManager.getAddonByID("${FIREFOX_ID}");
          const install = await new Promise((resolve) => {
            addon.findUpdates({
              onUpdateAvailable: (_, found) => resolve(found),
              onNoUpdateAvailable: () => resolve(null),
            }, AddonManager.UPDATE_WHEN_PERIODIC_UPDATE);
          });
          if (install === null) return "no update";
          try { await install.install(); } catch { return "error " + install.error; }
          return "installed";
        })()`,
      );
      if (outcome !== "installed") throw new Error(`Firefox says: ${outcome}.`);
    },
    backgroundLog: () => Promise.resolve(readFileSync(output, "utf8").split("\n")),
    close: () => closeBrowser(browser),
  };
}

async function closeBrowser(browser: Browser): Promise<void> {
  const killer = setTimeout(() => browser.process()?.kill("SIGKILL"), 10_000);
  await browser.close().catch(() => browser.process()?.kill("SIGKILL"));
  clearTimeout(killer);
  // The last writes to the profile.
  await pause(300);
}

interface Schema {
  type: string;
  properties?: Record<string, Schema>;
}

/** The registry form of docs/enterprise.md as the JSON that Chrome on Linux reads. */
export function registryAsJson(text: string, schema: Schema): Json {
  const result: Record<string, Json> = {};
  let at: Record<string, Json> = result;
  let type = (_name: string): string => "string";
  const top = /^\[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Google\\Chrome(?:\\(.*))?\]$/;
  for (const line of text.split("\n").slice(1)) {
    const key = top.exec(line);
    const value = /^"(?<name>(?:[^"\\]|\\.)*)"=(?<value>.*)$/.exec(line)?.groups;
    if (key !== null) {
      const parts = (key[1] ?? "").split("\\").filter((name) => name !== "");
      // Chrome takes an extension's settings from below `policy`.
      const below = parts.indexOf("policy");
      const own = below === -1 ? [] : parts.slice(below + 1);
      const described = own.reduce<Schema | undefined>(
        (one, name) => one?.properties?.[name],
        schema,
      );
      type = (name) => described?.properties?.[name]?.type ?? "string";
      at = parts
        .filter((_, index) => index !== below)
        .reduce((one, name) => (one[name] ??= {}) as Record<string, Json>, result);
    } else if (value !== undefined) {
      const name = value["name"] ?? "";
      at[name] = registryValue(value["value"] ?? "", type(name));
    } else if (line.trim() !== "") {
      throw new Error(`The registry example has a line that is no key and no value: ${line}`);
    }
  }
  return listsOf(result);
}

/** Numbers and truth values are both numbers there; the schema tells them apart. */
function registryValue(text: string, type: string): Json {
  const digits = /^dword:([0-9a-f]{8})$/.exec(text)?.[1];
  if (digits !== undefined) {
    const number = Number.parseInt(digits, 16);
    return type === "boolean" ? number === 1 : number;
  }
  const plain = JSON.parse(text) as string;
  return plain.startsWith("{") ? (JSON.parse(plain) as Json) : plain;
}

/** Lists stand in the registry as values called 1, 2, 3. */
function listsOf(value: Json): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const names = Object.keys(value);
  return names.length > 0 && names.every((name, index) => name === String(index + 1))
    ? Object.values(value)
    : Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, listsOf(inner)]));
}
