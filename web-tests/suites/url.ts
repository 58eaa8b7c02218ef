/** How each spelling of an address arrives, by every way a page can name one. */
import { cases, outcome, rows } from "./kit.ts";
import type { SuiteCase, Trial } from "./kit.ts";
import { JSON_BODY } from "./kit.ts";

/** Against the page's own address, `https://chat.example.org/folder/page?query#part`. */
const spellings: readonly string[] = [
  // Relative.
  ...["", ".", "..", "../..", "./a", "../a", "a/./b/../c", "/", "/a//b", "//hs.example.org/a", "a"],
  ...["?a", "#a", "?", "#", "a?b#c", "a#b?c", ";a", "a;b=c", "a:b", "./a:b", "a b", " a ", "a\tb"],
  ...["\na\n", "a\r\nb", "\u0000a", "\u001fa\u001f", "a\u0000b", "a\u007fb", "\u00a0a", "\ufeffa"],
  // Schemes and slashes.
  ...["https:a", "https:/a", "https:///hs.example.org/a", "https:////hs.example.org/a", "HTTPS:a"],
  ...["HTTPS://HS.EXAMPLE.ORG/A", "hTtPs://hs.example.org", "ht\ttps://hs.example.org/a", "https:"],
  ...["https:\\\\hs.example.org\\a\\b", "\\\\hs.example.org\\a", "/\\hs.example.org/a", "\\a"],
  ...["https:/\\hs.example.org/a", "https://hs.example.org\\@files.example.net/a", "https://"],
  ...["https:// hs.example.org/", "https://hs.example.org :443/", "https//a", "://a", "https;//a"],
  // Hosts.
  ...["https://hs.example.org./a", "https://hs.example.org../a", "https://.hs.example.org/a"],
  ...["https://hs。example。org/a", "https://ｈｓ.example.org/a", "https://hs.exam\u00adple.org/a"],
  ...["https://hs%2eexample.org/a", "https://%68s.example.org/a", "https://hs%2fexample.org/a"],
  ...["https://bücher.example/a", "https://BÜCHER.example/a", "https://xn--bcher-kva.example/a"],
  ...["https://faß.example/a", "https://ß.example/a", "https://xn--/a", "https://xn--a/a"],
  ...["https://a_b.example/a", "https://-a.example/a", "https://a..example/a", "https://a b/a"],
  ...["https://a<b/a", "https://a|b/a", "https://a^b/a", "https://a%b/a", "https://a%00b/a"],
  ...["https://*.example/a", "https://a\\b/a", "https://💩.example/a", "https://\u200b.example/a"],
  // Numbers are addresses in every spelling; these are of a network that is for documents only.
  ...["https://192.0.2.1/a", "https://0300.0.2.1/a", "https://0xC0.0x0.0x2.0x1/a"],
  ...["https://3221225985/a", "https://192.0.513/a", "https://192.0.2.1./a", "https://192.0.2/a"],
  ...["https://192.0.2.256/a", "https://0192.0.2.1/a", "https://192.0.2.1.5/a", "https://1e2/a"],
  ...["https://[2001:db8::1]/a", "https://[2001:DB8:0:0:0:0:0:1]/a", "https://[2001:db8::1/a"],
  ...["https://[::ffff:192.0.2.1]/a", "https://[2001:db8::1%25eth0]/a", "https://2001:db8::1/a"],
  // Ports and names.
  ...["https://hs.example.org:/a", "https://hs.example.org:443/a", "https://hs.example.org:0443/a"],
  ...[
    "https://hs.example.org:8448/a",
    "https://hs.example.org:65536/a",
    "https://hs.example.org:a/",
  ],
  ...["https://hs.example.org:-1/a", "https://hs.example.org: 443/a", "https://:443/a"],
  ...["https://@hs.example.org/a", "https://:@hs.example.org/a", "https://a@hs.example.org/a"],
  ...["https://a:b@c:d@hs.example.org/a", "https://%61@hs.example.org/a", "https://a@/b"],
  // Paths.
  ...["/%2e/a", "/a/%2E%2e/b", "/a/.%2e", "/a/%2e", "/%2e%2e%2fa", "/a%2fb", "/a%5cb", "/a\\..\\b"],
  ...[
    "/%61",
    "/%7e~",
    "/%zz",
    "/%",
    "/%2",
    "/%u0061",
    "/ü",
    "/%C3%BC",
    "/%c3%bc",
    "/✓💩",
    "/\ud800",
  ],
  ...[
    "/a'b\"c",
    "/<a>",
    "/{a}",
    "/a|b",
    "/a^b",
    "/a`b",
    "/[a]",
    "/a!$&'()*+,;=:@b",
    "/a b",
    "/a+b",
  ],
  ...["/...", "/..../a", "/. ./a", "/a/..;/b", "/a//../b", "//", "///a", "/.//a", "/./../a", "/a/"],
  // Queries and fragments.
  ...[
    "?ü",
    "?%C3%BC",
    "?\ud800",
    "?a b",
    "?a+b",
    "?'",
    '?"',
    "?<>",
    "?`{}|^",
    "?a#b#c",
    "?#",
    "??",
  ],
  ...["?%zz", "?a=b&a=c&&", "?/../a", "?\\", "#ü", "#a b", "?a\tb\nc", "?\u0000", "?[]", "?@:/"],
];

