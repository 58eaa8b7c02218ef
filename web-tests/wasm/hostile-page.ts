/** Runs in the browser: responses that a server makes to take long, through the core and `JSON.parse`. */

import "./boundary-page.ts";

const hs = "https://hs.example.org/_matrix/client/v3";
const places = {
  ".well-known": {
    url: "https://hs.example.org/.well-known/matrix/client",
    key: "m.identity_server",
  },
  "config.json": { url: "https://chat.example.org/config.json", key: "default_is_url" },
  "first sync": { url: `${hs}/sync`, key: "account_data" },
} as const;

interface Shape {
  readonly url: string;
  /** About this many bytes. */
  make(length: number): string | Uint8Array;
}

const filled = (piece: string, length: number, between = ","): string =>
  Array.from({ length: Math.ceil(length / (piece.length + between.length)) }, () => piece).join(
    between,
  );
const object = (members: string): string => `{${members}}`;
const nested = "[".repeat(10_000) + "]".repeat(10_000);
const later = `${hs}/sync?since=s1`;
const sync = (event: string): Shape => ({
  url: later,
  make: (length) => `{"account_data":{"events":[${filled(event, length)}]}}`,
});
const manager = '"w":{"type":"m.integration_manager","content":{"url":"https://m.example/"}}';

const shapes = new Map<string, Shape>([
  [
    "identity events",
    sync('{"type":"m.identity_server","content":{"base_url":"https://is.example"}}'),
  ],
  ["manager events", sync(`{"type":"m.widgets","content":{${manager}}}`)],
  ["kept events", sync('{"type":"io.element.recent_emoji","content":{}}')],
  ["other events", sync('{"type":"a","content":{}}')],
  [
    "one list of managers",
    {
      url: later,
      make: (length) =>
        `{"account_data":{"events":[{"type":"m.widgets","content":{${filled(manager, length)}}}]}}`,
    },
  ],
  [
    "account data inside account data",
    {
      url: later,
      make: (length) =>
        `${'{"account_data":'.repeat(length / 17)}1${"}".repeat(Math.floor(length / 17))}`,
    },
  ],
]);
for (const [place, { url, key }] of Object.entries(places)) {
  const add = (name: string, make: Shape["make"]): unknown =>
    shapes.set(`${name}, ${place}`, { url, make });
  add("one key repeated", (length) => object(filled(`"${key}":1`, length)));
  add("one key with members", (length) => object(filled(`"${key}":{"base_url":"x"}`, length)));
  add("deep", (length) => object(filled(`"${key}":${nested}`, length)));
  add("escapes", (length) => object(`"${key}":"${filled("\\n\\u0061", length, "")}"`));
  add("empty rooms", (length) =>
    object(`"rooms":{"join":{${filled('"!abcdefghijkl:hs.example":{}', length)}}}`),
  );
  add("empty rooms beside it", (length) =>
    object(`"${key}":{},"rooms":{"join":{${filled('"!abcdefghijkl:hs.example":{}', length)}}}`),
  );
  add("numbers", (length) => object(`"${key}":[${filled("1.5e3", length)}]`));
  add("other keys", (length) => object(`"${key}":{},${filled('"x":1', length)}`));
  add("keys like a mark", (length) =>
    object(filled('"m.identity_serve":1,"setting_default":{}', length)),
  );
  add("empty objects", (length) => object(`"${key}":[${filled("{}", length)}]`));
  add("managers", (length) =>
    object(
      `"m.integrations":{"managers":[${filled('{"api_url":"https://m.example/x"}', length)}]}`,
    ),
  );
  add("invalid bytes", (length) => {
    const bytes = new Uint8Array(length).fill(0xff);
    bytes.set(new TextEncoder().encode('{"x":"'));
    bytes.set(new TextEncoder().encode('"}'), length - 2);
    return bytes;
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** In ms, over so many calls that the browser's clock can tell. */
function timed(call: () => void): number {
  const rounds = Array.from({ length: 3 }, () => {
    const start = performance.now();
    let calls = 0;
    let took = 0;
    while (took < 12) {
      call();
      calls += 1;
      took = performance.now() - start;
    }
    return took / calls;
  });
  return median(rounds);
}

const hostile = {
  names: (): string[] => [...shapes.keys()],
  /** `sizes` in MB. */
  measure(name: string, sizes: readonly number[]): { own: number[]; parse: number } {
    const shape = shapes.get(name);
    if (shape === undefined) throw new Error(`There is no shape ${name}.`);
    const core = new window.boundary.Core("https://chat.example.org/");
    core.applySettings(undefined, undefined);
    core.restore('{"@a:hs/io.element.recent_emoji":{"id":"one","content":{"mine":1}}}');
    let parse = Number.NaN;
    const own = sizes.map((size) => {
      const made = shape.make(size * 1_000_000);
      const bytes = typeof made === "string" ? new TextEncoder().encode(made) : made;
      const text = new TextDecoder().decode(bytes);
      parse = timed(() => void JSON.parse(text));
      return timed(() => void core.answer("GET", shape.url, 200, bytes));
    });
    core.free();
    return { own, parse };
  },
};

declare global {
  interface Window {
    hostile: typeof hostile;
  }
}

window.hostile = hostile;
