/**
 * Mantle through the life of a browser: the background is stopped at any time, the extension is
 * reloaded, settings change or are damaged, and sites are added. Nothing is lost or counted twice.
 */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../support/browsers.ts";
import { type Recorder, type Route, startRecorder } from "../support/recorder.ts";
import { ELEMENT_HTML } from "./element-page.ts";
import {
  type ExtensionBrowser,
  type Json,
  callApi,
  launchExtensionBrowser,
  launchMantle,
  pause,
  storeSettings,
  tabShowing,
  testBuild,
  until,
} from "./extension-pages.ts";

const ELEMENT = "chat.example.org";
/** Looks like Element, and no build knows it. */
const ADDED = "element.example.net";
const PING = "https://vector.im/_matrix/identity/v2";
const OWN_MANAGER = "https://manager.example.net/api";

interface StoredLedger {
  rows: { shield: string; host: string; count: number }[];
  pages: { tab: number; handled: Record<string, number> }[];
}

const fixture: Route = (request, response) => {
  if (request.path.startsWith("/config")) {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(
      JSON.stringify({
        integrations_ui_url: `${OWN_MANAGER}/ui`,
        integrations_rest_url: OWN_MANAGER,
      }),
    );
    return;
  }
  response.writeHead(200, { "Content-Type": "text/html" });
  response.end(ELEMENT_HTML);
};

