import { build } from "esbuild";
import type { Plugin } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import type { Calls } from "../client/client.ts";
import type { Driver, Outcome } from "../client/driver.ts";
import type { Handler } from "./recorder.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SOURCE = join(ROOT, "web-tests/client");
const STATIC = ["index.html", "jitsi.html", "sw.js", "version", "manifest.json"];
const CRYPTO_WASM = "@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm";

/** Versions of matrix-js-sdk the page can be built with: of 2026, 2025 and 2024. */
export type SdkVersion = "43" | "37" | "35";

/** How one test's page differs from the usual one. */
export interface ClientPageOptions {
  /** 43 when left out. With an older one the page has sessions, rooms and encrypted state only. */
  readonly sdk?: SdkVersion;
  /** Changes config.json before it is served. */
  readonly config?: (config: Record<string, unknown>) => Record<string, unknown>;
  /** Replaces answers by path, for instance `/config.json`. */
  readonly answers?: Record<string, Handler>;
}

/** Builds the client page once per content and serves it as a web server serves Element. */
export async function clientPage(options: ClientPageOptions = {}): Promise<Handler> {
  const folder = await buildClientPage(options.sdk ?? "43");
  return async (request, response) => {
    const path = new URL(request.path, "https://client").pathname;
    const replaced = options.answers?.[path];
    if (replaced !== undefined) return replaced(request, response);
    const name = path === "/" ? "index.html" : normalize(path).slice(1);
    const file = join(folder, name);
    const isServed = name === "version" || extname(name) !== "";
    if (!isServed || !file.startsWith(folder) || !existsSync(file)) {
      response.writeHead(404).end("Not found");
      return undefined;
    }
    let content = await readFile(file);
    if (name === "config.json" && options.config !== undefined) {
      const config = JSON.parse(content.toString("utf8")) as Record<string, unknown>;
      content = Buffer.from(JSON.stringify(options.config(config)));
    }
    // What Element's build names by its content is kept by a browser, as it is with Element's servers.
    const keeps = name.startsWith("bundles/") ? "public, max-age=86400, immutable" : "no-cache";
    const type = TYPES[extname(name)] ?? "text/plain";
    response.writeHead(200, { "Content-Type": type, "Cache-Control": keeps }).end(content);
    return undefined;
  };
}

/** Asks the page's driver to do something; rejects when it fails. */
export async function drive<Name extends keyof Calls>(
  page: Page,
  name: Name,
  ...args: Parameters<Calls[Name]>
): Promise<Awaited<ReturnType<Calls[Name]>>> {
  const outcome = await tryToDrive(page, name, ...args);
  if (!outcome.ok) throw new Error(`${name}: ${outcome.error}`);
  return outcome.value;
}

/** The same, when failing is one of the expected ends. */
export async function tryToDrive<Name extends keyof Calls>(
  page: Page,
  name: Name,
  ...args: Parameters<Calls[Name]>
): Promise<Outcome<Awaited<ReturnType<Calls[Name]>>>> {
  const outcome = await page.evaluate(
    (calledName: string, calledArgs: unknown[]) =>
      (window as unknown as { driver: Driver }).driver.call(calledName, calledArgs),
    name as string,
    // An argument left out must not become null on its way into the page.
    args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1) as unknown[],
  );
  return outcome as Outcome<Awaited<ReturnType<Calls[Name]>>>;
}

/** Opens the client page and waits for what Element does at page load. */
export async function openClient(page: Page, url = "https://chat.example.org/"): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    await page.goto(url, { waitUntil: "load", timeout: 60_000 });
    if (await isAsPrepared(page)) break;
    // A crowded machine loses that race now and then, not each time.
    if (tries === MOST_LOADS) throw new Error("Mantle ran before what was to run before it.");
  }
  await page.waitForFunction("window.driver !== undefined", { timeout: 30_000 });
  await drive(page, "loaded");
}

const MOST_LOADS = 5;
/** How many scripts of a test are to run before Mantle in a page. */
const prepared = new WeakMap<Page, number>();

/**
 * Runs a script in a page's next loads before any other, so before Mantle too; the result ends that.
 * Drivers promise the first for the page's own scripts only: in Firefox an extension's may be quicker.
 * `openClient` loads the page anew then.
 */
export async function runBeforeMantle(page: Page, source: string): Promise<() => Promise<void>> {
  const { identifier } = await page.evaluateOnNewDocument(`{
    const asks = new Event("mantle-presence", { cancelable: true });
    if (window.dispatchEvent(asks)) window.ranBeforeMantle = (window.ranBeforeMantle ?? 0) + 1;
  }
  ${source}`);
  prepared.set(page, (prepared.get(page) ?? 0) + 1);
  return async () => {
    await page.removeScriptToEvaluateOnNewDocument(identifier);
    prepared.set(page, (prepared.get(page) ?? 0) - 1);
  };
}

