/** The popup, with real clicks and keys; each change is seen in storage and in the page. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../support/browsers.ts";
import { readTables } from "../report/run.ts";
import { noQuestion, openQuestion } from "../support/question.ts";
import { type Exchange, type Recorder, type Route, startRecorder } from "../support/recorder.ts";
import { elementPage, signsInAnybody } from "./element-page.ts";
import {
  type ExtensionBrowser,
  callApi,
  launchMantle,
  pause,
  storeSettings,
  tabShowing,
  until,
} from "./extension-pages.ts";
import { nameAtLogin, reaches } from "./page-requests.ts";

const ELEMENT = "chat.example.org";
const UNKNOWN_ELEMENT = "element.example.net";
const PLAIN = "plain.example.net";
const HOMESERVER = "hs.example.org";
const PING = "https://vector.im/_matrix/identity/v2";
const SCREENSHOTS = fileURLToPath(new URL("../../build/screenshots", import.meta.url));

const plain: Route = (_request, response) => {
  response.writeHead(200, { "Content-Type": "text/html" });
  response.end("<!doctype html><title>A page</title>");
};
for (const kind of bothBrowsers) {
  describe(`popup in ${kind}`, () => {
    let recorder: Recorder;
    let running: ExtensionBrowser;
    let page: Page;
    let popup: Page;

    before(async () => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      recorder = await startRecorder({
        hosts: {
          [ELEMENT]: elementPage,
          [UNKNOWN_ELEMENT]: elementPage,
          [PLAIN]: plain,
          [HOMESERVER]: signsInAnybody,
        },
      });
      running = await launchMantle(kind, recorder.port);
      page = await running.newPage();
      await page.goto(`https://${ELEMENT}/`);
      const first = await running.openExtensionPage("popup.html");
      const tab = await tabShowing(first, ELEMENT);
      popup = await running.openExtensionPage(`popup.html?tab=${tab}`);
      await popup.setViewport({ width: 440, height: 1100 });
      await first.close();
    });

    after(async () => {
      await running?.close();
      await recorder?.close();
    });

    beforeEach(async () => {
      // A tab in the background is not drawn, so nothing in it can be clicked.
      await popup.bringToFront();
      await storeSettings(popup, undefined);
      await modeShown(popup, "identity", "on");
      recorder.clear();
    });

    async function stored(): Promise<Record<string, unknown>> {
      const { settings } = await callApi<{ settings?: string }>(
        popup,
        "storage.local.get",
        "settings",
      );
      return JSON.parse(settings ?? "{}") as Record<string, unknown>;
    }

    const pingReaches = (): Promise<boolean> => reaches(page, recorder, PING);
    const nameSent = (): Promise<unknown> => nameAtLogin(page, recorder, HOMESERVER);

    async function stateOf(over: Page): Promise<string> {
      await over.waitForSelector("#state[data-kind]");
      return over.$eval("#state", (card) => (card as HTMLElement).dataset["kind"] ?? "");
    }

    async function openDetails(shield: string): Promise<void> {
      const fold = `details.family:not([open]):has([data-shield="${shield}"]) > summary`;
      await (await popup.$(fold))?.click();
      const closed = await popup.$(`[data-shield="${shield}"] details:not([open]) summary`);
      await closed?.click();
    }

    async function type(selector: string, value: string): Promise<void> {
      await popup.$eval(selector, (field) => (field as HTMLInputElement).select());
      await popup.focus(selector);
      await popup.keyboard.press("Backspace");
      await popup.type(selector, value);
    }

    it("shows every shield once, in families of which the first is open", async () => {
      const shown = await popup.$$eval("details.family", (all) =>
        all.map((fold) => ({
          title: fold.querySelector("h2")?.textContent ?? "",
          tally: fold.querySelector("summary .tally")?.textContent ?? "",
          isOpen: (fold as HTMLDetailsElement).open,
          shields: [...fold.querySelectorAll<HTMLElement>("[data-shield]")].map(
            (row) => row.dataset["shield"] ?? "",
          ),
        })),
      );
      await popup.screenshot({ path: join(SCREENSHOTS, `popup-${kind}-folded.png`) });
      const { shields } = await readTables();
      const ids = shown.flatMap((family) => family.shields);
      assert.deepEqual(ids.sort(), shields.map(({ id }) => id).sort());
      assert.deepEqual(
        shown.map(({ isOpen }) => isOpen),
        shown.map((_, at) => at === 0),
      );
      assert.equal(new Set(shown.map(({ title }) => title)).size, shown.length);
      for (const { title, tally, shields: members } of shown) {
        assert.ok(members.length <= 9, `${title} holds ${members.length}`);
        assert.match(tally, new RegExp(`^\\d+ of ${members.length} on$`));
      }
    });

    it("says that the page is protected, and counts what was stopped", async () => {
      assert.equal(await stateOf(popup), "protected");
      assert.equal(await pingReaches(), false);
      const tally = (): Promise<string> =>
        popup.$eval("#tally-identity", (part) => part.textContent ?? "");
      await until(async () => /: 1 on this page, 1 in all/.test(await tally()), "a count of one");
      await popup.click("#clear");
      await until(async () => /Nothing/.test(await tally()), "no count");
      await pingReaches();
      await until(async () => /: 1 on this page, 1 in all/.test(await tally()), "one more");
    });

    const deeds = (over: Page): Promise<string[]> =>
      over.$$eval("#happened li", (lines) => lines.map((line) => line.textContent ?? ""));

    it("begins with what happened on this page, in words with counts", async () => {
      await storeSettings(popup, { version: 1, shields: { "encrypted-state": "off" } });
      await modeShown(popup, "encrypted-state", "off");
      await page.goto(`https://${ELEMENT}/`);
      const first = await running.openExtensionPage("popup.html");
      const tab = await tabShowing(first, ELEMENT);
      await first.close();
      const over = await running.openExtensionPage(`popup.html?tab=${tab}`);
      await over.waitForSelector("#happened .hint");
      assert.deepEqual(await deeds(over), []);
      assert.match(await over.$eval("#happened .hint", (p) => p.textContent ?? ""), /^Nothing had/);

      for (let time = 0; time < 3; time += 1) {
        await reaches(page, recorder, "https://scalar.vector.im/api/register");
      }
      await nameAtLogin(page, recorder, HOMESERVER);
      await tellAll(page);
      const told = async (line: string): Promise<void> =>
        until(async () => (await deeds(over)).includes(line), line).catch(async () => {
          assert.fail(`"${line}" is not in ${JSON.stringify(await deeds(over))}`);
        });
      await told("4 calls home to scalar.vector.im stopped");
      await told("1 look-up of people at vector.im stopped");
      await told("1 “is typing” not sent");
      await told("1 “I have read this” kept from other people");
      await told("2 session names cleared of your browser, system and site");
      const sessions = await over.$eval("#happened .sessions", (p) => p.textContent ?? "");
      assert.equal(sessions, "Sessions that sign in here are called “Element”.");
      // The ledger knows neither who, nor where, nor what.
      const kept = JSON.stringify(await callApi(over, "storage.local.get", "ledger"));
      for (const secret of ["!r:", "@a:", "kitchen", "$event"]) {
        assert.equal(kept.includes(secret), false, secret);
      }

      const order = await over.$$eval("main > section", (all) => all.map(({ id }) => id));
      const wanted = ["state", "happened", "needs", "pause", "shields"];
      assert.deepEqual(order.slice(0, 5), wanted);
      assert.ok((await over.$$("#happened > ul > li")).length <= 6);
      for (const dark of [false, true]) {
        await running.setDark(over, dark);
        await pause(200);
        for (const width of [320, 440]) {
          await over.setViewport({ width, height: 900 });
          const name = `popup-${kind}-happened-${width}-${dark ? "dark" : "light"}.png`;
          await over.screenshot({ path: join(SCREENSHOTS, name) });
        }
      }
      await running.setDark(over, false);
      await over.click("#clear");
      await until(async () => (await deeds(over)).length === 0, "a quiet list");
      await over.close();
    });

    it("says that a question waits in the page, as long as it does", async () => {
      await page.bringToFront();
      const profile = `https://${HOMESERVER}/_matrix/client/v3/profile/@a:${HOMESERVER}/displayname`;
      const answered = page.evaluate(async (url) => {
        const headers = { "Content-Type": "application/json" };
        await fetch(url, { method: "PUT", headers, body: '{"displayname":"A"}' });
      }, profile);
      await openQuestion(page);
      const first = await running.openExtensionPage("popup.html");
      const tab = await tabShowing(first, ELEMENT);
      await first.close();
      const said = async (): Promise<string> => {
        const over = await running.openExtensionPage(`popup.html?tab=${tab}`);
        await over.waitForSelector("#state[data-kind]");
        const card = await over.$eval("#asking", (one) =>
          one.checkVisibility() ? (one.textContent ?? "") : "",
        );
        await over.close();
        return card;
      };
      assert.match(await said(), /^Mantle has a question for you on this page/);
      await page.bringToFront();
      await page.keyboard.press("Escape");
      await noQuestion(page);
      await answered;
      assert.equal(await said(), "");
    });

    it("shows what happened before it asks for its Rust module", async () => {
      const first = await running.openExtensionPage("popup.html");
      const tab = await tabShowing(first, ELEMENT);
      await first.close();
      const over = await running.openExtensionPage(`popup.html?tab=${tab}`);
      await modeShown(over, "identity", "on");
      const [shown, asked] = await over.evaluate(() =>
        ["happened", "pages-module"].map(
          (name) => performance.getEntriesByName(name)[0]?.startTime ?? Number.NaN,
        ),
      );
      assert.ok(Number(shown) < Number(asked), `shown at ${shown} ms, asked for at ${asked} ms`);
      await over.close();
    });

    it("finds shields by any of their words, and folds up again as before", async () => {
      const found = (): Promise<string[]> =>
        popup.$$eval("[data-shield]", (rows) =>
          rows
            .filter((row) => row.checkVisibility())
            .map((row) => (row as HTMLElement).dataset["shield"] ?? ""),
        );
      const folds = (): Promise<boolean[]> =>
        popup.$$eval("details.family", (all) =>
          all.map((fold) => (fold as HTMLDetailsElement).open),
        );
      const before = { found: await found(), folds: await folds() };
      await popup.focus("#search");
      await popup.keyboard.type("READ receipts");
      assert.deepEqual(await found(), ["receipts"]);
      const status = (): Promise<string> =>
        popup.$eval("#find [role=status]", (p) => p.textContent ?? "");
      const { shields } = await readTables();
      assert.equal(await status(), `1 of ${shields.length} switches shown`);
      // By keyboard alone from the field to the switch.
      await popup.keyboard.press("Tab");
      await popup.keyboard.press("Tab");
      await popup.keyboard.press("ArrowLeft");
      await until(
        async () => JSON.stringify(await stored()).includes('"receipts":"flag"'),
        "the stored setting",
      );
      await type("#search", "no shield says this");
      assert.deepEqual(await found(), []);
      assert.equal(await status(), `0 of ${shields.length} switches shown`);
      await popup.focus("#search");
      await popup.$eval("#search", (field) => (field as HTMLInputElement).select());
      await popup.keyboard.press("Backspace");
      assert.deepEqual({ found: await found(), folds: await folds() }, before);
      assert.equal(await status(), "");
    });

    it("needs no sideways scrolling on a screen of 320 pixels", async () => {
      for (const shield of ["integrations", "telemetry", "device-name", "media", "config"]) {
        await openDetails(shield);
      }
      await popup.setViewport({ width: 320, height: 900 });
      const [content, screen, wide] = await popup.evaluate(() => [
        document.documentElement.scrollWidth,
        document.documentElement.clientWidth,
        [...document.querySelectorAll<HTMLElement>("body *")]
          .filter((one) => one.checkVisibility() && !one.matches(".unseen, legend"))
          .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
          .map((one) => one.outerHTML.slice(0, 120)),
      ]);
      assert.deepEqual(wide, []);
      assert.ok(Number(content) <= Number(screen), `${content} in ${screen}`);
      for (const dark of [false, true]) {
        await running.setDark(popup, dark);
        await pause(200);
        const name = `popup-${kind}-320-${dark ? "dark" : "light"}.png`;
        await popup.screenshot({ path: join(SCREENSHOTS, name), fullPage: true });
      }
      await running.setDark(popup, false);
      await popup.setViewport({ width: 440, height: 1100 });
      await popup.$$eval("[data-shield] details, details.family", (all) => {
        for (const [at, fold] of all.entries()) (fold as HTMLDetailsElement).open = at === 0;
      });
    });

    it("names a region only where something needs the person", async () => {
      await storeSettings(popup, { version: 1, options: { general: { consent: true } } });
      await popup.waitForSelector("#welcome", { hidden: true });
      const isShown = (): Promise<boolean> =>
        popup.$eval("#needs", (needs) => needs.checkVisibility());
      assert.equal(await isShown(), false);
      await storeSettings(popup, { version: 1, options: { general: { consent: "perhaps" } } });
      await popup.waitForSelector("#problems:not([hidden]) p");
      assert.equal(await isShown(), true);
    });

    it("a click on a mode is stored and changes the open page; another click undoes it", async () => {
      await popup.click(mode("identity", "off"));
      await until(async () => "shields" in (await stored()), "the stored setting");
      assert.deepEqual((await stored())["shields"], { identity: "off" });
      await until(pingReaches, "a request let through");
      await popup.click(mode("identity", "on"));
      await until(async () => !(await pingReaches()), "requests stopped");
      assert.deepEqual((await stored())["shields"], { identity: "on" });
      await openDetails("identity");
      await popup.waitForSelector('[data-shield="identity"] details > button:not([hidden])');
      await popup.click('[data-shield="identity"] details > button');
      await until(async () => !JSON.stringify(await stored()).includes("identity"), "the default");
    });

    it("works by keyboard alone", async () => {
      await popup.focus(mode("integrations", "on"));
      await popup.keyboard.press("ArrowLeft");
      await modeShown(popup, "integrations", "flag");
      await until(
        async () => JSON.stringify(await stored()).includes('"integrations":"flag"'),
        "the stored setting",
      );
      const focused = (): Promise<string> =>
        popup.evaluate(() => (document.activeElement as HTMLInputElement | null)?.value ?? "");
      assert.equal(await focused(), "flag");
      await popup.keyboard.press("Tab");
      await popup.keyboard.press("Enter");
      const open = await popup.$eval('[data-shield="integrations"] details', (details) => {
        return (details as HTMLDetailsElement).open;
      });
      assert.equal(open, true);
    });

    it("each switch works on the open page at once, and back again", async () => {
      // What a room is called is encrypted by a page with a client only.
      const base = { "encrypted-state": "off" };
      const leaking = async (): Promise<string[]> => {
        recorder.clear();
        await tellAll(page);
        return Object.entries(TOLD)
          .filter(([, isTold]) => recorder.exchanges.some((one) => isTold(one)))
          .map(([shield]) => shield);
      };
      const settled = async (shields: Record<string, string>, wanted: string[]): Promise<void> => {
        await storeSettings(popup, { version: 1, shields });
        let told: string[] | undefined;
        const isSettled = async (): Promise<boolean> => {
          told = await leaking();
          return told.join() === wanted.join();
        };
        await until(isSettled, "the switch", 20_000).catch(() =>
          assert.deepEqual(told, wanted, `told with ${JSON.stringify(shields)}`),
        );
      };
      await settled(base, []);
      for (const shield of Object.keys(TOLD)) {
        await settled({ ...base, [shield]: "off" }, [shield]);
      }
      await settled(base, []);
    });

    it("a session name of one's own is what the homeserver is told", async () => {
      assert.equal(await nameSent(), "Element");
      await openDetails("device-name");
      await type("#device-name", "Kitchen");
      await popup.keyboard.press("Enter");
      await until(async () => (await stored())["deviceName"] === "Kitchen", "the stored name");
      await until(async () => (await nameSent()) === "Kitchen", "the name at login");
      await type("#device-name", "x".repeat(5));
      await popup.$eval("#device-name", (field) => {
        (field as HTMLInputElement).value = " ";
      });
      await popup.keyboard.press("Enter");
      const trouble = '[data-shield="device-name"] .trouble:not(:empty)';
      await popup.waitForSelector(trouble);
      assert.match(await popup.$eval(trouble, (p) => p.textContent ?? ""), /1 to 100 characters/);
      assert.equal((await stored())["deviceName"], "Kitchen");
      await type("#device-name", "Cellar");
      await popup.keyboard.press("Enter");
      const said = (): Promise<string> =>
        popup.$eval('[data-shield="device-name"] .field:has(#device-name) .outcome', (one) =>
          String(one.textContent),
        );
      await until(async () => (await said()) === "Saved", "that it is saved");
      await popup.type("#device-name", "s");
      assert.equal(await said(), "");
    });

    it("takes hosts to trust, and refuses what is none", async () => {
      await openDetails("identity");
      const save = '[data-shield="identity"] .field .secondary';
      const outcome = '[data-shield="identity"] .field .outcome';
      await type("#allow-identity", "https://vector.im/path");
      await popup.click(save);
      await until(
        async () => /not a host/.test(await popup.$eval(outcome, (p) => p.textContent ?? "")),
        "a sentence",
      );
      assert.equal("allow" in (await stored()), false);
      assert.equal(await pingReaches(), false);
      await type("#allow-identity", "Vector.im\n\nid.example.org:8448");
      await popup.click(save);
      await until(async () => "allow" in (await stored()), "the stored list");
      assert.deepEqual((await stored())["allow"], {
        identity: ["vector.im", "id.example.org:8448"],
      });
      await until(pingReaches, "a request let through");
      const said = (): Promise<string> => popup.$eval(outcome, (p) => p.textContent ?? "");
      await until(async () => (await said()) === "Saved", "that it is saved");
      // What is typed since is not what was saved.
      await popup.type("#allow-identity", "\nother.example");
      assert.equal(await said(), "");
    });

    it("every control has a name of its own", async () => {
      for (const shield of ["integrations", "identity", "device-name", "config"]) {
        await openDetails(shield);
      }
      const nameless = await popup.$$eval("button, input, textarea, summary, fieldset", (all) =>
        all
          .filter((control) => !(control as HTMLElement).hidden && control.checkVisibility())
          .filter((control) => {
            const labels = (control as HTMLInputElement).labels;
            const legend = control.querySelector("legend")?.textContent;
            const label = control.getAttribute("aria-label") ?? labels?.[0]?.textContent;
            return !(label ?? legend ?? control.textContent)?.trim();
          })
          .map((control) => control.outerHTML),
      );
      assert.deepEqual(nameless, []);
      const legends = await popup.$$eval("legend", (all) => all.map((one) => one.textContent));
      assert.equal(new Set(legends).size, legends.length);
    });

    it("is drawn in light and dark", async () => {
      for (const shield of ["integrations", "identity", "device-name", "config"]) {
        await openDetails(shield);
      }
      const papers: string[] = [];
      for (const dark of [false, true]) {
        await running.setDark(popup, dark);
        await pause(200);
        const name = `popup-${kind}-${dark ? "dark" : "light"}.png`;
        await popup.screenshot({ path: join(SCREENSHOTS, name), fullPage: true });
        papers.push(await popup.evaluate(() => getComputedStyle(document.body).backgroundColor));
      }
      await running.setDark(popup, false);
      assert.notEqual(papers[0], papers[1]);
    });

    it("says that a page is not Element, and offers nothing loud", async () => {
      const other = await running.newPage();
      await other.goto(`https://${PLAIN}/`);
      const over = await running.pressToolbarButton(PLAIN);
      assert.equal(await stateOf(over), "not-element");
      assert.equal(await over.$("#state .primary"), null);
      await over.close();
      await other.close();
    });

    it("offers to protect an unknown Element, and does nothing by itself", async () => {
      const other = await running.newPage();
      await other.goto(`https://${UNKNOWN_ELEMENT}/client/`);
      const over = await running.pressToolbarButton(UNKNOWN_ELEMENT);
      assert.equal(await stateOf(over), "looks-like-element");
      const offer = await over.$eval("#state .primary", (one) => one.textContent);
      assert.equal(offer, "Protect this site");
      // What is said of a page that Mantle has no part in is true of all others together.
      assert.match(await over.$eval("#happened h2", (h2) => h2.textContent ?? ""), /so far$/);
      assert.equal(await over.$("#happened .sessions"), null);
      await over.screenshot({ path: join(SCREENSHOTS, `popup-${kind}-offer.png`) });
      assert.deepEqual(await callApi(popup, "scripting.getRegisteredContentScripts"), []);
      assert.equal("sites" in (await stored()), false);
      await over.close();
      await other.close();
    });

    it("says where Mantle may not work though the person wants it, and offers the permission", async () => {
      const other = await running.newPage();
      await other.goto(`https://${PLAIN}/`);
      // As after an import from another browser.
      await storeSettings(popup, { version: 1, sites: [`https://${PLAIN}`] });
      const over = await running.pressToolbarButton(PLAIN);
      assert.equal(await stateOf(over), "not-allowed");
      const said = await over.$eval("#state", (card) => card.textContent ?? "");
      assert.match(said, new RegExp(`keep Mantle out of ${PLAIN.replaceAll(".", "\\.")}`));
      const offered = await over.$$eval("#state button", (all) =>
        all.map((one) => one.textContent),
      );
      assert.deepEqual(offered, ["Allow Mantle here"]);
      // No driver reaches Chromium's own question; Firefox can be told to go without it.
      if (kind === "firefox") {
        await over.click("#state button");
        await over.waitForFunction(
          () => document.querySelector("#state button")?.textContent === "Reload page",
        );
        const pattern = `https://${PLAIN}/*`;
        await callApi(over, "permissions.remove", { origins: [pattern] });
      }
      await over.close();
      await other.close();
    });

    it("says when the page's server forbids WebAssembly", async () => {
      const other = await running.newPage();
      await page.goto(`https://${PLAIN}/`);
      await other.goto(`https://${ELEMENT}/no-wasm`);
      const over = await running.pressToolbarButton(ELEMENT);
      assert.equal(await stateOf(over), "no-wasm");
      await over.close();
      await other.close();
      await page.goto(`https://${ELEMENT}/`);
    });
  });
}

/** How a server sees that a shield is off: something it is told then, and else not. */
const TOLD: Readonly<Record<string, (exchange: Exchange) => boolean>> = {
  integrations: ({ host }) => host === "scalar.vector.im",
  identity: ({ host }) => host === "vector.im",
  "device-name": ({ method, path, body }) =>
    method === "PUT" && path.includes("/devices/") && body.includes("kitchen"),
  calls: ({ host }) => host === "call.example.net",
  presence: ({ method, path, body }) =>
    method === "PUT" && path.includes("/presence/") && body.includes("online"),
  typing: ({ method, path }) => method === "PUT" && path.includes("/typing/"),
  receipts: ({ method, path }) => method === "POST" && path.includes("/receipt/m.read/"),
  telemetry: ({ host, method }) => host === "posthog.element.io" && method === "POST",
  previews: ({ method, path }) => method === "GET" && path.includes("/preview_url"),
  maps: ({ host }) => host === "api.maptiler.com",
  directory: ({ method, path }) => method === "GET" && path.startsWith("/_synapse/admin/"),
  "welcome-bot": ({ method, path, body }) =>
    method === "POST" && path.endsWith("/createRoom") && body.includes("riot-bot"),
  "account-data": ({ method, path, body }) =>
    method === "PUT" && path.includes("/account_data/") && body.includes("recent_rooms"),
};

