/** `fetch` and `Request`, after the Fetch standard. */
import { cases, ELSEWHERE, HOMESERVER, JSON_BODY, post, reading, rows, SITE } from "./kit.ts";
import { describeError, outcome } from "./kit.ts";
import type { SuiteCase, Trial, Way } from "./kit.ts";

const both: readonly Way[] = ["passed", "looked-at"];
const bodies: readonly Way[] = ["passed", "scanned"];

/** Any value, as a page may give it against the types. */
const loose = (init: Record<string, unknown>): RequestInit => init as RequestInit;

const methods = rows<unknown>(
  "fetch, method",
  both,
  [
    ...["GET", "get", "gEt", "HEAD", "head", "POST", "post", "PUT", "put", "DELETE", "delete"],
    ...["OPTIONS", "options", "PATCH", "patch", "Patch", "CHICKEN", "chicken", "TRACE", "trace"],
    ...["TRACK", "CONNECT", "connect", "", "G ET", "GÉT", "GET\n", "\0", "GET,POST"],
    ["null", null],
    ["undefined", undefined],
    ["a number", 5],
    ["an object", { toString: () => "put" }],
    ["a symbol", Symbol("GET")],
  ],
  (t, method) => reading(() => fetch(t.url(), loose({ method }))),
);

const headers = rows<unknown>(
  "fetch, headers",
  both,
  [
    ...[
      ["a value with spaces around", { "X-Own": "  a b  " }],
      ["a value with tabs and lines around", { "X-Own": "\t\n a \r\n" }],
      ["a line in a value", { "X-Own": "a\nb" }],
      ["a return in a value", { "X-Own": "a\rb" }],
      ["a zero in a value", { "X-Own": "a\0b" }],
      ["a tab in a value", { "X-Own": "a\tb" }],
      ["a control character in a value", { "X-Own": "a\u0001b" }],
      ["latin1 in a value", { "X-Own": "grüße" }],
      ["more than latin1 in a value", { "X-Own": "✓" }],
      ["an empty value", { "X-Own": "" }],
      ["an empty name", { "": "a" }],
      ["every character of a name", { "!#$%&'*+-.^_`|~aZ9": "a" }],
      ["a space in a name", { "X Own": "a" }],
      ["a colon in a name", { "X:Own": "a" }],
      ["latin1 in a name", { "X-Öwn": "a" }],
      ["the same name in two cases", { "X-Own": "a", "x-own": "b" }],
      ["a number as value", { "X-Own": 5 }],
      ["undefined as value", { "X-Own": undefined }],
      ["null", null],
      ["a text", "X-Own: a"],
      ["no pairs", [["X-Own"]]],
      ["triples", [["X-Own", "a", "b"]]],
      ["pairs as sets", new Set([new Set(["X-Own", "set"])])],
      ["pairs with one name twice", [["X-Own", "b"].concat(), ["x-OWN", "a"]]],
      ["a map", new Map([["X-Own", "map"]])],
      ["a form", new URLSearchParams({ "X-Own": "form" })],
      ["a symbol as name", { [Symbol("x")]: "a" }],
      ["inherited names", Object.create({ "X-Own": "inherited" })],
      ["names that are not counted", Object.defineProperty({}, "X-Own", { value: "hidden" })],
      ["an array of nothing", []],
    ].map(([name, value]): [string, unknown] => [name as string, value]),
  ],
  (t, given) => reading(() => fetch(t.url(), loose({ ...post(JSON_BODY), headers: given }))),
);

