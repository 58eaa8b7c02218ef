/** What `fetch` gives: `Response`, its body in every form, and who else may take it. */
import { cases, head, outcome, reading, rows, shown } from "./kit.ts";
import type { SuiteCase, Trial, Way } from "./kit.ts";
import type { Program } from "./program.ts";

const all: readonly Way[] = ["passed", "looked-at", "watched", "own", "own, looked-at"];

const kinds = rows<Program>(
  "response",
  all,
  [
    ["status 200 with a phrase", { status: 200, reason: "Fine thing", text: "{}" }],
    ["status 201", { status: 201, text: "{}" }],
    ["status 204", { status: 204 }],
    ["status 205", { status: 205 }],
    ["status 206", { status: 206, text: "{}", headers: [["Content-Range", "bytes 0-1/9"]] }],
    ["status 299", { status: 299, reason: "Odd", text: "{}" }],
    ["status 304", { status: 304 }],
    ["status 400", { status: 400, text: "{}" }],
    ["status 401", { status: 401, text: "{}" }],
    ["status 403", { status: 403, text: '{"errcode":"M_FORBIDDEN"}' }],
    ["status 404", { status: 404, text: "{}" }],
    ["status 407 is nobody's but a proxy's", { status: 408, text: "{}" }],
    ["status 410", { status: 410, text: "" }],
    ["status 429", { status: 429, text: "{}", headers: [["Retry-After", "5"]] }],
    ["status 500", { status: 500, text: "{}" }],
    ["status 503", { status: 503, text: "{}" }],
    ["status 599", { status: 599, text: "{}" }],
    ["an empty body", { text: "" }],
    ["an empty body in parts", { text: "", chunked: true }],
    ["a body in parts", { text: '{"a":1}', chunked: true }],
    ["a packed body", { text: '{"a":1}', gzip: true }],
    ["a packed body in parts", { text: '{"a":1}', gzip: true, chunked: true }],
    ["a packed body that is none", { bytes: [1, 2, 3], headers: [["Content-Encoding", "gzip"]] }],
    ["no type", { text: "{}", type: null }],
    ["an empty type", { text: "{}", type: "" }],
    ["an odd type", { text: "{}", type: "a;b=c;d" }],
    ["bytes of every kind", { bytes: Array.from({ length: 256 }, (_, byte) => byte) }],
    ["a mark at the start", { bytes: [0xef, 0xbb, 0xbf, 0x7b, 0x7d] }],
    ["two marks at the start", { bytes: [0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, 0x7b, 0x7d] }],
    ["UTF-16", { bytes: [0xff, 0xfe, 0x7b, 0, 0x7d, 0] }],
    ["broken UTF-8", { bytes: [0x22, 0xc3, 0x28, 0xf0, 0x9f, 0x22] }],
    ["headers that nobody may read", { text: "{}", headers: [["X-Hidden", "a"]] }],
    ["headers that may be read", { text: "{}", headers: [["X-Own", "a"]], expose: "x-own" }],
    [
      "all headers may be read",
      { text: "{}", headers: [["X-Own", "a"]], expose: "*", cors: "any" },
    ],
    ["all, with credentials, is a name", { text: "{}", headers: [["X-Own", "a"]], expose: "*" }],
    [
      "headers that everyone may read",
      {
        text: "{}",
        headers: [
          ["Content-Language", "de"],
          ["Expires", "0"],
          ["Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT"],
          ["Pragma", "x"],
        ],
      },
    ],
    [
      "a header three times",
      {
        text: "{}",
        expose: "x-own",
        headers: [
          ["X-Own", "a"],
          ["x-own", ""],
          ["X-OWN", "b, c"],
        ],
      },
    ],
    ["a cookie", { text: "{}", expose: "set-cookie", headers: [["Set-Cookie", "a=1; Max-Age=0"]] }],
    [
      "latin1 in a header",
      { text: "{}", expose: "x-own", headers: [["X-Own", "gr\u00fc\u00dfe"]] },
    ],
    ["an empty header", { text: "{}", expose: "x-own", headers: [["X-Own", ""]] }],
    ["spaces in a header", { text: "{}", expose: "x-own", headers: [["X-Own", " \t a  b \t"]] }],
    ["a large answer", { size: 300_000, type: "text/plain" }],
  ],
  async (t, program) => {
    const got = (await reading(() => fetch(t.url(program)))) as { value?: { text?: unknown } };
    const text = (got.value?.text as { value?: string } | undefined)?.value;
    if (text !== undefined && text.length > 1_000) return { ...got, length: text.length };
    return got;
  },
);

type Take = (response: Response) => Promise<unknown>;

const takes: [string, Take][] = [
  ["text", (r) => r.text()],
  ["json", (r) => r.json() as Promise<unknown>],
  ["arrayBuffer", async (r) => shown(await r.arrayBuffer())],
  ["blob", async (r) => shown(await r.blob())],
  ["bytes", async (r) => [...(await (r as unknown as { bytes(): Promise<Uint8Array> }).bytes())]],
  ["formData", async (r) => [...(await r.formData())]],
];

