/**
 * fetch, XMLHttpRequest and sendBeacon with and without Mantle: each case notes everything a page
 * and a server could observe, and both notes have to be the same.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "esbuild";
import type { Page } from "puppeteer-core";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { startRecorder } from "../support/recorder.ts";
import type { Recorder } from "../support/recorder.ts";
import { caseServer, viewOf } from "./fixtures/case-server.ts";
import type { HookCases } from "./fixtures/hook-cases.ts";

const CLIENT = "https://chat.example.org";
const FEWEST_CASES = 60;
const root = path.resolve(import.meta.dirname, "../..");
/** Narrows the list by hand: `MANTLE_CASES='xhr: sync'`. */
const wanted = process.env["MANTLE_CASES"] ?? "";

interface Observation {
  page: unknown;
  server: unknown;
}

for (const kind of bothBrowsers) {
  describe(`hooks in ${kind}`, { timeout: 600_000 }, () => {
    let recorders: Recorder[];
    let without: Map<string, Observation>;
    let withMantle: Map<string, Observation>;

    before(async () => {
      // Side by side: it takes half the time, and both meet the same load of the machine.
      const [plain, guarded, probed] = await Promise.all([
        startRecorder({ hosts: await hosts() }),
        startRecorder({ hosts: await hosts() }),
        startRecorder({ hosts: await hosts() }),
      ]);
      recorders = [plain, guarded, probed];
      let throughProbe: typeof without;
      [without, withMantle, throughProbe] = await Promise.all([
        observe(kind, plain, undefined, () => true),
        observe(kind, guarded, path.join(root, "build/test", kind), (name) => !isProbe(name)),
        // What no shield of the package does yet, a shield of the fault build does.
        observe(kind, probed, path.join(root, "build/fault", kind), isProbe),
      ]);
      withMantle = new Map(
        [...without.keys()].flatMap((name) => {
          const seen = withMantle.get(name) ?? throughProbe.get(name);
          return seen === undefined ? [] : [[name, seen]];
        }),
      );
    });
    after(() => Promise.all(recorders.map((recorder) => recorder.close())));

    it("compares enough behaviours", () => {
      assert.ok(without.size >= (wanted === "" ? FEWEST_CASES : 1), `only ${without.size} cases`);
      assert.deepEqual([...withMantle.keys()], [...without.keys()]);
      // A browser that froze would make all notes alike.
      const texts = new Set([...without.values()].map((seen) => JSON.stringify(seen)));
      assert.ok(texts.size > without.size / 2, `only ${texts.size} different notes`);
      // Without the word that is to be changed, its change would prove nothing.
      for (const [name, seen] of without) {
        if (!/(rewritten|hardened): (?!aborted|redirect)/.test(name)) continue;
        assert.match(JSON.stringify(seen), /Secrets|m\.identity_server/, name);
      }
    });

    it("sends requests elsewhere", () => {
      for (const [name, seen] of withMantle) {
        if (!/sends.*string body \((moved|everything)\)/.test(name)) continue;
        assert.match(JSON.stringify(seen.server), /mantle-there/, name);
        assert.match(JSON.stringify(without.get(name)?.server), /mantle-probe/, name);
      }
    });

    it("behaves the same with and without Mantle", async (t) => {
      for (const [name, expected] of without) {
        await t.test(name, () => {
          const actual = withMantle.get(name);
          assert.deepEqual(steady(name, actual?.page), intended(name, expected.page));
          if (racy.some((part) => name.includes(part))) return;
          assert.deepEqual(atServer(name, actual?.server), intendedAtServer(name, expected.server));
        });
      }
    });
  });
}

const isProbe = (name: string): boolean => /\((moved|over|back|everything)\)$/.test(name);

/** Whether a server hears of a request that is taken back at once is a matter of luck. */
const racy = ["aborted", "opened again", "signal with a time limit"];

/** Bodies that take time to read are sent a moment later: `send()` has returned by then. */
const slowBodies =
  /(Blob|form) .*\((scanned|looked-at)\)|with a Blob \((scanned|looked-at)\)|\((over|back|everything)\)$/;

/** What Chromium still fires after an abort in the middle, and no standard asks for. */
const stray = /,"progress state=0 [^"]*"/g;

