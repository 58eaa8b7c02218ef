/**
 * scripts/pictures: the stores' pictures in every language (build/store-pictures), the README's popup,
 * and the head of the last leak report; beside the README's, what they show. `--views` takes every view instead, in both browsers, three
 * languages, light and dark, narrow and wide (build/views), to be looked at.
 */

import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import puppeteer from "puppeteer-core";

import { linesInView } from "../web-tests/pictures/lines.ts";
import { takePictures } from "../web-tests/pictures/stores.ts";
import { takeViews } from "../web-tests/pictures/views.ts";
import { bothBrowsers } from "../web-tests/support/browsers.ts";
import { Failure, main, programs, root } from "./process.ts";
import { keepShown } from "./readme-pictures.ts";

const folder = path.join(root, "docs/pictures");
const stores = path.join(root, "build/store-pictures");
const views = path.join(root, "build/views");
const report = path.join(root, "report/report.html");

main("pictures", async () => {
  if (!existsSync(path.join(root, "build/test/chromium/manifest.json"))) {
    throw new Failure("there is no build of the tests; run scripts/spec popup.");
  }
  const { values } = parseArgs({ options: { views: { type: "boolean", default: false } } });
  if (values.views) {
    for (const kind of bothBrowsers) {
      const count = await takeViews(kind, views);
      console.log(`pictures: ${count} of ${kind} in build/views`);
    }
    return 0;
  }
  mkdirSync(folder, { recursive: true });
  const { taken, popupSays } = await takePictures(stores);
  copyFileSync(path.join(stores, "popup.png"), path.join(folder, "popup.png"));
  keepShown("popup", popupSays);
  console.log(`pictures: ${taken.length} in build/store-pictures, docs/pictures/popup.png`);
  if (!existsSync(report)) {
    throw new Failure("there is no report to take the other picture of; run scripts/demo.");
  }
  await takeReport();
  console.log("pictures: docs/pictures/leak-report.png");
  return 0;
});

async function takeReport(): Promise<void> {
  const executablePath = programs.chromium.find((file) => file !== undefined && existsSync(file));
  if (executablePath === undefined) throw new Failure("Chromium is missing; run scripts/setup.");
  const browser = await puppeteer.launch({
    executablePath,
    defaultViewport: { width: 1_000, height: 740 },
    // Chromium refuses its sandbox to root.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  try {
    const page = await browser.newPage();
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
    await page.goto(pathToFileURL(report).href);
    await page.screenshot({ path: path.join(folder, "leak-report.png") });
    keepShown("leak-report", await linesInView(page));
  } finally {
    await browser.close();
  }
}
