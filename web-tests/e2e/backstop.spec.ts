/**
 * What the hooks in a page cannot see is stopped by declarative rules: images, frames, styles,
 * preloads, service workers. Only requests that Element's pages start; other pages are untouched.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { type BrowserKind, bothBrowsers } from "../support/browsers.ts";
import { type Recorder, type Route, startRecorder } from "../support/recorder.ts";
import {
  type ExtensionBrowser,
  callApi,
  launchExtensionBrowser,
  pause,
  storeSettings,
  testBuild,
  until,
} from "./extension-pages.ts";

const ELEMENT = "chat.example.org";
const OTHER = "other.example.org";
const TARGETS = {
  manager: "https://scalar.vector.im/backstop",
  identity: "https://vector.im/_matrix/identity/v2/backstop",
  ownManager: "https://im.example.net/_matrix/integrations/v1/backstop",
  /** Never blocked: shows that the page and the channel work. */
  free: "https://free.example.net/backstop",
};
/** Every way the fixture page makes a request, besides navigation of the tab itself. */
const CHANNELS = [
  "image",
  "srcset",
  "frame",
  "style",
  "import",
  "background",
  "font",
  "script",
  "preload",
  "prefetch",
  "video",
  "object",
  "worker",
  "service-worker",
  "event-source",
] as const;

const PAGE = `<!doctype html><html><head><meta charset="utf-8"><title>Fixture</title></head>
<body><script>
async function run(base) {
  const at = (channel) => base + "/" + channel;
  const add = (tag, properties) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
    document.body.append(made);
  };
  add("img", { src: at("image") });
  add("img", { srcset: at("srcset") + " 1x" });
  add("iframe", { src: at("frame") });
  add("link", { rel: "stylesheet", href: at("style") });
  const style = document.createElement("style");
  style.textContent = '@import "' + at("import") + '";' +
    '@font-face { font-family: "probe"; src: url("' + at("font") + '"); }' +
    'p.probe { font-family: "probe"; background: url("' + at("background") + '"); }';
  document.head.append(style);
  add("p", { class: "probe" });
  document.querySelectorAll("p.probe").forEach((p) => { p.textContent = "text"; });
  document.fonts.load('16px "probe"').catch(() => undefined);
  add("script", { src: at("script") });
  add("link", { rel: "preload", as: "image", href: at("preload") });
  add("link", { rel: "prefetch", href: at("prefetch") });
  add("video", { src: at("video"), preload: "auto" });
  add("object", { data: at("object"), type: "image/png" });
  const worker = new Worker("/worker.js");
  worker.postMessage(at("worker"));
  new EventSource(at("event-source")).onerror = function () { this.close(); };
  await navigator.serviceWorker.register("/sw.js");
  const ready = await navigator.serviceWorker.ready;
  ready.active.postMessage(at("service-worker"));
}
</script></body></html>`;
const WORKER = `self.onmessage = (event) => { fetch(event.data).catch(() => undefined); };`;
const SERVICE_WORKER = `
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => {
  event.waitUntil(fetch(event.data).catch(() => undefined));
});`;

const fixture: Route = (request, response) => {
  const script = { "/worker.js": WORKER, "/sw.js": SERVICE_WORKER }[request.path];
  response.writeHead(200, {
    "Content-Type": script === undefined ? "text/html" : "text/javascript",
  });
  response.end(script ?? PAGE);
};