async function isAsPrepared(page: Page): Promise<boolean> {
  const count = prepared.get(page) ?? 0;
  if (count === 0) return true;
  return (await page.evaluate("window.ranBeforeMantle ?? 0")) === count;
}

/** Lets a page's clock go ahead, from its next load on. The result ends that, for the load after it. */
export function setClockAhead(page: Page, milliseconds: number): Promise<() => Promise<void>> {
  return runBeforeMantle(
    page,
    `{
    const now = Date.now;
    let asked = 0;
    const ahead = () => (asked += 1, now() + ${milliseconds});
    Date.now = Object.assign(ahead, { asked: () => asked });
  }`,
  );
}

/**
 * Whether somebody asks the clock that was set ahead who took it before the page's own scripts did, as
 * Mantle should; and the locks of the site's pages. For a test that waited in vain.
 */
export async function clockAndLocks(
  page: Page,
  meanwhile: () => Promise<unknown>,
): Promise<string> {
  const asked = await page.evaluate(() => {
    const ahead = Date.now as unknown as { asked?: () => number };
    const start = performance.timeOrigin;
    // The page's scripts have the right time from here on.
    Date.now = () => Math.floor(start + performance.now());
    Object.assign(window, { clockAsked: ahead.asked });
    return ahead.asked?.();
  });
  await meanwhile();
  return page.evaluate(async (before) => {
    const { clockAsked } = window as unknown as { clockAsked?: () => number };
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const locks = JSON.stringify(await navigator.locks.query());
    return `clock asked ${String(before)}, then ${String(clockAsked?.())} times; locks ${locks}`;
  }, asked);
}

/** Rejections nobody handled and errors nobody caught in the page. */
export function unhandled(page: Page): Promise<string[]> {
  return page.evaluate(() => (window as unknown as { driver: Driver }).driver.unhandled);
}

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

const building = new Map<SdkVersion, Promise<string>>();

function buildClientPage(sdk: SdkVersion): Promise<string> {
  const known = building.get(sdk);
  if (known !== undefined) return known;
  const started = buildOnce(sdk);
  building.set(sdk, started);
  return started;
}

async function buildOnce(sdk: SdkVersion): Promise<string> {
  const packages = join(ROOT, sdk === "43" ? "" : `web-tests/client-${sdk}`, "node_modules");
  if (!existsSync(join(packages, "matrix-js-sdk"))) {
    throw new Error(`matrix-js-sdk ${sdk} is not installed: run scripts/setup.`);
  }
  const folder = join(ROOT, "build/client", await fingerprint(packages));
  if (existsSync(join(folder, "index.html"))) return folder;
  const temporary = `${folder}.${process.pid}.part`;
  await mkdir(join(temporary, "bundles/pkg"), { recursive: true });
  const entry = join(SOURCE, sdk === "43" ? "client.ts" : "client-older.ts");
  await build({
    absWorkingDir: ROOT,
    entryPoints: [
      { in: entry, out: "client" },
      { in: join(SOURCE, "jitsi.ts"), out: "jitsi" },
    ],
    outdir: join(temporary, "bundles"),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: ["es2022"],
    minify: true,
    define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
    logLevel: "error",
    ...(sdk === "43" ? {} : { plugins: [oldSdk(packages)] }),
  });
  for (const name of [...STATIC, ...(await configs())]) {
    await copyFile(join(SOURCE, name), join(temporary, name));
  }
  // The oldest one carries its WASM in its script.
  if (sdk !== "35") {
    await cp(
      join(packages, CRYPTO_WASM),
      join(temporary, "bundles/pkg", "matrix_sdk_crypto_wasm_bg.wasm"),
    );
  }
  await mkdir(dirname(folder), { recursive: true });
  // Two builders at once: the first one wins, the other's result is the same.
  await rename(temporary, folder).catch(() => rm(temporary, { recursive: true, force: true }));
  return folder;
}

/** The page's sources say matrix-js-sdk; here that is another one. */
function oldSdk(packages: string): Plugin {
  return {
    name: "old-sdk",
    setup({ onResolve, resolve }) {
      onResolve({ filter: /^matrix-js-sdk($|\/)/ }, ({ path, kind, pluginData }) =>
        pluginData === "old-sdk"
          ? undefined
          : resolve(path, { resolveDir: packages, kind, pluginData: "old-sdk" }),
      );
    },
  };
}

async function configs(): Promise<string[]> {
  return (await readdir(SOURCE)).filter((name) => /^config\..*json$/.test(name));
}

async function fingerprint(packages: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await readdir(SOURCE)).sort()) {
    hash.update(name).update(await readFile(join(SOURCE, name)));
  }
  hash.update(await readFile(join(packages, "matrix-js-sdk/package.json")));
  hash.update(await readFile(fileURLToPath(import.meta.url)));
  return hash.digest("hex").slice(0, 16);
}
