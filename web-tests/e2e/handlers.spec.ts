/**
 * What handlers of the page can do with requests, and what they have at hand: the store and the WASM
 * modules. Driven by the probe shield and its handlers, which only fault builds have.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { LaunchedBrowser } from "../support/browsers.ts";
import { startRecorder } from "../support/recorder.ts";
import type { Handler, Recorder } from "../support/recorder.ts";
import { caseServer } from "./fixtures/case-server.ts";

const SITE = "https://chat.example.org";
const probe = (ways: string, what: string): string =>
  `https://hs.example.org/mantle-probe/${ways}/_matrix/client/v3/keys/query?do=echo&probe=${what}`;
const root = path.resolve(import.meta.dirname, "../..");

interface Answer {
  status: number;
  marker: string | null;
  body: unknown;
}

const sitePage: Handler = (_request, response) => {
  response.writeHead(200, {
    "Content-Type": "text/html",
    "Content-Security-Policy":
      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src *",
  });
  response.end("<!doctype html><title>Probe</title>");
};

for (const kind of bothBrowsers) {
  describe(`handlers in ${kind}`, { timeout: 180_000 }, () => {
    let recorder: Recorder;
    let browser: LaunchedBrowser;
    let page: Page;

    before(async () => {
      recorder = await startRecorder({
        hosts: { "hs.example.org": caseServer, "chat.example.org": sitePage },
      });
      browser = await launch(kind, {
        proxyPort: recorder.port,
        extension: path.join(root, "build/fault", kind),
      });
      page = await browser.newPage();
      await page.goto(`${SITE}/`);
    });
    after(async () => {
      await browser.close();
      await recorder.close();
    });

    const byFetch = (url: string, body = "text", method = "POST"): Promise<Answer> =>
      page.evaluate(
        async (to, content, verb) => {
          const response = await fetch(to, { method: verb, body: verb === "GET" ? null : content });
          const text = await response.text();
          return {
            status: response.status,
            marker: response.headers.get("x-mantle"),
            body: JSON.parse(text) as unknown,
          };
        },
        url,
        body,
        method,
      );
    const byXhr = (url: string, isAsync = true): Promise<Answer> =>
      page.evaluate(
        (to, later) =>
          new Promise<Answer>((resolve) => {
            const xhr = new XMLHttpRequest();
            xhr.onloadend = () =>
              resolve({
                status: xhr.status,
                marker: xhr.getResponseHeader("x-mantle"),
                body: xhr.responseText === "" ? null : (JSON.parse(xhr.responseText) as unknown),
              });
            xhr.open("POST", to, later);
            xhr.send("text");
          }),
        url,
        isAsync,
      );
    const left = (mark: string): number =>
      recorder.exchanges.filter((seen) => seen.path.includes(`probe=${mark}`)).length;
    const errcode = (answer: Answer): unknown =>
      (answer.body as Record<string, unknown> | null)?.["errcode"];

    for (const [way, ask] of [
      ["fetch", byFetch],
      ["XMLHttpRequest", byXhr],
    ] as const) {
      it(`refuses what a handler breaks on, by ${way}`, async () => {
        recorder.clear();
        const answer = await ask(probe("over", "throw"));
        assert.equal(answer.status, 403);
        assert.equal(answer.marker, "probe");
        assert.equal(errcode(answer), "M_FORBIDDEN");
        assert.equal(left("throw"), 0);
      });

      it(`gives a handler's answer, by ${way}`, async () => {
        recorder.clear();
        const answer = await ask(probe("over", "reply"));
        assert.deepEqual(answer, { status: 200, marker: "probe", body: { handled: true } });
        assert.equal(left("reply"), 0);
      });

      it(`lets an answer's handler answer early, by ${way}`, async () => {
        recorder.clear();
        const answer = await ask(probe("back", "early"));
        assert.deepEqual(answer, { status: 200, marker: "probe", body: { early: true } });
        assert.equal(left("early"), 0);
      });

      it(`keeps an answer whose handler breaks, by ${way}`, async () => {
        const answer = await ask(probe("back", "open-throw"));
        assert.equal(answer.status, 200);
        assert.equal((answer.body as { method: string }).method, "POST");
      });

      it(`sends with a handler's headers and to its URL, by ${way}`, async () => {
        const headers = await ask(probe("over", "headers"));
        assert.equal((headers.body as { own: string }).own, "handler");
        const chained = await ask(probe("over-over2", "headers"));
        assert.equal((chained.body as { own: string }).own, "handler, second");
        const url = await ask(probe("over", "url"));
        assert.match((url.body as { path: string }).path, /probe=sent/);
        assert.equal(left("url"), 0);
      });
    }

    it("fails as the network does where a handler says so", async () => {
      const failed = await page.evaluate(
        (url) =>
          fetch(url, { method: "POST", body: "x" }).then(
            () => "answered",
            (error: unknown) => (error as Error).name,
          ),
        probe("over", "fail"),
      );
      assert.equal(failed, "TypeError");
      assert.equal((await byXhr(probe("over", "fail"))).status, 0);
      assert.equal(left("fail"), 0);
    });

    it("tells a handler that the page gave up", async () => {
      const title = await page.evaluate(
        async (url) => {
          document.title = "";
          const control = new AbortController();
          const sent = fetch(url, { method: "POST", body: "x", signal: control.signal });
          setTimeout(() => control.abort(), 100);
          await sent.catch(() => undefined);
          const xhr = new XMLHttpRequest();
          xhr.open("POST", url);
          xhr.send("x");
          await new Promise((resolve) => setTimeout(resolve, 100));
          xhr.abort();
          await new Promise((resolve) => setTimeout(resolve, 50));
          return document.title;
        },
        probe("over", "wait"),
      );
      assert.equal(title.trim(), "aborted aborted");
      assert.equal(left("wait"), 0);
    });

    it("refuses what cannot wait for a handler", async () => {
      recorder.clear();
      const answer = await page.evaluate(
        (url) => {
          const xhr = new XMLHttpRequest();
          xhr.open("POST", url, false);
          xhr.send("x");
          return { status: xhr.status, queued: navigator.sendBeacon(url, "x") };
        },
        probe("over", "sync"),
      );
      assert.deepEqual(answer, { status: 403, queued: true });
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(left("sync"), 0);
    });

    it("keeps values on disk, per site", async () => {
      const { body } = await byFetch(probe("over", "store"), "välue");
      assert.deepEqual(body, { before: { key: "välue" }, after: {} });
      assert.deepEqual((await byFetch(probe("over", "store-far"))).body, { other: "1" });
      const large = (await byFetch(probe("over", "store-large"))).body as { why: string };
      assert.match(large.why, /1 MB/);
      await page.reload();
      assert.deepEqual((await byFetch(probe("over", "store-far"))).body, { other: "1" });
    });

    it("loads modules when they are needed", async () => {
      const { body } = await byFetch(probe("over", "modules"));
      const { names, same } = body as { names: string[][]; same: boolean };
      assert.equal(same, true);
      assert.ok(
        names.every((list) => list.includes("memory")),
        JSON.stringify(names),
      );
    });
  });
}
