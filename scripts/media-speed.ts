/** How fast uploads are looked into and cleaned, beside how fast they go out over loopback. */

import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

import { build } from "esbuild";

import { type BrowserKind, type LaunchedBrowser, launch } from "../web-tests/support/browsers.ts";
import { startRecorder } from "../web-tests/support/recorder.ts";
import { LARGE_KINDS, largeFile } from "../web-tests/media/large-file.ts";
import type {} from "../web-tests/media/speed-page.ts";
import { coreModules } from "./bundle.ts";
import { builtReleaseWasm } from "./core-wasm.ts";
import { root } from "./process.ts";

/** This, or five times the upload, whichever is lower. */
const LEAST_MB_PER_SECOND = 300;
const MEGABYTES = 200;
/** How often memory is looked at, in ms. */
const LOOK = 25;

export interface MediaSpeed {
  kind: (typeof LARGE_KINDS)[number];
  /** MB/s. */
  examine: number;
  upload: number;
  least: number;
  /**
   * By how much all processes of the browser grew at most, in MB: looking into the file, sending it
   * as it is without Mantle, and sending the clean one. Undefined beside Linux.
   */
  memory: { examine: number; chosen: number; cleaned: number } | undefined;
}

/** Each kind three times with a file of 200 MB; the best examination, the best upload. */
export async function mediaSpeeds(kind: BrowserKind): Promise<MediaSpeed[]> {
  const core = builtReleaseWasm();
  const wasm = readFileSync(path.join(root, core.modules.media.wasm)).toString("base64");
  const bundle = await build({
    absWorkingDir: root,
    entryPoints: [path.join(root, "web-tests/media/speed-page.ts")],
    write: false,
    bundle: true,
    format: "iife",
    target: ["chrome119", "firefox128"],
    plugins: [
      coreModules(core),
      {
        name: "media-module-at-hand",
        setup: (builder) => {
          builder.onLoad({ filter: /extension\/page\/channel\/modules\.ts$/ }, () => ({
            contents:
              `const bytes = Uint8Array.from(atob(${JSON.stringify(wasm)}), (c) => c.charCodeAt(0));` +
              "const module = WebAssembly.compile(bytes); export const loadModule = () => module;",
          }));
        },
      },
    ],
  });
  const server = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    request.resume().on("end", () => response.end("<!doctype html><input type=file>"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const recorder = await startRecorder({
    hosts: { "chat.example.org": (_request, response) => void response.end("<!doctype html>") },
  });
  const browser = await launch(kind, { proxyPort: recorder.port });
  const folder = mkdtempSync(path.join(tmpdir(), "mantle-media-speed-"));
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.addScriptTag({ content: bundle.outputFiles[0]?.text ?? "" });
    const target = `http://127.0.0.1:${(server.address() as AddressInfo).port}/upload`;
    const speeds: MediaSpeed[] = [];
    for (const name of LARGE_KINDS) {
      const input = await page.waitForSelector("input");
      await input?.uploadFile(writeFile(folder, name));
      const best = { examine: Infinity, upload: Infinity };
      const grown = { examine: 0, chosen: Infinity, cleaned: 0 };
      for (let count = 0; count < 3; count += 1) {
        const chosen = await measured(browser, () =>
          page.evaluate((to) => window.mediaSpeed.upload("chosen", to), target),
        );
        const examine = await measured(browser, () =>
          page.evaluate(() => window.mediaSpeed.examine()),
        );
        const cleaned = await measured(browser, () =>
          page.evaluate((to) => window.mediaSpeed.upload("cleaned", to), target),
        );
        best.examine = Math.min(best.examine, examine.ms);
        best.upload = Math.min(best.upload, cleaned.ms, chosen.ms);
        // The first run also grows what the browser keeps for the next one.
        if (count === 0) continue;
        grown.examine = Math.max(grown.examine, examine.grown);
        grown.cleaned = Math.max(grown.cleaned, cleaned.grown);
        grown.chosen = Math.min(grown.chosen, chosen.grown);
      }
      const rate = (ms: number): number => (MEGABYTES * (1 << 20)) / 1e6 / (Math.max(ms, 1) / 1000);
      const upload = rate(best.upload);
      speeds.push({
        kind: name,
        examine: rate(best.examine),
        upload,
        least: Math.min(LEAST_MB_PER_SECOND, 5 * upload),
        memory: process.platform === "linux" ? grown : undefined,
      });
    }
    return speeds;
  } finally {
    await browser.close();
    await recorder.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeFile(folder: string, kind: (typeof LARGE_KINDS)[number]): string {
  const name = path.join(folder, `large.${kind}`);
  const file = openSync(name, "w");
  for (const part of largeFile(kind, MEGABYTES)) writeSync(file, part);
  closeSync(file);
  return name;
}

/** What a call came to, and by how many MB the browser grew meanwhile. */
async function measured(
  browser: LaunchedBrowser,
  call: () => Promise<number>,
): Promise<{ ms: number; grown: number }> {
  const pid = browser.browser.process()?.pid;
  const before = memoryOf(pid);
  let most = before;
  const look = (): void => {
    most = Math.max(most, memoryOf(pid));
  };
  const timer = setInterval(look, LOOK);
  try {
    const ms = await call();
    look();
    return { ms, grown: most - before };
  } finally {
    clearInterval(timer);
  }
}

/** What is in memory and not a mere view of a file; what is shared counts in every process. */
function memoryOf(pid: number | undefined): number {
  if (pid === undefined || process.platform !== "linux") return NaN;
  const parents = new Map<number, { parent: number; megabytes: number }>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      const number = (field: string): number =>
        Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? "0");
      const megabytes = ((number("RssAnon") + number("RssShmem")) * 1024) / 1e6;
      parents.set(Number(name), { parent: number("PPid"), megabytes });
    } catch {
      // It ended meanwhile.
    }
  }
  let sum = 0;
  for (const [one, { megabytes }] of parents) {
    for (let at: number | undefined = one; at !== undefined; at = parents.get(at)?.parent) {
      if (at === pid) sum += megabytes;
    }
  }
  return sum;
}
