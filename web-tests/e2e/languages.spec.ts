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
import { insideRoot, noQuestion, noticeTexts, openQuestion } from "../support/question.ts";
import { pageTable, pageTexts } from "../../scripts/page-texts.ts";
import { FINDINGS } from "../../extension/ui/checkup/texts.ts";
import { elementPage, signInToPage, tellsEverything } from "./element-page.ts";
import {
  type ExtensionBrowser,
  callApi,
  launchMantle,
  pause,
  storeSettings,
  tabShowing,
  testBuild,
  until,
} from "./extension-pages.ts";

type Table = Record<string, { message: string }>;

const ELEMENT = "chat.example.org";
const HOMESERVER = "hs.example.org";
const API = `https://${HOMESERVER}/_matrix/client`;
/** Where no WebAssembly may run, which Mantle says in a notice. */
const NO_WASM = `https://${ELEMENT}/no-wasm`;
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

/** What Mantle says inside Element's page. */
interface SaidInPage {
  /** A question of a shield, with its buttons. */
  question: string[];
  dialog: { lang: string; dir: string; isWide: boolean };
  /** What Element is told when the person says no, and when a shield does. */
  refusals: string[];
  notice: string[];
}

/** What the options page shows of the Rust module's sentences: a refused change, and a problem. */
async function saidByModule(options: Page): Promise<{ refused: string; problem: string }> {
  const textOf = async (selector: string): Promise<string> => {
    const shown = await options.waitForFunction(
      (at) => document.querySelector(at)?.textContent,
      {},
      selector,
    );
    return (await shown.jsonValue()) ?? "";
  };
  await options.$eval("#option-general-ledgerDays", (field) => {
    (field as HTMLInputElement).value = "9999";
    field.closest(".field")?.querySelector("button")?.click();
  });
  const refused = await textOf("#general .trouble");
  await storeSettings(options, { version: 1, options: { general: { consent: "perhaps" } } });
  const problem = await textOf("#problems p");
  await storeSettings(options, undefined);
  return { refused, problem };
}

async function saidInPage(page: Page, picture: string): Promise<SaidInPage> {
  const errorOf = (url: string, method: string, body: string): Promise<string> =>
    page.evaluate(
      async (to, by, sent) => {
        const init = { method: by, headers: { "Content-Type": "application/json" } };
        const answer = await fetch(to, sent === "" ? init : { ...init, body: sent });
        return ((await answer.json()) as { error?: string }).error ?? "";
      },
      url,
      method,
      body,
    );
  await page.bringToFront();
  await page.setViewport({ width: 320, height: 700 });
  const answer = errorOf(
    `${API}/v3/profile/@a:${HOMESERVER}/displayname`,
    "PUT",
    '{"displayname":"A"}',
  );
  const { title, text, choices, remember } = await openQuestion(page);
  const dialog = await insideRoot(page, "[data-mantle-question]", (root) => {
    const shown = root.querySelector("dialog");
    return {
      lang: shown?.lang ?? "",
      dir: shown?.dir ?? "",
      isWide: (shown?.scrollWidth ?? 0) > (shown?.clientWidth ?? 0),
    };
  });
  await page.screenshot({ path: picture });
  await page.keyboard.press("Escape");
  await noQuestion(page);
  const preview = await errorOf(`${API}/v1/media/preview_url?url=https://a.example`, "GET", "");
  const refusals = [await answer, preview];
  await page.goto(NO_WASM);
  await until(async () => (await noticeTexts(page)).length > 0, "the notice");
  const notice = await noticeTexts(page);
  return { question: [title, ...text, ...choices, ...remember], dialog, refusals, notice };
}

/** Checks an account that shows everything, and opens what each repair would do. */
async function checkUp(page: Page): Promise<void> {
  await page.$eval("#check", (check) => (check as HTMLElement).click());
  await page.waitForSelector("#summary:not([hidden])", { timeout: 60_000 });
  const found = await page.$$eval("#findings [data-finding]", (all) =>
    all.map((one) => (one as HTMLElement).dataset["finding"] ?? ""),
  );
  assert.deepEqual(found.sort(), Object.keys(FINDINGS).sort());
  await page.$$eval("[data-repair]", (all) => {
    for (const repair of all) if (repair.checkVisibility()) (repair as HTMLElement).click();
  });
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".preview:not([hidden])")].every(
      (preview) => preview.querySelector("button") !== null,
    ),
  );
}

