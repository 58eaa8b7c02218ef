/**
 * Whom an Element page talks to beside its site and the homeserver, and what these are told of the
 * browser: the shields `extras`, `third-party` and `request-headers`.
 */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers, launch } from "../../support/browsers.ts";
import type { LaunchedBrowser } from "../../support/browsers.ts";
import { insideRoot, isAsked, noQuestion, openQuestion, press } from "../../support/question.ts";
import { answerJson, startRecorder, withPreflight } from "../../support/recorder.ts";
import type { Recorder, Route } from "../../support/recorder.ts";
import {
  callApi,
  launchExtensionBrowser,
  launchMantle,
  storeSettings,
  testBuild,
  until,
} from "../extension-pages.ts";
import type { ExtensionBrowser, Json } from "../extension-pages.ts";

const SITE = "chat.example.org";
const OTHER = "other.example.org";
const HS = "hs.example.org";
const WIDGET = "widget.example.org";
const CAPTCHA = "www.recaptcha.net";
const EXTRAS = {
  "gif-search": "https://api.klipy.com/v2/search",
  "release-notes": "https://riot.im/github/repos/element-hq/element-web/compare/a...b",
  "sliding-sync-proxy": "https://slidingsync.example.org/client/server.json",
};
/** What Element fetches from a foreign host only because its configuration says so. */
const CONFIGURED = {
  "custom-page": "https://pages.example.net/home.html",
  "custom-translations": "https://translations.example.net/de.json",
  "remote-module": "https://modules.example.net/module.js",
};
const CONFIG = {
  gif: { api_key: "key" },
  embedded_pages: { home_url: CONFIGURED["custom-page"], welcome_url: "welcome.html" },
  custom_translations_url: CONFIGURED["custom-translations"],
  modules: [CONFIGURED["remote-module"], "/modules/own.js"],
  mobile_guide_toast: true,
};
const MEDIA = `https://${HS}/_matrix/media/v3/thumbnail/hs.example.org/a`;
const LANGUAGES = "de-CH,de,fr";
const TOLD = "https://mobile.element.io/?hs_url=https%3A%2F%2Fhs.example.org";

/** Runs in the page: each way ends when the browser says how it ended. */
const PAGE = `<!doctype html><title>Element</title>
<a id="landing" target="_blank" href="${TOLD}">app</a>
<script>
  const ended = (element) => new Promise((resolve) => {
    element.onload = () => resolve("load");
    element.onerror = () => resolve("error");
    document.body.append(element);
  });
  const ways = {
    fetch: (url) => fetch(url).then(({ status }) => status, () => 0),
    xhr: (url) => new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("GET", url);
      request.onloadend = () => resolve(request.status);
      request.send();
    }),
    image: (url) => ended(Object.assign(new Image(), { src: url })),
    frame: (url) => ended(Object.assign(document.createElement("iframe"), { src: url })),
    "frame by attribute": (url) => {
      const frame = document.createElement("iframe");
      frame.setAttribute("src", url);
      return ended(frame);
    },
    script: (url) => ended(Object.assign(document.createElement("script"), { src: url })),
    "script by attribute": (url) => {
      const script = document.createElement("script");
      script.setAttribute("src", url);
      return ended(script);
    },
  };
  const visit = (way, url) => ways[way](url);
  /** As Element reads it. */
  const start = async () => {
    const config = await (await fetch("/config.json")).json();
    const { embedded_pages: pages, custom_translations_url: texts, modules } = config;
    for (const url of [pages?.home_url, pages?.welcome_url, texts, ...(modules ?? [])])
      if (url) await ways.fetch(url);
    return config;
  };
</script>`;

const site: Route = (request, response) => {
  const [path] = request.path.split("?");
  if (path === "/config.json") return answerJson(request, response, 200, CONFIG);
  response.writeHead(200, { "Content-Type": path === "/" ? "text/html" : "text/plain" });
  response.end(path === "/" ? PAGE : "");
  return undefined;
};
const anything = withPreflight((request, response) => answerJson(request, response, 200, {}));

