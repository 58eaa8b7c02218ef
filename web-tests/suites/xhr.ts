/** `XMLHttpRequest`, after its standard. */
import { ELSEWHERE, HOMESERVER, JSON_BODY, SITE, XhrWatch, cases, outcome, rows } from "./kit.ts";
import { entriesOf } from "./fetch.ts";
import type { SuiteCase, Trial, Way } from "./kit.ts";
import type { Program } from "./program.ts";

const both: readonly Way[] = ["passed", "looked-at"];
const posts: readonly Way[] = ["passed", "scanned", "looked-at"];
const bodies: readonly Way[] = ["passed", "scanned"];
const gets: readonly Way[] = ["passed", "watched", "own"];
/** A slow machine's patience with what ends by itself. */
const LIMIT_MS = 25_000;

interface Options {
  readonly method?: string;
  readonly body?: unknown;
  readonly type?: XMLHttpRequestResponseType;
  readonly headers?: readonly (readonly [string, string])[];
  readonly before?: (watch: XhrWatch) => unknown;
  readonly after?: (watch: XhrWatch) => unknown;
  readonly upload?: boolean;
}

async function asked(url: string, options: Options = {}): Promise<unknown> {
  const watch = new XhrWatch(new XMLHttpRequest(), options.upload ?? false);
  const { xhr } = watch;
  xhr.open(options.method ?? "GET", url);
  for (const [name, value] of options.headers ?? []) xhr.setRequestHeader(name, value);
  if (options.type !== undefined) xhr.responseType = options.type;
  const before = options.before?.(watch);
  xhr.send(options.body as XMLHttpRequestBodyInit);
  watch.note("sent");
  const after = options.after?.(watch);
  await watch.end(LIMIT_MS);
  return [await before, await after, await watch.answer()];
}

const opening: SuiteCase[] = [
  ...rows<unknown>(
    "xhr, method",
    both,
    [
      ...["GET", "get", "gEt", "HEAD", "post", "PUT", "Delete", "options", "patch", "Patch"],
      ...["CHICKEN", "chicken", "TRACE", "trace", "TRACK", "CONNECT", "", "G ET", "GÉT", "GET\n"],
      ["null", null],
      ["undefined", undefined],
      ["an object", { toString: () => "put" }],
      ["a symbol", Symbol("GET")],
    ],
    (t, method) => outcome(() => asked(t.url(), { method: method as string })),
  ),
  ...rows<unknown[]>(
    "xhr, open with",
    both,
    [
      ["async null", [null]],
      ["async 0", [0]],
      ["async an object", [{}]],
      ["a user", [true, "user"]],
      ["a user and a word", [true, "user", "wörd"]],
      ["a word alone", [true, null, "word"]],
      ["a user null", [true, null, null]],
      ["a user undefined", [true, undefined, undefined]],
      ["an empty user", [true, "", ""]],
      ["more than it takes", [true, undefined, undefined, 1, 2]],
    ],
    (t, more) =>
      outcome(async () => {
        const watch = new XhrWatch(new XMLHttpRequest(), false);
        (watch.xhr.open as (...all: unknown[]) => void).call(watch.xhr, "GET", t.url(), ...more);
        watch.xhr.send();
        await watch.end(LIMIT_MS);
        return watch.answer();
      }),
  ),
  ...cases("xhr, open", both, {
    "with a name and a word in the address": (t) =>
      outcome(() => asked(t.url().replace("https://", "https://user:word@"))),
    "with a name in the address and another given": (t) =>
      outcome(async () => {
        const watch = new XhrWatch(new XMLHttpRequest(), false);
        watch.xhr.open("GET", t.url().replace("https://", "https://one:a@"), true, "two", "b");
        watch.xhr.send();
        await watch.end(LIMIT_MS);
        return watch.answer();
      }),
    "again keeps timeout, credentials and type": (t) =>
      outcome(async () => {
        const watch = new XhrWatch(new XMLHttpRequest(), false);
        const { xhr } = watch;
        xhr.open("GET", t.url());
        xhr.timeout = 30_000;
        xhr.withCredentials = true;
        xhr.responseType = "blob";
        xhr.setRequestHeader("X-Own", "first");
        xhr.open("GET", t.url());
        watch.note(`${xhr.timeout} ${xhr.withCredentials} ${xhr.responseType}`);
        xhr.send();
        await watch.end(LIMIT_MS);
        return watch.answer();
      }),
    "again after the end empties it": (t) =>
      outcome(async () => {
        const watch = new XhrWatch(new XMLHttpRequest(), false);
        const { xhr } = watch;
        xhr.open("GET", t.url({ status: 404, text: "{}" }));
        xhr.send();
        await watch.end(LIMIT_MS);
        xhr.open("GET", t.url());
        return [
          ...[xhr.readyState, xhr.status, xhr.statusText, xhr.responseURL, xhr.responseText],
          ...[xhr.getAllResponseHeaders(), xhr.getResponseHeader("content-type"), watch.log],
        ];
      }),
    "in its own listener": (t) =>
      outcome(async () => {
        const watch = new XhrWatch(new XMLHttpRequest(), false);
        const { xhr } = watch;
        let again = true;
        const second = new Promise<void>((resolve) => {
          xhr.addEventListener("load", () => {
            if (!again) return resolve();
            again = false;
            xhr.open("GET", t.url({ text: "second" }));
            xhr.send();
          });
        });
        xhr.open("GET", t.url({ text: "first" }));
        xhr.send();
        await second;
        return [xhr.responseText, watch.log];
      }),
    "changes the address by the page's base": async (t) => {
      const base = document.createElement("base");
      base.href = `${HOMESERVER}/based/`;
      document.head.append(base);
      const watch = new XhrWatch(new XMLHttpRequest(), false);
      watch.xhr.open("GET", `plain?case=${t.number}`);
      base.remove();
      watch.xhr.send();
      await watch.end(LIMIT_MS);
      return watch.answer();
    },
  }),
];