/** What a page may not set is left out without a word. */
const forbidden = rows<[string, string]>(
  "fetch, header",
  both,
  (
    [
      ["Accept-Charset", "x"],
      ["Accept-Encoding", "x"],
      ["Access-Control-Request-Headers", "x"],
      ["Access-Control-Request-Method", "x"],
      ["Access-Control-Request-Private-Network", "x"],
      ["Connection", "x"],
      ["Content-Length", "1"],
      ["Cookie", "a=1"],
      ["Cookie2", "x"],
      ["Date", "x"],
      ["DNT", "1"],
      ["Expect", "x"],
      ["Host", "other.example.org"],
      ["Keep-Alive", "x"],
      ["Origin", "https://other.example.org"],
      ["Referer", "https://other.example.org/"],
      ["Set-Cookie", "a=1"],
      ["TE", "x"],
      ["Trailer", "x"],
      ["Transfer-Encoding", "x"],
      ["Upgrade", "x"],
      ["Via", "x"],
      ["Proxy-Own", "x"],
      ["Sec-Own", "x"],
      ["Sec-Fetch-Site", "none"],
      ["X-HTTP-Method", "TRACE"],
      ["X-HTTP-Method-Override", "GET, connect"],
      ["X-Method-Override", "track "],
      ["X-Method-Override", "POST"],
      // And what it may.
      ["User-Agent", "own"],
      ["Accept", "text/own"],
      ["Accept-Language", "tlh"],
      ["Content-Language", "tlh"],
      ["Authorization", "Basic eA=="],
      ["If-None-Match", '"x"'],
      ["If-Modified-Since", "x"],
      ["Range", "bytes=0-5"],
      ["Range", "bytes=-5"],
      ["Cache-Control", "x"],
      ["Pragma", "x"],
      ["Content-Type", "application/json"],
      ["Content-Type", "application/json;charset=utf-16"],
      ["Content-Type", "nonsense"],
      ["Content-Type", ""],
    ] as const
  ).map(([name, value]) => [`${name}: ${value}`, [name, value]] as const),
  (t, [name, value]) =>
    reading(() => fetch(t.url(), { ...post(JSON_BODY), headers: { [name]: value } })),
);

const bytes = new TextEncoder().encode(JSON_BODY);

function form(...entries: [string, string | Blob, string?][]): FormData {
  const made = new FormData();
  for (const [name, value, file] of entries) {
    if (typeof value === "string") made.append(name, value);
    else if (file === undefined) made.append(name, value);
    else made.append(name, value, file);
  }
  return made;
}

const sentBodies: [string, () => unknown][] = [
  ["an empty text", () => ""],
  ["text", () => "grüße ✓"],
  ["half a character", () => "a\ud800b"],
  ["a mark at the start", () => "\ufeffa"],
  ["a large text", () => "0123456789".repeat(20_000)],
  ["a Blob without type", () => new Blob(["a"])],
  ["a Blob with a type", () => new Blob(["a"], { type: "text/x-own" })],
  ["a Blob with an odd type", () => new Blob(["a"], { type: 'Text/X-Own; Charset="ÄÖ"' })],
  ["a Blob with parameters", () => new Blob(["a"], { type: "TEXT/PLAIN;Charset=UTF-16" })],
  ["an empty Blob", () => new Blob([])],
  ["a Blob of Blobs", () => new Blob([new Blob(["a"]), "b", bytes.subarray(0, 2)])],
  ["part of a Blob", () => new Blob(["abcdef"], { type: "text/a" }).slice(1, 3, "text/b")],
  ["a file", () => new File(["a"], "name.txt", { type: "text/x-own" })],
  ["an empty form", () => form()],
  ["a form with texts", () => form(["a", "1"], ["a", "2"], ["ü", "✓"])],
  ["a form with lines", () => form(["a\nb", "c\nd\r\ne\rf"])],
  ["a form with quotes in names", () => form(['a"b', new Blob(["x"]), 'c"d\n.txt'])],
  ["a form with half a character", () => form(["\ud800", "\udc00"])],
  ["a form with a file", () => form(["f", new File(["x"], "ü.txt", { type: "text/own" })])],
  ["a form with an unnamed Blob", () => form(["f", new Blob(["x"], { type: "text/own" })])],
  ["a form with an empty file", () => form(["f", new File([], "")])],
  ["parameters", () => new URLSearchParams({ a: "ü b", "c&d": "=+~*'" })],
  ["no parameters", () => new URLSearchParams()],
  ["an empty buffer", () => new ArrayBuffer(0)],
  ["a buffer", () => bytes.slice().buffer],
  ["bytes", () => bytes],
  ["bytes from the middle", () => bytes.subarray(3, 9)],
  ["numbers", () => new Float64Array([1, -2.5])],
  ["a view", () => new DataView(bytes.slice().buffer, 2, 3)],
  ["a resizable buffer", () => resizable()],
  ["null", () => null],
  ["undefined", () => undefined],
  ["a number", () => 5],
  ["true", () => true],
  ["an object", () => ({ a: 1 })],
  ["an object with toString", () => ({ toString: () => "own" })],
  ["a list", () => [1, [2, 3]]],
  ["a function", () => String.prototype.at],
  ["a symbol", () => Symbol("a")],
  ["a document", () => new DOMParser().parseFromString("<p>a", "text/html")],
];

