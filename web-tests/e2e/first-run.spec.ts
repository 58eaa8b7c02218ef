/**
 * What somebody is shown who has just installed Mantle: one page, once; what they choose there is in
 * force, and who closes it keeps the recommended settings.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import { tabTo } from "../support/axe.ts";
import { bothBrowsers, closeFirstRun } from "../support/browsers.ts";
import { type Recorder, startRecorder } from "../support/recorder.ts";
import {
  type ExtensionBrowser,
  FIREFOX_ID,
  type Json,
  callApi,
  launchMantle,
  ownTabs,
  pause,
  storeSettings,
  until,
} from "./extension-pages.ts";

const PATH = "/first-run.html";
const SCREENSHOTS = fileURLToPath(new URL("../../build/screenshots", import.meta.url));
const TABLES = fileURLToPath(new URL("../../extension/generated/tables.json", import.meta.url));
const { shields } = JSON.parse(readFileSync(TABLES, "utf8")) as {
  shields: { id: string; default: string; strict: string }[];
};
const AGREED = { general: { consent: true } };

const switchOf = (shield: string, mode: string): string =>
  `[data-shield="${shield}"] input[value="${mode}"]`;

/** What each shield does where nobody chose. */
const modesOf = (profile: "default" | "strict"): Record<string, string> =>
  Object.fromEntries(shields.map((shield) => [shield.id, shield[profile]]));