const headers = [
  ...rows<readonly (readonly [string, string])[]>(
    "xhr, headers",
    both,
    [
      [
        "combined",
        [
          ["X-Own", "a"],
          ["x-own", "b"],
          ["X-OWN", ""],
        ],
      ],
      ["spaces around", [["X-Own", " \t a b \t "]]],
      ["an empty value", [["X-Own", ""]]],
      ["a line", [["X-Own", "a\nb"]]],
      ["lines around", [["X-Own", "\r\na\r\n"]]],
      ["a zero", [["X-Own", "\0"]]],
      ["latin1", [["X-Own", "grüße"]]],
      ["more than latin1", [["X-Own", "✓"]]],
      ["an empty name", [["", "a"]]],
      ["a space in a name", [["X Own", "a"]]],
      ["a colon in a name", [["X-Own:", "a"]]],
      ["every character of a name", [["!#$%&'*+-.^_`|~aZ9", "a"]]],
      [
        "forbidden ones",
        [
          ...(["Cookie", "Host", "Origin", "Referer", "Connection", "Date", "Via"] as const),
          ...(["Sec-Own", "Proxy-Own", "Content-Length", "TE", "Upgrade", "Expect"] as const),
        ].map((name): [string, string] => [name, "x"]),
      ],
      ["a method to be taken instead", [["X-HTTP-Method-Override", "TRACK"]]],
      [
        "accept twice",
        [
          ["Accept", "a/b"],
          ["Accept", "c/d"],
        ],
      ],
      [
        "authorization twice",
        [
          ["Authorization", "Bearer a"],
          ["authorization", "Bearer b"],
        ],
      ],
    ],
    (t, list) => outcome(() => asked(t.url(), { method: "POST", body: JSON_BODY, headers: list })),
  ),
  // A text has a charset, which is UTF-8 whatever the page says.
  ...rows<string>(
    "xhr, content type of a text:",
    both,
    [
      ...["application/json", "application/json;charset=utf-8", "application/json; charset=UTF-8"],
      ...[
        "application/json;charset=iso-8859-1",
        'application/json;a=b;charset="x";c=d',
        "text/own",
      ],
      ...["", "nonsense", "text/plain;charset", "text/plain;charset=utf-8;charset=x"],
      ...["TEXT/PLAIN;CHARSET=ascii", "text/plain; charset = x", " text/plain;charset=x "],
    ],
    (t, type) =>
      outcome(() =>
        asked(t.url(), { method: "POST", body: JSON_BODY, headers: [["Content-Type", type]] }),
      ),
  ),
  ...rows<string>(
    "xhr, content type of bytes:",
    bodies,
    ["text/plain;charset=x", "", "application/json"],
    (t, type) =>
      outcome(() =>
        asked(t.url(), {
          method: "POST",
          body: new TextEncoder().encode(JSON_BODY),
          headers: [["Content-Type", type]],
        }),
      ),
  ),
];

