/**
 * Pictures of Mantle's own pages, taken in Chromium against a real homeserver: five of 1280 × 800 in
 * each language for the stores, and the README's popup.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import { check, openCheckUp } from "../e2e/checkup-page.ts";
import { type ExtensionBrowser, testBuild } from "../e2e/extension-pages.ts";
import { linesInView } from "./lines.ts";
import { SITE, fillLedger, inEachLanguage, tabWithConsent } from "./scene.ts";

/** What both stores take. */
export const STORE_SIZE = { width: 1280, height: 800 } as const;
/** Of a page in its picture; the rest is for its caption. */
const PAGE_SIZE = { width: 800, height: 712 } as const;
const POPUP_SIZE = { width: 440, height: 712 } as const;

type Table = Record<string, { message: string } | undefined>;

export interface StorePictures {
  readonly taken: readonly string[];
  /** What stands in the README's popup. */
  readonly popupSays: readonly string[];
}

/** Takes them all; `folder` gets a folder for each language, and `popup.png`. */
export async function takePictures(folder: string): Promise<StorePictures> {
  const taken: string[] = [];
  let popupSays: string[] = [];
  await inEachLanguage("chromium", async (language, running) => {
    const into = join(folder, language);
    mkdirSync(into, { recursive: true });
    const settings = await running.openExtensionPage("options.html");
    const tab = await tabWithConsent(settings);
    await settings.close();
    const table = readTable(language);
    const points = listingPoints(language);
    const save = async (
      name: string,
      page: Page,
      caption: string,
      heading?: string,
    ): Promise<void> => {
      const path = join(into, `${name}.png`);
      const title = heading ?? (await page.$eval("h1", (one) => one.textContent ?? ""));
      const picture = await page.screenshot({ encoding: "base64" });
      await page.close();
      await compose(running, { path, language, title, caption, picture });
      taken.push(path);
    };

    const popup = await open(running, `popup.html?tab=${tab}`, "#happened li", POPUP_SIZE);
    if (language === "en") {
      await popup.screenshot({ path: join(folder, "popup.png") });
      taken.push(join(folder, "popup.png"));
      popupSays = await linesInView(popup);
    }
    await save("1-popup", popup, point(points, 0));
    const checkUp = await openCheckUp(running, SITE);
    await checkUp.setViewport(PAGE_SIZE);
    await check(checkUp);
    await checkUp.$eval("#summary", (part) => part.scrollIntoView());
    // Without the account, which stands on the page.
    await save("2-check-up", checkUp, point(points, 5), message(table, "checkupTitle"));
    const first = await running.openExtensionPage("ledger.html");
    await fillLedger(first);
    await first.close();
    const ledger = await open(running, "ledger.html", "#entries [role=row]", PAGE_SIZE);
    await save("3-ledger", ledger, message(table, "ledgerAbout"));
    const options = await open(running, "options.html", "[data-shield]", PAGE_SIZE);
    await save("4-settings", options, point(points, 6));
    const start = await open(running, "first-run.html", "[data-choice]", PAGE_SIZE);
    await save("5-first-run", start, message(table, "firstRunIntro"));
  });
  return { taken, popupSays };
}

async function open(
  running: ExtensionBrowser,
  path: string,
  ready: string,
  size: { readonly width: number; readonly height: number },
): Promise<Page> {
  const page = await running.openExtensionPage(path);
  await page.setViewport(size);
  await page.waitForSelector(ready, { timeout: 60_000 });
  return page;
}

interface Picture {
  readonly path: string;
  readonly language: string;
  readonly title: string;
  readonly caption: string;
  /** Of the page, as PNG in Base64. */
  readonly picture: string;
}

/** The page with its title and a sentence beside it. */
async function compose(running: ExtensionBrowser, of: Picture): Promise<void> {
  const icon = readFileSync(
    fileURLToPath(new URL("../../extension/icons/mantle-128.png", import.meta.url)),
  ).toString("base64");
  const page = await running.newPage();
  try {
    await page.setViewport(STORE_SIZE);
    await page.setContent(`<!doctype html><html><head><style>
      body { display: grid; grid-template-columns: 1fr auto; gap: 40px; align-items: center;
        box-sizing: border-box; width: 1280px; height: 800px; margin: 0; padding: 44px;
        background: #e6ebfb; color: #1d2330; font: 22px/1.45 system-ui, sans-serif; }
      div { align-self: start; margin-top: 120px; }
      div img { display: block; width: 72px; }
      h1 { margin: 24px 0 16px; font-size: 36px; line-height: 1.2; overflow-wrap: anywhere; }
      p { margin: 0; color: #3d4658; }
      body > img { border-radius: 12px; box-shadow: 0 8px 40px #1d233040; }
    </style></head><body><div><img alt=""><h1></h1><p></p></div><img alt=""></body></html>`);
    await page.evaluate(
      async ({ language, title, caption, picture, icon: sign }) => {
        document.documentElement.lang = language;
        const [small, large] = document.images;
        if (small !== undefined) small.src = `data:image/png;base64,${sign}`;
        if (large !== undefined) large.src = `data:image/png;base64,${picture}`;
        for (const [tag, words] of [
          ["h1", title],
          ["p", caption],
        ] as const) {
          const element = document.querySelector(tag);
          if (element !== null) element.textContent = words;
        }
        await Promise.all([...document.images].map((image) => image.decode()));
      },
      {
        language: of.language,
        title: of.title,
        caption: of.caption,
        picture: of.picture,
        icon,
      },
    );
    await page.screenshot({ path: of.path });
  } finally {
    await page.close();
  }
}

/** What the listing says in points. */
function listingPoints(language: string): string[] {
  const path = fileURLToPath(new URL(`../../docs/stores/listing.${language}.md`, import.meta.url));
  const lines = readFileSync(path, "utf8").split("\n");
  return lines
    .filter((line) => line.startsWith("- **"))
    .map((line) => line.slice(2).replaceAll("**", ""));
}

function point(points: readonly string[], at: number): string {
  const found = points[at];
  if (found === undefined) throw new Error(`The listing has no point ${at}.`);
  return found;
}

function readTable(language: string): Table {
  const path = join(testBuild("chromium"), "_locales", language, "messages.json");
  return JSON.parse(readFileSync(path, "utf8")) as Table;
}

function message(table: Table, name: string): string {
  const found = table[name]?.message;
  if (found === undefined) throw new Error(`There is no text ${name}.`);
  return found;
}
