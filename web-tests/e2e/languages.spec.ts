/**
 * Mantle's own pages in every language, and in two that nobody speaks: one three times as long as
 * English, one from right to left. No text is left in English, and nothing is wider than its screen.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import { type BrowserKind, bothBrowsers } from "../support/browsers.ts";
import { type Recorder, startRecorder } from "../support/recorder.ts";
import { elementPage } from "./element-page.ts";
import {
  type ExtensionBrowser,
  callApi,
  launchMantle,
  pause,
  tabShowing,
  testBuild,
} from "./extension-pages.ts";

type Table = Record<string, { message: string }>;

const ELEMENT = "chat.example.org";
const SCREENSHOTS = fileURLToPath(new URL("../../build/screenshots", import.meta.url));

const tableOf = (kind: BrowserKind, language: string): Table =>
  JSON.parse(
    readFileSync(join(testBuild(kind), "_locales", language, "messages.json"), "utf8"),
  ) as Table;

/** Every letter changed, in brackets, and as long as a language may well be. */
function pseudo(table: Table, direction: "ltr" | "rtl"): Table {
  const letters = (text: string): string =>
    text.replace(/[a-z]/g, (letter) =>
      direction === "rtl"
        ? String.fromCharCode(0x5d0 + (letter.charCodeAt(0) % 27))
        : `${letter}\u0301`,
    );
  const longer = (text: string): string =>
    text
      .split(/(\$[1-9])/)
      .map((part) => (part.startsWith("$") ? part : letters(part)))
      .join("");
  return Object.fromEntries(
    Object.entries(table).map(([name, { message }]) => {
      const padded =
        direction === "ltr"
          ? `${longer(message)} ${letters("and some more".repeat(1 + message.length / 20))}`
          : longer(message);
      return [name, { message: `⟦${padded}⟧` }];
    }),
  );
}

for (const kind of bothBrowsers) {
  describe(`languages in ${kind}`, () => {
    let recorder: Recorder;

    before(async () => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      recorder = await startRecorder({ hosts: { [ELEMENT]: elementPage } });
    });

    after(() => recorder?.close());

    /** Opens popup, options and ledger, each narrow and with everything unfolded. */
    async function eachPage(
      languages: string,
      extension: string | undefined,
      look: (page: Page, name: string) => Promise<void>,
    ): Promise<void> {
      const running: ExtensionBrowser = await launchMantle(kind, recorder.port, {
        languages,
        ...(extension === undefined ? {} : { extension }),
      });
      try {
        const site = await running.newPage();
        await site.goto(`https://${ELEMENT}/`);
        const first = await running.openExtensionPage("popup.html");
        const tab = await tabShowing(first, ELEMENT);
        const row = { shield: "typing", action: "answered", host: "hs.example", endpoint: "x" };
        const day = new Date();
        const name = [day.getFullYear(), day.getMonth() + 1, day.getDate()]
          .map((part) => String(part).padStart(2, "0"))
          .join("-");
        await callApi(first, "storage.local.set", {
          [`ledger/${name}`]: [{ ...row, count: 3, last: Date.now() }],
        });
        for (const path of [`popup.html?tab=${tab}`, "options.html", "ledger.html"]) {
          const page = await running.openExtensionPage(path);
          await page.setViewport({ width: 320, height: 900 });
          await page.waitForSelector(path.startsWith("ledger") ? "[role=row]" : "[data-shield]");
          await page.$$eval("details", (all) => {
            for (const fold of all) fold.open = true;
          });
          await pause(200);
          await look(page, path.replace(/\.html.*/, ""));
        }
      } finally {
        await running.close();
      }
    }

    const sideways = (page: Page): Promise<string[]> =>
      page.evaluate(() =>
        document.documentElement.scrollWidth <= document.documentElement.clientWidth
          ? []
          : [...document.querySelectorAll<HTMLElement>("body *")]
              .filter((one) => one.checkVisibility() && !one.matches(".unseen, legend"))
              .filter(
                (one) =>
                  one.getBoundingClientRect().right > innerWidth + 0.5 ||
                  one.getBoundingClientRect().left < -0.5,
              )
              .map((one) => one.outerHTML.slice(0, 120)),
      );

    for (const language of ["de", "fr"]) {
      it(`speaks ${language} to whoever wants it first`, async () => {
        const english = tableOf(kind, "en");
        const own = tableOf(kind, language);
        const same = new Set(
          Object.keys(own).filter((name) => own[name]?.message === english[name]?.message),
        );
        const foreign = Object.entries(english)
          .filter(([name, { message }]) => !same.has(name) && / \p{L}+ /u.test(message))
          .map(([, { message }]) => message)
          .filter((message) => !message.includes("$"));
        await eachPage(`${language}-CH,en`, undefined, async (page, name) => {
          assert.equal(await page.$eval("html", (html) => html.lang), language);
          const said = await page.$eval("body", (body) => body.textContent ?? "");
          const left = foreign.filter((message) => said.includes(message));
          assert.deepEqual(left, [], name);
          assert.deepEqual(await sideways(page), [], name);
          const path = join(SCREENSHOTS, `${name}-${kind}-${language}-320.png`);
          await page.screenshot({ path, fullPage: true });
        });
      });
    }

    for (const direction of ["ltr", "rtl"] as const) {
      it(`holds texts that are long, or run from right to left (${direction})`, async () => {
        const folder = mkdtempSync(join(tmpdir(), "mantle-pseudo-"));
        try {
          cpSync(testBuild(kind), folder, { recursive: true });
          const table = {
            ...pseudo(tableOf(kind, "en"), direction),
            language: { message: direction === "rtl" ? "he" : "fr" },
            direction: { message: direction },
            extensionName: { message: "Mantle" },
            extensionDescription: { message: "Mantle" },
          };
          writeFileSync(join(folder, "_locales/fr/messages.json"), JSON.stringify(table));
          await eachPage("fr,en", folder, async (page, name) => {
            assert.equal(await page.$eval("html", (html) => html.dir), direction);
            assert.deepEqual(await sideways(page), [], name);
            const bare = await page.$$eval("body *", (all) =>
              all
                .filter((one) => one.children.length === 0 && one.checkVisibility())
                .map((one) => (one.textContent ?? "").trim())
                .filter((said) => /\p{L}+ \p{L}+/u.test(said) && !said.includes("⟦")),
            );
            assert.deepEqual(bare, [], name);
            const path = join(SCREENSHOTS, `${name}-${kind}-pseudo-${direction}-320.png`);
            await page.screenshot({ path, fullPage: true });
          });
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      });
    }
  });
}