/** Names the case where the address cannot. */
const mark = (t: Trial): string => `case/${t.number}`;

async function viaFetch(t: Trial, input: string | URL | Request): Promise<unknown> {
  return outcome(async () => {
    const response = await fetch(input, { headers: { Accept: mark(t) } });
    return [response.url, response.status, response.type];
  });
}

function viaXhr(t: Trial, url: string | URL): Promise<unknown> {
  return outcome(
    () =>
      new Promise((resolve) => {
        const xhr = new XMLHttpRequest();
        xhr.onloadend = () => resolve([xhr.responseURL, xhr.status]);
        xhr.open("GET", url);
        xhr.setRequestHeader("Accept", mark(t));
        xhr.send();
      }),
  );
}

/** Spellings of one address at which a device is named. */
const LOGIN = "/_matrix/client/v3/login";
const logins: readonly string[] = [
  `https://hs.example.org${LOGIN}`,
  `HTTPS://HS.EXAMPLE.ORG:443${LOGIN}`,
  `https://hs.example.org.${LOGIN}`,
  `https:\\\\hs.example.org${LOGIN.replaceAll("/", "\\")}`,
  `\t https://hs.exam\nple.org${LOGIN} \r\n`,
  `ht\ntps://hs.example.org/_matrix/client\t/v3/login`,
  `//hs.example.org${LOGIN}`,
  `https:////hs.example.org${LOGIN}`,
  `https://hs。example。org${LOGIN}`,
  `https://%68s.example.org${LOGIN}`,
  `https://ｈｓ.example.org${LOGIN}`,
  `https://hs.example.org/a/..${LOGIN}`,
  `https://hs.example.org/a/%2e%2E${LOGIN}`,
  `https://hs.example.org/./_matrix/./client/v3/%2e/login`,
  `https://hs.example.org/_matrix/client/v3/x/../login`,
  `https://hs.example.org/_matrix/client/v3/%6cogin`,
  `https://hs.example.org/%5Fmatrix/client/v3/login`,
  `https://hs.example.org/_matrix/client%2fv3/login`,
  `https://hs.example.org/_matrix/client/v3/login?`,
  `https://hs.example.org/_matrix/client/v3/login#part`,
  `https://hs.example.org/_matrix/client/v3/login?a=b/../c`,
  `https://hs.example.org/_matrix/client/r0/login`,
  `https://hs.example.org/_matrix/client/v3/login/`,
  `https://hs.example.org//_matrix//client/v3/login`,
  `https://192.0.2.1${LOGIN}`,
  `https://3221225985${LOGIN}`,
  `https://[2001:db8::1]${LOGIN}`,
  `https://bücher.example${LOGIN}`,
  LOGIN,
  `..${LOGIN}`,
  `https:${LOGIN}`,
];

