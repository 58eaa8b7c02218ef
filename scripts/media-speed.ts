/** How fast uploads are looked into and cleaned, beside how fast they go out over loopback. */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

import { build } from "esbuild";

import { type BrowserKind, launch } from "../web-tests/support/browsers.ts";
import { startRecorder } from "../web-tests/support/recorder.ts";
import type { Speed } from "../web-tests/media/speed-page.ts";
import { coreModules } from "./bundle.ts";
import { builtCoreWasm } from "./core-wasm.ts";
import { root } from "./process.ts";

/** Issue 5: this, or five times the upload, whichever is lower. */
const LEAST_MB_PER_SECOND = 300;
const MEGABYTES = 200;
const KINDS = ["jpeg", "png", "tiff", "other"] as const;

export interface MediaSpeed {
  kind: (typeof KINDS)[number];
  /** MB/s. */
  examine: number;
  upload: number;
  least: number;
}

/** Each kind three times with a file of 200 MB; the best examination, the best upload. */
export async function mediaSpeeds(kind: BrowserKind): Promise<MediaSpeed[]> {
  const core = builtCoreWasm();
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
          builder.onLoad({ filter: /extension\/page\/modules\.ts$/ }, () => ({
            contents:
              `const bytes = Uint8Array.from(atob(${JSON.stringify(wasm)}), (c) => c.charCodeAt(0));` +
              "const module = WebAssembly.compile(bytes); export const loadModule = () => module;",
          }));
        },
      },
    ],
  });
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.end("{}"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const recorder = await startRecorder({
    hosts: { "chat.example.org": (_request, response) => void response.end("<!doctype html>") },
  });
  const browser = await launch(kind, { proxyPort: recorder.port });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.addScriptTag({ content: bundle.outputFiles[0]?.text ?? "" });
    const target = `http://127.0.0.1:${(server.address() as AddressInfo).port}/upload`;
    const speeds: MediaSpeed[] = [];
    for (const name of KINDS) {
      const runs: Speed[] = [];
      for (let count = 0; count < 3; count += 1) {
        runs.push(
          await page.evaluate((...args) => window.mediaSpeed(...args), name, MEGABYTES, target),
        );
      }
      const rate = (of: "examine" | "upload"): number =>
        Math.max(...runs.map((run) => run.bytes / 1e6 / (Math.max(run[of], 1) / 1000)));
      const upload = rate("upload");
      const least = Math.min(LEAST_MB_PER_SECOND, 5 * upload);
      speeds.push({ kind: name, examine: rate("examine"), upload, least });
    }
    return speeds;
  } finally {
    await browser.close();
    await recorder.close();
    server.close();
  }
}