for (const kind of bothBrowsers) {
  describe(`languages in ${kind}`, () => {
    let recorder: Recorder;

    before(async () => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      recorder = await startRecorder({
        hosts: { [ELEMENT]: elementPage, [HOMESERVER]: tellsEverything },
      });
    });

    after(() => recorder?.close());

    /** Opens each of Mantle's own pages, narrow and with everything unfolded. */
    async function eachPage(
      languages: string,
      extension: string | undefined,
      look: (page: Page, name: string) => Promise<void>,
      hear: (said: SaidInPage) => void,
    ): Promise<void> {
      const running: ExtensionBrowser = await launchMantle(kind, recorder.port, {
        languages,
        ...(extension === undefined ? {} : { extension }),
      });
      try {
        const first = await running.openExtensionPage("popup.html");
        await until(async () => {
          const stored = await callApi<object>(first, "storage.local.get", "page-texts");
          return "page-texts" in stored;
        }, "the background to have the texts");
        const site = await running.newPage();
        await site.goto(`https://${ELEMENT}/`);
        const name320 = `question-${kind}-${languages.slice(0, 2)}${extension === undefined ? "" : "-pseudo"}-320.png`;
        hear(await saidInPage(site, join(SCREENSHOTS, name320)));
        await site.goto(`https://${ELEMENT}/`);
        const tab = await tabShowing(first, ELEMENT);
        const row = { shield: "typing", action: "answered", host: "hs.example", endpoint: "x" };
        const day = new Date();
        const name = [day.getFullYear(), day.getMonth() + 1, day.getDate()]
          .map((part) => String(part).padStart(2, "0"))
          .join("-");
        await callApi(first, "storage.local.set", {
          [`ledger/${name}`]: [{ ...row, count: 3, last: Date.now() }],
        });
        const marks = {
          [`popup.html?tab=${tab}`]: "[data-shield]",
          "options.html": "[data-shield]",
          "ledger.html": "[role=row]",
          "first-run.html": "[data-choice]",
          [`checkup.html?tab=${tab}`]: "#check",
        };
        for (const [path, mark] of Object.entries(marks)) {
          const isCheckUp = path.startsWith("checkup");
          // No more of an Element than the check-up needs.
          if (isCheckUp) await signInToPage(site, `https://${HOMESERVER}`);
          const page = await running.openExtensionPage(path);
          await page.setViewport({ width: 320, height: 900 });
          await page.waitForSelector(mark, { timeout: 60_000 });
          if (isCheckUp) await checkUp(page);
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

    /** Words of headings that go on in another line; an account's name may be longer than one. */
    const brokenWords = (page: Page): Promise<string[]> =>
      page.$$eval("h1, h2, h3", (all) =>
        all
          .filter((heading) => heading.checkVisibility())
          .flatMap((heading) => [...heading.childNodes])
          .filter((node) => node.nodeType === Node.TEXT_NODE)
          .flatMap((node) =>
            [...(node.textContent ?? "").matchAll(/[\p{L}\p{N}]+/gu)]
              .filter(({ 0: word, index }) => {
                if (/@\S*$/.test((node.textContent ?? "").slice(0, index))) return false;
                const range = document.createRange();
                range.setStart(node, index);
                range.setEnd(node, index + word.length);
                return new Set([...range.getClientRects()].map(({ top }) => top)).size > 1;
              })
              .map(([word]) => word),
          ),
      );

    /** Names of shields whose lines do not begin below each other, or that have left their mark. */
    const raggedNames = (page: Page): Promise<string[]> =>
      page.$$eval(".brief summary", (all) =>
        all
          .filter((summary) => summary.checkVisibility())
          .filter((summary) => {
            const lines = [...(summary.querySelector("h3")?.getClientRects() ?? [])];
            const [first, ...others] = lines.map(({ left }) => left);
            // The mark is at the summary's beginning, in its first line.
            const { top } = summary.getBoundingClientRect();
            const isBeside = (lines[0]?.top ?? Infinity) - top < 10;
            return !isBeside || others.some((left) => Math.abs(left - (first ?? 0)) > 3);
          })
          .map((summary) => summary.textContent ?? ""),
      );

    /** Texts whose end is cut off: what is chosen in a list that folds, and what is too long for its place. */
    const cutTexts = (page: Page): Promise<string[]> =>
      page.evaluate(() => {
        // What a list's arrow takes.
        const ARROW = 20;
        const pen = document.createElement("canvas").getContext("2d");
        const chosen = [...document.querySelectorAll("select")]
          .filter((list) => list.checkVisibility())
          .filter((list) => {
            const { font, paddingInlineStart, paddingInlineEnd } = getComputedStyle(list);
            const around = parseFloat(paddingInlineStart) + parseFloat(paddingInlineEnd) + ARROW;
            if (pen === null) return true;
            pen.font = font;
            const { width } = pen.measureText(list.selectedOptions[0]?.text ?? "");
            return width > list.clientWidth - around;
          })
          .map((list) => list.selectedOptions[0]?.text ?? "");
        const clipped = [...document.querySelectorAll<HTMLElement>("body *")]
          .filter((one) => one.checkVisibility() && !one.matches(".unseen, legend"))
          .filter((one) => getComputedStyle(one).overflowX === "hidden")
          .filter(
            (one) =>
              one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1,
          )
          .map((one) => one.textContent ?? "");
        return [...chosen, ...clipped];
      });

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
        await eachPage(
          `${language}-CH,en`,
          undefined,
          async (page, name) => {
            assert.equal(await page.$eval("html", (html) => html.lang), language);
            const said = await page.$eval("body", (body) => body.textContent ?? "");
            const left = foreign.filter((message) => said.includes(message));
            assert.deepEqual(left, [], name);
            assert.deepEqual(await sideways(page), [], name);
            assert.deepEqual(await brokenWords(page), [], name);
            assert.deepEqual(await raggedNames(page), [], name);
            assert.deepEqual(await cutTexts(page), [], name);
            const path = join(SCREENSHOTS, `${name}-${kind}-${language}-320.png`);
            await page.screenshot({ path, fullPage: true });
            if (name !== "options") return;
            const { refused, problem } = await saidByModule(page);
            const title = own["option_general_ledgerDays"]?.message ?? "";
            assert.equal(refused, own["said_value"]?.message.replace("$1", title));
            const key = "options.general.consent";
            assert.equal(problem, own["said_ownValue"]?.message.replace("$1", key));
          },
          ({ question, dialog, refusals, notice }) => {
            const table = pageTable(language);
            const [title, text, send, remember] = ["Title", "Text", "Send", "Remember"].map(
              (part) => table[`core_profile${part}`] ?? "",
            );
            assert.deepEqual(question, [title, text, send, table["cancel"], remember]);
            assert.deepEqual(dialog, { lang: language, dir: "ltr", isWide: false });
            assert.deepEqual(refusals, [table["notSent"], table["core_previews"]]);
            assert.deepEqual(notice, [table["noWasm"]]);
          },
        );
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
          const inPage = Object.entries(pageTexts("fr")).map(([name, message]) => [
            name,
            { message },
          ]);
          const said = Object.entries(pseudo(Object.fromEntries(inPage) as Table, direction)).map(
            ([name, { message }]) => [name, message],
          );
          const texts = {
            ...Object.fromEntries(said),
            language: table.language.message,
            direction,
          };
          writeFileSync(join(folder, "page-texts/fr.json"), JSON.stringify(texts));
          await eachPage(
            "fr,en",
            folder,
            async (page, name) => {
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
            },
            ({ question, dialog, refusals, notice }) => {
              assert.deepEqual(dialog, { lang: texts.language, dir: direction, isWide: false });
              const bare = [...question, ...refusals, ...notice].filter(
                (one) => !one.startsWith("⟦"),
              );
              assert.deepEqual(bare, []);
            },
          );
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      });
    }
  });
}
