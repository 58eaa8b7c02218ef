/** `navigator.sendBeacon`, after its standard. */
import { HOMESERVER, JSON_BODY, cases, outcome, rows } from "./kit.ts";
import type { SuiteCase, Trial, Way } from "./kit.ts";
import { entriesOf } from "./fetch.ts";

const bodies: readonly Way[] = ["passed", "scanned", "own"];

/** Sends, and where something was queued waits until the server has it. */
async function beacon(t: Trial, url: string, data?: unknown): Promise<unknown> {
  const queued = await outcome(() =>
    data === undefined ? navigator.sendBeacon(url) : navigator.sendBeacon(url, data as BodyInit),
  );
  if ((queued as { value?: unknown }).value === true) {
    await t.reached();
    await isOver(url);
  }
  return queued;
}

/** The browser counts what is under way: the next case begins when this one's is over. */
async function isOver(url: string): Promise<void> {
  await entriesOf(new URL(url, location.href).href.replace(/#.*/, ""));
  performance.clearResourceTimings();
}

async function sent(t: Trial, url: string, requests: number): Promise<unknown> {
  const queued = navigator.sendBeacon(url, JSON_BODY);
  if (queued) {
    await t.reached(requests);
    await isOver(url);
  }
  return queued;
}

const LIMIT = 65_536;

function form(size: number): FormData {
  const made = new FormData();
  made.append("a", "x".repeat(size));
  return made;
}

export const beaconCases: readonly SuiteCase[] = [
  ...rows<() => unknown>(
    "beacon of",
    bodies,
    [
      ["nothing", () => undefined],
      ["null", () => null],
      ["an empty text", () => ""],
      ["text", () => "grüße ✓"],
      ["half a character", () => "\ud800"],
      ["a number", () => 5],
      ["an object", () => ({ a: 1 })],
      ["a Blob without type", () => new Blob(["a"])],
      ["a Blob of text", () => new Blob(["a"], { type: "text/plain;charset=X" })],
      ["a Blob of JSON", () => new Blob([JSON_BODY], { type: "application/json" })],
      ["a Blob of an odd type", () => new Blob(["a"], { type: "Text/X-Own;A=Ü" })],
      ["an empty Blob", () => new Blob([])],
      ["a file", () => new File(["a"], "a.txt", { type: "text/plain" })],
      ["a form", () => form(1)],
      ["parameters", () => new URLSearchParams({ a: "ü b" })],
      ["a buffer", () => new TextEncoder().encode("abc").buffer],
      ["bytes from the middle", () => new TextEncoder().encode("abcdef").subarray(2, 4)],
      ["a view", () => new DataView(new TextEncoder().encode("abcdef").buffer, 1, 2)],
      ["a text at the limit", () => "x".repeat(LIMIT)],
      ["bytes at the limit", () => new Uint8Array(LIMIT).fill(97)],
      ["a Blob at the limit", () => new Blob(["x".repeat(LIMIT)], { type: "text/plain" })],
      ["a form near the limit", () => form(LIMIT - 1_000)],
    ],
    (t, make) => beacon(t, t.url(), make()),
  ),
  // What is too large is refused, by those browsers that do; the others send it.
  ...rows<() => unknown>(
    "beacon, too large, of",
    bodies,
    [
      ["text", () => "x".repeat(LIMIT + 1)],
      ["bytes", () => new Uint8Array(LIMIT + 1)],
      ["a Blob", () => new Blob(["x".repeat(LIMIT + 1)], { type: "text/plain" })],
      ["a form", () => form(LIMIT)],
      ["parameters", () => new URLSearchParams({ a: "x".repeat(LIMIT) })],
    ],
    (t, make) => beacon(t, t.url(), make()),
  ),
  ...rows<() => unknown>(
    "beacons, together too large, of",
    bodies,
    [
      ["text", () => "x".repeat(40_000)],
      ["bytes", () => new Uint8Array(40_000).fill(97)],
      ["a Blob", () => new Blob(["x".repeat(40_000)], { type: "text/plain" })],
      ["a form", () => form(40_000)],
    ],
    async (t, make) => {
      const queued = [1, 2, 3].map(() => navigator.sendBeacon(t.url(), make() as BodyInit));
      await t.reached(queued.filter(Boolean).length);
      await isOver(t.url());
      return queued;
    },
  ),
  ...cases("beacon", ["passed", "scanned", "looked-at", "own"], {
    "of JSON": (t) => beacon(t, t.url(), JSON_BODY),
    "to an address with a fragment": (t) => beacon(t, `${t.url()}#part`, JSON_BODY),
    "with a cookie": async (t) => {
      const cookie = ["Set-Cookie", "suite=1; Secure; SameSite=None; Path=/"] as const;
      await (await fetch(t.url({ headers: [cookie] }), { credentials: "include" })).text();
      return sent(t, t.url(), 2);
    },
    redirected: (t) => sent(t, t.url({ status: 307, location: t.url() }), 2),
    "is told of in the timings": async (t) => {
      performance.clearResourceTimings();
      const url = t.url();
      const queued = navigator.sendBeacon(url, JSON_BODY);
      return [queued, await entriesOf(url)];
    },
  }),
  ...rows<unknown>(
    "beacon to",
    ["passed"],
    [
      ...["https://[", "data:,", "javascript:1", "blob:x", "about:blank", "ftp://host/", "//["],
      ["a port that is not for pages", `${HOMESERVER}:1/`],
      ["a symbol", Symbol("a")],
    ],
    (_t, url) => outcome(() => navigator.sendBeacon(url as string, "a")),
  ),
  ...cases("beacon", ["passed"], {
    "without arguments": () => outcome(() => (navigator.sendBeacon as () => boolean)()),
    "of another object": () =>
      outcome(() => navigator.sendBeacon.call({} as Navigator, "https://hs.example.org/", "a")),
    "of a stream": (t) =>
      outcome(() => navigator.sendBeacon(t.url(), new Blob(["a"]).stream() as unknown as BodyInit)),
    "its name and length": () =>
      Promise.resolve([
        navigator.sendBeacon.name,
        navigator.sendBeacon.length,
        String(navigator.sendBeacon),
      ]),
  }),
];
