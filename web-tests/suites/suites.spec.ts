/**
 * What the standards of fetch, XMLHttpRequest, beacons and URLs have pages and servers see, with and
 * without Mantle: each case in both browsers, and each difference is explained below or is a fault.
 * The areas are those of web-platform-tests; the cases are written anew, since no package holds them.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { build } from "esbuild";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { startRecorder } from "../support/recorder.ts";
import type { Handler, Recorder } from "../support/recorder.ts";
import { explanations } from "./explained.ts";
import type { Explanation } from "./explained.ts";
import type { Suites } from "./page.ts";
import { attributed, echoServer, viewOf } from "./server.ts";

const PAGE = "https://chat.example.org/folder/page?query#part";
const FEWEST_CASES = 1_000;
const root = path.resolve(import.meta.dirname, "../..");
/** Narrows the list by hand: `MANTLE_CASES='xhr, state'`. */
const wanted = process.env["MANTLE_CASES"] ?? "";

/** How often a case that differs is tried, and how many of them at most. */
const ROUNDS = 3;
const MOST_AGAIN = 20;

/** Of one case, as JSON text. */
interface Observation {
  readonly page: string;
  /** The requests that came in, sorted: those sent at once may arrive in any order. */
  readonly server: string;
}

/** Of a case that was not tried. */
const NOTHING: Observation = { page: "", server: "[]" };

for (const kind of bothBrowsers) {
  describe(`suites in ${kind}`, { timeout: 900_000 }, () => {
    const recorders: Recorder[] = [];
    let without: Map<string, Observation>;
    let withMantle: Map<string, Observation>;
    const unused = new Set(explanations.filter(({ browsers }) => browsers.includes(kind)));

    before(async () => {
      [without, withMantle] = await observeBoth(undefined);
      // When an event comes is a matter of load too: a difference is one that shows each time.
      for (let round = 1; round < ROUNDS; round += 1) {
        const differing = [...without.keys()].filter((name) => differenceIn(name) !== undefined);
        if (differing.length === 0 || differing.length > MOST_AGAIN) return;
        console.log(`  once more in ${kind}: ${differing.join("; ")}`);
        const [plain, guarded] = await observeBoth(new Set(differing));
        for (const name of differing) {
          without.set(name, plain.get(name) ?? NOTHING);
          withMantle.set(name, guarded.get(name) ?? NOTHING);
        }
      }
    });
    after(() => Promise.all(recorders.map((recorder) => recorder.close())));

    it("looks at enough, and sees something", () => {
      assert.ok(without.size >= (wanted === "" ? FEWEST_CASES : 1), `only ${without.size} cases`);
      assert.deepEqual([...withMantle.keys()], [...without.keys()]);
      for (const [name, seen] of [...without, ...withMantle]) {
        assert.doesNotMatch(seen.page, /"too late"|caseFailed|never ended/, name);
      }
      const texts = new Set([...without.values()].map(({ page }) => page));
      assert.ok(texts.size > without.size / 3, `only ${texts.size} different notes`);
    });

    for (const area of ["fetch", "response", "xhr", "beacon", "url"]) {
      it(`${area}: the same with and without Mantle`, () => {
        const differences = [...without.keys()]
          .filter((name) => name.startsWith(area))
          .map(differenceIn)
          .filter((found) => found !== undefined);
        assert.equal(differences.length, 0, JSON.stringify(differences, null, 1));
      });
    }

    it("keeps the device's name, however the address is spelled", () => {
      let named = 0;
      for (const [name, { server }] of withMantle) {
        if (!name.startsWith("url, device named")) continue;
        for (const { path: at, body } of JSON.parse(server) as { path: string; body: string }[]) {
          if (!isLogin(at)) continue;
          named += 1;
          assert.doesNotMatch(body, /Secrets/, `${name} arrived as ${at}`);
        }
      }
      assert.ok(named >= (wanted === "" ? 30 : 0), `only ${named} logins`);
    });

    it("has no explanation left over", () => {
      if (wanted !== "") return;
      assert.deepEqual(
        [...unused].map(({ why }) => why),
        [],
      );
    });

    /** Side by side: it takes half the time, and both meet the same load of the machine. */
    function observeBoth(
      only: ReadonlySet<string> | undefined,
    ): Promise<[Map<string, Observation>, Map<string, Observation>]> {
      return Promise.all([
        observe(kind, recorders, { only }),
        observe(kind, recorders, { only, extension: path.join(root, "build/test", kind) }),
      ]);
    }

    /** Where the two sides of a case part, beyond what is explained. */
    function differenceIn(name: string): Record<string, unknown> | undefined {
      const expected = steady(name, without.get(name) ?? NOTHING);
      const actual = steady(name, withMantle.get(name) ?? NOTHING);
      const [mended, shown] = explained(name, expected, actual);
      return same(mended, shown) ? undefined : { name, ...differing(mended, shown) };
    }

    /** Both sides with what is explained taken out of them. */
    function explained(
      name: string,
      expected: Observation,
      actual: Observation,
    ): [Observation, Observation] {
      let sides: [Observation, Observation] = [expected, actual];
      for (const explanation of explanations) {
        if (same(...sides)) break;
        if (!explanation.browsers.includes(kind) || !explanation.which.test(name)) continue;
        const mended = sides.map((side) => apply(explanation, side)) as typeof sides;
        const isNeeded =
          differences(...mended) < differences(...sides) || !same(sides[0], mended[0]);
        if (isNeeded) unused.delete(explanation);
        sides = mended;
      }
      return sides;
    }
  });
}

