/** A long use of one page, compressed, and whether anything grew by it. */
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "puppeteer-core";
import { launchMantle } from "../e2e/extension-pages.ts";
import { drive, openClient, unhandled } from "../support/client-page.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import { soakHomeserver } from "./homeserver.ts";
import { judge, type Series, type Verdict } from "./law.ts";
import { type Measurement, meter } from "./measure.ts";
import type { Lived, PageOrders } from "./page.ts";
import { CYCLE, cycle, SITE_HOMESERVER } from "./traffic.ts";

export interface SoakOptions {
  readonly cycles: number;
  /** How often it is measured, at even distances. */
  readonly samples: number;
  /** For the test of the law: what the page forgets to let go for each request. */
  readonly keptBytes?: number;
  progress?(line: string): void;
}

export interface SoakReport {
  readonly machine: string;
  readonly seconds: number;
  readonly cycles: number;
  readonly lived: Lived;
  readonly answered: { syncs: number; others: number };
  readonly verdicts: readonly Verdict[];
  readonly measurements: readonly Measurement[];
  /** What the store is made of at the end, in bytes. */
  readonly stored: Readonly<Record<string, number>>;
  /** Events for whose keys the page's crypto waits. */
  readonly awaited: number;
  /** Errors in the page that nobody handled. */
  readonly unhandled: readonly string[];
}

/** A working day of eight hours. */
export const WHOLE = { cycles: 2_000, samples: 40 } as const;
/** As much as the gate has time for. */
export const SHORT = { cycles: 100, samples: 25 } as const;

const PASSWORD = "correct horse battery staple";
/** Rooms of the person's own, whose names change. */
const NAMED = 4;
/** In one order to the page, so that none runs into the protocol's time limit. */
const CYCLES_AT_ONCE = 5;

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { cycles, samples, keptBytes = 0 } = options;
  const world = await startWorld();
  let browser: Awaited<ReturnType<typeof launchMantle>> | undefined;
  try {
    await world.synapse.register("sitter", PASSWORD);
    let userId = "";
    const homeserver = soakHomeserver(world.synapse.baseUrl, () => userId);
    world.recorder.route(HOMESERVER, homeserver.route);
    browser = await launchMantle("chromium", world.recorder.port);
    const page = await browser.newPage();
    await openClient(page);
    const credentials = await drive(page, "login", "sitter", PASSWORD);
    userId = credentials.userId;
    await drive(page, "start", credentials, { storage: "indexeddb" });
    const named: string[] = [];
    for (let index = 0; index < NAMED; index += 1) {
      const name = `Room ${index}`;
      const { roomId } = await drive(page, "createRoom", { name, encrypted: true });
      await drive(page, "roomName", roomId, name);
      named.push(roomId);
    }
    await stopSyncing(page);
    await page.evaluate(await pageScript());

    const gauge = await meter(browser, page);
    const measurements: { at: number; taken: Measurement }[] = [];
    const lived: Lived[] = [];
    const begun = performance.now();
    const distance = Math.max(1, Math.floor(cycles / samples));
    for (let at = 0; at < cycles;) {
      const size = Math.min(CYCLES_AT_ONCE, distance - (at % distance), cycles - at);
      const part = Array.from({ length: size }, (_, step) => cycle(at + step, userId, named));
      const orders: PageOrders = {
        homeserver: SITE_HOMESERVER,
        token: credentials.accessToken,
        cycles: part,
        syncsEach: CYCLE.syncs,
        keptBytes,
      };
      lived.push(await page.evaluate((given) => window.soak.live(given), orders));
      // Its own record would be the largest thing that grows.
      world.recorder.clear();
      at += size;
      if (at % distance !== 0) continue;
      const taken = await gauge.measure();
      measurements.push({ at, taken });
      options.progress?.(lineOf(at, taken, (performance.now() - begun) / 1_000));
    }
    return {
      machine: `${cpus().length} × ${cpus()[0]?.model ?? "a processor"}`,
      seconds: Math.round((performance.now() - begun) / 1_000),
      cycles,
      lived: lived.reduce(add),
      answered: homeserver.answered,
      verdicts: seriesOf(measurements).map(judge),
      measurements: measurements.map(({ taken }) => taken),
      stored: await gauge.stored(),
      awaited: await page.evaluate(awaitedKeys),
      unhandled: await unhandled(page),
    };
  } finally {
    await browser?.close();
    await world.close();
  }
}

