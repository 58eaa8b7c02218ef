/**
 * The question about a call server that a call's frame asks in the window around it, without a call: it
 * goes with its frame, and a server on the person's list is to the frame what one they agreed to is.
 */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../support/browsers.ts";
import { isAsked, noQuestion, openQuestion, press } from "../support/question.ts";
import { answerJson, startRecorder, withPreflight } from "../support/recorder.ts";
import type { Recorder } from "../support/recorder.ts";
import { elementPage } from "./element-page.ts";
import { launchMantle, storeSettings } from "./extension-pages.ts";
import type { ExtensionBrowser } from "./extension-pages.ts";

const CLIENT = "https://chat.example.org/";
const CALL_PAGE = `${CLIENT}widgets/element-call/index.html`;
const STRANGERS = ["sfu.example.net", "sfu.example.com"] as const;
const LISTED = "sfu.listed.example";
/** Longer than anything takes that could take a question back. */
const WHILE_MS = 5000;

for (const kind of bothBrowsers) {
  describe(`the question about a call server in ${kind}`, { timeout: 180_000 }, () => {
    let recorder: Recorder;
    let browser: ExtensionBrowser;
    let page: Page;

    before(async () => {
      const anybody = withPreflight((request, response) =>
        answerJson(request, response, 200, { url: "wss://sfu.example.net", jwt: "x" }),
      );
      recorder = await startRecorder({
        hosts: {
          "chat.example.org": elementPage,
          ...Object.fromEntries([...STRANGERS, LISTED].map((host) => [host, anybody])),
        },
      });
      browser = await launchMantle(kind, recorder.port);
      const options = await browser.openExtensionPage("options.html");
      await storeSettings(options, { version: 1, allow: { calls: [LISTED] } });
      await options.close();
    });
    after(async () => {
      await browser?.close();
      await recorder?.close();
    });

    beforeEach(async () => {
      await page?.close();
      page = await browser.newPage();
      await page.goto(CLIENT);
      recorder.clear();
    });

    const told = (host: string): number =>
      recorder.to(host).filter(({ method }) => method === "POST").length;

    /** A call's frame that gives its token to a server; the frame holds the status that comes of it. */
    const startCall = async (id: string, host: string): Promise<void> => {
      await page.evaluate(
        async (name, url) => {
          const frame = document.createElement("iframe");
          Object.assign(frame, { id: name, src: url });
          const loaded = new Promise((settle) => frame.addEventListener("load", settle));
          document.body.append(frame);
          await loaded;
        },
        id,
        CALL_PAGE,
      );
      await give(id, host);
    };
    const give = (id: string, host: string): Promise<void> =>
      page.evaluate(
        (name, server) => {
          const frame = document.querySelector<HTMLIFrameElement>(`#${name}`);
          const inside = frame?.contentWindow as (Window & { status?: string }) | null;
          const openid = { access_token: "SECRETsecret1", matrix_server_name: "hs.example.org" };
          const body = JSON.stringify({ room: "!r:x", device_id: "D", openid_token: openid });
          const own = inside as unknown as typeof window;
          void own.fetch(`https://${server}/sfu/get`, { method: "POST", body }).then(
            (response) => (own.status = String(response.status)),
            () => (own.status = "failed"),
          );
        },
        id,
        host,
      );
    const outcome = async (id: string): Promise<string> => {
      const handle = await page.waitForFunction(
        (name) => document.querySelector<HTMLIFrameElement>(`#${name}`)?.contentWindow?.status,
        { timeout: 15_000 },
        id,
      );
      return String(await handle.jsonValue());
    };
    /** What a connection of the frame may gather. */
    const policy = (id: string): Promise<string | undefined> =>
      page.evaluate((name) => {
        const frame = document.querySelector<HTMLIFrameElement>(`#${name}`);
        const own = frame?.contentWindow as unknown as typeof window;
        return new own.RTCPeerConnection().getConfiguration().iceTransportPolicy;
      }, id);
    const wait = (): Promise<void> => new Promise((resume) => setTimeout(resume, WHILE_MS));

    const ends: readonly (readonly [string, () => Promise<void>])[] = [
      ["is taken away", () => page.evaluate(() => document.querySelector("#one")?.remove())],
      [
        "goes on to another page",
        () =>
          page.evaluate(() => {
            document.querySelector("iframe")?.setAttribute("src", "about:blank");
          }),
      ],
    ];
    for (const [how, end] of ends) {
      it(`is taken back when its frame ${how}`, async () => {
        const [host] = STRANGERS;
        await startCall("one", host);
        const { text } = await openQuestion(page);
        assert.ok(text[0]?.includes(` ${host},`), text[0]);
        await wait();
        assert.ok(await isAsked(page), "taken back while its frame is there");
        await end();
        await noQuestion(page);
        await wait();
        assert.equal(told(host), 0);
        assert.equal(await isAsked(page), false);
      });
    }

    it("gives way to that of another frame, which is answered as ever", async () => {
      const [first, second] = STRANGERS;
      await startCall("one", first);
      await openQuestion(page);
      await startCall("two", second);
      await wait();
      const about = async (): Promise<string> => (await openQuestion(page)).text[0] ?? "";
      assert.ok((await about()).includes(` ${first},`));
      await page.evaluate(() => document.querySelector("#one")?.remove());
      await page.waitForFunction(() => document.querySelectorAll("iframe").length === 1);
      await wait();
      assert.ok((await about()).includes(` ${second},`));
      assert.equal(await policy("two"), "relay");
      await press(page, "Connect");
      assert.equal(await outcome("two"), "200");
      assert.deepEqual([told(first), told(second)], [0, 1]);
      assert.equal(await policy("two"), "all");
    });

    it("is not asked again in a window where the one that waits behind it lost its frame", async () => {
      const [first, second] = STRANGERS;
      await startCall("one", first);
      await openQuestion(page);
      await startCall("two", second);
      await wait();
      await page.evaluate(() => document.querySelector("#two")?.remove());
      await wait();
      await press(page, "Cancel");
      await noQuestion(page);
      await wait();
      assert.equal(await isAsked(page), false);
      assert.equal(await outcome("one"), "403");
      assert.deepEqual([told(first), told(second)], [0, 0]);
    });

    it("is not asked about a server on the list, which is connected to as after a yes", async () => {
      await startCall("one", LISTED);
      assert.equal(await outcome("one"), "200");
      assert.equal(await isAsked(page), false);
      assert.equal(told(LISTED), 1);
      assert.equal(await policy("one"), "all");
      // The window's own connections are those of calls between two.
      const own = await page.evaluate(
        () => new RTCPeerConnection().getConfiguration().iceTransportPolicy,
      );
      assert.equal(own, "relay");
    });
  });
}
