/** scripts/run: a visible browser with a profile of its own and Mantle installed. */

import { existsSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import puppeteer, { type Browser, type LaunchOptions } from "puppeteer-core";

import { patternsOf } from "./manifest.ts";
import { Failure, main, must, programs, root } from "./process.ts";

const usage = "usage: scripts/run URL [--browser chromium|firefox]";

function siteOf(text: string): string {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `https://${text}`);
  } catch {
    throw new Failure(`"${text}" is no URL; give one such as https://app.element.io.`);
  }
  const site = url.origin + url.pathname.replace(/\/[^/]*\.html$|\/+$/, "");
  try {
    patternsOf(site);
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
  return site;
}

async function launch(kind: keyof typeof programs, extension: string): Promise<Browser> {
  const program = programs[kind].find((file) => file !== undefined && existsSync(file));
  if (program === undefined) throw new Failure(`${kind} is not installed; run scripts/setup.`);
  const common: LaunchOptions = {
    executablePath: program,
    headless: false,
    defaultViewport: null,
  };
  if (kind === "chromium") {
    return puppeteer.launch({
      ...common,
      pipe: true,
      enableExtensions: [extension],
      // Chromium refuses its sandbox to root.
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
      ignoreDefaultArgs: ["--enable-automation"],
    });
  }
  const browser = await puppeteer.launch({ ...common, browser: "firefox" });
  await browser.installExtension(extension);
  return browser;
}

main("run", async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      browser: { type: "string", default: "chromium" },
      help: { type: "boolean", default: false },
    },
  });
  const [address, ...others] = positionals;
  if (values.help || address === undefined || others.length > 0) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  const kind = values.browser;
  if (kind !== "chromium" && kind !== "firefox") {
    throw new Failure(`--browser must be chromium or firefox, not "${kind}".`);
  }
  const site = siteOf(address);
  const screen = process.env["DISPLAY"] ?? process.env["WAYLAND_DISPLAY"] ?? "";
  if (screen === "" && process.platform === "linux") {
    throw new Failure(
      "there is no display to open a browser on (DISPLAY and WAYLAND_DISPLAY are empty); " +
        "run this in a desktop session, or load dist/ into a browser elsewhere.",
    );
  }
  const out = "build/run";
  await must("The build", "scripts/build", ["--site", site, "--out", out], {
    timeoutSeconds: 1_800,
    echo: true,
  });
  const browser = await launch(kind, path.join(root, out, kind));
  const [blank] = await browser.pages();
  const page = blank ?? (await browser.newPage());
  await page.goto(address.includes("://") ? address : `https://${address}`).catch(() => {
    console.error(`run: ${site} did not load; the browser stays open.`);
  });
  console.log(`run: ${kind} is open on ${site} with Mantle; close it to end.`);
  await new Promise<void>((resolve) => {
    browser.once("disconnected", resolve);
    browser.process()?.once("exit", () => resolve());
  });
  return 0;
});