/** Runs in the page: how many events matrix-js-sdk keeps until their keys come. */
function awaitedKeys(): number {
  const crypto = window.mxMatrixClientPeg.get()?.getCrypto() as unknown as {
    eventDecryptor: { eventsPendingKey: Map<string, Map<string, Set<unknown>>> };
  };
  let count = 0;
  for (const sessions of crypto.eventDecryptor.eventsPendingKey.values()) {
    for (const events of sessions.values()) count += events.size;
  }
  return count;
}

async function pageScript(): Promise<string> {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("page.ts", import.meta.url))],
    write: false,
    bundle: true,
    format: "iife",
    target: ["chrome119"],
  });
  return bundle.outputFiles[0]?.text ?? "";
}

/**
 * The client's crypto stays, which Mantle asks for keys, and its own syncs end: what is asked from now
 * on is the soak's, and nothing in the page keeps what comes back.
 */
async function stopSyncing(page: Page): Promise<void> {
  await page.evaluate(() => {
    const client = window.mxMatrixClientPeg.get() as unknown as { syncApi?: { stop(): void } };
    if (client.syncApi === undefined) throw new Error("This matrix-js-sdk has no syncApi.");
    client.syncApi.stop();
  });
}

const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0);

/** By how much a figure may grow over two thirds of a run, and what of that each cycle may add. */
interface Figure {
  readonly what: string;
  readonly unit: string;
  /** What the browser's own caches and the steps of tables cost, however long a run is. */
  readonly bound: number;
  /** For what is kept up to a bound of its own, which a day does not reach. */
  readonly each?: number;
  of(taken: Measurement): number;
}

const FIGURES: readonly Figure[] = [
  {
    what: "page: JavaScript",
    unit: "bytes",
    bound: 400_000,
    // matrix-js-sdk's own list of sessions to look for in a key backup: two or three a cycle, which it
    // goes through when there is one.
    each: 700,
    of: (taken) => taken.pageHeap,
  },
  {
    what: "page: WASM, all modules",
    unit: "bytes",
    bound: 131_072,
    // A name that was read is kept with its ciphertext, and 4,096 are; a day has half as many.
    each: 2_200,
    of: (taken) => sum(taken.wasm),
  },
  { what: "page: listeners", unit: "", bound: 20, of: (taken) => taken.listeners },
  { what: "page: nodes", unit: "", bound: 20, of: (taken) => taken.nodes },
  {
    what: "background: JavaScript",
    unit: "bytes",
    bound: 400_000,
    of: (taken) => taken.backgroundHeap,
  },
  {
    what: "background: WASM",
    unit: "bytes",
    bound: 131_072,
    of: (taken) => sum(taken.backgroundWasm),
  },
  {
    what: "store: local",
    unit: "bytes",
    bound: 65_536,
    // The place in its session of each name that was seen: 2,000 are kept.
    each: 100,
    of: (taken) => taken.local,
  },
  { what: "store: session", unit: "bytes", bound: 65_536, of: (taken) => taken.session },
];

function seriesOf(measurements: readonly { at: number; taken: Measurement }[]): Series[] {
  const judged = ((measurements.at(-1)?.at ?? 0) * 2) / 3;
  return FIGURES.map(({ what, unit, bound, each = 0, of }) => ({
    what,
    unit,
    bound: Math.round(bound + each * judged),
    samples: measurements.map(({ at, taken }) => ({ at, value: of(taken) })),
  }));
}

function add(left: Lived, right: Lived): Lived {
  const statuses = { ...left.statuses };
  for (const [status, count] of Object.entries(right.statuses)) {
    statuses[status] = (statuses[status] ?? 0) + count;
  }
  return {
    statuses,
    requests: left.requests + right.requests,
    syncs: left.syncs + right.syncs,
    changes: left.changes + right.changes,
    names: left.names + right.names,
  };
}

function lineOf(at: number, taken: Measurement, seconds: number): string {
  const kb = (bytes: number): string => `${Math.round(bytes / 1_000)} KB`;
  return [
    `${at} cycles, ${Math.round(seconds)} s`,
    `page ${kb(taken.pageHeap)}`,
    `WASM ${taken.wasm.map(kb).join(" + ")}`,
    `listeners ${taken.listeners}, nodes ${taken.nodes}`,
    `background ${kb(taken.backgroundHeap)} + ${taken.backgroundWasm.map(kb).join(" + ")}`,
    `store ${kb(taken.local)} + ${kb(taken.session)}`,
  ].join("  ");
}