const API = "https://hs.example.org/_matrix/client/v3";
const ROOM = `${API}/rooms/!r:hs.example.org`;
const TELLING: readonly (readonly [method: string, url: string, body?: string])[] = [
  ["POST", "https://scalar.vector.im/api/register", "{}"],
  ["GET", "https://vector.im/_matrix/identity/v2"],
  ["PUT", `${API}/devices/D`, '{"display_name":"kitchen"}'],
  ["PUT", `${API}/presence/@a:hs.example.org/status`, '{"presence":"online"}'],
  ["PUT", `${ROOM}/typing/@a:hs.example.org`, '{"typing":true}'],
  ["POST", `${ROOM}/receipt/m.read/$event`, "{}"],
  ["POST", "https://posthog.element.io/e/", "{}"],
  ["GET", "https://hs.example.org/_matrix/media/v3/preview_url?url=x"],
  ["GET", "https://api.maptiler.com/maps/x/style.json"],
  ["GET", "https://hs.example.org/_synapse/admin/v1/users/@a:hs.example.org/admin"],
  ["POST", `${API}/createRoom`, '{"invite":["@riot-bot:matrix.org"],"is_direct":true}'],
  [
    "PUT",
    `${API}/user/@a:hs.example.org/account_data/im.vector.setting.breadcrumbs`,
    '{"recent_rooms":["!r:x"]}',
  ],
];
const CALL_PAGE = "https://call.example.net/room#?userId=@a:x&deviceId=D&roomId=!r:x";

/** Has the page tell all of that. */
async function tellAll(page: Page): Promise<void> {
  await page.evaluate(
    async (requests: typeof TELLING, callPage: string) => {
      const frame = document.createElement("iframe");
      const shown = new Promise((resolve) => frame.addEventListener("load", resolve));
      frame.src = callPage;
      document.body.append(frame);
      await Promise.all([
        shown,
        ...requests.map(([method, url, body]) =>
          fetch(url, { method, ...(body === undefined ? {} : { body }) }).catch(() => undefined),
        ),
      ]);
      frame.remove();
    },
    TELLING,
    CALL_PAGE,
  );
}

function mode(shield: string, value: string): string {
  return `[data-shield="${shield}"] input[value="${value}"]`;
}

async function modeShown(popup: Page, shield: string, value: string): Promise<void> {
  await popup.waitForSelector(`${mode(shield, value)}:checked`);
}