const contents: [string, Program][] = [
  ["JSON", { text: '{"a":[1,"ü"]}' }],
  ["broken JSON", { text: '{"a":' }],
  ["an empty body", { text: "" }],
  ["JSON with a mark", { bytes: [0xef, 0xbb, 0xbf, 0x31] }],
  ["broken UTF-8", { bytes: [0x22, 0xc3, 0x22] }],
  ["latin1", { bytes: [0x22, 0xe9, 0x22], type: "text/plain;charset=iso-8859-1" }],
  ["parameters", { text: "a=1&b=%C3%BC&a=2", type: "application/x-www-form-urlencoded" }],
  [
    "a form",
    {
      type: "multipart/form-data; boundary=mark",
      text: '--mark\r\nContent-Disposition: form-data; name="a"\r\n\r\nü\r\n--mark--\r\n',
    },
  ],
  ["no content", { status: 204 }],
  ["an error", { status: 404, text: '{"errcode":"M_NOT_FOUND"}' }],
];

const taken = takes.flatMap(([name, take]) =>
  rows<Program>(`response as ${name}`, ["passed", "looked-at", "watched"], contents, (t, program) =>
    outcome(async () => {
      const response = await fetch(t.url(program));
      const first = await outcome(() => take(response));
      return [first, response.bodyUsed, await outcome(() => take(response))];
    }),
  ),
);

const JSON_ANSWER: Program = { text: '{"a":1}' };
const get = (t: Trial, program: Program = JSON_ANSWER): Promise<Response> => fetch(t.url(program));

async function chunks(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
}

const bodyOf = (response: Response): ReadableStream<Uint8Array> =>
  response.body as ReadableStream<Uint8Array>;

