/**
 * A page without a working core: protected writes are refused, third parties blocked, everything
 * else passes, and the person is told. Late settings mean the strictest ones.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "puppeteer-core";
import { violationsInPage } from "../support/axe.ts";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { LaunchedBrowser } from "../support/browsers.ts";
import { answerJson, startRecorder, withPreflight } from "../support/recorder.ts";
import type { Recorder } from "../support/recorder.ts";
import { until } from "./extension-pages.ts";
import { faultPage } from "./fixtures/fault-page.ts";

const CLIENT = "https://chat.example.org";
const HOMESERVER = "https://hs.example.org";
const WORKING_POLICY = "'self' 'wasm-unsafe-eval'";
const NO_WASM_POLICY = "'self'";
/** What the page script waits for settings, and what a slow machine may add. */
const SETTINGS_WAIT = 10_000;
const SLACK = 1_500;
const root = path.resolve(import.meta.dirname, "../..");
const screenshots = path.join(root, "build/screenshots");

/** One protected write of every class the fallback knows, with `trap` or without. */
const protectedWrites = [
  ["POST", "/_matrix/client/v3/login"],
  ["POST", "/_matrix/client/v3/register?kind=guest"],
  ["POST", "/_matrix/client/r0/createRoom"],
  ["PUT", "/_matrix/client/v3/devices/DEVICE"],
  ["PUT", "/_matrix/client/v3/rooms/!r:hs.example.org/state/m.room.name/"],
  ["POST", "/_matrix/media/v3/upload?filename=a.jpg"],
  ["POST", "/_matrix/client/v3/user/@u:hs.example.org/openid/request_token"],
  ["POST", "/_matrix/client/v3/account/deactivate"],
  ["POST", "/_matrix/client/v3/delete_devices"],
  ["POST", "/_matrix/client/unstable/keys/device_signing/upload"],
  ["POST", "/_matrix/client/v3/rooms/!r:hs.example.org/upgrade"],
] as const;
const thirdParties = [
  "https://other.example.org/_matrix/identity/v2/account",
  "https://other.example.org/_matrix/integrations/v1/register",
  "https://other.example.org/page?scalar_token=token",
  "https://scalar.vector.im/api/register",
  "https://eu.i.posthog.com/e/",
  "https://api.maptiler.com/tiles/1/2/3.png",
];
const passing = [
  ["GET", "/_matrix/client/versions"],
  ["GET", "/_matrix/client/v3/sync"],
  ["PUT", "/_matrix/client/v3/rooms/!r:hs.example.org/send/m.room.message/1"],
  ["POST", "/_matrix/client/v3/keys/query"],
] as const;

