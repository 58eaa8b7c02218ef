/** scripts/pictures: the README's pictures, from a report and a popup as they were last made. */

import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

import puppeteer from "puppeteer-core";

import { Failure, main, programs, root } from "./process.ts";

const folder = path.join(root, "docs/pictures");
const report = path.join(root, "report/report.html");
const popup = path.join(root, "build/screenshots/popup-chromium-happened-440-light.png");

main("pictures", async () => {
  if (!existsSync(report)) throw new Failure("there is no report; run scripts/demo.");
  if (!existsSync(popup)) {
    throw new Failure("there is no picture of the popup; run scripts/spec popup.");
  }
  const executablePath = programs.chromium.find((file) => file !== undefined && existsSync(file));
  if (executablePath === undefined) throw new Failure("Chromium is missing; run scripts/setup.");
  mkdirSync(folder, { recursive: true });
  copyFileSync(popup, path.join(folder, "popup.png"));
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
  } finally {
    await browser.close();
  }
  console.log("pictures: docs/pictures/{popup,leak-report}.png");
  return 0;
});
