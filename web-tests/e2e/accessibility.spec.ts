/**
 * Mantle's own pages for everybody: no rule of WCAG 2.2 AA that axe knows is broken, light or dark;
 * nothing is wider than a screen of 320 pixels, nor lost at a zoom of 400 %; with the person's own
 * colours what is chosen is still seen; nothing moves. And the options page's lists and files.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { ElementHandle, Page } from "puppeteer-core";
import { tabTo as tabToElement, violations } from "../support/axe.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { type Recorder, startRecorder } from "../support/recorder.ts";
import { elementPage } from "./element-page.ts";
import {
  type ExtensionBrowser,
  callApi,
  launchMantle,
  storeSettings,
  tabShowing,
  until,
} from "./extension-pages.ts";

const ELEMENT = "chat.example.org";
const MANAGER = "manager.example.net";
const TAKEN = "Mantle took the file's settings; what your organisation locks stays.";
const PAGES = ["popup", "options", "ledger", "checkup", "first-run"] as const;
/** As many stops of the Tab key are looked at. */
const STOPS = 30;
const SCREENSHOTS = fileURLToPath(new URL("../../build/screenshots", import.meta.url));
/** Goes on with the Tab key until it is on what the selector finds. */
async function tabTo(page: Page, selector: string): Promise<void> {
  const wanted = await page.waitForSelector(selector);
  if (wanted === null) throw new Error(`There is no ${selector}.`);
  assert.ok(await tabToElement(page, wanted), selector);
}

