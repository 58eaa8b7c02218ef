/** What encrypted state costs: its module beside JSON.parse and crypto-wasm, and the whole way. */

import { readFileSync } from "node:fs";
import path from "node:path";

import { build, type Plugin } from "esbuild";

import { launchExtensionBrowser, testBuild } from "../web-tests/e2e/extension-pages.ts";
import { type BrowserKind, launch } from "../web-tests/support/browsers.ts";
import { drive, openClient } from "../web-tests/support/client-page.ts";
import { answerJson, corsHeaders, forward, startRecorder } from "../web-tests/support/recorder.ts";
import { HOMESERVER, startWorld } from "../web-tests/support/world.ts";
import type { LargeAccount } from "../web-tests/wasm/large-account.ts";
import type { AnswerSpeed, OpeningSpeed } from "../web-tests/wasm/state-speed-page.ts";
import { coreModules } from "./bundle.ts";
import { builtReleaseWasm, type CoreWasm } from "./core-wasm.ts";
import { type PairRatio, ratioOf } from "./pair-ratio.ts";
import { root } from "./process.ts";

export interface StateTimes {
  large: AnswerSpeed;
  small: AnswerSpeed;
  opening: OpeningSpeed;
  /** 10,000 members with five devices each, and 4,000 events whose keys come late. */
  account: LargeAccount;
  /** From fetch to the parsed object of an answer of 5 MB, with the hook by without. */
  hook: PairRatio & { pairs: number };
}

const LARGE = 50_000_000;
const SMALL = 5_000_000;
/** Four events each; 1 % of the 111,000 events of 50 MB. */
const ROOMS = 278;
/** Rounds of fetches. */
const WARM_UP = 4;
const AT_A_TIME = 20;
const PAGE = "bench.example.org";
const CRYPTO_WASM = "node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg";

export async function stateTimes(
  kind: BrowserKind,
  runs: number,
  hookRuns: number,
): Promise<StateTimes> {
  const speeds = await moduleSpeeds(kind, runs);
  // After that browser is gone: with hundreds of megabytes, it goes on collecting garbage for long.
  const pairs = await hookTimes(kind, hookRuns);
  return { ...speeds, hook: { ...ratioOf(pairs), pairs: pairs.length } };
}

async function moduleSpeeds(kind: BrowserKind, runs: number): Promise<Omit<StateTimes, "hook">> {
  const core = builtReleaseWasm();
  const bundle = await build({
    absWorkingDir: root,
    entryPoints: [path.join(root, "web-tests/wasm/state-speed-page.ts")],
    write: false,
    bundle: true,
    format: "iife",
    target: ["chrome119", "firefox128"],
    define: { "import.meta.url": '"https://bench.example.org/"' },
    plugins: [coreModules(core), binaries(core)],
  });
  const content = bundle.outputFiles[0]?.text ?? "";
  // An origin of its own, for IndexedDB; nothing here goes to the network.
  const recorder = await startRecorder({
    hosts: {
      [PAGE]: (_, response) => {
        response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html>");
      },
    },
  });
  const browser = await launch(kind, { proxyPort: recorder.port });
  try {
    const page = await browser.newPage();
    await page.goto(`https://${PAGE}/`);
    await page.addScriptTag({ content });
    await page.evaluate((rooms) => window.stateSpeed.prepare(rooms), ROOMS);
    const opening = await page.evaluate((count) => window.stateSpeed.opening(count), runs);
    const answers = (bytes: number): Promise<AnswerSpeed> =>
      page.evaluate((size, count) => window.stateSpeed.answers(size, count), bytes, runs);
    const small = await answers(SMALL);
    const large = await answers(LARGE);
    const account = await page.evaluate(() => window.stateSpeed.large());
    return { large, small, opening, account };
  } finally {
    await browser.close();
    await recorder.close();
  }
}