for (const kind of bothBrowsers) {
  describe(`faults in ${kind}`, { timeout: 300_000 }, () => {
    let recorder: Recorder;
    let browser: LaunchedBrowser | undefined;
    const folders: string[] = [];

    before(async () => {
      mkdirSync(screenshots, { recursive: true });
      recorder = await startRecorder({
        hosts: {
          "chat.example.org": faultPage(WORKING_POLICY),
          "hs.example.org": withPreflight((request, response) =>
            answerJson(request, response, 200, { method: request.method }),
          ),
        },
      });
    });
    afterEach(async () => {
      await browser?.close();
      browser = undefined;
      recorder.route("chat.example.org", faultPage(WORKING_POLICY));
    });
    after(async () => {
      await recorder.close();
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    });

    const open = async (extension: string): Promise<Page> => {
      browser = await launch(kind, { proxyPort: recorder.port, extension });
      const page = await browser.newPage();
      await page.setViewport({ width: 1000, height: 640 });
      await page.goto(`${CLIENT}/`);
      recorder.clear();
      return page;
    };
    /** A changed copy of a built package. */
    const copyOf = (
      built: string,
      change: (folder: string, manifest: Manifest) => void,
    ): string => {
      const folder = mkdtempSync(path.join(tmpdir(), "mantle-fault-"));
      folders.push(folder);
      cpSync(path.join(root, built, kind), folder, { recursive: true });
      const file = path.join(folder, "manifest.json");
      const manifest = JSON.parse(readFileSync(file, "utf8")) as Manifest;
      change(folder, manifest);
      writeFileSync(file, JSON.stringify(manifest));
      return folder;
    };
    /** Firefox takes the colour scheme from an extension, not from the test protocol. */
    const withScheme = (scheme: "light" | "dark"): string =>
      copyOf("build/test", (folder, manifest) => {
        manifest.permissions.push("browserSettings");
        manifest.background.scripts.push("scheme.js");
        const call = `browser.browserSettings.overrideContentColorScheme.set({ value: "${scheme}" })`;
        writeFileSync(path.join(folder, "scheme.js"), `${call};`);
      });
    const inFault = path.join(root, "build/fault", kind);
    const inTest = path.join(root, "build/test", kind);

    const expectFallback = async (page: Page, marker: string): Promise<void> => {
      const mark = (url: string): string => {
        if (marker === "") return url;
        return url.includes("?") ? `${url}&${marker}` : `${url}?${marker}`;
      };
      for (const [method, at] of protectedWrites) {
        for (const way of ["fetch", "xhr", "sync"] as const) {
          const seen = await send(page, way, method, mark(HOMESERVER + at));
          assert.equal(seen.status, 403, `${way} ${method} ${at}: ${JSON.stringify(seen)}`);
          const content = JSON.parse(seen.text ?? "") as { errcode: string; error: string };
          assert.equal(content.errcode, "M_FORBIDDEN");
          assert.match(content.error, /^Mantle stopped .*reload the page\.$/);
        }
      }
      assert.deepEqual(recorder.to("hs.example.org"), [], "a protected write left");

      const broken = await send(page, "fetch", "GET", "https://gone.example.org/");
      assert.equal(broken.status, 404);
      for (const url of thirdParties) {
        const byFetch = await send(page, "fetch", "GET", mark(url));
        const message =
          kind === "firefox"
            ? "TypeError: NetworkError when attempting to fetch resource."
            : "TypeError: Failed to fetch";
        assert.equal(byFetch.error, message, url);
        const byXhr = await send(page, "xhr", "POST", mark(url));
        assert.deepEqual(byXhr.events, [
          "readystatechange 1",
          "loadstart 1",
          "upload loadstart 1",
          "readystatechange 4",
          "upload error 4",
          "upload loadend 4",
          "error 4",
          "loadend 4",
        ]);
        assert.equal(byXhr.status, 0);
        assert.match((await send(page, "sync", "GET", mark(url))).error ?? "", /^NetworkError/);
        assert.equal(await page.evaluate((u) => navigator.sendBeacon(u, "data"), mark(url)), true);
      }
      await sleep(300);
      const reached = recorder.exchanges.map((exchange) => exchange.host);
      assert.ok(!reached.includes("other.example.org"), "a third party was reached");
      assert.ok(!reached.includes("scalar.vector.im"), "a third party was reached");

      for (const [method, at] of passing) {
        for (const way of ["fetch", "xhr", "sync"] as const) {
          const seen = await send(page, way, method, mark(HOMESERVER + at));
          assert.equal(seen.status, 200, `${way} ${method} ${at}: ${JSON.stringify(seen)}`);
        }
      }
      assert.equal(recorder.to("hs.example.org").length, passing.length * 3);
    };

    it("is refused, blocked and passed by class while the core traps, and recovers", async () => {
      const page = await open(inFault);
      assert.equal(await noticeBox(page), undefined, "a notice before anything happened");
      await expectFallback(page, "mantle-test-trap");
      assert.ok(await noticeBox(page), "no notice");

      // The next request has a new core.
      recorder.clear();
      const body = JSON.stringify({ initial_device_display_name: "secret device" });
      const seen = await send(page, "fetch", "POST", `${HOMESERVER}/_matrix/client/v3/login`, body);
      assert.equal(seen.status, 200);
      const sent = recorder.to("hs.example.org").at(-1)?.body.toString() ?? "";
      assert.match(sent, /initial_device_display_name/);
      assert.doesNotMatch(sent, /secret device/);
    });

    it("works when WebAssembly is forbidden by the page's policy", async () => {
      recorder.route("chat.example.org", faultPage(NO_WASM_POLICY));
      const page = await open(inTest);
      await expectFallback(page, "");
      assert.ok(await noticeBox(page), "no notice");
    });

    it("puts a notice aside to the window's edge, where only a real click opens and dismisses it", async () => {
      recorder.route("chat.example.org", faultPage(NO_WASM_POLICY));
      const page = await open(inTest);
      const aside = async (): Promise<boolean> => ((await noticeBox(page))?.right ?? 99) < 16;
      await until(aside, "nothing but a tab at the edge", 60_000);
      const tab = await noticeBox(page);
      assert.ok(tab !== undefined && tab.left === 0 && tab.bottom - tab.top > 24);
      const over = await page.evaluate(() => {
        const composer = document.querySelector("#composer") as Element;
        const { left, top, width, height } = composer.getBoundingClientRect();
        return document.elementFromPoint(left + width / 2, top + height / 2) === composer;
      });
      assert.ok(over, "the composer is covered");

      const pretend = (x: number, y: number): Promise<void> =>
        page.evaluate(
          (left, top) => {
            const host = document.elementFromPoint(left, top) as HTMLElement;
            host.click();
            host.dispatchEvent(new MouseEvent("click", { bubbles: true, composed: true }));
          },
          x,
          y,
        );
      await pretend(4, tab.top + 16);
      assert.ok(await aside(), "a click of the page's own opened the notice");
      await page.mouse.click(4, tab.top + 16);
      // Opened by hand it stays, so nothing of what follows is in a hurry.
      const box = await noticeBox(page);
      assert.ok(box);
      assert.ok(box.right - box.left > 200 && box.right < 360, JSON.stringify(box));
      assert.ok(box.top > 0 && box.bottom < (await page.evaluate(() => innerHeight)) - 80);
      if (kind === "chromium")
        assert.match(await alertText(page), /^Mantle cannot run on this page/);

      await pretend(box.right - 24, box.top + 28);
      assert.ok(await noticeBox(page), "a click of the page's own dismissed the notice");
      await page.mouse.click(box.right - 24, box.top + 28);
      assert.equal(await noticeBox(page), undefined, "a real click did not dismiss the notice");
    });

    it("looks right in light and dark", async () => {
      recorder.route("chat.example.org", faultPage(NO_WASM_POLICY));
      const pictures: Buffer[] = [];
      for (const scheme of ["light", "dark"] as const) {
        const page = await open(kind === "firefox" ? withScheme(scheme) : inTest);
        if (kind === "chromium") {
          await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        }
        const isDark = await page.evaluate(
          () => matchMedia("(prefers-color-scheme: dark)").matches,
        );
        assert.equal(isDark, scheme === "dark");
        const file = path.join(screenshots, `notice-${kind}-${scheme}.png`) as `${string}.png`;
        pictures.push(Buffer.from(await page.screenshot({ path: file })));
        assert.deepEqual(await violationsInPage(page), [], scheme);
        await browser?.close();
      }
      assert.ok(pictures.every((picture) => picture.length > 5_000));
      assert.notDeepEqual(pictures[0], pictures[1]);
    });

    it("takes the strictest settings when none arrive in time", async () => {
      const page = await open(
        copyOf("build/test", (_folder, manifest) => {
          manifest.content_scripts = manifest.content_scripts.filter(
            (script) => !script.js.includes("relay.js"),
          );
        }),
      );
      await page.reload();
      recorder.clear();
      const times = await page.evaluate(async (hs) => {
        const login = `${hs}/_matrix/client/v3/login`;
        const body = '{"initial_device_display_name":"secret device"}';
        const start = performance.now();
        const since = (): number => performance.now() - start;
        const timed = async (work: Promise<unknown>): Promise<[number, string]> =>
          [await work.then(String, String), since()].reverse() as [number, string];
        const xhr = (prepare: (xhr: XMLHttpRequest) => void): Promise<unknown> =>
          new Promise((resolve) => {
            const request = new XMLHttpRequest();
            const events: string[] = [];
            for (const type of ["loadstart", "abort", "timeout", "load", "loadend"]) {
              request.addEventListener(type, () => events.push(type));
            }
            request.addEventListener("loadend", () =>
              resolve(`${events.join()} ${request.status}`),
            );
            request.open("POST", login);
            prepare(request);
            request.send(body);
            if (request.timeout === 0 && request.responseType === "text") request.abort();
          });
        const control = new AbortController();
        setTimeout(() => control.abort("enough"), 200);
        const sync = new XMLHttpRequest();
        sync.open("POST", login, false);
        sync.send(body);
        const syncTime = since();
        const queued = navigator.sendBeacon("https://vector.im/_matrix/identity/v2", "x");
        const bytes = new TextEncoder().encode(body);
        const held = timed(fetch(login, { method: "POST", body: bytes }).then((r) => r.status));
        bytes.fill(0x20);
        return {
          sync: [syncTime, sync.status],
          queued,
          passed: await timed(fetch(`${hs}/_matrix/client/versions`).then((r) => r.status)),
          aborted: await timed(fetch(login, { method: "POST", body, signal: control.signal })),
          xhrAborted: await timed(xhr((request) => (request.responseType = "text"))),
          xhrTimeout: await timed(xhr((request) => (request.timeout = 300))),
          xhrHeld: await timed(xhr(() => undefined)),
          held: await held,
          after: await timed(fetch(login, { method: "POST", body }).then((r) => r.status)),
        };
      }, HOMESERVER);
      const told = JSON.stringify(times);
      const { sync, passed, aborted, xhrAborted, xhrTimeout, xhrHeld, held } = times;
      assert.equal(sync[1], 200, told);
      assert.ok((sync[0] ?? 0) < SLACK, `a synchronous request waited: ${told}`);
      assert.equal(times.queued, true);
      assert.equal(passed[1], "200");
      assert.ok(passed[0] < SLACK, `a request nobody looks at waited: ${told}`);
      assert.equal(aborted[1], "enough");
      assert.ok(aborted[0] < SETTINGS_WAIT, `an abort waited: ${told}`);
      assert.equal(xhrAborted[1], "loadstart,abort,loadend 0");
      assert.equal(xhrTimeout[1], "loadstart,timeout,loadend 0");
      assert.ok(xhrTimeout[0] < SETTINGS_WAIT, `a timeout waited: ${told}`);
      assert.equal(xhrHeld[1], "loadstart,load,loadend 200");
      assert.equal(held[1], "200");
      assert.ok(held[0] > SETTINGS_WAIT / 2, `nothing waited: ${told}`);
      assert.ok(held[0] < SETTINGS_WAIT + SLACK, `waited too long: ${told}`);
      assert.equal(times.after[1], "200");
      const logins = recorder.to("hs.example.org").filter(({ path: at }) => at.endsWith("/login"));
      assert.equal(logins.length, 4, told);
      for (const { body } of logins) {
        assert.match(body.toString(), /^\{"initial_device_display_name":"[^"]+"\}$/);
        assert.doesNotMatch(body.toString(), /secret/);
      }
      assert.deepEqual(recorder.to("vector.im"), []);
    });

    it("is not harmed by being injected twice", async () => {
      const page = await open(
        copyOf("build/test", (folder, manifest) => {
          cpSync(path.join(folder, "page.js"), path.join(folder, "again.js"));
          for (const script of manifest.content_scripts) {
            if (script.js.includes("page.js")) script.js.push("again.js");
          }
        }),
      );
      const body = '{"initial_device_display_name":"secret device"}';
      const url = `${HOMESERVER}/_matrix/client/v3/login`;
      assert.equal((await send(page, "fetch", "POST", url, body)).status, 200);
      assert.equal((await send(page, "xhr", "POST", url, body)).status, 200);
      const logins = recorder.to("hs.example.org");
      assert.equal(logins.length, 2);
      for (const login of logins) assert.doesNotMatch(login.body.toString(), /secret/);
      assert.equal(await noticeBox(page), undefined);
    });
  });
}

interface Manifest {
  permissions: string[];
  background: { scripts: string[] };
  content_scripts: { js: string[] }[];
}

interface Sent {
  status?: number;
  text?: string;
  error?: string;
  events?: string[];
}

/** Sends from the page and tells what the page saw. */
function send(
  page: Page,
  way: "fetch" | "xhr" | "sync",
  method: string,
  url: string,
  body = "{}",
): Promise<Sent> {
  return page.evaluate(
    async (how, verb, target, content): Promise<Sent> => {
      const payload = verb === "GET" ? null : content;
      try {
        if (how === "fetch") {
          const response = await fetch(target, { method: verb, body: payload });
          return { status: response.status, text: await response.text() };
        }
        const xhr = new XMLHttpRequest();
        const events: string[] = [];
        const note = (event: Event): void => {
          const line = `${event.target === xhr ? "" : "upload "}${event.type} ${xhr.readyState}`;
          if (events.at(-1) !== line) events.push(line);
        };
        for (const type of ["readystatechange", "loadstart", "load", "error", "loadend"]) {
          xhr.addEventListener(type, note);
          if (how === "xhr") xhr.upload.addEventListener(type, note);
        }
        const ended = new Promise((resolve) => xhr.addEventListener("loadend", resolve));
        xhr.open(verb, target, how === "xhr");
        xhr.send(payload);
        if (how === "xhr") await ended;
        return { status: xhr.status, text: xhr.responseText, events };
      } catch (error) {
        const { name, message } = error as Error;
        return { error: `${name}: ${message}` };
      }
    },
    way,
    method,
    url,
    body,
  );
}

/** Where the notice lies; found by what is under a point, as its insides are closed. */
function noticeBox(
  page: Page,
): Promise<{ left: number; right: number; top: number; bottom: number } | undefined> {
  return page
    .evaluate(() => {
      const host = [...document.documentElement.children].find(
        (child) => child.localName === "div" && child.childNodes.length === 0,
      );
      if (host === undefined) return null;
      const box = { left: 1e6, right: 0, top: 1e6, bottom: 0 };
      for (let x = 0; x < innerWidth; x += 4) {
        for (let y = 0; y < innerHeight; y += 4) {
          if (document.elementFromPoint(x, y) !== host) continue;
          box.left = Math.min(box.left, x);
          box.right = Math.max(box.right, x);
          box.top = Math.min(box.top, y);
          box.bottom = Math.max(box.bottom, y);
        }
      }
      return box.right === 0 ? null : box;
    })
    .then((box) => box ?? undefined);
}

/** What a screen reader announces. */
async function alertText(page: Page): Promise<string> {
  const client = await page.createCDPSession();
  const { nodes } = await client.send("Accessibility.getFullAXTree");
  const alert = nodes.find((node) => node.role?.value === "alert");
  const inside = new Set(alert?.childIds);
  const texts = nodes.filter((node) => inside.has(node.nodeId) || node.parentId === alert?.nodeId);
  const button = nodes.find((node) => node.role?.value === "button");
  assert.equal(button?.name?.value, "Dismiss");
  const all = nodes
    .filter((node) => node.role?.value === "StaticText")
    .map((node) => String(node.name?.value));
  assert.ok(texts.length > 0);
  return all.find((text) => text.startsWith("Mantle")) ?? "";
}