const bytes = new TextEncoder().encode(JSON_BODY);

const sent = rows<() => unknown>(
  "xhr, body",
  bodies,
  [
    ["an empty text", () => ""],
    ["text", () => "grüße ✓"],
    ["half a character", () => "a\ud800b"],
    ["a large text", () => "0123456789".repeat(20_000)],
    ["a Blob without type", () => new Blob(["a"])],
    ["a Blob with a type", () => new Blob(["a"], { type: "Text/X-Own;Charset=X" })],
    ["an empty Blob", () => new Blob([])],
    ["a file", () => new File(["a"], "name.txt", { type: "text/x-own" })],
    [
      "a form",
      () => {
        const form = new FormData();
        form.append("ü\n", "✓\n");
        form.append("f", new Blob(["x"], { type: "text/own" }), 'a"b.txt');
        return form;
      },
    ],
    ["parameters", () => new URLSearchParams({ a: "ü b" })],
    ["an empty buffer", () => new ArrayBuffer(0)],
    ["a buffer", () => bytes.slice().buffer],
    ["bytes from the middle", () => bytes.subarray(3, 9)],
    ["numbers", () => new Float32Array([1, 2])],
    ["a view", () => new DataView(bytes.slice().buffer, 2, 3)],
    ["null", () => null],
    ["undefined", () => undefined],
    ["a number", () => 5],
    ["an object", () => ({ a: 1 })],
    ["a list", () => [1, 2]],
    ["a stream", () => new Blob(["a"]).stream()],
    ["a symbol", () => Symbol("a")],
    ["HTML", () => new DOMParser().parseFromString("<p>ü", "text/html")],
    ["XML", () => new DOMParser().parseFromString("<a>ü</a>", "application/xml")],
    ["an empty document", () => document.implementation.createDocument(null, "")],
    ["a document of another frame", () => inFrame((inner) => inner.document.cloneNode(true))],
    ["bytes of another frame", () => inFrame((inner) => new inner.Uint8Array([97, 98]))],
    ["a Blob of another frame", () => inFrame((inner) => new inner.Blob(["a"]))],
  ],
  (t, make) => outcome(() => asked(t.url(), { method: "POST", body: make(), upload: true })),
);

function inFrame<Value>(make: (inner: Window & typeof globalThis) => Value): Value {
  const frame = document.createElement("iframe");
  document.body.append(frame);
  const made = make(frame.contentWindow as Window & typeof globalThis);
  frame.remove();
  return made;
}

const types: readonly XMLHttpRequestResponseType[] = [
  ...(["", "text", "json", "blob", "arraybuffer", "document"] as const),
];