function resizable(): ArrayBuffer {
  const Buffers = ArrayBuffer as unknown as new (
    size: number,
    more: { maxByteLength: number },
  ) => ArrayBuffer;
  return new Buffers(3, { maxByteLength: 9 });
}

const sending = [
  ...rows("fetch, body", bodies, sentBodies, (t, make) =>
    reading(() => fetch(t.url(), post(make()))),
  ),
  ...rows("fetch, body in a Request", bodies, sentBodies, (t, make) =>
    reading(() => fetch(new Request(t.url(), post(make())))),
  ),
  ...rows("fetch, body with a type", bodies, sentBodies, (t, make) =>
    reading(() => fetch(t.url(), post(make(), { headers: { "Content-Type": "text/own" } }))),
  ),
  ...cases("fetch, stream", bodies, {
    "without duplex": (t) => outcome(() => fetch(t.url(), post(new Blob(["a"]).stream()))),
    "in a GET": (t) =>
      outcome(() => fetch(t.url(), loose({ body: new Blob(["a"]).stream(), duplex: "half" }))),
    "with duplex full": (t) =>
      outcome(() => fetch(t.url(), loose({ ...post(new Blob(["a"]).stream()), duplex: "full" }))),
    locked: (t) => {
      const stream = new Blob(["a"]).stream();
      stream.getReader();
      return outcome(() => fetch(t.url(), loose({ ...post(stream), duplex: "half" })));
    },
    read: async (t) => {
      const stream = new Blob(["a"]).stream();
      const reader = stream.getReader();
      await reader.read();
      reader.releaseLock();
      return outcome(() => fetch(t.url(), loose({ ...post(stream), duplex: "half" })));
    },
    "is locked by a Request": (t) => {
      const stream = new Blob(["a"]).stream();
      return outcome(() => {
        const request = new Request(t.url(), loose({ ...post(stream), duplex: "half" }));
        return [stream.locked, request.bodyUsed, request.headers.get("content-type")];
      });
    },
  }),
];

