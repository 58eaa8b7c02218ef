/** The check-up's page as somebody uses it who has no mouse. */
import assert from "node:assert/strict";
import type { Page } from "puppeteer-core";
import { tabTo } from "../support/axe.ts";
import type { World } from "../support/world.ts";
import { type Guarded, openNew } from "./encrypted-state/people.ts";
import { type ExtensionBrowser, tabShowing } from "./extension-pages.ts";

/** A new account of whom the page says, as Element's does, that they are signed in. */
export async function openChecked(
  world: World,
  running: ExtensionBrowser,
  user: string,
  site: string,
): Promise<Guarded> {
  const person = await openNew(world, running, user, site);
  // What a repair needs is kept for nobody else.
  await person.page.evaluate((id) => localStorage.setItem("mx_user_id", id), person.userId);
  return person;
}

/** The check-up of whoever is signed in on the tab that shows `site`. */
export async function openCheckUp(running: ExtensionBrowser, site: string): Promise<Page> {
  const first = await running.openExtensionPage("options.html");
  const tab = await tabShowing(first, site);
  await first.close();
  const page = await running.openExtensionPage(`checkup.html?tab=${tab}`);
  await page.setViewport({ width: 900, height: 1200 });
  await page.waitForSelector("#check", { timeout: 60_000 });
  return page;
}

/** Goes to what a selector finds by the Tab key, and presses Enter there. */
export async function enter(page: Page, selector: string): Promise<void> {
  await page.bringToFront();
  for (;;) {
    const found = await page.waitForSelector(selector, { timeout: 60_000 });
    // What the page shows anew meanwhile is looked for again.
    if (found === null || !(await tabTo(page, found))) continue;
    await page.keyboard.press("Enter");
    return;
  }
}

/** A button of a finding, by what stands on it. */
export async function press(page: Page, finding: string, label: string): Promise<void> {
  const which = `[@data-finding="${finding}"]//button[not(ancestor-or-self::*[@hidden])]`;
  await enter(page, `::-p-xpath(//*${which}[normalize-space()="${label}"])`);
}

/** Checks once; what an earlier check found is not taken for what this one finds. */
export async function check(page: Page): Promise<void> {
  await page.$eval("#summary", (summary) => summary.replaceChildren());
  await enter(page, "#check");
  await page.waitForFunction(
    () =>
      document.querySelector("#check:not([disabled])") !== null &&
      document.querySelector("#summary:not([hidden]) > *") !== null,
    { timeout: 120_000 },
  );
  // One that failed shows what the one before it found.
  assert.equal(await page.$eval("#state", (state) => state.textContent), "");
}

/** Waits until the repair of a finding is in a state, and gives what its card says. */
export async function reached(
  page: Page,
  finding: string,
  wanted: string,
  limit = 60_000,
): Promise<string> {
  const card = `[data-finding="${finding}"] .repair`;
  const inState = `${card}[data-state="${wanted}"]`;
  await page
    .waitForFunction((one) => document.querySelector(one) !== null, { timeout: limit }, inState)
    .catch(async () => {
      const said = await page.$eval(card, (one) => (one as HTMLElement).innerText);
      assert.fail(`The repair is not ${wanted}, but says: ${said}`);
    });
  return page.$eval(card, (one) => (one as HTMLElement).innerText);
}