for (const kind of bothBrowsers) {
  describe(`backstop in ${kind}`, () => {
    let recorder: Recorder;
    let withMantle: ExtensionBrowser;
    let extensionPage: Page;

    before(async () => {
      recorder = await startRecorder({ hosts: { [ELEMENT]: fixture, [OTHER]: fixture } });
      withMantle = await launchExtensionBrowser(kind, {
        extension: testBuild(kind),
        proxyPort: recorder.port,
      });
      extensionPage = await withMantle.openExtensionPage("popup.html");
    });

    after(async () => {
      await withMantle?.close();
      await recorder?.close();
    });

    /** Channels by which requests of a page on `host` reached each target. */
    async function reached(newPage: () => Promise<Page>, host: string): Promise<Reached> {
      const page = await newPage();
      const ways: Partial<Reached> = {};
      try {
        await page.goto(`https://${host}/`);
        for (const [target, base] of Object.entries(TARGETS)) {
          recorder.clear();
          const run = (address: string): Promise<void> =>
            (globalThis as unknown as { run(base: string): Promise<void> }).run(address);
          await page.evaluate(run, base);
          await settled(recorder);
          ways[target as keyof Reached] = CHANNELS.filter((channel) =>
            recorder
              .to(new URL(base).host)
              .some((exchange) => exchange.path === `${new URL(base).pathname}/${channel}`),
          );
        }
      } finally {
        await page.close();
      }
      return ways as Reached;
    }

    it("without Mantle, every channel of an Element page reaches every service", async () => {
      const bare = await launchExtensionBrowser(kind, { proxyPort: recorder.port });
      try {
        const ways = await reached(bare.newPage, ELEMENT);
        for (const target of Object.keys(TARGETS) as (keyof Reached)[]) {
          assertAllChannels(kind, target, ways[target]);
        }
      } finally {
        await bare.close();
      }
    });

    it("with Mantle, none does, and other hosts are reached as before", async () => {
      const ways = await reached(withMantle.newPage, ELEMENT);
      assert.deepEqual(
        { manager: ways.manager, identity: ways.identity, ownManager: ways.ownManager },
        { manager: [], identity: [], ownManager: [] },
      );
      assertAllChannels(kind, "free", ways.free);
    });

    it("a page that is not Element still reaches all of them", async () => {
      const ways = await reached(withMantle.newPage, OTHER);
      for (const target of Object.keys(TARGETS) as (keyof Reached)[]) {
        assertAllChannels(kind, target, ways[target]);
      }
    });

    it("a person can still open such a service in the tab", async () => {
      const page = await withMantle.newPage();
      await page.goto(`https://${ELEMENT}/`);
      recorder.clear();
      await page.evaluate(() => {
        location.href = "https://scalar.vector.im/opened";
      });
      await until(() => recorder.to("scalar.vector.im").length > 0, "the navigation");
      await page.close();
    });

    it("an allowed host passes, and only under the shield that allows it", async () => {
      await storeSettings(extensionPage, {
        version: 1,
        allow: { identity: ["vector.im"], integrations: ["im.example.net"] },
      });
      await until(
        async () =>
          (await callApi<unknown[]>(extensionPage, "declarativeNetRequest.getDynamicRules"))
            .length > 0,
        "exceptions",
      );
      const ways = await reached(withMantle.newPage, ELEMENT);
      assert.deepEqual(ways.manager, []);
      assertAllChannels(kind, "identity", ways.identity);
      assertAllChannels(kind, "ownManager", ways.ownManager);
      await storeSettings(extensionPage, undefined);
      await until(
        async () =>
          (await callApi<unknown[]>(extensionPage, "declarativeNetRequest.getDynamicRules"))
            .length === 0,
        "no exceptions",
      );
    });

    it("a shield that is off or only watches has no rules", async () => {
      await storeSettings(extensionPage, {
        version: 1,
        shields: { identity: "off", integrations: "flag" },
      });
      const rulesets = (): Promise<string[]> =>
        callApi<string[]>(extensionPage, "declarativeNetRequest.getEnabledRulesets");
      await until(
        async () => (await rulesets()).sort().join() === "maps,telemetry",
        "rulesets off",
      );
      const ways = await reached(withMantle.newPage, ELEMENT);
      assertAllChannels(kind, "identity", ways.identity);
      assertAllChannels(kind, "manager", ways.manager);
      await storeSettings(extensionPage, undefined);
      await until(async () => (await rulesets()).length === 4, "rulesets on");
      const again = await reached(withMantle.newPage, ELEMENT);
      assert.deepEqual([again.manager, again.identity], [[], []]);
    });
  });
}

type Reached = Record<keyof typeof TARGETS, string[]>;

function assertAllChannels(kind: BrowserKind, target: string, ways: string[]): void {
  assert.deepEqual([...ways].sort(), [...CHANNELS].sort(), `${kind}, ${target}`);
}

/** Until no request came for a while. */
async function settled(recorder: Recorder): Promise<void> {
  let seen = -1;
  for (let turn = 0; turn < 20 && seen !== recorder.exchanges.length; turn += 1) {
    seen = recorder.exchanges.length;
    await pause(400);
  }
}
