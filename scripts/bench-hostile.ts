/** How long the core takes over responses that are made to take long, beside the browser's own parser. */

import path from "node:path";

import { build } from "esbuild";

import { type BrowserKind, launch } from "../web-tests/support/browsers.ts";
import type {} from "../web-tests/wasm/hostile-page.ts";
import { coreModules } from "./bundle.ts";
import { builtReleaseWasm } from "./core-wasm.ts";
import { root } from "./process.ts";

/** In MB. */
const SIZES = [1, 2, 4, 8] as const;

export interface HostileTimes {
  /** What grows, and in which response. */
  shape: string;
  /** In ms, by size; the browser's `JSON.parse` of the largest. */
  own: number[];
  parse: number;
  /** The largest, by `JSON.parse`. */
  ratio: number;
  /** The largest by the smallest, by their sizes: 1 where time grows as bytes do. */
  growth: number;
}

/** Every hostile shape at each size, the median of some runs. */
export async function hostileTimes(kind: BrowserKind): Promise<HostileTimes[]> {
  const bundle = await build({
    absWorkingDir: root,
    entryPoints: [path.join(root, "web-tests/wasm/hostile-page.ts")],
    write: false,
    bundle: true,
    format: "iife",
    target: ["chrome119", "firefox128"],
    plugins: [coreModules(builtReleaseWasm())],
  });
  // Port 9 discards: nothing here goes to the network.
  const browser = await launch(kind, { proxyPort: 9 });
  try {
    const page = await browser.newPage();
    await page.addScriptTag({ content: bundle.outputFiles[0]?.text ?? "" });
    const names = await page.evaluate(() => window.hostile.names());
    const times: HostileTimes[] = [];
    for (const shape of names) {
      const measured = await page.evaluate(
        (name, sizes) => window.hostile.measure(name, sizes),
        shape,
        [...SIZES],
      );
      const largest = measured.own.at(-1) ?? Number.NaN;
      const smallest = measured.own[0] ?? Number.NaN;
      const growth = (largest / smallest) * (SIZES[0] / SIZES[3]);
      times.push({ shape, ...measured, ratio: largest / measured.parse, growth });
    }
    return times;
  } finally {
    await browser.close();
  }
}