for (const kind of bothBrowsers) {
  describe(`lifecycle in ${kind}`, () => {
    let recorder: Recorder;
    let running: ExtensionBrowser;
    let extensionPage: Page;
    const folders: string[] = [];

    before(async () => {
      recorder = await startRecorder({ hosts: { [ELEMENT]: fixture, [ADDED]: fixture } });
      running = await launchMantle(kind, recorder.port);
      extensionPage = await running.openExtensionPage("popup.html");
    });

    after(async () => {
      await running?.close();
      await recorder?.close();
      for (const folder of folders) {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    async function openElement(host = ELEMENT): Promise<Page> {
      const page = await running.newPage();
      await page.goto(`https://${host}/`);
      return page;
    }

    /** Requests that Mantle answers itself; each is one count in the ledger. */
    async function ping(page: Page, times: number): Promise<number> {
      const run = async (url: string, count: number): Promise<number> => {
        let reached = 0;
        for (let turn = 0; turn < count; turn += 1) {
          const answer = await fetch(`${url}?turn=${turn}`).catch(() => undefined);
          reached += answer?.ok ? 1 : 0;
        }
        return reached;
      };
      return page.evaluate(run, PING, times);
    }

    async function ledger(): Promise<StoredLedger> {
      const stored = await callApi<{ ledger?: StoredLedger }>(
        extensionPage,
        "storage.local.get",
        "ledger",
      );
      return stored.ledger ?? { rows: [], pages: [] };
    }

    /** In its turn: a batch that is being counted would write again what was just taken out. */
    async function emptyLedger(): Promise<void> {
      await extensionPage.evaluate(async () => {
        const { storage } =
          (globalThis as unknown as { browser?: typeof chrome }).browser ?? chrome;
        await navigator.locks.request("ledger", () => storage.local.remove("ledger"));
      });
    }

    async function identityCount(): Promise<number> {
      const { rows } = await ledger();
      return rows
        .filter((row) => row.shield === "identity" && row.host === "vector.im")
        .reduce((sum, row) => sum + row.count, 0);
    }

    /** Of what was learned: gone with the browser's session. */
    async function sessionRules(): Promise<{ condition: { urlFilter?: string } }[]> {
      return callApi(extensionPage, "declarativeNetRequest.getSessionRules");
    }

    /** True when an image of the page, which no hook sees, reached the host. */
    async function imageReaches(page: Page, url: string): Promise<boolean> {
      const { host, pathname } = new URL(url);
      const count = (): number =>
        recorder.to(host).filter((exchange) => exchange.path.startsWith(pathname)).length;
      const earlier = count();
      const load = (address: string): Promise<void> =>
        new Promise<void>((done) => {
          const image = new Image();
          image.onload = image.onerror = () => done();
          image.src = address;
        });
      await page.evaluate(load, `${url}?${Math.random()}`);
      return count() > earlier;
    }

    it("counts stay exact while the background is stopped again and again", async () => {
      await emptyLedger();
      const pages = [await openElement(), await openElement(), await openElement()];
      let sent = 0;
      for (let round = 0; round < 4; round += 1) {
        for (const page of pages) {
          await ping(page, 5);
          sent += 5;
        }
        // All around the pages' reports, which leave them 250 ms later. Firefox stops the
        // background only when it is idle, so there each round waits for that.
        const stops = kind === "chromium" ? 25 : 1;
        for (let stop = 0; stop < stops; stop += 1) {
          await pause(10);
          await running.stopBackground();
        }
      }
      await until(async () => (await identityCount()) >= sent, "all counts");
      await pause(1_500);
      assert.equal(await identityCount(), sent);
      assert.equal(recorder.to("vector.im").length, 0);
      const perTab = (await ledger()).pages.map((page) => page.handled["identity"]);
      assert.deepEqual(perTab.filter(Boolean), [20, 20, 20]);
      for (const page of pages) {
        await page.close();
      }
    });

    it("counts of a page whose report was lost begin with what it sends next", async () => {
      // Else the pages of earlier tests would be taken for this one.
      await emptyLedger();
      const page = await openElement();
      await ping(page, 1);
      await until(async () => (await identityCount()) >= 1, "the page's first count");
      // The page goes on as one whose report the background never had.
      await emptyLedger();
      await ping(page, 5);
      await until(async () => (await identityCount()) >= 5, "all counts");
      const perTab = (await ledger()).pages.map((counts) => counts.handled["identity"]);
      assert.deepEqual(perTab, [5]);
      await page.close();
    });

    it("many reports at once lose no counts", async () => {
      await emptyLedger();
      const pages = await Promise.all([1, 2, 3, 4, 5].map(() => openElement()));
      await Promise.all(pages.map((page) => ping(page, 30)));
      await until(async () => (await identityCount()) >= 150, "all counts");
      await pause(500);
      assert.equal(await identityCount(), 150);
      await Promise.all(pages.map((page) => page.close()));
    });

    it("reports that arrive in the same moment, and those delivered twice, count once", async () => {
      await emptyLedger();
      const deliver = async (relays: number, batches: number): Promise<unknown[]> => {
        const world = globalThis as unknown as { browser?: typeof chrome };
        const { runtime } = world.browser ?? chrome;
        const record = {
          type: "record",
          time: Date.now(),
          shield: "identity",
          action: "answered",
          host: "vector.im",
          endpoint: "identity",
          count: 1,
        };
        const sent: Promise<unknown>[] = [];
        for (let batch = 1; batch <= batches; batch += 1) {
          for (let relay = 0; relay < relays; relay += 1) {
            const message = { kind: "effect-batch", relay: `r${relay}`, batch, effects: [record] };
            sent.push(runtime.sendMessage(message), runtime.sendMessage(message));
          }
        }
        return Promise.all(sent);
      };
      const receipts = await extensionPage.evaluate(deliver, 20, 2);
      assert.equal(receipts.length, 80);
      assert.ok(receipts.every((receipt) => (receipt as { kind?: string }).kind === "receipt"));
      assert.equal(await identityCount(), 40);
    });

    it("messages that are malformed are refused and leave the ledger alone", async () => {
      await emptyLedger();
      const record = { type: "record", time: 1, shield: "identity", action: "answered" };
      const batch = { kind: "effect-batch", relay: "r", batch: 1 };
      const malformed: Json[] = [
        null,
        "effect-batch",
        { kind: "other" },
        { ...batch, effects: "none" },
        { ...batch, effects: [record] },
        { ...batch, effects: [{ ...record, host: "a b", endpoint: "x", count: 1 }] },
        { ...batch, effects: [{ ...record, host: "a.example", endpoint: "x", count: -1 }] },
        { ...batch, effects: [{ type: "learned", shield: "identity", host: "a.example" }] },
        { ...batch, relay: "", effects: [] },
        { ...batch, batch: 0.5, effects: [] },
        { kind: "page-report", relay: "r", status: "perfect" },
      ];
      for (const message of malformed) {
        const send = async (text: string): Promise<unknown> => {
          const world = globalThis as unknown as { browser?: typeof chrome };
          const message: unknown = JSON.parse(text);
          return (world.browser ?? chrome).runtime.sendMessage(message).catch(() => undefined);
        };
        const answer = await extensionPage.evaluate(send, JSON.stringify(message));
        assert.ok(answer === undefined || answer === null, JSON.stringify(message));
      }
      assert.deepEqual((await ledger()).rows, []);
    });

    it("a tab's count starts anew when the page is loaded again", async () => {
      await emptyLedger();
      const page = await openElement();
      await ping(page, 3);
      const counts = async (): Promise<(number | undefined)[]> =>
        (await ledger()).pages.map((known) => known.handled["identity"]);
      await until(async () => (await counts())[0] === 3, "three");
      await page.reload();
      await until(async () => (await counts())[0] === undefined, "none");
      assert.equal(await identityCount(), 3);
      await page.close();
    });

    it("hosts that a configuration names become rules, and outlive the background", async () => {
      const page = await openElement();
      assert.equal(await imageReaches(page, `${OWN_MANAGER}/before`), true);
      await page.evaluate(async () => {
        await (await fetch("/config.json")).json();
      });
      const named = async (): Promise<boolean> =>
        (await sessionRules()).some((rule) =>
          rule.condition.urlFilter?.includes("manager.example.net"),
        );
      await until(named, "a rule for the named manager");
      assert.equal(await imageReaches(page, `${OWN_MANAGER}/after`), false);
      assert.equal(await imageReaches(page, "https://free.example.net/image"), true);
      await running.stopBackground();
      assert.equal(await named(), true);
      assert.equal(await imageReaches(page, `${OWN_MANAGER}/later`), false);
      await page.close();
    });

    it("a change of settings reaches an open page without a reload", async () => {
      const page = await openElement();
      recorder.clear();
      await ping(page, 1);
      assert.equal(recorder.to("vector.im").length, 0);
      await storeSettings(extensionPage, { version: 1, shields: { identity: "off" } });
      await until(async () => {
        await ping(page, 1);
        return recorder.to("vector.im").length > 0;
      }, "a request let through");
      await storeSettings(extensionPage, { version: 1, shields: { identity: "on" } });
      await until(async () => {
        recorder.clear();
        await ping(page, 1);
        return recorder.to("vector.im").length === 0;
      }, "requests stopped again");
      await page.close();
      await storeSettings(extensionPage, undefined);
    });

    it("a change made while the background is stopped still changes the rules", async () => {
      await running.stopBackground();
      const rulesets = (): Promise<string[]> =>
        callApi(extensionPage, "declarativeNetRequest.getEnabledRulesets");
      await storeSettings(extensionPage, { version: 1, shields: { identity: "off" } });
      await until(async () => !(await rulesets()).includes("identity"), "the ruleset off");
      await running.stopBackground();
      await storeSettings(extensionPage, undefined);
      await until(async () => (await rulesets()).includes("identity"), "the ruleset on");
    });

    it("a change that the end of the background cuts short is made all the same", async () => {
      const rulesets = (): Promise<string[]> =>
        callApi(extensionPage, "declarativeNetRequest.getEnabledRulesets");
      await until(async () => (await rulesets()).includes("identity"), "the ruleset on");
      // The background waits for its turn, which is ours, until it is stopped.
      await extensionPage.evaluate(
        () =>
          new Promise<void>((held) => {
            void navigator.locks.request("reconcile", () => {
              held();
              return new Promise<void>((release) => {
                (window as unknown as { release: () => void }).release = release;
              });
            });
          }),
      );
      await storeSettings(extensionPage, { version: 1, shields: { identity: "off" } });
      await until(
        () =>
          extensionPage.evaluate(async () => {
            const { pending } = await navigator.locks.query();
            return pending?.some(({ name }) => name === "reconcile") === true;
          }),
        "the background waits",
      );
      await running.stopBackground();
      await extensionPage.evaluate(() => {
        (window as unknown as { release: () => void }).release();
      });
      await until(
        async () => !(await rulesets()).includes("identity"),
        "the ruleset off, with nobody who wakes the background",
        90_000,
      );
      await storeSettings(extensionPage, undefined);
      await until(async () => (await rulesets()).includes("identity"), "the ruleset on again");
    });

    const damaged: [string, Json][] = [
      ["truncated text", '{"version":1,"shields":{"identity":"of'],
      ["another type", { settings: 7 }],
      ["an empty text", ""],
    ];
    for (const [what, value] of damaged) {
      it(`damaged settings (${what}) give the defaults and a sentence`, async () => {
        if (typeof value === "string") {
          await storeSettings(extensionPage, value);
        } else {
          await callApi(extensionPage, "storage.local.set", value);
        }
        const page = await openElement();
        recorder.clear();
        await ping(page, 2);
        assert.equal(recorder.to("vector.im").length, 0);
        const popup = await running.openExtensionPage("popup.html");
        await popup.waitForSelector("#problems:not([hidden])");
        const sentences = await popup.$eval("#problems", (part) => part.textContent ?? "");
        assert.match(sentences, /could not read your saved settings/);
        await popup.close();
        await page.close();
        await storeSettings(extensionPage, undefined);
      });
    }

    it("a site the person added is protected, also after lost scripts and rules", async () => {
      const own = await addedSiteBrowser();
      try {
        const visit = async (): Promise<Page> => {
          const page = await own.newPage();
          await page.goto(`https://${ADDED}/element/`);
          return page;
        };
        const scripts = (): Promise<{ id: string }[]> =>
          callApi(own.settings, "scripting.getRegisteredContentScripts");
        await until(async () => (await scripts()).length === 2, "registered scripts");
        const page = await visit();
        recorder.clear();
        await ping(page, 2);
        assert.equal(await imageReaches(page, "https://scalar.vector.im/image"), false);
        assert.equal(recorder.to("vector.im").length, 0);

        // As after an update of the browser or the extension, which may drop both.
        await callApi(own.settings, "scripting.unregisterContentScripts");
        const rules = await callApi<{ id: number }[]>(
          own.settings,
          "declarativeNetRequest.getDynamicRules",
        );
        assert.ok(rules.length > 0);
        await callApi(own.settings, "declarativeNetRequest.updateDynamicRules", {
          removeRuleIds: rules.map((rule) => rule.id),
        });
        await callApi(own.settings, "storage.session.clear");
        await own.stopBackground();
        // Any page of a protected site wakes the background.
        const other = await own.newPage();
        await other.goto(`https://${ELEMENT}/`);
        await until(async () => (await scripts()).length === 2, "scripts registered again");
        const again = await visit();
        await ping(again, 2);
        assert.equal(recorder.to("vector.im").length, 0);
        assert.equal(await imageReaches(again, "https://scalar.vector.im/image"), false);

        await own.remove(async () => {
          await until(async () => (await scripts()).length === 0, "scripts gone");
          const bare = await visit();
          await ping(bare, 1);
          assert.equal(recorder.to("vector.im").length, 1);
          assert.equal(await imageReaches(bare, "https://scalar.vector.im/image"), true);
        });
      } finally {
        await own.close();
      }
    });

    it("a reload of the extension leaves open pages working, and new ones protected", async () => {
      const page = await openElement();
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("console", (message) => {
        // The browser's own word on a request that was stopped is no fault of ours.
        if (message.type() === "error" && !message.text().includes("Failed to load resource")) {
          errors.push(message.text());
        }
      });
      recorder.clear();
      await running.reinstall();
      await pause(2_000);
      await ping(page, 3);
      await pause(1_500);
      assert.equal(recorder.to("vector.im").length, 0);
      assert.deepEqual(errors, []);
      const fresh = await openElement();
      await ping(fresh, 2);
      assert.equal(recorder.to("vector.im").length, 0);
      extensionPage = await running.openExtensionPage("popup.html");
      const tab = await tabShowing(extensionPage, ELEMENT);
      assert.ok(tab > 0);
    });

    interface AddedSiteBrowser extends ExtensionBrowser {
      settings: Page;
      /** Takes the permission away where a spec can, then checks. */
      remove(check: () => Promise<void>): Promise<void>;
    }

    /**
     * Firefox: the person's click in the popup, with the browser's question answered by a pref.
     * Chromium's question cannot be answered by a program, so the permission is there from the
     * start: a copy of the build whose manifest asks for the host but has no scripts for it.
     */
    async function addedSiteBrowser(): Promise<AddedSiteBrowser> {
      if (kind === "chromium") {
        const folder = mkdtempSync(join(tmpdir(), "mantle-added-"));
        folders.push(folder);
        cpSync(testBuild(kind), folder, { recursive: true });
        const file = join(folder, "manifest.json");
        const manifest = JSON.parse(readFileSync(file, "utf8")) as { host_permissions: string[] };
        manifest.host_permissions.push(`https://${ADDED}/*`);
        writeFileSync(file, JSON.stringify(manifest));
        const started = await launchExtensionBrowser(kind, {
          extension: folder,
          proxyPort: recorder.port,
        });
        const settings = await started.openExtensionPage("popup.html");
        return { ...started, settings, remove: async () => undefined };
      }
      const started = await launchMantle(kind, recorder.port);
      const page = await started.newPage();
      await page.goto(`https://${ADDED}/element/`);
      const settings = await started.pressToolbarButton(ADDED);
      const remove = async (check: () => Promise<void>): Promise<void> => {
        await settings.reload().catch(() => undefined);
        await settings.waitForSelector("#sites button");
        await settings.click("#sites button");
        await check();
      };
      await settings.waitForSelector("#state button");
      await settings.click("#state button");
      return { ...started, settings, remove };
    }
  });
}