const contents: [string, Program][] = [
  ["JSON", { text: '{"a":[1,"ü"]}' }],
  ["broken JSON", { text: '{"a":' }],
  ["JSON as text", { text: '{"a":1}', type: "text/plain" }],
  ["JSON with a mark", { bytes: [0xef, 0xbb, 0xbf, 0x31] }],
  ["nothing", { text: "" }],
  ["nothing without a type", { text: "", type: null }],
  ["no content", { status: 204 }],
  ["an error", { status: 404, text: '{"errcode":"M_NOT_FOUND"}' }],
  ["HTML", { text: "<!doctype html><title>ü</title><p id=a>A", type: "text/html;charset=utf-8" }],
  ["HTML without a charset", { text: "<p>ü", type: "text/html" }],
  [
    "HTML that names its charset",
    { bytes: ascii('<meta charset="iso-8859-1"><p>', [0xfc]), type: "text/html" },
  ],
  ["XML", { text: "<a><b>ü</b></a>", type: "application/xml" }],
  ["XML of an own kind", { text: "<a/>", type: "application/own+xml" }],
  ["SVG", { text: '<svg xmlns="http://www.w3.org/2000/svg"/>', type: "image/svg+xml" }],
  ["broken XML", { text: "<a><b>", type: "text/xml" }],
  [
    "XML that names its charset",
    {
      bytes: ascii('<?xml version="1.0" encoding="iso-8859-1"?><a>', [0xfc], "</a>"),
      type: "text/xml",
    },
  ],
  ["XML without a type", { text: "<a/>", type: null }],
  ["latin1", { bytes: [0x22, 0xfc, 0x22], type: "text/plain;charset=iso-8859-1" }],
  ["another charset", { bytes: [0x22, 0xcf, 0xf0, 0x22], type: "text/plain; charset='koi8-r'" }],
  ["a quoted charset", { bytes: [0x22, 0xcf, 0xf0, 0x22], type: 'text/plain;charset="KOI8-R"' }],
  ["an unknown charset", { bytes: [0xc3, 0xbc], type: "text/plain;charset=nonsense" }],
  ["two charsets", { bytes: [0xfc], type: "text/plain;charset=iso-8859-1;charset=utf-8" }],
  ["a charset in capitals", { bytes: [0xfc], type: "text/plain;CHARSET=ISO-8859-1" }],
  ["a charset of another name", { bytes: [0xc3, 0xbc], type: "text/plain;x-charset=iso-8859-1" }],
  ["a charset inside a text", { bytes: [0xc3, 0xbc], type: 'text/plain;a="charset=iso-8859-1"' }],
  ["UTF-16", { bytes: [0xff, 0xfe, 0x31, 0], type: "text/plain" }],
  [
    "UTF-16 against its charset",
    { bytes: [0xfe, 0xff, 0, 0x31], type: "text/plain;charset=utf-8" },
  ],
  ["broken UTF-8", { bytes: [0x22, 0xc3, 0x22, 0xed, 0xa0, 0x80] }],
  ["two types", { text: "{}", type: "text/plain, application/json" }],
  ["an odd type", { text: "{}", type: "nonsense" }],
];

function ascii(before: string, middle: readonly number[], after = ""): number[] {
  const codes = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
  return [...codes(before), ...middle, ...codes(after)];
}

const received = types.flatMap((type) =>
  rows<Program>(
    `xhr as ${type === "" ? "it comes" : type}`,
    ["passed", "watched"],
    contents,
    (t, program) => outcome(() => asked(t.url(program), { type })),
  ),
);

const overridden = rows<[string, Program, XMLHttpRequestResponseType]>(
  "xhr, type overridden:",
  gets,
  (
    [
      ["text/plain;charset=koi8-r", { bytes: [0xcf, 0xf0] }, ""],
      ["text/plain;charset=nonsense", { bytes: [0xcf, 0xf0] }, ""],
      ["text/plain", { bytes: [0xfc], type: "text/plain;charset=iso-8859-1" }, ""],
      ["nonsense", { bytes: [0xfc], type: "text/plain;charset=iso-8859-1" }, ""],
      ["", { bytes: [0xfc], type: "text/plain;charset=iso-8859-1" }, ""],
      [" text/xml ; charset=utf-8 ", { text: "<a>ü</a>", type: "text/plain" }, ""],
      ["text/xml", { text: "<a/>", type: "text/plain" }, "document"],
      ["text/html", { text: "<p>a", type: "text/plain" }, "document"],
      ["text/plain", { text: "<p>a", type: "text/html" }, "document"],
      ["Text/X-Own;A=b", { text: "a" }, "blob"],
      ["nonsense", { text: "a" }, "blob"],
      ["text/plain;charset=koi8-r", { text: '{"a":"ü"}' }, "json"],
      ["application/json", { bytes: [1, 2] }, "arraybuffer"],
    ] as const
  ).map(([type, program, as]) => [
    `${JSON.stringify(type)} as ${as === "" ? "it comes" : as}, ${JSON.stringify(program)}`,
    [type, program, as],
  ]),
  (t, [type, program, as]) =>
    outcome(() =>
      asked(t.url(program), { type: as, before: ({ xhr }) => xhr.overrideMimeType(type) }),
    ),
);

