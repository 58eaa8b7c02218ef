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
  launchMantle,
  pause,
  storeSettings,
  until,
} from "./extension-pages.ts";

const ELEMENT = "chat.example.org";
const OTHER = "other.example.org";
/** Browsers apply a rule for pages of a host to those of its subdomains. */
const BELOW = `shop.${ELEMENT}`;
const TARGETS = {
  manager: "https://scalar.vector.im/backstop",
  /** The same server: a dot ends each name. */
  managerWithDot: "https://scalar.vector.im./backstop",
  identity: "https://vector.im/_matrix/identity/v2/backstop",
  ownManager: "https://im.example.net/_matrix/integrations/v1/backstop",
  /** Never blocked: shows that the page and the channel work. */
  free: "https://free.example.net/backstop",
};
/**
 * Every way the fixture page makes a request by itself, besides navigation of the tab, and the code
 * that does it with `url`. The list follows the HTML, CSS, SVG and Fetch standards; what else
 * pages can do is in docs/limits.md.
 */
const EVERYWHERE: Readonly<Record<string, string>> = {
  // Pictures
  image: `add("img", { src: url })`,
  srcset: `add("img", { srcset: url + " 1x" })`,
  picture: `add("picture", {}, add("source", { srcset: url }), add("img", { src: "data:," }))`,
  "image-input": `add("input", { type: "image", src: url })`,
  "new-image": `new Image().src = url`,
  "body-background": `document.body.setAttribute("background", url)`,
  poster: `add("video", { poster: url })`,
  "svg-image": `svg("image", url)`,
  "svg-fe-image": `svg("feImage", url)`,
  // Media
  video: `add("video", { src: url, preload: "auto" })`,
  audio: `add("audio", { src: url, preload: "auto" })`,
  source: `add("video", { preload: "auto" }, add("source", { src: url }))`,
  track: `add("video", { src: "/clip", crossorigin: "anonymous" },
    add("track", { src: url, default: "", kind: "captions" })).textTracks[0].mode = "showing"`,
  // Embedded content
  frame: `add("iframe", { src: url })`,
  "frame-in-text": `add("iframe", { srcdoc: '<img src="' + url + '">' })`,
  "frame-refresh": `add("iframe", { src: "/refresh?to=" + encodeURIComponent(url) })`,
  "frame-link": `target("link-target"); add("a", { href: url, target: "link-target" }).click()`,
  "form-get": `target("get-target"); add("form", { action: url, target: "get-target" }).submit()`,
  "form-post": `target("post-target");
    add("form", { action: url, target: "post-target", method: "post" }).submit()`,
  "blob-frame": `add("iframe", { src: URL.createObjectURL(
    new Blob(['<img src="' + url + '">'], { type: "text/html" })) })`,
  object: `add("object", { data: url, type: "image/png" })`,
  embed: `add("embed", { src: url, type: "image/png" })`,
  // Styles
  style: `add("link", { rel: "stylesheet", href: url })`,
  import: `css('@import "' + url + '";')`,
  background: `css(ruleFor("background", "url(" + url + ")"))`,
  "image-set": `css(ruleFor("background-image", 'image-set("' + url + '" 1x)'))`,
  "border-image": `css(ruleFor("border", "9px solid; border-image-source: url(" + url + ")"))`,
  mask: `css(ruleFor("mask-image", "url(" + url + ")"))`,
  content: `css(ruleFor("content", "url(" + url + ")", "::before"))`,
  "list-style": `css(ruleFor("display", "list-item; list-style-image: url(" + url + ")"))`,
  "inline-style": `add("p", { style: "background: url(" + url + ")" }).textContent = "text"`,
  "style-sheet-object": `{ const sheet = new CSSStyleSheet();
    sheet.replaceSync(ruleFor("background", "url(" + url + ")"));
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]; }`,
  font: `css('@font-face { font-family: "probe"; src: url("' + url + '"); }');
    document.fonts.load('16px "probe"').catch(() => undefined)`,
  "font-face": `new FontFace("probe 2", "url(" + url + ")").load().catch(() => undefined)`,
  // Scripts and workers
  script: `add("script", { src: url })`,
  module: `add("script", { src: url, type: "module" })`,
  "dynamic-import": `import(url).catch(() => undefined)`,
  worklet: `new AudioContext().audioWorklet.addModule(url).catch(() => undefined)`,
  worker: `new Worker("/worker.js").postMessage({ fetch: url })`,
  "worker-xhr": `new Worker("/worker.js").postMessage({ xhr: url })`,
  "worker-import": `new Worker("/worker.js").postMessage({ importScripts: url })`,
  "blob-worker": `new Worker(URL.createObjectURL(
    new Blob(['fetch("' + url + '").catch(() => undefined)'], { type: "text/javascript" })))`,
  "shared-worker": `new SharedWorker("/shared.js").port.postMessage(url)`,
  "service-worker": `await registered.then((worker) => worker.postMessage(url))`,
  // Hints
  preload: `add("link", { rel: "preload", as: "image", href: url })`,
  "preload-fetch": `add("link", { rel: "preload", as: "fetch", crossorigin: "anonymous", href: url })`,
  "module-preload": `add("link", { rel: "modulepreload", href: url })`,
  prefetch: `add("link", { rel: "prefetch", href: url })`,
  // Connections
  fetch: `fetch(url).catch(() => undefined)`,
  "fetch-no-cors": `fetch(url, { mode: "no-cors", method: "POST", body: "x" }).catch(() => undefined)`,
  "fetch-keepalive": `fetch(url, { keepalive: true }).catch(() => undefined)`,
  "xhr-upload": `{ const request = new XMLHttpRequest(); request.open("POST", url);
    request.setRequestHeader("Content-Type", "text/plain"); request.send(new Blob(["file"])); }`,
  xhr: `{ const request = new XMLHttpRequest(); request.open("GET", url); request.send(); }`,
  beacon: `navigator.sendBeacon(url, "x")`,
  "event-source": `new EventSource(url).onerror = function () { this.close(); }`,
  "web-socket": `new WebSocket(url.replace("https:", "wss:"))`,
  "csp-report": `add("iframe", { src: "/csp?to=" + encodeURIComponent(url) })`,
};
const CHROMIUM_ONLY: Readonly<Record<string, string>> = {
  // Firefox sends none unless told to.
  ping: `{ const link = add("a", { href: "#", ping: url }); link.click(); }`,
  // Firefox fetches a cursor only under a pointer.
  cursor: `css(ruleFor("cursor", "url(" + url + "), auto"))`,
};
const FIREFOX_ONLY: Readonly<Record<string, string>> = {
  // Chromium takes a transformation from its own site only.
  xslt: `add("iframe", { src: "/xml?to=" + encodeURIComponent(url) })`,
};
/** Where a browser does not follow its page's referrer policy, header or meta element alike. */
const POLICY_IGNORED: Readonly<Record<BrowserKind, readonly string[]>> = {
  // What style sheets inside the document load.
  chromium: [
    ...["background", "border-image", "content", "cursor", "font", "image-set", "inline-style"],
    ...["list-style", "mask"],
  ],
  firefox: ["worker-import", "xslt"],
};
const channelsOf = (kind: BrowserKind): Readonly<Record<string, string>> => ({
  ...EVERYWHERE,
  ...(kind === "chromium" ? CHROMIUM_ONLY : FIREFOX_ONLY),
});