/** As long as what is to be sent for it, so that every length stays. */
const NAMED = '{"type":"m.login.password","initial_device_display_name":"Secrets"}';

const spelled: SuiteCase[] = logins.flatMap((url) => [
  {
    name: `url, device named by fetch: ${JSON.stringify(url)}`,
    way: "looked-at" as const,
    run: (t: Trial) =>
      outcome(async () => {
        const response = await fetch(url, {
          method: "POST",
          body: NAMED,
          headers: { Accept: mark(t) },
        });
        return [response.url, response.status];
      }),
  },
  {
    name: `url, device named by xhr: ${JSON.stringify(url)}`,
    way: "looked-at" as const,
    run: (t: Trial) =>
      outcome(
        () =>
          new Promise((resolve) => {
            const xhr = new XMLHttpRequest();
            xhr.onloadend = () => resolve([xhr.responseURL, xhr.status]);
            xhr.open("POST", url);
            xhr.setRequestHeader("Accept", mark(t));
            xhr.send(NAMED);
          }),
      ),
  },
]);

class Spelled {
  asked = 0;
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    this.asked += 1;
    return this.#text;
  }
}

export const urlCases: readonly SuiteCase[] = [
  ...rows<string>("url by fetch", ["passed"], spellings, viaFetch),
  ...rows<string>("url by xhr", ["passed"], spellings, viaXhr),
  ...rows<string>("url by Request", ["passed"], spellings, (t, url) =>
    outcome(() => viaFetch(t, new Request(url))),
  ),
  ...rows<string>("url by URL", ["passed"], spellings, (t, url) =>
    outcome(() => viaFetch(t, new URL(url, "https://hs.example.org/base/page"))),
  ),
  ...spelled,
  ...cases("url", ["passed"], {
    "of a base element": async (t) => {
      const base = document.createElement("base");
      base.href = "https://hs.example.org/based/page";
      document.head.append(base);
      const seen = [await viaFetch(t, "a?b"), await viaXhr(t, "../c")];
      base.remove();
      return seen;
    },
    "of a base element that came after": async (t) => {
      const sent = viaFetch(t, "early");
      const base = document.createElement("base");
      base.href = "https://hs.example.org/based/";
      document.head.append(base);
      const seen = [await sent, await viaFetch(t, "late")];
      base.remove();
      return seen;
    },
    "of values that are no text": async (t) => {
      const seen: unknown[] = [];
      for (const value of [
        Symbol("a"),
        null,
        undefined,
        5,
        true,
        ["a", "b"],
        {},
        Object.create(null),
      ]) {
        seen.push(await viaFetch(t, value as string));
        seen.push(await viaXhr(t, value as string));
      }
      return seen;
    },
    "of an object that is asked once": async (t) => {
      const input = new Spelled("https://hs.example.org/a");
      return [await viaFetch(t, input as unknown as string), input.asked];
    },
    "of an object, asked once by xhr": async (t) => {
      const input = new Spelled("https://hs.example.org/a");
      return [await viaXhr(t, input as unknown as string), input.asked];
    },
    "of a changed URL object": async (t) => {
      const url = new URL("https://hs.example.org/a");
      url.searchParams.append("ü", "b c");
      url.hash = "part";
      url.pathname = "/x y/../ü";
      return viaFetch(t, url);
    },
    "of a URL object that is changed after the call": async (t) => {
      const url = new URL("https://hs.example.org/before");
      const sent = viaFetch(t, url);
      url.pathname = "/after";
      return sent;
    },
    "after the history was changed": async (t) => {
      const before = location.href;
      history.replaceState(null, "", "/other/place");
      const seen = [await viaFetch(t, "a"), await viaXhr(t, "b")];
      history.replaceState(null, "", before);
      return seen;
    },
    "by a beacon, in an odd spelling": async (t) => {
      const queued = navigator.sendBeacon(
        "https:\\\\HS.example.org\\x\\..\\b\teacon",
        `${mark(t)} ${JSON_BODY}`,
      );
      if (queued) await t.reached();
      return queued;
    },
  }),
];