const answers = rows<Program>(
  "xhr, answer with",
  gets,
  [
    ["status 205", { status: 205 }],
    ["status 206", { status: 206, text: "{}" }],
    ["status 299 with a phrase", { status: 299, reason: "Odd thing", text: "{}" }],
    ["status 304", { status: 304 }],
    ["status 401", { status: 401, text: "{}" }],
    ["status 429", { status: 429, text: "{}" }],
    ["status 500", { status: 500, text: "{}" }],
    ["a body in parts", { text: "{}", chunked: true }],
    ["a packed body", { text: "{}", gzip: true }],
    ["a redirect", { status: 302, location: `${HOMESERVER}/plain#there` }],
    ["a redirect to another origin", { status: 302, location: `${ELSEWHERE}/there` }],
    ["a redirect to the page's", { status: 302, location: `${SITE}/echo` }],
    ["a redirect nowhere", { status: 302 }],
    ["a redirect to a script", { status: 302, location: "javascript:1" }],
    ["nobody may read it", { cors: "none" }],
    ["anybody may read it", { cors: "any" }],
    ["it breaks off before", { cut: "head" }],
    ["a large body", { size: 200_000, type: "application/octet-stream" }],
    [
      "headers in no order",
      {
        text: "{}",
        expose: "x-b, X-A, x-c, set-cookie",
        headers: [
          ["X-b", "2"],
          ["X-A", "1"],
          ["x-B", "3"],
          ["X-C", ""],
          ["X-Hidden", "a"],
          ["Set-Cookie", "a=1; Max-Age=0"],
        ],
      },
    ],
    [
      "spaces and latin1 in headers",
      { text: "{}", expose: "x-a", headers: [["X-A", " \t gr\u00fc\u00dfe \t"]] },
    ],
  ],
  async (t, program) => {
    const { size } = program;
    const options = { headers: [["Accept", `case/${t.number}`]] } as const;
    if (size === undefined) return outcome(() => asked(t.url(program), options));
    // Its parts come as the network has them.
    return outcome(async () => {
      const watch = new XhrWatch(new XMLHttpRequest(), false);
      watch.xhr.open("GET", t.url(program));
      watch.xhr.responseType = "arraybuffer";
      watch.xhr.send();
      await watch.end(LIMIT_MS);
      return [watch.xhr.status, new Uint8Array(watch.xhr.response as ArrayBuffer).length];
    });
  },
);

/** What a step shows or throws before the request is sent, and then once in each state. */
function inEachState(
  url: string,
  step: (xhr: XMLHttpRequest) => unknown,
  { method = "GET", body = null }: { method?: string; body?: string | null } = {},
): Promise<unknown> {
  return outcome(async () => {
    const watch = new XhrWatch(new XMLHttpRequest(), false);
    const { xhr } = watch;
    const notes: unknown[] = [];
    const seen = new Set<number>();
    const note = (): void => {
      try {
        notes.push(step(xhr));
      } catch (error) {
        notes.push([xhr.readyState, (error as Error).name, (error as Error).message]);
      }
    };
    note();
    xhr.addEventListener("readystatechange", () => {
      if (!seen.has(xhr.readyState)) note();
      seen.add(xhr.readyState);
    });
    xhr.open(method, url);
    xhr.send(body);
    await watch.end(LIMIT_MS);
    note();
    return notes;
  });
}