function steady(name: string, notes: unknown): unknown {
  let text = JSON.stringify(notes);
  // Where the server found a moved request; the page never sees that in its own fields.
  text = text.replaceAll(/(path\\*":\\*"[^"]*)mantle-there/g, "$1mantle-probe");
  // Firefox's form boundaries differ in length.
  if (name.includes("form body")) text = text.replaceAll(/(upload load[^"]*) \d+"/g, '$1"');
  if (slowBodies.test(name)) text = text.replaceAll('"sent",', "");
  if (name.includes("aborted while loading")) text = text.replaceAll(stray, "");
  // A changed answer has another length, as one from a server would.
  if (name.includes("hardened")) text = text.replaceAll(/content-length: \d+/g, "");
  // Firefox keeps single headers after an abort, of which it shows no list.
  if (/aborted (when done|after the end) \(answered\)/.test(name)) {
    text = text.replaceAll(/"contentType":[^,]*/g, "");
    text = text.replaceAll(/,,/g, ",");
  }
  return JSON.parse(text) as unknown;
}

/** What the person wants Mantle to change, and nothing else. */
function intended(name: string, notes: unknown): unknown {
  const text = JSON.stringify(steady(name, notes));
  let changed = text;
  if (name.includes("rewritten")) changed = text.replaceAll("Secrets", "Element");
  if (name.includes("hardened")) changed = text.replaceAll(identityServer, "");
  return JSON.parse(changed) as unknown;
}

const identityServer =
  /,\\*"m\.identity_server\\*":\{\\*"base_url\\*":\\*"https:\/\/vector\.im\\*"\}/g;

function intendedAtServer(name: string, server: unknown): unknown {
  return intended(name, atServer(name, server));
}

/** What Mantle answers itself must not leave; that is the one difference for all cases. */
function atServer(name: string, server: unknown): unknown {
  // Listeners for the upload make a browser ask first; `fetch`, which sends in XHR's stead, has none.
  const isAskedBefore = /^xhr.*\((back|everything)\)$/.test(name);
  return (server as Record<string, unknown>[] | undefined)
    ?.filter(({ host }) => host !== "vector.im")
    .filter(({ method }) => !(isAskedBefore && method === "OPTIONS"))
    .map(
      (request) =>
        JSON.parse(
          JSON.stringify(request).replaceAll("mantle-there", "mantle-probe"),
        ) as typeof request,
    )
    .map((request) =>
      // A beacon that has to be read first goes by fetch, which Firefox finds more urgent.
      name.startsWith("beacon") ? { ...request, priority: null } : request,
    );
}

async function observe(
  kind: BrowserKind,
  recorder: Recorder,
  extension: string | undefined,
  isMeant: (name: string) => boolean,
): Promise<Map<string, Observation>> {
  const browser = await launch(kind, {
    proxyPort: recorder.port,
    ...(extension === undefined ? {} : { extension }),
  });
  try {
    const page = await browser.newPage();
    await page.goto(`${CLIENT}/`);
    const names = await page.evaluate(() => hookCasesOfPage().names);
    const seen = new Map<string, Observation>();
    for (const [index, name] of names.entries()) {
      if (!name.includes(wanted) || !isMeant(name)) continue;
      seen.set(name, await observeOne(page, recorder, index));
    }
    return seen;
  } finally {
    await browser.close();
  }
}

async function observeOne(page: Page, recorder: Recorder, index: number): Promise<Observation> {
  recorder.clear();
  const notes = await page.evaluate((which) => hookCasesOfPage().run(which), index);
  await sleep(20);
  const server = recorder.exchanges
    .filter(({ path: at }) => !at.startsWith("/favicon"))
    .map((exchange) => ({ host: exchange.host, ...viewOf(exchange) }))
    // Requests sent at once may arrive in any order.
    .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    // Browsers ask again by themselves when a connection breaks.
    .filter((view, at, all) => JSON.stringify(view) !== JSON.stringify(all[at - 1]));
  return { page: JSON.parse(notes) as unknown, server };
}

/** Only ever runs in the page. */
declare function hookCasesOfPage(): HookCases;

async function hosts(): Promise<Parameters<typeof startRecorder>[0]["hosts"] & object> {
  const bundle = await build({
    entryPoints: [path.join(root, "web-tests/e2e/fixtures/hook-cases.ts")],
    bundle: true,
    write: false,
    format: "iife",
    target: "es2022",
    footer: { js: "function hookCasesOfPage() { return window.hookCases; }" },
  });
  const script = bundle.outputFiles[0]?.text ?? "";
  return {
    "hs.example.org": caseServer,
    "vector.im": caseServer,
    "chat.example.org": (request, response) => {
      if (request.path === "/cases.js") {
        response.writeHead(200, { "Content-Type": "text/javascript" }).end(script);
        return undefined;
      }
      if (request.path !== "/") return caseServer(request, response);
      response.writeHead(200, {
        "Content-Type": "text/html;charset=utf-8",
        "Content-Security-Policy":
          "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src * blob: data:; " +
          "frame-src * blob: data:; style-src 'self' 'unsafe-inline'; img-src *",
      });
      response.end("<!doctype html><title>Cases</title><body><script src=/cases.js></script>");
      return undefined;
    },
  };
}
