/** Every difference between a page with Mantle and one without, and why it is meant. */
import type { BrowserKind } from "../support/browsers.ts";

export interface Explanation {
  /** A sentence. */
  readonly why: string;
  readonly browsers: readonly BrowserKind[];
  /** Cases, by name. */
  readonly which: RegExp;
  /** Takes the difference out of what the page or the server saw, as JSON text. */
  readonly page?: (seen: string) => string;
  readonly server?: (seen: string) => string;
}

/** A request as the server notes it. */
interface View {
  readonly path: string;
  readonly body: string;
  readonly headers: Record<string, string>;
}

const both: readonly BrowserKind[] = ["chromium", "firefox"];
const PAGE = "https://chat.example.org";

/** Changes each request. */
function eachView(change: (view: View) => void): (seen: string) => string {
  return (seen) => {
    const views = JSON.parse(seen) as View[];
    for (const view of views) change(view);
    return JSON.stringify(views);
  };
}

/** Header by header. */
function without(name: string): (seen: string) => string {
  return eachView(({ headers }) => {
    delete headers[name];
  });
}

export const explanations: readonly Explanation[] = [
  {
    why: "The shield `referrer` gives the site's documents the policy `no-referrer`: no server is told of the page, by Referer or, where a request is not for reading, by Origin.",
    browsers: both,
    which: /./,
    server: eachView(({ headers }) => {
      if (headers["referer"]?.startsWith(`${PAGE}/`) === true) delete headers["referer"];
      // Fetch, "append a request `Origin` header".
      const isForReading = headers["sec-fetch-mode"] === "cors";
      if (!isForReading && [PAGE, "null"].includes(headers["origin"] ?? "")) {
        headers["origin"] = "the page's, or null";
      }
    }),
    page: (seen) =>
      seen
        .replaceAll('"referrer-policy: no-referrer",', "")
        .replaceAll(',"referrer-policy: no-referrer"', "")
        .replaceAll(/(\\+r\\+n)?referrer-policy: no-referrer(\\+r\\+n)?/g, "$1"),
  },
  {
    why: "The shield `device-name` has the session called Element, and that is what these cases are for.",
    browsers: both,
    which: /^url, device named/,
    server: (seen) => seen.replaceAll("Secrets", "Element"),
  },
  {
    why: "A beacon whose body is read first goes by `fetch`, which Firefox finds more urgent.",
    browsers: ["firefox"],
    which: /^beacon/,
    server: without("priority"),
  },
  {
    why: "A beacon of a form counts as queued before its size is known; where it is too large for a request that outlives the page, it is sent without that.",
    browsers: ["chromium"],
    which: /^beacons?, .*too large, of: a form \((scanned|own)\)$/,
    page: (seen) => seen.replaceAll("false", "true"),
    server: () => "[]",
  },
  {
    why: "Of a body that is read first, Firefox does not know how large it is, and lets more of it outlive the page.",
    browsers: ["firefox"],
    which: /^fetch, keepalive: a Blob .*\(scanned\)$/,
    page: () => "",
    server: () => "[]",
  },
  {
    why: "What takes time to read is sent a moment later: `send()` has returned by then.",
    browsers: both,
    which: /^xhr, body: .*(Blob|file|form).*\(scanned\)$/,
    page: (seen) => seen.replace('"sent",', ""),
  },
  {
    why: "Firefox words a packing that cannot be undone by how the body is read, and Mantle reads bytes.",
    browsers: ["firefox"],
    which: /^response: a packed body that is none \(watched\)$/,
    page: (seen) => seen.replace(/"rejected":\{[^}]*\}/, '"rejected"'),
  },
  {
    why: "A response that Mantle reads is decoded as its header says: a charset that a document names inside does not count, and there is one type of XML for all that have none of their own.",
    browsers: both,
    which: /^xhr as document: (.* names its charset|XML of an own kind) \(watched\)$/,
    page: (seen) => seen.replaceAll(/[\u00fc\ufffd]/g, "?").replaceAll("/own+xml", "/xml"),
  },
  {
    why: "Of two types in one header Firefox takes the last for a Blob, and Mantle the first.",
    browsers: ["firefox"],
    which: /^xhr as blob: two types \(watched\)$/,
    page: (seen) => seen.replace(/("blob":"\{\}","type":)"[^"]*"/, '$1""'),
  },
  {
    why: "Browsers name the argument in an error about an object that becomes no text; Mantle's conversion does not know it.",
    browsers: both,
    which: /^url: of values that are no text/,
    page: (seen) =>
      seen.replaceAll(
        /(Failed to execute '\w+' on '\w+': )?(Cannot convert object|can't convert [^"]+ to string)/g,
        "no text",
      ),
  },
];