const page = (kind: BrowserKind): string => `<!doctype html><html><head><meta charset="utf-8">
<title>Fixture</title></head><body><script>
const add = (tag, properties, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  document.body.append(made);
  return made;
};
const svg = (tag, href) => {
  const names = "http://www.w3.org/2000/svg";
  const root = document.createElementNS(names, "svg");
  const made = document.createElementNS(names, tag);
  made.setAttribute("href", href);
  if (tag === "image") root.append(made);
  else {
    const filter = document.createElementNS(names, "filter");
    filter.id = "probe-filter";
    filter.append(made);
    const shape = document.createElementNS(names, "rect");
    for (const [name, value] of Object.entries({ width: 9, height: 9, filter: "url(#probe-filter)" }))
      shape.setAttribute(name, value);
    root.append(filter, shape);
  }
  document.body.append(root);
};
const css = (text) => {
  const style = document.createElement("style");
  style.textContent = text;
  document.head.append(style);
};
let probes = 0;
const ruleFor = (property, value, part = "") => {
  probes += 1;
  const name = "probe-" + probes;
  add("p", { class: name }).textContent = "text";
  return "p." + name + part + " { " + property + ": " + value + "; }";
};
const target = (name) => add("iframe", { name });
const registered = navigator.serviceWorker.register("/sw.js")
  .then(() => navigator.serviceWorker.ready).then((registration) => registration.active);
const channels = {
${Object.entries(channelsOf(kind))
  .map(([name, code]) => `  ${JSON.stringify(name)}: async (url) => { ${code} },`)
  .join("\n")}
};
async function run(base, round) {
  const failed = [];
  for (const [name, open] of Object.entries(channels)) {
    // Another address each time: Firefox keeps images of equal styles from page to page.
    await open(base + "/" + name + "?round=" + round).catch((error) => failed.push(name + ": " + error));
  }
  return failed;
}
</script></body></html>`;
const WORKER = `self.onmessage = ({ data }) => {
  if (data.fetch) fetch(data.fetch).catch(() => undefined);
  if (data.xhr) { const request = new XMLHttpRequest(); request.open("GET", data.xhr); request.send(); }
  if (data.importScripts) importScripts(data.importScripts);
};`;
const SHARED = `self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => { fetch(data).catch(() => undefined); };
};`;
const SERVICE_WORKER = `
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => {
  event.waitUntil(fetch(event.data).catch(() => undefined));
});`;