function binaries(core: CoreWasm): Plugin {
  const files: Record<string, string> = {
    "crypto-wasm": `${CRYPTO_WASM}/matrix_sdk_crypto_wasm_bg.wasm`,
    "mantle-state-wasm": core.modules.state.wasm,
  };
  return {
    name: "binaries",
    setup(builder) {
      builder.onResolve({ filter: /^(crypto-wasm|mantle-state-wasm)$/ }, ({ path: name }) => ({
        path: name,
        namespace: "binaries",
      }));
      builder.onLoad({ filter: /.*/, namespace: "binaries" }, ({ path: name }) => ({
        contents: readFileSync(path.join(root, files[name] ?? "")).toString("base64"),
        loader: "text",
      }));
    },
  };
}

/**
 * The same bytes from two addresses, one of which Mantle looks at, by turns in one page: how long
 * each took, in ms, first the one that Mantle leaves alone.
 */
async function hookTimes(kind: BrowserKind, runs: number): Promise<[number, number][]> {
  const world = await startWorld();
  const body = plainSync(SMALL);
  const watched = "/_matrix/client/v3/sync?filter=0&since=bench";
  const unwatched = "/bench.json";
  world.recorder.route(HOMESERVER, (request, response) => {
    if (!request.path.startsWith(watched) && !request.path.startsWith(unwatched)) {
      return forward(world.synapse.baseUrl, request, response);
    }
    // What it keeps of answers would be garbage that is collected during the next one.
    world.recorder.clear();
    const headers = { ...corsHeaders(request.headers), "Access-Control-Max-Age": "600" };
    if (request.method === "OPTIONS") return answerJson(request, response, 200, {});
    response.writeHead(200, {
      ...headers,
      "Content-Type": "application/json",
      "Cache-Control": "no-store",
    });
    response.end(body);
    return undefined;
  });
  const browser = await launchExtensionBrowser(kind, {
    extension: testBuild(kind),
    proxyPort: world.recorder.port,
  });
  try {
    await world.synapse.register("bench", "password");
    const page = await browser.newPage();
    await openClient(page);
    const credentials = await drive(page, "login", "bench", "password");
    await drive(page, "start", credentials, { storage: "memory" });
    const measure = (first: number, count: number): Promise<[number, number][]> =>
      page.evaluate(measureFetches, `https://${HOMESERVER}`, watched, unwatched, first, count);
    // The first rounds load Mantle's module and warm everything up.
    await measure(0, WARM_UP);
    const pairs: [number, number][] = [];
    // A driver does not wait for minutes.
    while (pairs.length < runs) {
      pairs.push(...(await measure(pairs.length, Math.min(AT_A_TIME, runs - pairs.length))));
    }
    return pairs;
  } finally {
    await browser.close();
    await world.close();
  }
}

/**
 * Runs in the page. Who goes first changes from round to round, so that each follows the other as
 * often as itself, whose garbage it collects.
 */
async function measureFetches(
  homeserver: string,
  watched: string,
  unwatched: string,
  first: number,
  count: number,
): Promise<[number, number][]> {
  const pairs: [number, number][] = [];
  for (let round = first; round < first + count; round += 1) {
    const times: [number, number] = [0, 0];
    for (const which of round % 2 === 0 ? ([1, 0] as const) : ([0, 1] as const)) {
      const start = performance.now();
      const response = await fetch(homeserver + (which === 1 ? watched : unwatched));
      const answer = (await response.json()) as { next_batch: string };
      times[which] = performance.now() - start;
      if (answer.next_batch !== "s1") throw new Error("Another answer than expected");
    }
    pairs.push(times);
  }
  return pairs;
}

/** A sync answer without encrypted state. */
function plainSync(bytes: number): Buffer {
  const events: string[] = [];
  for (let index = 0; index < bytes / 420; index += 1) {
    events.push(
      JSON.stringify({
        type: index % 4 === 0 ? "m.room.encrypted" : "m.room.message",
        sender: `@user${index}:example.org`,
        event_id: `$${index}`.padEnd(44, "e"),
        origin_server_ts: 1_700_000_000_000 + index,
        content: { msgtype: "m.text", body: `Message "${index}" `.repeat(12) },
        unsigned: { age: 17 },
      }),
    );
  }
  const room = `{"state":{"events":[]},"timeline":{"events":[${events.join(",")}]}}`;
  return Buffer.from(`{"next_batch":"s1","rooms":{"join":{"!bench:example.org":${room}}}}`);
}