function lookAt(xhr: XMLHttpRequest): unknown {
  return [
    ...[xhr.readyState, xhr.status, xhr.statusText, xhr.responseURL],
    ...[xhr.getAllResponseHeaders().length > 0, xhr.responseXML],
    // How much has come in at that moment is the network's luck.
    ...(xhr.readyState === 3 ? [] : [xhr.responseText, xhr.response]),
  ];
}

const states: SuiteCase[] = cases("xhr, state", [...posts, "watched"], {
  "headers asked for in odd ways": async (t) => {
    const watch = new XhrWatch(new XMLHttpRequest(), false);
    const { xhr } = watch;
    const header = (name: unknown): Promise<unknown> =>
      outcome(() => xhr.getResponseHeader(name as string));
    const early = await header("content-type");
    xhr.open("GET", t.url({ text: "{}", expose: "x-own", headers: [["X-Own", "a"]] }));
    const opened = await header("content-type");
    xhr.send();
    await watch.end(LIMIT_MS);
    const names = ["CONTENT-type", "x-own", "X-OWN ", "", "x own", "✓", null, undefined, 5];
    return [early, opened, await Promise.all(names.map(header))];
  },
  "type set in each state": (t) =>
    inEachState(t.url({ text: "{}" }), (xhr) => {
      xhr.responseType = "blob";
      return [xhr.readyState, xhr.responseType];
    }),
  "type overridden in each state": (t) =>
    inEachState(t.url({ text: "{}" }), (xhr) => {
      xhr.overrideMimeType("text/plain");
      return xhr.readyState;
    }),
  "every property in every state": (t) =>
    inEachState(t.url({ text: '{"a":1}' }), lookAt, { method: "POST", body: JSON_BODY }),
  "text asked for of another type": (t) =>
    outcome(async () => {
      const watch = new XhrWatch(new XMLHttpRequest(), false);
      const { xhr } = watch;
      xhr.open("GET", t.url({ text: "{}" }));
      xhr.responseType = "json";
      const early = await outcome(() => xhr.responseText);
      xhr.send();
      await watch.end(LIMIT_MS);
      return [
        early,
        await outcome(() => xhr.responseText),
        await outcome(() => String(xhr.responseXML)),
        xhr.response === xhr.response,
      ];
    }),
  "the timeout is over": async (t) =>
    outcome(() =>
      asked(t.url({ hold: "head" }), {
        method: "POST",
        body: JSON_BODY,
        // No upload event is waited for: it may or may not be over.
        before: ({ xhr }) => {
          xhr.timeout = 400;
        },
      }),
    ),
  "the timeout is set while the server thinks": async (t) =>
    outcome(() =>
      asked(t.url({ hold: "head" }), {
        method: "POST",
        body: JSON_BODY,
        after: async ({ xhr }) => {
          await t.reached();
          xhr.timeout = 1;
        },
      }),
    ),
  "the timeout is taken away": async (t) =>
    outcome(() =>
      asked(t.url({ hold: "head", text: "{}" }), {
        method: "POST",
        body: JSON_BODY,
        before: ({ xhr }) => {
          xhr.timeout = 60_000;
        },
        after: async ({ xhr }) => {
          await t.reached();
          xhr.timeout = 0;
          await t.release();
        },
      }),
    ),
  "aborted while the server thinks": async (t) =>
    outcome(() =>
      asked(t.url({ hold: "head" }), {
        method: "POST",
        body: JSON_BODY,
        after: async ({ xhr }) => {
          await t.reached();
          xhr.abort();
          return [xhr.readyState, xhr.status, xhr.responseText];
        },
      }),
    ),
  "aborted while the answer comes": async (t) =>
    outcome(() =>
      asked(t.url({ hold: "body", text: "half" }), {
        after: async ({ xhr }) => {
          while (xhr.readyState < 3) await new Promise((resolve) => setTimeout(resolve, 5));
          xhr.abort();
          return [xhr.readyState, xhr.status, xhr.responseText, xhr.getAllResponseHeaders()];
        },
      }),
    ),
  "aborted before and after": (t) =>
    outcome(async () => {
      const watch = new XhrWatch(new XMLHttpRequest(), false);
      const { xhr } = watch;
      xhr.abort();
      watch.note(`unsent ${xhr.readyState}`);
      xhr.open("GET", t.url({ text: "{}" }));
      xhr.abort();
      watch.note(`opened ${xhr.readyState}`);
      xhr.send();
      await watch.end(LIMIT_MS);
      xhr.abort();
      watch.note(`done ${xhr.readyState} ${xhr.status} ${xhr.responseText}`);
      xhr.abort();
      return watch.log;
    }),
  "aborted and sent again": (t) =>
    outcome(async () => {
      const watch = new XhrWatch(new XMLHttpRequest(), false);
      const { xhr } = watch;
      xhr.open("POST", t.url({ hold: "head" }));
      xhr.send(JSON_BODY);
      await t.reached();
      xhr.abort();
      watch.note(`aborted ${xhr.readyState}`);
      const ended = new Promise((resolve) => xhr.addEventListener("load", resolve));
      xhr.open("POST", t.url({ text: "again" }));
      xhr.send(JSON_BODY);
      await ended;
      return [xhr.responseText, watch.log];
    }),
  "with credentials": (t) =>
    outcome(() =>
      asked(t.url(), {
        before: ({ xhr }) => {
          xhr.withCredentials = true;
        },
      }),
    ),
  "with credentials where anybody may read": (t) =>
    outcome(() =>
      asked(t.url({ cors: "any" }), {
        before: ({ xhr }) => {
          xhr.withCredentials = true;
        },
      }),
    ),
  "a listener as an object, once, and a handler that throws": (t) =>
    outcome(async () => {
      const xhr = new XMLHttpRequest();
      const notes: string[] = [];
      const ended = new Promise<void>((resolve) => {
        xhr.addEventListener("loadend", { handleEvent: () => (notes.push("object"), resolve()) });
      });
      xhr.addEventListener("readystatechange", () => notes.push("once"), { once: true });
      const quiet = (event: ErrorEvent): void => {
        event.preventDefault();
        notes.push("error told");
      };
      addEventListener("error", quiet);
      xhr.onload = () => {
        throw new Error("mine");
      };
      xhr.open("GET", t.url({ text: "{}" }));
      xhr.send();
      await ended;
      removeEventListener("error", quiet);
      return notes;
    }),
  "is told of in the timings": async (t) => {
    performance.clearResourceTimings();
    const url = t.url();
    await asked(url, { method: "POST", body: JSON_BODY });
    return entriesOf(url);
  },
  "upload events without a body": (t) =>
    outcome(() => asked(t.url({ text: "{}" }), { method: "POST", upload: true })),
  "upload events of an empty text": (t) =>
    outcome(() => asked(t.url({ text: "{}" }), { method: "POST", body: "", upload: true })),
  "upload events of JSON": (t) =>
    outcome(() => asked(t.url({ text: "{}" }), { method: "POST", body: JSON_BODY, upload: true })),
  "an upload that breaks off": (t) =>
    outcome(() => asked(t.url({ cut: "head" }), { method: "PUT", body: JSON_BODY, upload: true })),
});