const redirects = [
  ...rows<[number, string]>(
    "fetch, redirect followed",
    both,
    [301, 302, 303, 307, 308].flatMap((status) =>
      ["GET", "HEAD", "POST", "PUT", "DELETE"].map((method): [string, [number, string]] => [
        `${status} of a ${method}`,
        [status, method],
      ]),
    ),
    (t, [status, method]) =>
      reading(() =>
        fetch(t.url({ status, location: t.url() }), {
          method,
          body: method === "POST" || method === "PUT" ? JSON_BODY : null,
          headers: { Authorization: "Bearer x", "X-Own": "a" },
        }),
      ),
  ),
  ...rows<number>(
    "fetch, no redirect",
    both,
    [300, 304, 305, 306, 309].map((status): [string, number] => [`${status}`, status]),
    (t, status) => reading(() => fetch(t.url({ status, location: t.url() }))),
  ),
  ...rows<[RequestRedirect, number]>(
    "fetch, redirect",
    [...both, "watched", "own", "own, looked-at"],
    (["manual", "error", "follow"] as const).flatMap((mode) =>
      [302, 307].map((status): [string, [RequestRedirect, number]] => [
        `${mode} ${status}`,
        [mode, status],
      ]),
    ),
    (t, [redirect, status]) =>
      reading(() => fetch(t.url({ status, location: t.url() }), { redirect })),
  ),
  ...rows<unknown>(
    "fetch, redirect mode",
    both,
    [
      ["null", null],
      ["undefined", undefined],
      ["nonsense", "nonsense"],
      ["in capitals", "ERROR"],
    ],
    (t, redirect) => reading(() => fetch(t.url(), loose({ redirect }))),
  ),
  ...rows<string>(
    "fetch, redirect to",
    [...both, "own"],
    [
      ...["", "#there", "?a=1", "/plain#there", "//hs.example.org/plain", "https://hs.example.org"],
      ...["https://[", "data:,text", "blob:x", "javascript:1", "mailto:a", "http://a b/", "ü?ü#ü"],
      ...["https://user:word@hs.example.org/plain", "https://files.example.net/there", "%zz"],
      ...["https://hs.example.org:1/", "about:blank", "https://chat.example.org/echo", "\\plain"],
    ],
    (t, location) =>
      reading(() =>
        fetch(t.url({ status: 302, location }), { headers: { Accept: `case/${t.number}` } }),
      ),
  ),
  ...cases("fetch, redirects", both, {
    "without a place": (t) => reading(() => fetch(t.url({ status: 302 }))),
    "to a third origin and back": (t) =>
      reading(() =>
        fetch(
          t.url({
            status: 307,
            location: t.url({ status: 307, location: t.url() }, `${ELSEWHERE}/there`),
          }),
          post(JSON_BODY, { headers: { Authorization: "Bearer x" } }),
        ),
      ),
    "to the page's own origin": (t) =>
      reading(() => fetch(t.url({ status: 302, location: t.url({}, `${SITE}/echo`) }))),
    "in a circle": (t) =>
      // To itself: the address without a program redirects nowhere, so it names itself once more.
      reading(() => fetch(t.url({ status: 302, location: `?${circular(t)}` }))),
    "to one nobody may read": (t) =>
      reading(() => fetch(t.url({ status: 302, location: t.url({ cors: "none" }) }))),
    "keep the fragment that was asked for": (t) =>
      reading(() => fetch(`${t.url({ status: 302, location: t.url() })}#asked`)),
    "take the fragment of the place": (t) =>
      reading(() => fetch(`${t.url({ status: 302, location: `${t.url()}#there` })}#asked`)),
    "of a Blob": (t) =>
      reading(() => fetch(t.url({ status: 307, location: t.url() }), post(new Blob([JSON_BODY])))),
  }),
];

/** A redirect whose place holds the same redirect twice more, and then ends. */
function circular(t: Trial): string {
  const inner = new URL(
    t.url({ status: 302, location: t.url({ status: 302, location: t.url() }) }),
  );
  return inner.search.slice(1);
}

const credentials: SuiteCase[] = (["omit", "same-origin", "include"] as const).flatMap((mode) =>
  cases(`fetch, credentials ${mode}`, [...both, "watched", "own", "own, looked-at"], {
    "with a cookie": async (t) => {
      await fetch(t.url({ headers: [["Set-Cookie", "suite=1; Secure; SameSite=None; Path=/"]] }), {
        credentials: "include",
      });
      return reading(() => fetch(t.url(), { credentials: mode }));
    },
    "given a cookie": async (t) => {
      const name = `given${t.number}`;
      await fetch(
        t.url({ headers: [["Set-Cookie", `${name}=1; Secure; SameSite=None; Path=/`]] }),
        { credentials: mode },
      );
      // And gone again, or all that come after would send it.
      const gone = `${name}=; Max-Age=0; Secure; SameSite=None; Path=/`;
      return reading(() =>
        fetch(t.url({ headers: [["Set-Cookie", gone]] }), { credentials: "include" }),
      );
    },
    "where anybody may read": (t) =>
      reading(() => fetch(t.url({ cors: "any" }), { credentials: mode })),
    "where credentials are not allowed": (t) =>
      reading(() => fetch(t.url({ cors: "bare" }), { credentials: mode })),
  }),
);

const modes = [
  ...rows<unknown>(
    "fetch, mode",
    [...both, "own", "own, looked-at"],
    [
      ...["cors", "no-cors", "same-origin", "navigate", "websocket", "nonsense", ""],
      ["null", null],
      ["undefined", undefined],
    ],
    (t, mode) => reading(() => fetch(t.url(), loose({ ...post(JSON_BODY), mode }))),
  ),
  ...cases("fetch, no-cors", both, {
    GET: (t) => reading(() => fetch(t.url(), { mode: "no-cors" })),
    HEAD: (t) => reading(() => fetch(t.url(), { mode: "no-cors", method: "HEAD" })),
    PUT: (t) => reading(() => fetch(t.url(), { mode: "no-cors", method: "PUT" })),
    "with a header of its own": (t) =>
      reading(() =>
        fetch(t.url(), post(JSON_BODY, { mode: "no-cors", headers: { "X-Own": "a" } })),
      ),
    "with a type that needs asking": (t) =>
      reading(() =>
        fetch(
          t.url(),
          post(JSON_BODY, { mode: "no-cors", headers: { "Content-Type": "application/json" } }),
        ),
      ),
    "with credentials": (t) =>
      reading(() => fetch(t.url(), { mode: "no-cors", credentials: "include" })),
    "redirected by hand": (t) =>
      reading(() =>
        fetch(t.url({ status: 302, location: t.url() }), { mode: "no-cors", redirect: "manual" }),
      ),
    "redirected elsewhere": (t) =>
      reading(() =>
        fetch(t.url({ status: 302, location: t.url({}, `${ELSEWHERE}/there`) }), {
          mode: "no-cors",
        }),
      ),
    "an opaque answer is empty": (t) =>
      outcome(async () => {
        const response = await fetch(t.url(), { mode: "no-cors" });
        const copy = response.clone();
        return [copy.type, response.body === null, (await response.blob()).size, copy.status];
      }),
  }),
];

const settings = [
  ...(["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"] as const).map(
    (cache): SuiteCase[] =>
      cases(`fetch, cache ${cache}`, [...both, "watched", "own"], {
        once: (t) => reading(() => fetch(t.url(), { cache })),
        "after an answer that may be kept": async (t) => {
          const url = t.url({
            counted: true,
            caching: true,
            headers: [["Cache-Control", "max-age=600"]],
          });
          await (await fetch(url)).text();
          return reading(() => fetch(url, { cache }));
        },
        "after an answer that is to be asked for again": async (t) => {
          const url = t.url({
            counted: true,
            caching: true,
            etag: '"mark"',
            expose: "etag",
            headers: [["Cache-Control", "max-age=0"]],
          });
          await (await fetch(url)).text();
          return reading(() => fetch(url, { cache }));
        },
      }),
  ),
  rows<unknown>(
    "fetch, setting",
    [...both, "watched"],
    [
      ["cache of another kind", { cache: "nonsense" }],
      ["cached only, elsewhere", { cache: "only-if-cached", mode: "cors" }],
      ["cached only, own", { cache: "only-if-cached", mode: "same-origin" }],
      ["high priority", { priority: "high" }],
      ["low priority", { priority: "low" }],
      ["priority of another kind", { priority: "nonsense" }],
      ["keepalive", { keepalive: true }],
      ["keepalive that is a text", { keepalive: "no" }],
      ["no window", { window: null }],
      ["another window", { window: {} }],
      ["referrer of another site", { referrer: "https://other.example.org/a" }],
      ["no referrer", { referrer: "" }],
      ["the client as referrer", { referrer: "about:client" }],
      ["an own referrer", { referrer: "/own/place?a#b" }],
      ["a referrer that is no address", { referrer: "https://[" }],
      ["referrer policy origin", { referrerPolicy: "origin" }],
      ["referrer policy unsafe-url", { referrerPolicy: "unsafe-url" }],
      ["referrer policy of another kind", { referrerPolicy: "nonsense" }],
      ["credentials of another kind", { credentials: "nonsense" }],
      ["a signal that is none", { signal: {} }],
      ["no signal", { signal: null }],
      ["duplex of another kind", { duplex: "nonsense" }],
      ["nothing", {}],
      ["a method of the prototype", Object.create({ method: "PUT" })],
    ],
    (t, init) => reading(() => fetch(t.url(), init as RequestInit)),
  ),
  rows<unknown>(
    "fetch, init",
    both,
    [
      ["null", null],
      ["undefined", undefined],
      ["a number", 5],
      ["a text", "POST"],
      ["a function", Object.assign(() => undefined, { method: "PUT" })],
      ["a list", []],
      ["an expression", /a/],
    ],
    (t, init) => reading(() => fetch(t.url(), init as RequestInit)),
  ),
  // Read to the end: the browser counts what is under way together.
  cases("fetch, keepalive", bodies, {
    "at the limit": (t) => reading(() => sentInTheEnd(t.url(), "x".repeat(65_536))),
    "beyond the limit": (t) =>
      reading(() => fetch(t.url(), post("x".repeat(65_537), { keepalive: true }))),
    "a Blob at the limit": (t) =>
      reading(() => sentInTheEnd(t.url(), new Blob(["x".repeat(65_536)]))),
    "a Blob beyond the limit": (t) =>
      reading(() => fetch(t.url(), post(new Blob(["x".repeat(65_537)]), { keepalive: true }))),
  }),
  // Of "abc".
  rows<string>(
    "fetch, integrity",
    [...both, "watched", "own", "own, looked-at"],
    [
      ["right", "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="],
      ["wrong", "sha256-AAAAv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="],
      ["one of two", "sha256-AAAA sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="],
      ["of an unknown kind", "md5-AAAA"],
      ["nonsense", "nonsense"],
      ["empty", ""],
    ],
    (t, integrity) =>
      reading(() => fetch(t.url({ text: "abc", type: "text/plain" }), { integrity })),
  ),
  cases("fetch, integrity", both, {
    "without the right to read": (t) =>
      reading(() => fetch(t.url({ text: "abc" }), { mode: "no-cors", integrity: "sha256-AAAA" })),
  }),
].flat(2);

const aborting: SuiteCase[] = [
  ...rows<unknown>(
    "fetch, aborted before, because of",
    [...both, "scanned", "watched"],
    [
      ["nothing given", undefined],
      ["a text", "why"],
      ["an error", new RangeError("mine")],
      ["null", null],
    ],
    (t, reason) =>
      outcome(() => fetch(t.url(), post(JSON_BODY, { signal: AbortSignal.abort(reason) }))),
  ),
  ...rows<unknown>(
    "fetch, aborted while the server thinks, because of",
    [...both, "scanned", "watched"],
    [
      ["nothing given", undefined],
      ["a text", "why"],
      ["an error", new RangeError("mine")],
    ],
    async (t, reason) => {
      const control = new AbortController();
      const sent = outcome(() =>
        fetch(t.url({ hold: "head" }), post(JSON_BODY, { signal: control.signal })),
      );
      await t.reached();
      control.abort(reason);
      return sent;
    },
  ),
  ...cases("fetch, abort", [...both, "scanned", "watched"], {
    "right after the call": async (t) => {
      const control = new AbortController();
      const sent = outcome(() => fetch(t.url({ hold: "head" }), { signal: control.signal }));
      control.abort();
      return sent;
    },
    "of a Request": async (t) => {
      const control = new AbortController();
      const request = new Request(
        t.url({ hold: "head" }),
        post(JSON_BODY, { signal: control.signal }),
      );
      const sent = outcome(() => fetch(request));
      await t.reached();
      control.abort("why");
      return [await sent, request.signal.aborted, request.signal.reason, request.bodyUsed];
    },
    "by either of two": async (t) => {
      const first = new AbortController();
      const second = new AbortController();
      const signal = AbortSignal.any([first.signal, second.signal]);
      const sent = outcome(() => fetch(t.url({ hold: "head" }), { signal }));
      await t.reached();
      second.abort("second");
      return sent;
    },
    "of the signal in init, not the Request's": async (t) => {
      const of = new AbortController();
      const given = new AbortController();
      const request = new Request(t.url({ hold: "head" }), { signal: of.signal });
      const sent = outcome(() => fetch(request, { signal: given.signal }));
      await t.reached();
      of.abort("the Request's");
      given.abort("the init's");
      return sent;
    },
    "is no matter once the signal was taken away": async (t) => {
      const control = new AbortController();
      const request = new Request(t.url({ hold: "head" }), { signal: control.signal });
      const sent = outcome(async () => (await fetch(request, { signal: null })).status);
      await t.reached();
      control.abort();
      await t.release();
      return sent;
    },
    "after everything was read": (t) =>
      outcome(async () => {
        const control = new AbortController();
        const response = await fetch(t.url({ text: "all" }), { signal: control.signal });
        const text = await response.text();
        control.abort();
        return [text, response.bodyUsed, response.status];
      }),
    "twice with one signal": async (t) => {
      const control = new AbortController();
      // One address would be asked for once at a time.
      const all = ["&first", "&second"].map((more) =>
        outcome(() => fetch(t.url({ hold: "head" }) + more, { signal: control.signal })),
      );
      await t.reached(2);
      control.abort("both");
      return Promise.all(all);
    },
    "the order of what hears of it": async (t) => {
      const control = new AbortController();
      const order: string[] = [];
      control.signal.addEventListener("abort", () => order.push("before"));
      const sent = fetch(t.url({ hold: "head" }), { signal: control.signal }).catch(() =>
        order.push("rejected"),
      );
      control.signal.addEventListener("abort", () => order.push("after"));
      await t.reached();
      control.abort();
      order.push("returned");
      await sent;
      return order;
    },
  }),
];

aborting.push(
  ...cases("fetch, abort", bodies, {
    "while the answer comes": (t) =>
      outcome(async () => {
        const control = new AbortController();
        const url = t.url({ text: "half", hold: "body" });
        const response = await fetch(url, { signal: control.signal });
        const text = outcome(() => response.text());
        control.abort("why");
        return text;
      }),
  }),
);

const requests = cases("fetch, Request", both, {
  "a copy is as good": (t) => {
    const request = new Request(t.url(), post(JSON_BODY, { headers: { "X-Own": "a" } }));
    const copy = request.clone();
    return outcome(async () => [
      await reading(() => fetch(copy)),
      request.bodyUsed,
      await reading(() => fetch(request)),
      copy.bodyUsed,
    ]);
  },
  "of a Request takes its body": (t) => {
    const first = new Request(t.url(), post(JSON_BODY));
    const second = new Request(first);
    return outcome(async () => [
      first.bodyUsed,
      await outcome(() => fetch(first)),
      await reading(() => fetch(second)),
    ]);
  },
  "with another body leaves the first one's alone": (t) =>
    outcome(async () => {
      const request = new Request(t.url(), post('{"first":1}'));
      const answer = await reading(() => fetch(request, { body: JSON_BODY }));
      return [answer, request.bodyUsed];
    }),
  "with a body that is read": async (t) => {
    const request = new Request(t.url(), post(JSON_BODY));
    await request.text();
    return outcome(() => fetch(request));
  },
  "with a body that is being read": (t) => {
    const request = new Request(t.url(), post(JSON_BODY));
    request.body?.getReader();
    return outcome(() => fetch(request));
  },
  "keeps what init does not name": (t) =>
    reading(() =>
      fetch(
        new Request(
          t.url(),
          post(JSON_BODY, { headers: { "X-Own": "a" }, credentials: "omit", cache: "no-cache" }),
        ),
        { headers: { "X-Other": "b" } },
      ),
    ),
  "with init that only empties it": (t) =>
    reading(() => fetch(new Request(t.url(), post(JSON_BODY)), { body: null })),
  "method changed to GET": (t) =>
    outcome(() => fetch(new Request(t.url(), post(JSON_BODY)), { method: "GET" })),
  "is what it was after fetch": (t) => {
    const request = new Request(`${t.url()}#part`, {
      credentials: "omit",
      integrity: "",
      priority: "low",
    } as RequestInit);
    return outcome(async () => {
      const response = await fetch(request);
      return [
        request.url,
        request.credentials,
        request.bodyUsed,
        request.destination,
        response.url,
      ];
    });
  },
  "of a subclass": (t) => {
    class Own extends Request {
      override get method(): string {
        return "PUT";
      }
    }
    return reading(() => fetch(new Own(t.url(), post(JSON_BODY))));
  },
  "of another frame": async (t) => {
    const frame = document.createElement("iframe");
    document.body.append(frame);
    const inner = frame.contentWindow as Window & typeof globalThis;
    const seen = await reading(() => fetch(new inner.Request(t.url(), post(JSON_BODY))));
    frame.remove();
    return seen;
  },
  "sent to an address with a name and a word": () =>
    outcome(() => fetch(new Request("https://user:word@hs.example.org/"))),
  "getters of init, in their order": async (t) => {
    const asked: string[] = [];
    const init = new Proxy(post(JSON_BODY) as Record<string, unknown>, {
      get: (target, key) => {
        if (!asked.includes(String(key))) asked.push(String(key));
        return target[String(key)];
      },
    });
    // The method is looked at first, to know what it is about.
    return [await reading(() => fetch(t.url(), init as RequestInit)), asked.sort()];
  },
});

const failing = rows<string>(
  "fetch, cannot be had:",
  ["passed"],
  [
    ["a port that is not for pages", `${HOMESERVER}:1/`],
    ["another such port", `${HOMESERVER}:6667/`],
    ["an insecure address", "http://hs.example.org/"],
    ["an address with a name", "https://name@hs.example.org/"],
    ["an unknown scheme", "unknown://hs.example.org/"],
    ["a file", "file:///etc/hostname"],
    ["an old scheme", "ftp://hs.example.org/"],
    ["nothing", "about:blank"],
    ["a lost blob", `blob:${SITE}/00000000-0000-0000-0000-000000000000`],
    ["a script", "javascript:1"],
    ["a broken address", "https://["],
    ["a socket", "wss://hs.example.org/"],
  ],
  async (_t, url) => [
    await outcome(() => fetch(url)),
    await outcome(() => fetch(url, { method: "POST", body: "a" })),
    await outcome(async () => (await fetch(url, { mode: "no-cors" })).type),
  ],
);

const faults = cases("fetch, network", [...both, "scanned", "watched", "own"], {
  "breaks off before an answer": (t) => outcome(() => fetch(t.url({ cut: "head" }), post("{}"))),
  "breaks off in the answer": (t) =>
    outcome(async () => {
      const sent = fetch(t.url({ text: "half", cut: "body" }));
      await t.held();
      await t.release();
      const response = await sent;
      return outcome(() => response.text());
    }),
  "may not be read": (t) => outcome(() => fetch(t.url({ cors: "none" }))),
  "may not be asked": (t) =>
    outcome(() => fetch(t.url({ cors: "none" }), { headers: { "X-Own": "a" } })),
  "is an error the page handles": async (t) => {
    const error: unknown = await fetch(t.url({ cut: "head" })).catch((reason: unknown) => reason);
    return describeError(error);
  },
});

const timing = cases("fetch, timing", [...both, "scanned", "watched", "own"], {
  "is told of": async (t) => {
    performance.clearResourceTimings();
    const url = t.url({}, undefined);
    await (await fetch(url, post(JSON_BODY))).text();
    return entriesOf(url);
  },
  "of an error": async (t) => {
    performance.clearResourceTimings();
    const url = t.url({ cut: "head" });
    await fetch(url).catch(() => undefined);
    return entriesOf(url);
  },
});

/** Waits for the entry: it comes after the answer. */
/** A browser counts an earlier request as under way for a moment longer than it is. */
async function sentInTheEnd(url: string, body: BodyInit): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await fetch(url, post(body, { keepalive: true }));
    } catch (error) {
      if (tries === 20) throw error;
      await new Promise((resume) => setTimeout(resume, 100));
    }
  }
}

export async function entriesOf(url: string): Promise<unknown> {
  for (let turn = 0; turn < 100; turn += 1) {
    const entries = performance.getEntriesByName(url) as PerformanceResourceTiming[];
    if (entries.length > 0) {
      return entries.map(({ entryType, initiatorType, nextHopProtocol, responseStatus }) => ({
        entryType,
        initiatorType,
        nextHopProtocol,
        responseStatus,
      }));
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return "no entry";
}

export const fetchCases: readonly SuiteCase[] = [
  ...methods,
  ...headers,
  ...forbidden,
  ...sending,
  ...redirects,
  ...credentials,
  ...modes,
  ...settings,
  ...aborting,
  ...requests,
  ...failing,
  ...faults,
  ...timing,
];