const streams: SuiteCase[] = cases("response body", all, {
  "is one stream": (t) =>
    outcome(async () => {
      const response = await get(t);
      return [response.body === response.body, String(response.body), response.bodyUsed];
    }),
  "read in parts": (t) =>
    outcome(async () => {
      const response = await get(t);
      const text = await chunks(bodyOf(response));
      return [text, response.bodyUsed, bodyOf(response).locked];
    }),
  "read into a buffer of the page's": (t) =>
    outcome(async () => {
      const response = await get(t);
      const reader = bodyOf(response).getReader({ mode: "byob" });
      const first = await reader.read(new Uint8Array(4));
      const rest = await reader.read(new Uint8Array(40));
      return [[...(first.value ?? [])], [...(rest.value ?? [])], (await reader.closed) ?? "closed"];
    }),
  "read by iteration": (t) =>
    outcome(async () => {
      const response = await get(t);
      let text = "";
      for await (const part of bodyOf(response) as unknown as AsyncIterable<Uint8Array>) {
        text += new TextDecoder().decode(part);
      }
      return [text, response.bodyUsed];
    }),
  "split in two": (t) =>
    outcome(async () => {
      const [left, right] = bodyOf(await get(t)).tee();
      return [await chunks(left), await chunks(right)];
    }),
  "led elsewhere": (t) =>
    outcome(async () => {
      const response = await get(t);
      let text = "";
      await bodyOf(response)
        .pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>)
        .pipeTo(
          new WritableStream({
            write: (part) => {
              text += part;
            },
          }),
        );
      return [text, response.bodyUsed];
    }),
  "given up": (t) =>
    outcome(async () => {
      const response = await get(t);
      const cancelled = await outcome(() => bodyOf(response).cancel("enough"));
      return [cancelled, response.bodyUsed, await outcome(() => response.text())];
    }),
  "given up by its reader": (t) =>
    outcome(async () => {
      const response = await get(t);
      const reader = bodyOf(response).getReader();
      await reader.cancel("enough");
      reader.releaseLock();
      return [response.bodyUsed, await outcome(() => response.json() as Promise<unknown>)];
    }),
  "locked and let go": (t) =>
    outcome(async () => {
      const response = await get(t);
      const reader = bodyOf(response).getReader();
      const locked = await outcome(() => response.text());
      const copied = await outcome(() => response.clone().status);
      reader.releaseLock();
      return [locked, copied, response.bodyUsed, await outcome(() => response.text())];
    }),
  "begun and let go": (t) =>
    outcome(async () => {
      const response = await get(t);
      const reader = bodyOf(response).getReader();
      await reader.read();
      reader.releaseLock();
      return [
        response.bodyUsed,
        await outcome(() => response.text()),
        await outcome(() => response.clone().status),
      ];
    }),
  "in another Response": (t) =>
    outcome(async () => {
      const response = await get(t);
      const other = new Response(response.body, response);
      return [head(other), await other.text(), response.bodyUsed];
    }),
  "in a request": (t) =>
    outcome(async () => {
      const response = await get(t);
      return outcome(() =>
        new Request("https://hs.example.org/", {
          method: "POST",
          body: response.body,
          duplex: "half",
        } as RequestInit).headers.get("content-type"),
      );
    }),
  "copied twice": (t) =>
    outcome(async () => {
      const response = await get(t);
      const copy = response.clone();
      const again = copy.clone();
      return [head(again), await again.text(), await response.text(), await copy.text()];
    }),
  "copied after it was looked at": (t) =>
    outcome(async () => {
      const response = await get(t);
      const stream = response.body;
      const copy = response.clone();
      return [stream === response.body, await copy.text(), await response.text()];
    }),
  "copied, and one given up": (t) =>
    outcome(async () => {
      const response = await get(t);
      const copy = response.clone();
      void copy.body?.cancel().catch(() => undefined);
      return response.text();
    }),
  "copied after it was read": (t) =>
    outcome(async () => {
      const response = await get(t);
      await response.text();
      return outcome(() => response.clone().status);
    }),
  "two reads at once": (t) =>
    outcome(async () => {
      const response = await get(t);
      return Promise.all([
        outcome(() => response.text()),
        outcome(() => response.json() as Promise<unknown>),
      ]);
    }),
  "of a HEAD": (t) =>
    outcome(async () => {
      const response = await fetch(t.url(JSON_ANSWER), { method: "HEAD" });
      return [head(response), await response.text(), response.bodyUsed];
    }),
  "kept in a cache": (t) =>
    outcome(async () => {
      const cache = await caches.open("suite");
      const response = await get(t);
      const put = await outcome(() => cache.put(t.url(), response));
      const match = await cache.match(t.url());
      await caches.delete("suite");
      return [put, response.bodyUsed, match?.status, match && (await match.text())];
    }),
  "kept in a cache after it was copied": (t) =>
    outcome(async () => {
      const cache = await caches.open("suite");
      const response = await get(t);
      const put = await outcome(() => cache.put(t.url(), response.clone()));
      const match = await cache.match(t.url());
      await caches.delete("suite");
      return [put, await response.text(), match && (await match.text())];
    }),
  "as a module of WebAssembly": (t) =>
    outcome(async () => {
      const response = await get(t, {
        bytes: [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        type: "application/wasm",
      });
      const { instance } = await WebAssembly.instantiateStreaming(response);
      return [String(instance), response.bodyUsed];
    }),
  "promised to WebAssembly": (t) =>
    outcome(async () => {
      const promised = get(t, {
        bytes: [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        type: "application/wasm",
      });
      return String(await WebAssembly.compileStreaming(promised));
    }),
  "of another type for WebAssembly": (t) =>
    outcome(async () => String(await WebAssembly.compileStreaming(get(t)))),
  "stored is refused": (t) =>
    outcome(async () => {
      const response = await get(t);
      return structuredClone(response) as unknown;
    }),
});

const properties: SuiteCase[] = cases("response", all, {
  "headers cannot be changed": (t) =>
    outcome(async () => {
      const { headers } = await get(t);
      return [
        await outcome(() => headers.set("x-a", "b")),
        await outcome(() => headers.append("x-a", "b")),
        await outcome(() => headers.delete("content-type")),
        await outcome(() => headers.set("bad name", "b")),
      ];
    }),
  "headers are one object": (t) =>
    outcome(async () => {
      const response = await get(t);
      const { headers } = response;
      return [headers === response.headers, String(headers), [...headers.keys()].includes("date")];
    }),
  "the address has no fragment": (t) =>
    outcome(async () => (await fetch(`${t.url(JSON_ANSWER)}#part`)).url),
  "properties cannot be set": (t) =>
    outcome(async () => {
      const response = (await get(t)) as unknown as Record<string, unknown>;
      for (const name of ["url", "type", "status", "redirected", "body", "bodyUsed"]) {
        Reflect.set(response, name, "other");
      }
      return head(response as unknown as Response);
    }),
  "own properties": (t) =>
    outcome(async () => {
      const response = await get(t);
      const found: string[] = [];
      for (const name in response) found.push(name);
      return [
        Object.keys(response),
        found.sort(),
        Object.getPrototypeOf(response) === Response.prototype,
      ];
    }),
  "comes as a promise of the page's": (t) =>
    outcome(async () => {
      const promise = get(t);
      const kind = [
        promise instanceof Promise,
        Object.keys(promise),
        promise.constructor === Promise,
      ];
      await promise;
      return kind;
    }),
  "half an answer can be read while the rest is to come": async (t) => {
    const promised = fetch(t.url({ text: "half", hold: "body" }));
    await t.held();
    await t.release();
    return outcome(async () => (await promised).text());
  },
});

export const responseCases: readonly SuiteCase[] = [...kinds, ...taken, ...streams, ...properties];
