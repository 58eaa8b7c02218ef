/** Links to matrix.to are followed in the page's own Element; copied ones lead there. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers, launch } from "../../support/browsers.ts";
import type { LaunchedBrowser } from "../../support/browsers.ts";
import { drive } from "../../support/client-page.ts";
import { startRecorder } from "../../support/recorder.ts";
import type { Recorder, Route } from "../../support/recorder.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { launchMantle, pause, storeSettings } from "../extension-pages.ts";
import type { ExtensionBrowser } from "../extension-pages.ts";
import { openSides } from "./sides.ts";
import type { Sides } from "./sides.ts";

const HOME = "https://chat.example.org/app/";
const PING = "https://vector.im/_matrix/identity/v2";
const ROOM = "!room:hs.example.org/$event?via=hs.example.org";
const USER = "@alice:hs.example.org";

const site: Route = (request, response) => {
  const path = new URL(request.path, HOME).pathname;
  if (path.startsWith("/app/config")) {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(
      JSON.stringify(path.includes("own") ? { permalink_prefix: "https://x" } : { a: 1 }),
    );
    return;
  }
  response.writeHead(200, { "Content-Type": "text/html" });
  response.end(`<!doctype html><title>Element</title>
    <a id="room" target="_blank" href="https://matrix.to/#/${ROOM}"><b>room</b></a>
    <a id="user" href="https://matrix.to/#/${encodeURIComponent(USER)}">user</a>
    <a id="taken" href="https://matrix.to/#/${USER}">taken</a>
    <a id="site" href="https://matrix.to/">matrix.to itself</a>
    <script>
      window.age = 0;
      document.getElementById("taken").onclick = (event) => event.preventDefault();
    </script>`);
};

for (const kind of bothBrowsers) {
  describe(`permalinks in ${kind}`, { timeout: 120_000 }, () => {
    let recorder: Recorder;
    let bare: LaunchedBrowser;
    let guarded: ExtensionBrowser;
    let settings: Page;

    before(async () => {
      recorder = await startRecorder({ hosts: { "chat.example.org": site } });
      [bare, guarded] = await Promise.all([
        launch(kind, { proxyPort: recorder.port }),
        launchMantle(kind, recorder.port),
      ]);
      settings = await guarded.openExtensionPage("popup.html");
    });

    after(async () => {
      await Promise.all([bare?.close(), guarded?.close()]);
      await recorder?.close();
    });

    /** Opens the page, does something there, and tells where its tab, or a new one, then is. */
    async function visit(
      browser: { newPage(): Promise<Page>; browser?: unknown },
      act: (page: Page) => Promise<void>,
    ): Promise<{ urls: string[]; asked: number; stayed: boolean }> {
      const page = await browser.newPage();
      try {
        await page.goto(HOME);
        // Until the settings are there the strictest ones hold; a request waits for them.
        await page.evaluate((url) => fetch(url).catch(() => undefined), PING);
        await page.evaluate(() => {
          (window as unknown as { age: number }).age = 1;
        });
        recorder.clear();
        const opened: Page[] = [];
        page.on("popup", (popup) => {
          if (popup !== null) opened.push(popup);
        });
        await act(page);
        await pause(700);
        // A new tab in Firefox is nowhere at first.
        const isNowhere = (): boolean => opened.some((popup) => popup.url() === "about:blank");
        for (let tries = 0; tries < 100 && isNowhere(); tries += 1) await pause(100);
        const stayed = await page
          .evaluate(() => (window as unknown as { age?: number }).age === 1)
          .catch(() => false);
        const urls = [page, ...opened].map((each) => each.url());
        for (const popup of opened) await popup.close();
        return { urls, asked: recorder.to("matrix.to").length, stayed };
      } finally {
        await page.close();
      }
    }

    const press =
      (id: string, button: "left" | "middle" = "left") =>
      (page: Page): Promise<void> =>
        page.click(`#${id}`, { button });

    for (const [what, act, lands] of [
      ["a click in this tab", press("user"), `${HOME}#/user/${encodeURIComponent(USER)}`],
      ["a click that wants a new tab", press("room"), `${HOME}#/room/${ROOM}`],
      ["a middle click", press("room", "middle"), undefined],
      [
        "window.open",
        (page: Page) =>
          page.evaluate((user) => {
            window.open(`https://matrix.to/#/${user}`);
          }, USER),
        `${HOME}#/user/${USER}`,
      ],
    ] as const) {
      it(`${what} stays in one's own Element`, async () => {
        assert.ok((await visit(bare, act)).asked > 0, "matrix.to was not asked without Mantle");
        const followed = await visit(guarded, act);
        assert.equal(followed.asked, 0);
        assert.equal(followed.stayed, true);
        if (lands !== undefined) assert.ok(followed.urls.includes(lands), followed.urls.join(" "));
      });
    }

    it("leaves alone what the page handles itself, and matrix.to's own page", async () => {
      const taken = await visit(guarded, press("taken"));
      assert.deepEqual([taken.urls, taken.asked], [[HOME], 0]);
      assert.ok((await visit(guarded, press("site"))).asked > 0);
    });

    it("makes copied links lead to one's own Element, unless the site or the user says else", async () => {
      const prefix = async (
        browser: { newPage(): Promise<Page> },
        name: string,
      ): Promise<unknown> => {
        const page = await browser.newPage();
        await page.goto(HOME);
        const config = await page.evaluate(
          async (file) => (await (await fetch(file)).json()) as Record<string, unknown>,
          name,
        );
        await page.close();
        return config["permalink_prefix"];
      };
      assert.equal(await prefix(bare, "config.json"), undefined);
      assert.equal(await prefix(guarded, "config.json"), "https://chat.example.org/app");
      assert.equal(await prefix(guarded, "config.own.json"), "https://x");
      await storeSettings(settings, { version: 1, options: { permalinks: { copied: false } } });
      assert.equal(await prefix(guarded, "config.json"), undefined);
    });

    it("is gone when it is off", async () => {
      await storeSettings(settings, { version: 1, shields: { permalinks: "off" } });
      assert.ok((await visit(guarded, press("user"))).asked > 0);
      await storeSettings(settings, undefined);
      assert.equal((await visit(guarded, press("user"))).asked, 0);
    });
  });
}

