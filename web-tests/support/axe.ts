/** A page of Mantle's as people use it who see or point otherwise than most. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { ElementHandle, Page } from "puppeteer-core";
import { drawnInPage } from "./question.ts";

interface Axe {
  run(
    where: Document,
    options: object,
  ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** WCAG 2.2 AA, with what it took over from its earlier versions. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
/** No page has as many stops. */
const MAX_TABS = 600;

/** What breaks a rule, with the rule. */
export async function violations(page: Page): Promise<string[]> {
  if (await page.evaluate(() => !("axe" in globalThis))) await page.evaluate(`${AXE}; undefined`);
  return page.evaluate(async (values) => {
    const { axe } = globalThis as unknown as { axe: Axe };
    const found = await axe.run(document, { runOnly: { type: "tag", values } });
    return found.violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`),
    );
  }, RULES);
}

/**
 * The same of what Mantle shows in a page. No script sees into its closed roots, so that they are drawn
 * once more in an empty page; fails where there is nothing.
 */
export async function violationsInPage(page: Page): Promise<string[]> {
  const drawn = await drawnInPage(page);
  if (drawn.length === 0) throw new Error("Mantle shows nothing in this page.");
  const value = await page.evaluate(() =>
    matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  );
  const copy = await page.browser().newPage();
  try {
    // Firefox has one scheme for all pages.
    await copy
      .emulateMediaFeatures([{ name: "prefers-color-scheme", value }])
      .catch(() => undefined);
    await copy.setContent(
      `<!doctype html><html lang="en"><title>Mantle</title><body>${drawn.join("")}</body></html>`,
    );
    await copy.$$eval("dialog", (all) => {
      for (const dialog of all) {
        dialog.close();
        dialog.showModal();
      }
    });
    return await violations(copy);
  } finally {
    await copy.close();
    await page.bringToFront();
  }
}

/**
 * Goes on with the Tab key until it is there; false when the page took it away meanwhile. Firefox's
 * focus leaves a document behind its last stop, and the driver's keys still move what is active in it,
 * where none of them presses anything; once the focus is back at that stop, this goes backwards.
 */
export async function tabTo(page: Page, wanted: ElementHandle): Promise<boolean> {
  let isBackwards = false;
  let hasLeft = false;
  for (let tabs = 0; tabs < MAX_TABS; tabs += 1) {
    const [isActive, isGone, hasFocus] = await wanted.evaluate((one) => [
      document.activeElement === one,
      !one.isConnected,
      document.hasFocus(),
    ]);
    if (isGone === true) return false;
    if (isActive === true && hasFocus === true) return true;
    if (hasFocus === true && hasLeft) isBackwards = !isBackwards;
    hasLeft = hasFocus !== true;
    if (isBackwards) await page.keyboard.down("Shift");
    await page.keyboard.press("Tab");
    if (isBackwards) await page.keyboard.up("Shift");
  }
  throw new Error("The Tab key does not come there.");
}