for (const kind of bothBrowsers) {
  describe(`third parties in ${kind}`, { timeout: 240_000 }, () => {
    const folders: string[] = [];
    let recorder: Recorder;
    let bare: LaunchedBrowser;
    let guarded: ExtensionBrowser;
    let settings: Page;

    before(async () => {
      const hosts = [HS, WIDGET, CAPTCHA, "meet.element.io"];
      recorder = await startRecorder({
        hosts: {
          [SITE]: site,
          [OTHER]: site,
          ...Object.fromEntries(hosts.map((host) => [host, anything])),
        },
      });
      [bare, guarded] = await Promise.all([
        launch(kind, { proxyPort: recorder.port }),
        launchMantle(kind, recorder.port, { languages: LANGUAGES }),
      ]);
      settings = await guarded.openExtensionPage("options.html");
    });

    after(async () => {
      await Promise.all([bare?.close(), guarded?.close()]);
      await recorder?.close();
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    });

    async function inPage<T>(
      browser: { newPage(): Promise<Page> },
      act: (page: Page) => Promise<T>,
      host = SITE,
    ): Promise<T> {
      const page = await browser.newPage();
      try {
        await page.goto(`https://${host}/`);
        return await act(page);
      } finally {
        await page.close();
      }
    }
    const visit = (page: Page, way: string, url: string): Promise<string | number> =>
      page.evaluate(`visit(${JSON.stringify(way)}, ${JSON.stringify(url)})`) as Promise<
        string | number
      >;
    /** Whether a request of this kind came to a server, once the browser was done with it. */
    const reached = async (page: Page, way: string, url: string): Promise<boolean> => {
      const { host } = new URL(url);
      const before = recorder.to(host).length;
      await visit(page, way, url);
      return recorder.to(host).length > before;
    };
    /** Stores settings, and waits until a page and the browser's rules follow them. */
    const settle = async (
      stored: Json | undefined,
      rules: number,
      probe?: { url: string; passes: boolean },
    ): Promise<void> => {
      await storeSettings(settings, stored);
      await until(
        async () =>
          (await callApi<unknown[]>(settings, "declarativeNetRequest.getDynamicRules")).length ===
          rules,
        `${rules} dynamic rules`,
        30_000,
      );
      if (probe === undefined) return;
      await inPage(guarded, (page) =>
        until(
          async () => (await reached(page, "fetch", probe.url)) === probe.passes,
          `the settings in a page`,
          30_000,
        ),
      );
    };

    it("extra services are not asked, from the configuration neither", async () => {
      const asked = async (browser: { newPage(): Promise<Page> }): Promise<string[]> => {
        recorder.clear();
        const config = await inPage(browser, async (page) => {
          for (const url of Object.values(EXTRAS)) await visit(page, "fetch", url);
          await visit(page, "image", EXTRAS["gif-search"]);
          return (await page.evaluate("start()")) as Record<string, Json>;
        });
        assert.equal(
          (config["embedded_pages"] as Record<string, Json>)["welcome_url"],
          "welcome.html",
        );
        assert.ok((config["modules"] as Json[]).includes("/modules/own.js"));
        const own = recorder.to(SITE).map(({ path }) => path);
        assert.ok(own.includes("/welcome.html") && own.includes("/modules/own.js"), own.join(" "));
        return Object.entries({ ...EXTRAS, ...CONFIGURED })
          .filter(([, url]) => recorder.to(new URL(url).host).length > 0)
          .map(([id]) => id);
      };
      assert.deepEqual(await asked(bare), [...Object.keys(EXTRAS), ...Object.keys(CONFIGURED)]);
      assert.deepEqual(await asked(guarded), []);
      await settle({ version: 1, shields: { extras: "off" } }, 0, {
        url: EXTRAS["gif-search"],
        passes: true,
      });
      assert.equal((await asked(guarded)).length, 6);
      await settle(undefined, 0, { url: EXTRAS["gif-search"], passes: false });
      assert.deepEqual(await asked(guarded), []);
    });

    it("the landing page for phones is not told the homeserver", async () => {
      const landed = async (browser: { newPage(): Promise<Page> }): Promise<string | undefined> =>
        inPage(browser, async (page) => {
          // The settings are there once this is answered.
          await visit(page, "fetch", "/welcome.html");
          recorder.clear();
          await page.click("#landing", { button: "middle" });
          const arrived = (): string | undefined => recorder.to("mobile.element.io")[0]?.path;
          // Firefox follows a middle click of the driver only as a click with ctrl, or not at all.
          await until(() => arrived() !== undefined, "the landing page", 3_000).catch(() =>
            page.click("#landing"),
          );
          await until(() => arrived() !== undefined, "the landing page", 30_000);
          return arrived();
        });
      assert.match((await landed(bare)) ?? "", /hs_url=/);
      assert.equal(await landed(guarded), "/");
    });

    const LOADED = [
      ["fetch", `https://${WIDGET}/a`],
      ["xhr", `https://${WIDGET}/b`],
      ["image", `https://${WIDGET}/c`],
      ["frame", `https://${WIDGET}/d?user=%40alice%3Ahs.example.org`],
      ["frame by attribute", `https://${WIDGET}/e`],
      ["frame", `https://meet.element.io/Room#userInfo.displayName=x&config.subject=y`],
      ["script", `https://${CAPTCHA}/recaptcha/api.js?a`],
      ["script by attribute", `https://${CAPTCHA}/recaptcha/api.js?b`],
    ] as const;
    const NEEDED = [
      ["fetch", `https://${HS}/_matrix/client/versions`],
      ["fetch", `https://typed.example.net/.well-known/matrix/client`],
      ["image", MEDIA],
      ["frame", `https://${SITE}/usercontent/`],
      ["script", `https://${SITE}/bundle.js`],
    ] as const;
    const passing = async (
      browser: { newPage(): Promise<Page> },
      list: readonly (readonly [string, string])[],
    ): Promise<string[]> =>
      inPage(browser, async (page) => {
        await visit(page, "fetch", "/welcome.html");
        const found: string[] = [];
        for (const [way, url] of list) {
          if (await reached(page, way, url)) found.push(`${way} ${url}`);
        }
        return found;
      });
    const all = (list: readonly (readonly [string, string])[]): string[] =>
      list.map(([way, url]) => `${way} ${url}`);

    // The person speaks German, for what the next shields change.
    it("a captcha is loaded once the person agrees", async () => {
      const url = `https://${CAPTCHA}/recaptcha/api.js?asked`;
      const loads = (): number => recorder.to(CAPTCHA).length;
      for (const way of ["script", "script by attribute"]) {
        recorder.clear();
        await inPage(bare, (page) => visit(page, way, url));
        assert.equal(loads(), 1, "not seen without Mantle");
        recorder.clear();
        await inPage(guarded, async (page) => {
          await page.bringToFront();
          const begin = (): Promise<unknown> =>
            page.evaluate(
              `window.running = visit(${JSON.stringify(way)}, ${JSON.stringify(url)}); null`,
            );
          await begin();
          assert.match((await openQuestion(page)).title, /captcha/i);
          await press(page, "Abbrechen");
          await noQuestion(page);
          // A script that comes after it is loaded and asked about no more than before.
          await visit(page, way, `https://${WIDGET}/after.js`);
          assert.equal(loads(), 0, "loaded although refused");
          await begin();
          await press(page, "Captcha laden");
          await page.evaluate("window.running");
          assert.equal(loads(), 1, "not loaded although allowed");
        });
      }
      await settle({ version: 1, shields: { captcha: "off" } }, 0);
      await inPage(guarded, (page) =>
        until(
          async () => {
            // Asked about as long as the settings are not there.
            await page.evaluate(`void visit("script", ${JSON.stringify(url)})`);
            if (await isAsked(page)) await press(page, "Abbrechen");
            return loads() > 1;
          },
          "the captcha, unasked",
          30_000,
        ),
      );
    });

    it("everything is loaded without Mantle, and as it is recommended, captchas unasked", async () => {
      for (const browser of [bare, guarded]) {
        assert.deepEqual(await passing(browser, LOADED), all(LOADED));
        assert.deepEqual(await passing(browser, NEEDED), all(NEEDED));
      }
    });

    it("strict talks to the own site and to homeservers, and says what it left out", async () => {
      await settle({ version: 1, profile: "strict", shields: { captcha: "off" } }, 2, {
        url: `https://${WIDGET}/probe`,
        passes: false,
      });
      assert.deepEqual(await passing(guarded, LOADED), []);
      assert.deepEqual(await passing(guarded, NEEDED), all(NEEDED));
      await inPage(guarded, async (page) => {
        assert.equal(await visit(page, "fetch", `https://${WIDGET}/a`), 403);
        await visit(page, "script by attribute", `https://${CAPTCHA}/api.js`);
        const said = (): Promise<string> =>
          insideRoot(page, "html > div:empty", (root) => root.textContent ?? "");
        await until(async () => /Captcha.*„Dritte“/.test(await said()), "the sentence", 30_000);
      });
    });

    it("what is on a list passes, and other pages are as before", async () => {
      const shields = { captcha: "off" };
      const stored = { version: 1, profile: "strict", shields, allow: { "third-party": [WIDGET] } };
      await settle(stored, 2, { url: `https://${WIDGET}/probe`, passes: true });
      const expected = LOADED.filter(([, url]) => url.includes(WIDGET));
      await until(
        async () => (await passing(guarded, LOADED)).length >= expected.length,
        "the rules",
        30_000,
      );
      assert.deepEqual(await passing(guarded, LOADED), all(expected));
      await inPage(
        guarded,
        async (page) => {
          for (const [way, url] of LOADED)
            assert.ok(await reached(page, way, url), `${way} ${url}`);
        },
        OTHER,
      );
      // A Jitsi host of one's own, on the list of another shield.
      const jitsi = { calls: ["meet.element.io"] };
      await settle({ ...stored, allow: jitsi }, 2, {
        url: "https://meet.element.io/probe",
        passes: true,
      });
      const calls = LOADED.filter(([, url]) => url.includes("meet.element.io"));
      await until(
        async () => (await passing(guarded, LOADED)).length >= calls.length,
        "the rules",
        30_000,
      );
      assert.deepEqual(await passing(guarded, LOADED), all(calls));
      await settle({ version: 1, shields }, 0, { url: `https://${CAPTCHA}/probe`, passes: true });
      assert.deepEqual(await passing(guarded, LOADED), all(LOADED));
      await settle(undefined, 0);
    });

    it("browser and language are changed with the permission for it, for servers and page alike", async () => {
      const on = { version: 1, shields: { "request-headers": "on" } };
      const status = '[data-shield="request-headers"] [role="status"]';
      await settings.waitForSelector(status);
      const shown = (): Promise<string> =>
        settings.$eval(status, (element) =>
          (element as HTMLElement).offsetParent === null ? "" : (element.textContent ?? ""),
        );
      interface Told {
        readonly language: string;
        readonly browser: string;
        readonly platform: string;
      }
      /** What servers and the page's scripts see; waits until the page sees this. */
      const told = async (
        browser: { newPage(): Promise<Page> },
        expected: RegExp,
        host = SITE,
      ): Promise<{ servers: Told[]; scripts: Record<string, unknown> }> => {
        recorder.clear();
        const scripts = await inPage(
          browser,
          async (page) => {
            const seen = (): Promise<Record<string, unknown>> => page.evaluate(seenByScripts);
            await until(
              async () => expected.test(String((await seen())["userAgent"])),
              `${expected} in the page`,
              30_000,
            );
            for (const way of ["fetch", "xhr", "image"]) await visit(page, way, MEDIA);
            return seen();
          },
          host,
        );
        const servers = recorder.to(HS).map(({ headers: seen }) => ({
          language: String(seen["accept-language"]),
          browser: String(seen["user-agent"]),
          platform: String(seen["sec-ch-ua-platform"]),
        }));
        assert.equal(servers.length, 3);
        // Headers and scripts agree in any case.
        const languages = scripts["languages"] as string[];
        assert.equal(scripts["language"], languages[0]);
        for (const { language, browser: name, platform } of servers) {
          assert.equal(name, scripts["userAgent"]);
          assert.equal(language.replace(/;q=[\d.]+/g, ""), languages.join(","));
          if (kind === "chromium") assert.equal(platform, `"${String(scripts["hint"])}"`);
        }
        return { servers, scripts };
      };
      assert.equal(await shown(), "");
      const plain = await told(guarded, /Linux/);
      assert.deepEqual(plain.scripts["languages"], LANGUAGES.split(","));
      // Without the permission nothing is changed, and the row says so.
      await storeSettings(settings, on);
      // In the language that this browser wants first.
      const sentence = /Noch wird nichts geändert/;
      await until(async () => sentence.test(await shown()), "the sentence", 30_000);
      assert.deepEqual(await told(guarded, /Linux/), plain);

      let running = guarded;
      if (kind === "chromium") {
        // Chromium's question cannot be answered by a program: here the permission is built in.
        const folder = mkdtempSync(join(tmpdir(), "mantle-headers-"));
        folders.push(folder);
        cpSync(testBuild(kind), folder, { recursive: true });
        const file = join(folder, "manifest.json");
        const manifest = JSON.parse(readFileSync(file, "utf8")) as { host_permissions: string[] };
        manifest.host_permissions.push("https://*/*");
        writeFileSync(file, JSON.stringify(manifest));
        running = await launchExtensionBrowser(kind, {
          extension: folder,
          proxyPort: recorder.port,
          languages: LANGUAGES,
        });
      }
      try {
        const options =
          running === guarded ? settings : await running.openExtensionPage("options.html");
        if (running === guarded) {
          await options.click('[data-shield="request-headers"] .field button.primary');
        } else {
          await storeSettings(options, on);
        }
        const rules = async (): Promise<number> =>
          (await callApi<unknown[]>(options, "declarativeNetRequest.getDynamicRules")).length;
        // One for Element's pages, one for what the extension itself asks their homeservers.
        await until(async () => (await rules()) === 2, "the rules", 30_000);
        const { servers, scripts } = await told(running, /Windows/);
        for (const { language, browser, platform } of servers) {
          // What each browser sends where German is its language and nobody changed it.
          assert.equal(
            language,
            kind === "chromium"
              ? "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"
              : "de-DE,de;q=0.8,en-US;q=0.5,en;q=0.3",
          );
          assert.match(browser, /^Mozilla\/5\.0 \(Windows NT 10\.0; Win64; x64(; rv:[\d.]+)?\) /);
          assert.match(browser, kind === "chromium" ? /Chrome\/\d+/ : /Firefox\/\d+/);
          if (kind === "chromium") assert.equal(platform, '"Windows"');
        }
        assert.equal(scripts["platform"], "Win32");
        assert.match(String(scripts["appVersion"]), /^5\.0 \(Windows/);
        assert.doesNotMatch(JSON.stringify(scripts), /Linux|X11|-CH|fr/);
        assert.deepEqual(scripts["looks"], plain.scripts["looks"]);
        // Another page's requests and scripts, and what Element's own site is told, stay.
        assert.deepEqual(await told(running, /Linux/, OTHER), plain);
        recorder.clear();
        await inPage(running, (page) => visit(page, "fetch", "/welcome.html"));
        for (const { headers: seen } of recorder.to(SITE)) {
          assert.match(String(seen["user-agent"]), /Linux/);
        }
        // Sites stay those that were named: permission for all of them adds none.
        const registered = await callApi<unknown[]>(
          options,
          "scripting.getRegisteredContentScripts",
        );
        assert.deepEqual(registered, []);
        await storeSettings(options, undefined);
        await until(async () => (await rules()) === 0, "no rule", 30_000);
        assert.deepEqual(await told(running, /Linux/), plain);
        if (running === guarded) {
          await options.click('[data-shield="request-headers"] .field button.quiet');
          await until(async () => (await shown()) === "", "no permission", 30_000);
        }
      } finally {
        if (running !== guarded) await running.close();
      }
    });
  });
}

/** Runs in the page: what it sees of browser, system and language, and how that looks. */
async function seenByScripts(): Promise<Record<string, unknown>> {
  interface Hints {
    platform: string;
    toJSON(): { platform: string };
    getHighEntropyValues(names: string[]): Promise<Record<string, unknown>>;
  }
  const world = navigator as Navigator & { oscpu?: string; userAgentData?: Hints };
  const hints = world.userAgentData;
  return {
    userAgent: world.userAgent,
    appVersion: world.appVersion,
    platform: world.platform,
    oscpu: world.oscpu,
    language: world.language,
    languages: [...world.languages],
    hint: hints?.platform,
    plain: hints?.toJSON().platform,
    more: await hints?.getHighEntropyValues(["architecture", "platform", "platformVersion"]),
    looks: [
      ...["userAgent", "platform", "languages"].map((name) =>
        String(Object.getOwnPropertyDescriptor(Navigator.prototype, name)?.get),
      ),
      Object.isFrozen(world.languages),
      world.languages === world.languages,
      Object.keys(world).length,
    ],
  };
}
