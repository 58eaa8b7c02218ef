/**
 * A picture of each view as people meet it, to be looked at: in each language, light and dark, narrow
 * and wide, and a question in Element's page. Nothing is judged here; notices and progress are
 * pictured by `fault.spec.ts` and `element.spec.ts`.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "puppeteer-core";
import type { BrowserKind } from "../support/browsers.ts";
import { noQuestion, openQuestion } from "../support/question.ts";
import { check, openCheckUp } from "../e2e/checkup-page.ts";
import type { Guarded } from "../e2e/encrypted-state/people.ts";
import { type ExtensionBrowser, pause } from "../e2e/extension-pages.ts";
import { SITE, fillLedger, inEachLanguage, tabWithConsent } from "./scene.ts";

const WIDTHS = { popup: [320, 440], page: [320, 1100] } as const;
const HEIGHT = 900;

interface Shown {
  readonly running: ExtensionBrowser;
  readonly folder: string;
  readonly kind: BrowserKind;
  readonly language: string;
}

/** Takes them all in one browser; gives how many. */
export async function takeViews(kind: BrowserKind, folder: string): Promise<number> {
  mkdirSync(folder, { recursive: true });
  let count = 0;
  await inEachLanguage(kind, async (language, running, person) => {
    const shown: Shown = { running, kind, language, folder };
    const of = async (
      name: string,
      path: string,
      ready: string,
      sizes: readonly number[] = WIDTHS.page,
    ): Promise<void> => {
      const page = await running.openExtensionPage(path);
      await page.waitForSelector(ready, { timeout: 60_000 });
      count += await take(shown, page, name, sizes);
      await page.close();
    };
    await of("first-run", "first-run.html", "[data-choice]");
    const settings = await running.openExtensionPage("options.html");
    const tab = await tabWithConsent(settings);
    await fillLedger(settings);
    await settings.close();
    await of("ledger", "ledger.html", "#entries [role=row]");
    await of("options", "options.html", "[data-shield]");
    const checkUp = await openCheckUp(running, SITE);
    await check(checkUp);
    await checkUp.$$eval(".finding [data-repair]", (all) => (all[0] as HTMLElement).click());
    await checkUp.waitForSelector(".preview .primary", { timeout: 60_000 });
    count += await take(shown, checkUp, "check-up", WIDTHS.page);
    await checkUp.close();
    await of("popup", `popup.html?tab=${tab}`, "#happened li", WIDTHS.popup);
    count += await inElement(shown, person);
  });
  return count;
}

async function inElement(shown: Shown, person: Guarded): Promise<number> {
  const { page } = person;
  await page.bringToFront();
  const base = `https://${person.userId.replace(/^.*?:/, "")}/_matrix/client/v3`;
  const answered = page.evaluate(async (url) => {
    const init = { method: "PUT", headers: { "Content-Type": "application/json" } };
    await fetch(url, { ...init, body: '{"displayname":"A"}' }).catch(() => undefined);
  }, `${base}/profile/${person.userId}/displayname`);
  await openQuestion(page);
  const count = await take(shown, page, "question", WIDTHS.page, false);
  await page.keyboard.press("Escape");
  await noQuestion(page);
  await answered;
  return count;
}

async function take(
  { running, folder, kind, language }: Shown,
  page: Page,
  name: string,
  widths: readonly number[],
  fullPage = true,
): Promise<number> {
  let count = 0;
  for (const isDark of [false, true]) {
    await running.setDark(page, isDark);
    for (const width of widths) {
      await page.setViewport({ width, height: HEIGHT });
      await pause(200);
      const file = `${name}-${language}-${width}-${isDark ? "dark" : "light"}-${kind}.png`;
      await page.screenshot({ path: join(folder, file), fullPage });
      count += 1;
    }
  }
  await running.setDark(page, false);
  return count;
}