/** The page stands still meanwhile. */
function now(
  t: Trial,
  program: Program,
  set: (xhr: XMLHttpRequest) => void,
  body?: unknown,
): unknown {
  const xhr = new XMLHttpRequest();
  const order: string[] = [];
  for (const type of ["readystatechange", "loadstart", "progress", "load", "error", "loadend"]) {
    xhr.addEventListener(type, () => order.push(`${type} ${xhr.readyState}`));
  }
  xhr.open(body === undefined ? "GET" : "POST", t.url(program), false);
  set(xhr);
  xhr.send(body as XMLHttpRequestBodyInit);
  return [xhr.status, xhr.responseText, xhr.responseURL, xhr.getAllResponseHeaders(), order];
}

const synchronous: SuiteCase[] = cases("xhr, synchronous", [...posts, "watched", "own"], {
  GET: (t) => outcome(() => now(t, {}, () => undefined)),
  POST: (t) => outcome(() => now(t, {}, () => undefined, JSON_BODY)),
  "POST of bytes": (t) => outcome(() => now(t, {}, () => undefined, bytes)),
  "an error status": (t) => outcome(() => now(t, { status: 500, text: "{}" }, () => undefined)),
  "a redirect": (t) => outcome(() => now(t, { status: 302, location: t.url() }, () => undefined)),
  "another charset": (t) =>
    outcome(() =>
      now(t, { bytes: [0xfc], type: "text/plain" }, (xhr) =>
        xhr.overrideMimeType("text/plain;charset=iso-8859-1"),
      ),
    ),
  "breaks off": (t) => outcome(() => now(t, { cut: "head" }, () => undefined)),
  "may not be read": (t) => outcome(() => now(t, { cors: "none" }, () => undefined)),
  "with a type": (t) =>
    outcome(() =>
      now(t, {}, (xhr) => {
        xhr.responseType = "json";
      }),
    ),
  "with a timeout": (t) =>
    outcome(() =>
      now(t, {}, (xhr) => {
        xhr.timeout = 5_000;
      }),
    ),
  "opened after a type was set": (t) =>
    outcome(() => {
      const xhr = new XMLHttpRequest();
      xhr.responseType = "json";
      xhr.open("GET", t.url(), false);
    }),
  "opened after a timeout was set": (t) =>
    outcome(() => {
      const xhr = new XMLHttpRequest();
      xhr.timeout = 10;
      xhr.open("GET", t.url(), false);
    }),
  "a header after it": (t) =>
    outcome(() => {
      const xhr = new XMLHttpRequest();
      xhr.open("GET", t.url({ text: "{}" }), false);
      xhr.send();
      xhr.setRequestHeader("X-Own", "late");
    }),
});

