import { build } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import type { Calls, Driver, Outcome } from "../client/client.ts";
import type { Handler } from "./recorder.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SOURCE = join(ROOT, "web-tests/client");
const STATIC = ["index.html", "jitsi.html", "sw.js", "version", "manifest.json"];
const CRYPTO_WASM = "@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm";

/** How one test's page differs from the usual one. */
export interface ClientPageOptions {
  /** Changes config.json before it is served. */
  readonly config?: (config: Record<string, unknown>) => Record<string, unknown>;
  /** Replaces answers by path, for instance `/config.json`. */
  readonly answers?: Record<string, Handler>;
}

/** Builds the client page once per content and serves it as a web server serves Element. */
export async function clientPage(options: ClientPageOptions = {}): Promise<Handler> {
  const folder = await buildClientPage();
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
    return end(response, TYPES[extname(name)] ?? "text/plain", content);
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
      (window as unknown as { driver: Driver }).driver.call(calledName as keyof Calls, calledArgs),
    name as string,
    // An argument left out must not become null on its way into the page.
    args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1) as unknown[],
  );
  return outcome as Outcome<Awaited<ReturnType<Calls[Name]>>>;
}

/** Opens the client page and waits for what Element does at page load. */
export async function openClient(page: Page, url = "https://chat.example.org/"): Promise<void> {
  await page.goto(url, { waitUntil: "load", timeout: 60_000 });
  await page.waitForFunction("window.driver !== undefined", { timeout: 30_000 });
  await drive(page, "loaded");
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

function end(response: ServerResponse, type: string, content: Buffer): void {
  response.writeHead(200, { "Content-Type": type, "Cache-Control": "no-cache" });
  response.end(content);
}

let building: Promise<string> | undefined;

function buildClientPage(): Promise<string> {
  building ??= buildOnce();
  return building;
}

async function buildOnce(): Promise<string> {
  const folder = join(ROOT, "build/client", await fingerprint());
  if (existsSync(join(folder, "index.html"))) return folder;
  const temporary = `${folder}.${process.pid}.part`;
  await mkdir(join(temporary, "bundles/pkg"), { recursive: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: [join(SOURCE, "client.ts"), join(SOURCE, "jitsi.ts")],
    outdir: join(temporary, "bundles"),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: ["es2022"],
    minify: true,
    define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
    logLevel: "error",
  });
  for (const name of [...STATIC, ...(await configs())]) {
    await copyFile(join(SOURCE, name), join(temporary, name));
  }
  await cp(
    join(ROOT, "node_modules", CRYPTO_WASM),
    join(temporary, "bundles/pkg", "matrix_sdk_crypto_wasm_bg.wasm"),
  );
  await mkdir(dirname(folder), { recursive: true });
  // Two builders at once: the first one wins, the other's result is the same.
  await rename(temporary, folder).catch(() => rm(temporary, { recursive: true, force: true }));
  return folder;
}

async function configs(): Promise<string[]> {
  return (await readdir(SOURCE)).filter((name) => /^config\..*json$/.test(name));
}

async function fingerprint(): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await readdir(SOURCE)).sort()) {
    hash.update(name).update(await readFile(join(SOURCE, name)));
  }
  hash.update(await readFile(join(ROOT, "node_modules/matrix-js-sdk/package.json")));
  hash.update(await readFile(fileURLToPath(import.meta.url)));
  return hash.digest("hex").slice(0, 16);
}