function apply({ page, server }: Explanation, side: Observation): Observation {
  return {
    page: page === undefined ? side.page : page(side.page),
    server: server === undefined ? side.server : server(side.server),
  };
}

function same(one: Observation, other: Observation): boolean {
  return one.page === other.page && one.server === other.server;
}

function differences(one: Observation, other: Observation): number {
  return Number(one.page !== other.page) + Number(one.server !== other.server);
}

/** The places where they part, with what is around. */
function differing(expected: Observation, actual: Observation): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const side of ["page", "server"] as const) {
    const [one, other] = [expected[side], actual[side]];
    if (one === other) continue;
    let at = 0;
    while (one[at] === other[at]) at += 1;
    const from = Math.max(0, at - 80);
    found[side] = { without: one.slice(from, at + 300), with: other.slice(from, at + 300) };
  }
  return found;
}

/** As a homeserver reads a path. */
function isLogin(at: string): boolean {
  const [name = ""] = at.split("?");
  try {
    return /^\/_matrix\/client\/(r0|v3)\/login$/.test(
      name.split("/").map(decodeURIComponent).join("/"),
    );
  } catch {
    return false;
  }
}

/** Whether a server hears of a request that is taken back is a matter of luck. */
const racy = /abort|the timeout/;
/** Browsers ask again by themselves when a connection breaks. */
const repeated = /break|breaks off|error the page|of an error/;

/**
 * How much of an upload is told of before it breaks off, and how long a form's boundaries are. A
 * download that takes long is told of each 50 ms, by Firefox also before its first bytes.
 */
function steadyPage(name: string, page: string): string {
  let text = page
    .replaceAll(/"progress state=2[^"]*",/g, "")
    .replaceAll(/("progress state=3[^"]*",)\1+/g, "$1");
  if (name.includes("upload that breaks off")) {
    text = text.replaceAll(/"upload progress[^"]*",/g, "");
  }
  // Chromium's words go by whether it had been told of the body's end when it was asked to read it.
  if (name.startsWith("response as json")) {
    text = text.replaceAll("Failed to execute 'json' on 'Response': Unexpected", "Unexpected");
  }
  if (name.includes("a form")) text = text.replaceAll(/(upload load[^"]*) \d+"/g, '$1"');
  return text;
}

function steady(name: string, { page, server }: Observation): Observation {
  let views = JSON.parse(server) as unknown[];
  if (racy.test(name)) views = [];
  if (repeated.test(name)) {
    const texts = views.map((view) => JSON.stringify(view));
    views = views.filter((_view, index) => texts[index] !== texts[index - 1]);
  }
  return { page: steadyPage(name, page), server: JSON.stringify(views) };
}

async function observe(
  kind: BrowserKind,
  recorders: Recorder[],
  { only, extension }: { only: ReadonlySet<string> | undefined; extension?: string },
): Promise<Map<string, Observation>> {
  const recorder = await startRecorder({ hosts: await hosts() });
  recorders.push(recorder);
  const browser = await launch(kind, {
    proxyPort: recorder.port,
    ...(extension === undefined ? {} : { extension }),
  });
  try {
    const page = await browser.newPage();
    await page.goto(PAGE);
    const names = await page.evaluate(() => suitesOfPage().names);
    const isWanted = (name: string): boolean => only?.has(name) ?? name.includes(wanted);
    const indices = [...names.keys()].filter((index) => isWanted(names[index] ?? ""));
    const notes: string[] = [];
    while (notes.length < indices.length) {
      const rest = indices.slice(notes.length);
      notes.push(...(await page.evaluate((list) => suitesOfPage().run(list), rest)));
    }
    const views = viewsByCase(recorder);
    return new Map(
      indices.map((index, at) => [
        names[index] ?? "",
        { page: notes[at] ?? "", server: JSON.stringify(views.get(`${index}`) ?? []) },
      ]),
    );
  } finally {
    await browser.close();
  }
}

function viewsByCase(recorder: Recorder): Map<string, unknown[]> {
  const views = new Map<string, unknown[]>();
  for (const exchange of recorder.exchanges) {
    if (exchange.path.startsWith("/control/")) continue;
    const name = attributed(exchange);
    if (name !== undefined) views.set(name, [...(views.get(name) ?? []), viewOf(exchange)]);
  }
  for (const list of views.values()) {
    list.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  return views;
}

/** Only ever runs in the page. */
declare function suitesOfPage(): Suites;

async function hosts(): Promise<Record<string, Handler>> {
  const bundle = await build({
    entryPoints: [path.join(root, "web-tests/suites/page.ts")],
    bundle: true,
    write: false,
    format: "iife",
    target: "es2022",
    footer: { js: "function suitesOfPage() { return window.suites; }" },
  });
  const script = bundle.outputFiles[0]?.text ?? "";
  const { handler, control } = echoServer();
  return {
    "hs.example.org": handler,
    "files.example.net": handler,
    "chat.example.org": (request, response) => {
      if (request.path.startsWith("/control/")) return control(request, response);
      if (request.path === "/suites.js") {
        response.writeHead(200, { "Content-Type": "text/javascript" }).end(script);
        return undefined;
      }
      if (!request.path.startsWith("/folder/page?query") || attributed(request) !== undefined) {
        return handler(request, response);
      }
      response.writeHead(200, {
        "Content-Type": "text/html;charset=utf-8",
        "Content-Security-Policy":
          "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src * blob: data:; " +
          "frame-src *; style-src 'self' 'unsafe-inline'; img-src *",
      });
      response.end("<!doctype html><title>Suites</title><body><script src=/suites.js></script>");
      return undefined;
    },
  };
}