for (const kind of bothBrowsers) {
  describe(`accessibility in ${kind}`, () => {
    let recorder: Recorder;
    let running: ExtensionBrowser;
    let page: Page;
    let tab: number;

    before(async () => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      recorder = await startRecorder({ hosts: { [ELEMENT]: elementPage } });
      running = await launchMantle(kind, recorder.port);
      const site = await running.newPage();
      await site.goto(`https://${ELEMENT}/`);
      page = await running.openExtensionPage("popup.html");
      tab = await tabShowing(page, ELEMENT);
      const day = new Date();
      const name = [day.getFullYear(), day.getMonth() + 1, day.getDate()]
        .map((part) => String(part).padStart(2, "0"))
        .join("-");
      const row = { shield: "integrations", action: "blocked", host: MANAGER, endpoint: "x" };
      await callApi(page, "storage.local.set", {
        [`ledger/${name}`]: [{ ...row, count: 3, last: Date.now() }],
      });
    });

    after(async () => {
      await running?.close();
      await recorder?.close();
    });

    const open = async (path: string): Promise<void> => {
      await page.close();
      page = await running.openExtensionPage(path);
      const marks: Record<string, string> = {
        ledger: "[role=row]",
        checkup: "#state:not(:empty)",
        "first-run": "[data-choice]",
      };
      const ready = marks[path.replace(/\.html.*/, "")] ?? "[data-shield]";
      await page.waitForSelector(ready, { timeout: 30_000 });
    };

    async function stored(): Promise<Record<string, unknown>> {
      const found = await callApi<{ settings?: string }>(page, "storage.local.get", "settings");
      return JSON.parse(found.settings ?? "{}") as Record<string, unknown>;
    }

    it("would find what breaks a rule", async () => {
      await open("options.html");
      await page.$eval("main", (main) => {
        main.append(document.createElement("button"));
      });
      assert.match((await violations(page)).join(), /^button-name: /);
    });

    for (const name of PAGES) {
      it(`breaks no rule of WCAG 2.2 AA in ${name}, and fits 320 pixels`, async () => {
        // The tests of this page go on with it.
        await open(`${name}.html?tab=${tab}`);
        for (const width of [320, 900]) {
          await page.setViewport({ width, height: 900 });
          for (const dark of [false, true]) {
            await running.setDark(page, dark);
            await page.waitForFunction(
              (wanted) => matchMedia("(prefers-color-scheme: dark)").matches === wanted,
              {},
              dark,
            );
            for (const isOpen of [false, true]) {
              await page.$$eval(
                "details",
                (all, open) => {
                  for (const fold of all) fold.open = open;
                },
                isOpen,
              );
              const where = `${name} ${width} ${dark ? "dark" : "light"} ${isOpen ? "open" : "shut"}`;
              // What is shut shows less of the same, so it is judged once.
              const isJudged = isOpen || (width === 900 && !dark);
              if (isJudged) assert.deepEqual(await violations(page), [], where);
              const isWide = await page.evaluate(
                () =>
                  document.documentElement.scrollWidth > document.documentElement.clientWidth + 1,
              );
              assert.equal(isWide, false, where);
            }
            const picture = `a11y-${name}-${kind}-${width}-${dark ? "dark" : "light"}.png`;
            await page.screenshot({ path: join(SCREENSHOTS, picture) });
          }
        }
        await running.setDark(page, false);
      });

      it(`shows in ${name} what matters where the person's own colours replace Mantle's`, async () => {
        await page.setViewport({ width: 900, height: 900 });
        await running.setForcedColors(page, true);
        try {
          await page.waitForFunction(() => matchMedia("(forced-colors: active)").matches);
          assert.deepEqual(await violations(page), []);
          // What is chosen has an edge of its own.
          const chosen = await page.$$eval(
            '.modes input:checked + span, button.switch[aria-checked="true"]',
            (all) => all.map((one) => getComputedStyle(one).outlineStyle),
          );
          assert.equal(chosen.length > 0, name === "popup" || name === "options");
          assert.deepEqual([...new Set(chosen)], chosen.length === 0 ? [] : ["solid"]);
          // What stands apart by nothing but its paper has an edge, or it would not stand apart.
          const flat = await page.$$eval(
            "button:not(.quiet), input[type=text], input[type=search], select, textarea, .card",
            (all) =>
              all
                .filter((one) => one.checkVisibility())
                .filter((one) => {
                  const { borderInlineStartStyle: edge, borderInlineStartWidth: width } =
                    getComputedStyle(one);
                  return edge === "none" || width === "0px";
                })
                .map((one) => one.outerHTML.slice(0, 160)),
          );
          assert.deepEqual(flat, []);
          // Charts are paper alone.
          const { paper, bars } = await page.evaluate(() => ({
            paper: getComputedStyle(document.body).backgroundColor,
            bars: [...document.querySelectorAll(".days i, .hosts i")].map(
              (bar) => getComputedStyle(bar).backgroundColor,
            ),
          }));
          assert.equal(bars.length > 0, name === "ledger");
          assert.ok(!bars.includes(paper), `bars of ${bars.join()} on ${paper}`);
          const picture = `a11y-${name}-${kind}-forced-colours.png`;
          await page.screenshot({ path: join(SCREENSHOTS, picture) });
        } finally {
          await running.setForcedColors(page, false);
        }
      });

      it(`loses nothing of ${name} at a zoom of 400 %, where the focus is always seen`, async () => {
        await page.bringToFront();
        await page.setViewport({ width: 1280, height: 1024 });
        const { id } = await callApi<{ id: number }>(page, "tabs.getCurrent");
        await callApi(page, "tabs.setZoom", id, 4);
        try {
          await page.waitForFunction(() => innerWidth <= 330);
          const isWide = await page.evaluate(
            () => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1,
          );
          assert.equal(isWide, false);
          const picture = `a11y-${name}-${kind}-zoom-400.png`;
          await page.screenshot({ path: join(SCREENSHOTS, picture) });
          const unseen: string[] = [];
          for (let stop = 0; stop < STOPS; stop += 1) {
            await page.keyboard.press("Tab");
            const hidden = await page.evaluate(() => {
              const active = document.activeElement;
              if (active === null || active === document.body) return "";
              const { top, bottom, left, right } = active.getBoundingClientRect();
              const isSeen = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
              return isSeen ? "" : active.outerHTML.slice(0, 160);
            });
            if (hidden !== "") unseen.push(hidden);
          }
          assert.deepEqual(unseen, []);
        } finally {
          await callApi(page, "tabs.setZoom", id, 1);
        }
      });

      it(`moves nothing in ${name}, so that there is nothing to be spared of`, async () => {
        const moving = await page.$$eval("*", (all) =>
          all
            .filter((one) => {
              const style = getComputedStyle(one);
              return (
                style.animationName !== "none" ||
                style.transitionDuration !== "0s" ||
                style.scrollBehavior !== "auto"
              );
            })
            .map((one) => one.outerHTML.slice(0, 160)),
        );
        assert.deepEqual(moving, []);
      });
    }

    describe("options", () => {
      let folder: string;

      before(async () => {
        folder = mkdtempSync(join(tmpdir(), "mantle-options-"));
        await open("options.html");
      });
      after(() => rmSync(folder, { recursive: true, force: true }));

      async function importFile(content: string): Promise<string> {
        const file = join(folder, "settings.json");
        writeFileSync(file, content);
        await page.$$eval("#transfer .outcome, #transfer .trouble", (all) => {
          for (const one of all) one.textContent = "";
        });
        const input = (await page.$("#import-file")) as ElementHandle<HTMLInputElement>;
        await input.uploadFile(file);
        const said = await page.waitForFunction(() => {
          const all = [...document.querySelectorAll("#transfer .outcome, #transfer .trouble")];
          return all.map((one) => one.textContent).join("");
        });
        return (await said.jsonValue()) as string;
      }

      it("takes settings from a file whole, or not at all and says why", async () => {
        const mine = { version: 1, options: { general: { consent: true } } };
        await storeSettings(page, mine);
        for (const [content, why] of [
          ["no settings", /holds no settings of Mantle/],
          ['{"version":1,"shields":{"tea":"on"}}', /does not know “shields.tea”/],
          ['{"version":1,"shields":{"typing":"off"},"allow":{"maps":["a b"]}}', /cannot use “a b”/],
        ] as const) {
          assert.match(await importFile(content), why);
          assert.deepEqual(await stored(), mine);
        }
        const file = { version: 1, shields: { typing: "off" }, allow: { maps: ["Maps.example"] } };
        assert.equal(await importFile(JSON.stringify(file)), TAKEN);
        assert.deepEqual(await stored(), {
          version: 1,
          shields: { typing: "off" },
          allow: { maps: ["maps.example"] },
          options: { general: { consent: true } },
        });
        await page.waitForSelector(
          '[data-shield="typing"] [aria-checked="false"], [data-shield="typing"] input[value="off"]:checked',
        );
      });

      it("offers to allow the sites of a file, and to leave them out", async () => {
        const before = (await stored()) as object;
        const site = "https://new.example.net/element";
        assert.equal(
          await importFile(JSON.stringify({ ...before, sites: [site] })),
          `${TAKEN} Allow its sites above.`,
        );
        await page.waitForSelector(`#sites [data-wanted="${site}"] .primary`);
        await page.$eval(`#sites [data-wanted="${site}"] .quiet`, (remove) =>
          (remove as HTMLElement).click(),
        );
        await page.waitForFunction(() => document.querySelector("[data-wanted]") === null);
        assert.deepEqual(await stored(), { ...before, sites: [] });
      });

      it("gives the settings as a file that it takes back", async () => {
        await page.evaluate(() => {
          URL.createObjectURL = (file) => {
            const window_ = globalThis as unknown as { exported?: Promise<string> };
            window_.exported = (file as Blob).text();
            return "data:,";
          };
        });
        await tabTo(page, "#transfer .buttons button");
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => "exported" in globalThis);
        const file = await page.evaluate(
          () => (globalThis as unknown as { exported: Promise<string> }).exported,
        );
        assert.deepEqual(JSON.parse(file), await stored());
        assert.equal(await importFile(file), TAKEN);
        assert.deepEqual(await stored(), JSON.parse(file));
      });

      it("finds a switch by what it is about", async () => {
        await page.focus("#search");
        await page.keyboard.type("sticker");
        await until(
          () =>
            page.$$eval(
              "[data-shield]",
              (rows) => rows.filter((row) => row.checkVisibility()).length === 1,
            ),
          "the one switch",
        );
        await page.$eval("#search", (field) => {
          (field as HTMLInputElement).value = "";
          field.dispatchEvent(new Event("input"));
        });
      });

      it("lists the hosts that sites named, and forgets them", async () => {
        const one = { site: ELEMENT, part: "", isPrivate: false, pathPrefix: "/" };
        await callApi(page, "storage.session.set", {
          learned: [
            { ...one, shield: "integrations", host: "m.example" },
            { ...one, shield: "integrations", host: "m.example", part: "0".repeat(32) },
            { ...one, shield: "identity", host: "id.example" },
          ],
        });
        const hosts = (): Promise<string[]> =>
          page.$$eval("#learned li span", (all) => all.map((at) => at.textContent ?? ""));
        await until(async () => (await hosts()).length === 2, "the two hosts");
        assert.match((await hosts())[0] ?? "", /^m\.example, named on chat\.example\.org \(/);
        await page.bringToFront();
        await tabTo(page, '[aria-label="Forget m.example"]');
        await page.keyboard.press("Enter");
        await until(async () => (await hosts()).length === 1, "one host less");
        // Who goes through the list stays in it, on the button that is left.
        const focused = (): Promise<string> =>
          page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? "");
        await until(async () => (await focused()) === "Forget id.example", "the next button");
        await tabTo(page, "#learned > button");
        await page.keyboard.press("Enter");
        await page.waitForSelector("#learned", { hidden: true });
        const kept = await callApi<{ learned: unknown[] }>(page, "storage.session.get", "learned");
        assert.deepEqual(kept.learned, []);
      });

      it("lists what was answered once and for all, and takes it back", async () => {
        const answer = `page/https://${ELEMENT}/media/server/`;
        await callApi(page, "storage.local.set", {
          [`${answer}a.example`]: "clean 2026-01-31",
          [`${answer}b.example`]: "send 2026-01-31",
        });
        const lines = (): Promise<string[]> =>
          page.$$eval("#answers li span", (all) => all.map((at) => at.textContent ?? ""));
        await until(async () => (await lines()).length === 2, "the two answers");
        await page.bringToFront();
        await tabTo(page, "#answers li button");
        await page.keyboard.press("Enter");
        await until(async () => (await lines()).length === 1, "one answer less");
        // As in the list of hosts.
        await until(
          () =>
            page.evaluate(() => document.activeElement?.closest("#answers li") instanceof Element),
          "the next button",
        );
        await page.keyboard.press("Enter");
        await page.waitForSelector("#answers", { hidden: true });
        const kept = Object.keys(await callApi<object>(page, "storage.local.get"));
        assert.deepEqual(
          kept.filter((name) => name.startsWith(answer)),
          [],
        );
      });
    });
  });
}
