/** Somebody with a browser of their own, with or without Mantle, in front of Element. */
import path from "node:path";
import type { Page } from "puppeteer-core";
import { launch } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import type { Handler, Recorder } from "../support/recorder.ts";
import type { World } from "../support/world.ts";

const root = path.resolve(import.meta.dirname, "../..");

export interface Visitor {
  readonly recorder: Recorder;
  readonly page: Page;
  close(): Promise<void>;
}

/** What answers at which host is said by `hosts`. */
export async function visitor(
  world: World,
  kind: BrowserKind,
  isWithMantle: boolean,
  hosts: Readonly<Record<string, Handler>>,
): Promise<Visitor> {
  const recorder = await world.openRecorder();
  for (const [host, handler] of Object.entries(hosts)) recorder.route(host, handler);
  const browser = await launch(kind, {
    proxyPort: recorder.port,
    ...(isWithMantle ? { extension: path.join(root, "build/test", kind) } : {}),
  });
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 800 });
  return { recorder, page, close: () => browser.close() };
}
