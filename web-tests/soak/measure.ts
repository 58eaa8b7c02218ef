/** What a page with Mantle, and Mantle's background, take of memory and disk; Chromium only. */
import type { CDPSession, Page } from "puppeteer-core";
import type { ExtensionBrowser } from "../e2e/extension-pages.ts";

export interface Measurement {
  /** JavaScript of the page and of the relay, which share a heap, after garbage collection. */
  readonly pageHeap: number;
  /** Listeners and nodes the document's process has. */
  readonly listeners: number;
  readonly nodes: number;
  /** Each `WebAssembly.Memory` of the page, smallest first; Element's crypto has one, too. */
  readonly wasm: readonly number[];
  /** JavaScript of the background, after garbage collection. */
  readonly backgroundHeap: number;
  readonly backgroundWasm: readonly number[];
  /** Of the extension: `storage.local`, `storage.session`. Mantle uses no IndexedDB. */
  readonly local: number;
  readonly session: number;
}

export interface Meter {
  /** Bytes of `storage.local` by what they are: keys without ids and days. */
  stored(): Promise<Record<string, number>>;
  measure(): Promise<Measurement>;
}

export async function meter({ browser }: ExtensionBrowser, page: Page): Promise<Meter> {
  const inPage = await page.createCDPSession();
  await inPage.send("HeapProfiler.enable");
  // Kept for the whole run, so that the background is not stopped in the midst of it, and what it
  // keeps would add up.
  let background = await backgroundSession(browser);
  const ofBackground = async (): Promise<Background> => {
    try {
      return await measureBackground(background);
    } catch {
      background = await backgroundSession(browser);
      return measureBackground(background);
    }
  };
  return {
    stored: () => storedBy(background),
    measure: async () => {
      const heap = await heapOf(inPage);
      const wasm = await memoriesOf(inPage);
      const counters = await inPage.send("Memory.getDOMCounters");
      const rest = await ofBackground();
      return {
        pageHeap: heap,
        listeners: counters.jsEventListeners,
        nodes: counters.nodes,
        wasm,
        ...rest,
      };
    },
  };
}

type Background = Pick<Measurement, "backgroundHeap" | "backgroundWasm" | "local" | "session">;

async function backgroundSession(browser: ExtensionBrowser["browser"]): Promise<CDPSession> {
  const target = await browser.waitForTarget(
    (one) => one.type() === "service_worker" && one.url().startsWith("chrome-extension://"),
    { timeout: 30_000 },
  );
  const session = await target.createCDPSession();
  await session.send("HeapProfiler.enable");
  return session;
}

async function measureBackground(session: CDPSession): Promise<Background> {
  const backgroundHeap = await heapOf(session);
  const backgroundWasm = await memoriesOf(session);
  const { result } = await session.send("Runtime.evaluate", {
    expression: `Promise.all([
      chrome.storage.local.getBytesInUse(null),
      chrome.storage.session.getBytesInUse(null),
    ])`,
    awaitPromise: true,
    returnByValue: true,
  });
  const [local = Number.NaN, inSession = Number.NaN] = (result.value ?? []) as number[];
  return { backgroundHeap, backgroundWasm, local, session: inSession };
}

async function storedBy(session: CDPSession): Promise<Record<string, number>> {
  const { result } = await session.send("Runtime.evaluate", {
    expression: `chrome.storage.local.get(null).then((all) =>
      Object.entries(all).map(([key, value]) => [key, JSON.stringify(value).length]))`,
    awaitPromise: true,
    returnByValue: true,
  });
  const sizes: Record<string, number> = {};
  for (const [key, size] of result.value as [string, number][]) {
    // `page/<origin>/<part>/<area>/<kind>/<id>`: the site's address has slashes of its own.
    const kind = key.replace(/^page\/https:\/\/[^/]+\/(?:[0-9a-f]{32}\/)?/, "page/");
    const name = kind
      .split("/")
      .slice(0, 3)
      .join("/")
      .replace(/[!@$].*|\d{4}-.*/, "…");
    sizes[name] = (sizes[name] ?? 0) + size;
  }
  return sizes;
}

async function heapOf(session: CDPSession): Promise<number> {
  // The second time goes what only weak references and finalizers held.
  for (let round = 0; round < 2; round += 1) await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  return usedSize;
}

async function memoriesOf(session: CDPSession): Promise<number[]> {
  const objectGroup = "soak";
  const { result } = await session.send("Runtime.evaluate", {
    expression: "WebAssembly.Memory.prototype",
    objectGroup,
  });
  const { objects } = await session.send("Runtime.queryObjects", {
    prototypeObjectId: result.objectId ?? "",
    objectGroup,
  });
  const { result: sizes } = await session.send("Runtime.callFunctionOn", {
    objectId: objects.objectId ?? "",
    functionDeclaration: `function () {
      const sizes = [];
      for (const memory of this) sizes.push(memory.buffer.byteLength);
      return sizes;
    }`,
    returnByValue: true,
  });
  await session.send("Runtime.releaseObjectGroup", { objectGroup });
  return (sizes.value as number[]).toSorted((left, right) => left - right);
}