const oddities: SuiteCase[] = cases("xhr", ["passed"], {
  "called as a function": () => outcome(() => (XMLHttpRequest as unknown as () => void)()),
  "constants and names": () =>
    Promise.resolve([
      Object.getOwnPropertyNames(XMLHttpRequest).sort(),
      Object.getOwnPropertyNames(XMLHttpRequest.prototype).sort(),
      [XMLHttpRequest.length, XMLHttpRequest.name, String(XMLHttpRequest)],
      Object.prototype.toString.call(new XMLHttpRequest()),
      [
        new XMLHttpRequest().upload === new XMLHttpRequest().upload,
        Object.keys(new XMLHttpRequest()),
      ],
    ]),
  "read-only properties stay": () => {
    const xhr = new XMLHttpRequest() as unknown as Record<string, unknown>;
    for (const name of ["readyState", "status", "response", "responseURL", "upload"]) {
      Reflect.set(xhr, name, 7);
    }
    return Promise.resolve([xhr["readyState"], xhr["status"], xhr["response"], xhr["responseURL"]]);
  },
  "a page's own event is the page's": async () => {
    const xhr = new XMLHttpRequest();
    const seen: string[] = [];
    xhr.onload = (event) => seen.push(`${event.type} ${event.isTrusted}`);
    xhr.dispatchEvent(new ProgressEvent("load", { loaded: 5 }));
    return [seen, xhr.readyState];
  },
  "text of a data address": () => asked("data:text/plain;charset=iso-8859-1,%FC"),
  "a Blob's address": async () => {
    const url = URL.createObjectURL(new Blob(["blöb"], { type: "text/own" }));
    const seen = JSON.stringify(await asked(url, { type: "blob" }));
    URL.revokeObjectURL(url);
    return seen.replaceAll(url, "BLOB");
  },
  "an unknown scheme": () => outcome(() => asked("unknown://host/")),
  "a port that is not for pages": () => outcome(() => asked(`${HOMESERVER}:1/`)),
  "an insecure address": () => outcome(() => asked("http://hs.example.org/")),
});

export const xhrCases: readonly SuiteCase[] = [
  ...opening,
  ...headers,
  ...sent,
  ...received,
  ...overridden,
  ...answers,
  ...states,
  ...synchronous,
  ...oddities,
];