for (const kind of bothBrowsers) {
  describe(`first run in ${kind}`, { timeout: 300_000 }, () => {
    let recorder: Recorder;
    let running: ExtensionBrowser;
    let page: Page;

    before(async () => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      recorder = await startRecorder({});
      running = await launchMantle(kind, recorder.port, { keepFirstRun: true });
    });
    after(async () => {
      await running?.close();
      await recorder?.close();
    });

    async function open(path: string, mark: string): Promise<Page> {
      const opened = await running.openExtensionPage(path);
      await opened.waitForSelector(mark, { timeout: 60_000 });
      return opened;
    }

    async function stored(): Promise<Json> {
      const { settings } = await callApi<{ settings?: string }>(
        page,
        "storage.local.get",
        "settings",
      );
      return JSON.parse(settings ?? "null") as Json;
    }

    /** The effective settings, as the options page shows them. */
    async function inForce(): Promise<Record<string, string>> {
      const options = await open("options.html", "[data-shield]");
      const shown = await options.$$eval("[data-shield]", (rows) =>
        rows.map((row) => {
          const isOn = row.querySelector(".switch")?.getAttribute("aria-checked");
          const chosen = row.querySelector<HTMLInputElement>(".modes input:checked")?.value;
          const mode = chosen ?? (isOn === "true" ? "on" : "off");
          return [(row as HTMLElement).dataset["shield"] ?? "", mode] as const;
        }),
      );
      await options.close();
      return Object.fromEntries(shown);
    }

    /** What the browser starts it for has begun, and ends soon. */
    async function backgroundIsReady(): Promise<void> {
      const done = async (): Promise<boolean> =>
        "checked" in (await callApi<object>(page, "storage.session.get", "checked"));
      await until(done, "the background's start", 60_000);
      await pause(1_000);
    }

    const count = async (path: string): Promise<number> =>
      (await ownTabs(page)).filter((one) => one === path).length;

    /** By keyboard alone, as somebody does who has no mouse. */
    async function choose(choice: string): Promise<void> {
      await page.bringToFront();
      const wanted = await page.waitForSelector(`[data-choice="${choice}"] button`);
      assert.ok(wanted !== null && (await tabTo(page, wanted)), choice);
      await page.keyboard.press("Enter");
      await page.waitForSelector("#chosen:not([hidden])", { timeout: 60_000 });
    }

    it("is opened by the installation, and by nothing later", async () => {
      // Throws where none is.
      await closeFirstRun(kind, running.browser);
      page = await open("options.html", "[data-shield]");
      assert.equal(await count(PATH), 0);
      await callApi(page, "storage.session.remove", "checked");
      await running.reinstall();
      await page.close().catch(() => undefined);
      page = await open("options.html", "[data-shield]");
      await backgroundIsReady();
      assert.equal(await count(PATH), 0);
      await page.close();
    });

    describe("asks", () => {
      beforeEach(async () => {
        const first = await open("options.html", "[data-shield]");
        await storeSettings(first, undefined);
        page = await open("first-run.html", "[data-choice]");
        await first.close();
        // A browser that is to open the settings would show the ones that are going.
        await until(async () => (await count("/options.html")) === 0, "no options page");
      });

      it("what is agreed to, in words, and keeps the recommended settings when it is closed", async () => {
        const told = await page.$eval("#told", (part) => (part as HTMLElement).innerText);
        assert.match(told, /reads what Element's pages send and receive/);
        assert.match(told, /Nothing goes to Mantle's makers or to anybody else/);
        for (const [width, dark] of [
          [440, false],
          [320, true],
        ] as const) {
          await page.setViewport({ width, height: 900 });
          await running.setDark(page, dark);
          await page.waitForFunction(
            (wanted) => matchMedia("(prefers-color-scheme: dark)").matches === wanted,
            {},
            dark,
          );
          const name = `first-run-${kind}-${width}-${dark ? "dark" : "light"}.png`;
          await page.screenshot({ path: join(SCREENSHOTS, name), fullPage: true });
        }
        await running.setDark(page, false);
        await page.close();
        page = await open("popup.html", "#welcome:not([hidden])");
        assert.equal(await stored(), null);
        assert.deepEqual(await inForce(), modesOf("default"));
        await page.close();
      });

      it("recommended", async () => {
        await choose("recommended");
        assert.deepEqual(await stored(), { version: 1, options: AGREED, profile: "recommended" });
        assert.deepEqual(await inForce(), modesOf("default"));
        await page.close();
      });

      it("strict, says so where the focus is, and asks no more", async () => {
        await choose("strict");
        assert.deepEqual(await stored(), { version: 1, options: AGREED, profile: "strict" });
        const focused = await page.evaluate(() => document.activeElement?.textContent ?? "");
        assert.match(focused, /^You chose: Strict/);
        assert.equal(await page.$eval("#choices", (part) => part.checkVisibility()), false);
        assert.deepEqual(await inForce(), modesOf("strict"));
        const popup = await open("popup.html", "[data-shield]");
        assert.equal(await popup.$eval("#welcome", (card) => card.checkVisibility()), false);
        await popup.close();
        await page.close();
      });

      it("one by one, which opens the settings", async () => {
        await choose("each");
        await until(async () => (await count("/options.html")) === 1, "the options page", 60_000);
        assert.deepEqual(await stored(), { version: 1, options: AGREED });
        await page.close();
      });
    });

    /** The popup shows which switch the organisation set, and lets nobody change it. */
    async function showsLock(): Promise<void> {
      const popup = await open("popup.html", switchOf("identity", "on"));
      const lock = '[data-shield="identity"] .lock';
      assert.equal(await popup.$eval(lock, (part) => part.checkVisibility()), true);
      assert.match(await popup.$eval(lock, (part) => part.textContent ?? ""), /organisation/);
      const other = '[data-shield="integrations"] .lock';
      assert.equal(await popup.$eval(other, (part) => part.checkVisibility()), false);
      const isOn = (): Promise<boolean> =>
        popup.$eval(switchOf("identity", "on"), (one) => (one as HTMLInputElement).checked);
      await popup.click(switchOf("identity", "off"));
      await pause(500);
      assert.equal(await isOn(), true);
      assert.equal(await stored(), null);
      await storeSettings(popup, { version: 1, shields: { identity: "off" } });
      await pause(500);
      assert.equal(await isOn(), true);
      await popup.screenshot({ path: join(SCREENSHOTS, `popup-${kind}-policy.png`) });
      await storeSettings(popup, undefined);
      await popup.close();
    }

    it("leaves alone whom an organisation decided for, says so on the page and locks what it set", async (context) => {
      if (kind === "chromium") {
        context.skip("Chromium reads policies only from a system folder; see the roll-out's spec");
        return;
      }
      const home = mkdtempSync(join(tmpdir(), "mantle-policy-"));
      const folder = join(home, ".mozilla", "managed-storage");
      mkdirSync(folder, { recursive: true });
      const data = {
        profile: { value: "strict", locked: true },
        shields: { identity: { mode: "on", locked: true } },
      };
      writeFileSync(
        join(folder, `${FIREFOX_ID}.json`),
        JSON.stringify({ name: FIREFOX_ID, description: "A test", type: "storage", data }),
      );
      const managed = await launchMantle(kind, recorder.port, { home, keepFirstRun: true });
      const unmanaged = { page, running };
      try {
        running = managed;
        page = await open("options.html", "[data-shield]");
        await backgroundIsReady();
        assert.equal(await count(PATH), 0);
        await page.close();
        page = await open("first-run.html", "[data-choice]");
        const offered = await page.$$eval("[data-choice]", (all) =>
          all.map((one) => (one as HTMLElement).dataset["choice"]),
        );
        assert.deepEqual(offered, ["strict"]);
        const said = await page.$eval("#choices", (part) => (part as HTMLElement).innerText);
        assert.match(said, /Your organisation has decided/);
        await showsLock();
        await choose("strict");
        assert.deepEqual(await stored(), { version: 1, options: AGREED });
        assert.deepEqual(await inForce(), modesOf("strict"));
      } finally {
        ({ page, running } = unmanaged);
        await managed.close();
        rmSync(home, { recursive: true, force: true });
      }
    });
  });
}