const fixture =
  (kind: BrowserKind): Route =>
  (request, response) => {
    const { pathname, searchParams } = new URL(request.path, "https://fixture");
    const to = searchParams.get("to") ?? "";
    const headers: Record<string, string> = {};
    const [type, body] = ((): [string, string] => {
      switch (pathname) {
        case "/worker.js":
          return ["text/javascript", WORKER];
        case "/shared.js":
          return ["text/javascript", SHARED];
        case "/sw.js":
          return ["text/javascript", SERVICE_WORKER];
        case "/refresh":
          return ["text/html", `<meta http-equiv="refresh" content="0; url=${to}">`];
        case "/xml":
          return ["text/xml", `<?xml-stylesheet type="text/xsl" href="${to}"?><doc/>`];
        case "/csp":
          headers["Content-Security-Policy"] = `img-src 'none'; report-uri ${to}`;
          return ["text/html", `<img src="/forbidden.png">`];
        default:
          return ["text/html", page(kind)];
      }
    })();
    response.writeHead(200, { "Content-Type": type, ...headers });
    response.end(body);
  };

for (const kind of bothBrowsers) {
  describe(`backstop in ${kind}`, () => {
    let recorder: Recorder;
    let withMantle: ExtensionBrowser;
    let extensionPage: Page;
    /** `Referer` of every request to the targets, of the last round. */
    let referers: string[];
    let rounds = 0;

    before(async () => {
      recorder = await startRecorder({
        hosts: { [ELEMENT]: fixture(kind), [OTHER]: fixture(kind), [BELOW]: fixture(kind) },
      });
      withMantle = await launchMantle(kind, recorder.port);
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
      referers = [];
      try {
        // Styles of a page behind another one may wait to be drawn.
        await page.bringToFront();
        await page.goto(`https://${host}/`);
        // What leaves before the settings came gets the strictest ones; a fetch waits for them.
        await page.evaluate(() => fetch("/settled").then(() => undefined));
        for (const [target, base] of Object.entries(TARGETS)) {
          recorder.clear();
          const run = (address: string, round: number): Promise<string[]> =>
            (globalThis as unknown as { run(base: string, round: number): Promise<string[]> }).run(
              address,
              round,
            );
          rounds += 1;
          const failed = await page.evaluate(run, base, rounds);
          assert.deepEqual(failed, [], "channels that could not be opened");
          const { host, pathname } = new URL(base);
          const waysSoFar = (): string[] =>
            Object.keys(channelsOf(kind)).filter((channel) =>
              recorder.to(host).some(({ path }) => path.split("?")[0] === `${pathname}/${channel}`),
            );
          await settled(
            recorder,
            () => waysSoFar().length === Object.keys(channelsOf(kind)).length,
          );
          ways[target as keyof Reached] = waysSoFar();
          referers.push(
            ...recorder
              .to(host)
              .flatMap(({ path, headers: { referer } }) =>
                referer === undefined ? [] : `${path.split("?")[0] ?? ""} from ${referer}`,
              ),
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
        assert.ok(referers.some((referer) => referer.endsWith(` from https://${ELEMENT}/`)));
      } finally {
        await bare.close();
      }
    });

    it("with Mantle, none does, and other hosts are reached as before", async () => {
      const ways = await reached(withMantle.newPage, ELEMENT);
      assert.deepEqual(blocked(ways), {
        manager: [],
        managerWithDot: [],
        identity: [],
        ownManager: [],
      });
      assertAllChannels(kind, "free", ways.free);
      assert.deepEqual(avoidable(kind, referers), [], "Referer");
    });

    it("a page that is not Element still reaches all of them", async () => {
      const ways = await reached(withMantle.newPage, OTHER);
      for (const target of Object.keys(TARGETS) as (keyof Reached)[]) {
        assertAllChannels(kind, target, ways[target]);
      }
      assert.ok(referers.some((referer) => referer.endsWith(` from https://${OTHER}/`)));
    });

    it("a page of a subdomain meets these rules, and reaches other hosts by every channel", async () => {
      const ways = await reached(withMantle.newPage, BELOW);
      assert.deepEqual(blocked(ways), {
        manager: [],
        managerWithDot: [],
        identity: [],
        ownManager: [],
      });
      assertAllChannels(kind, "free", ways.free);
    });

    it("a person can still open such a service in the tab, which is not told where from", async () => {
      /** Follows a link to it, in this tab. */
      const followed = async (host: string): Promise<string | undefined> => {
        const page = await withMantle.newPage();
        await page.goto(`https://${host}/`);
        recorder.clear();
        await page.evaluate(() => {
          const link = Object.assign(document.createElement("a"), { textContent: "open" });
          link.href = "https://scalar.vector.im/opened";
          document.body.append(link);
          link.click();
        });
        const arrived = (): boolean =>
          recorder.to("scalar.vector.im").some(({ path }) => path === "/opened");
        await until(arrived, "the navigation", 30_000);
        const [opened] = recorder.to("scalar.vector.im").filter(({ path }) => path === "/opened");
        await page.close();
        return opened?.headers.referer;
      };
      assert.equal(await followed(OTHER), `https://${OTHER}/`);
      assert.equal(await followed(ELEMENT), undefined);
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
        shields: { identity: "off", integrations: "flag", referrer: "off" },
      });
      const rulesets = (): Promise<string[]> =>
        callApi<string[]>(extensionPage, "declarativeNetRequest.getEnabledRulesets");
      const three = ["identity", "integrations", "referrer"];
      const enabled = async (): Promise<number> =>
        (await rulesets()).filter((id) => three.includes(id)).length;
      await until(async () => (await enabled()) === 0, "rulesets off");
      const ways = await reached(withMantle.newPage, ELEMENT);
      assertAllChannels(kind, "identity", ways.identity);
      assertAllChannels(kind, "manager", ways.manager);
      assert.ok(avoidable(kind, referers).length > 20, "no Referer, though its shield is off");
      await storeSettings(extensionPage, undefined);
      await until(async () => (await enabled()) === 3, "rulesets on");
      const again = await reached(withMantle.newPage, ELEMENT);
      assert.deepEqual([again.manager, again.identity], [[], []]);
      // A worker installed meanwhile keeps the policy it came with until the site changes it.
      const rest = avoidable(kind, referers).filter((one) => !one.includes("/service-worker from"));
      assert.deepEqual(rest, []);
    });
  });
}

type Reached = Record<keyof typeof TARGETS, string[]>;

function blocked({ free: _, ...ways }: Reached): Omit<Reached, "free"> {
  return ways;
}

function assertAllChannels(kind: BrowserKind, target: string, ways: string[]): void {
  const missing = Object.keys(channelsOf(kind)).filter((channel) => !ways.includes(channel));
  assert.deepEqual(missing, [], `channels of ${kind} that did not reach ${target}`);
}

function avoidable(kind: BrowserKind, referers: readonly string[]): string[] {
  return referers.filter(
    (referer) => !POLICY_IGNORED[kind].some((channel) => referer.includes(`/${channel} from `)),
  );
}

/** Until everything came, or nothing more for a while. */
async function settled(recorder: Recorder, isComplete: () => boolean): Promise<void> {
  let seen = -1;
  let quiet = 0;
  for (let turn = 0; turn < 60 && quiet < 10 && !isComplete(); turn += 1) {
    await pause(250);
    quiet = seen === recorder.exchanges.length ? quiet + 1 : 0;
    seen = recorder.exchanges.length;
  }
}