for (const kind of bothBrowsers) {
  describe(`messages with own links in ${kind}`, { timeout: 240_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld();
      sides = await openSides(kind, world);
      await Promise.all([sides.without.signIn(), sides.with.signIn()]);
    });

    after(async () => {
      await sides?.close();
      await world?.close();
    });

    for (const encrypted of [false, true]) {
      it(`do not name the site in ${encrypted ? "encrypted" : "clear"} rooms`, async () => {
        const [writer, reader] = [sides.with, sides.without];
        // As Element puts it into a reply, by the prefix that its configuration names.
        const linked = (author: string): Record<string, unknown> => {
          const link = `https://chat.example.org/#/room/!r:hs.example.org/$e by ${author}`;
          const html = `<mx-reply><blockquote><a href="${link}">In reply to</a></blockquote></mx-reply>`;
          const body = `> ${link}`;
          return {
            msgtype: "m.text",
            body,
            format: "org.matrix.custom.html",
            formatted_body: html,
            "m.new_content": { msgtype: "m.text", body, formatted_body: html },
            "org.matrix.msc1767.text": body,
          };
        };
        const { roomId } = await drive(writer.page, "createRoom", {
          name: "Links",
          encrypted,
          invite: [reader.account.userId],
        });
        await drive(reader.page, "joinRoom", roomId);
        await drive(writer.page, "joined", roomId);
        // Nothing is sent by a person before a key or a press.
        await writer.page.keyboard.press("Shift");
        await pause(1_000);
        await drive(writer.page, "sendEvent", roomId, "m.room.message", linked("writer"));
        await drive(reader.page, "sendEvent", roomId, "m.room.message", linked("reader"));
        const told = await drive(reader.page, "readContents", roomId, "by writer");
        const own = await drive(writer.page, "readContents", roomId, "by reader");
        const naming = (list: string[], author: string): string[] =>
          list.filter((one) => one.includes(author) && one.includes("chat.example.org"));
        assert.equal(naming(own, "by reader").length, 1, "without Mantle nothing named the site");
        assert.deepEqual(naming(told, "by writer"), []);
        const sent = told.find((one) => one.includes("by writer")) ?? "";
        assert.equal(sent.split("https://matrix.to/#/!r:hs.example.org/$e").length - 1, 5);
      });
    }
  });
}
