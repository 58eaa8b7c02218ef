/** Runs in the browser: the core's reading beside the browser's own. */

import tables from "../../extension/generated/tables.json";
import "./boundary-page.ts";

const site = "https://chat.example.org/app/";
const hs = "https://hs.example.org/_matrix/client/v3";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A response that is hardened, and how: on the value that the browser made of it. */
interface Kind {
  readonly url: string;
  readonly keys: readonly string[];
  harden(value: Json): Json;
  /** Values beside those of every kind. */
  readonly atoms?: readonly string[];
  /** Texts that more is in than chance puts there. */
  readonly likely?: (value: () => string) => string;
  /** The places of managers and call services that are named in it. */
  readonly named?: (value: Json) => string[];
}

const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A value at a path of keys, as scripts read it. */
function at(value: Json | undefined, path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>(
    (inner, key) => (isObject(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined),
    value,
  );
}

function remove(value: { [key: string]: Json }, path: readonly string[]): void {
  const parent = at(value, path.slice(0, -1));
  if (isObject(parent)) delete parent[path.at(-1) ?? ""];
}

function set(value: { [key: string]: Json }, path: readonly string[], to: Json): void {
  const [key = "", ...rest] = path;
  if (rest.length === 0) {
    value[key] = to;
    return;
  }
  const inner = value[key];
  const parent = isObject(inner) ? inner : {};
  value[key] = parent;
  set(parent, rest, to);
}

/** Addresses of services, as a text and as the place that it names. */
const services: ReadonlyMap<string, string> = new Map([
  ["https://one.example", "one.example/"],
  ["https://one.example/", "one.example/"],
  ["https://one.example/api/", "one.example/api"],
  ["HTTPS://Two.example:443/x", "two.example/x"],
  ["https://three.example:8443", "three.example:8443/"],
]);
const serviceAtoms = [
  ...[...services.keys()].map((url) => JSON.stringify(url)),
  '"https:\\/\\/one.exampl\\u0065"',
  '"https://one.example\\ud800"',
  '"https://chat.example.org/"',
];
/** An address that chance made of one of them, and that needs no more than cutting. */
const plainAddress =
  /^https:\/\/(?!0x)(?:[a-z0-9-]+\.)*[a-z0-9-]*[a-z][a-z0-9-]*(?::\d*)?(?:\/[\w.~!$&()*+,;=:@/-]*)?$/i;
const placeOf = (value: Json | undefined): string[] => {
  if (typeof value !== "string") return [];
  const place = services.get(value);
  if (place !== undefined) return [place];
  const url = plainAddress.test(value) && URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || url.host === new URL(site).host) return [];
  return [url.host + (url.pathname.replace(/\/+$/, "") || "/")];
};
const listed = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

const kinds: readonly Kind[] = [
  {
    url: `${hs}/user/@a:hs/account_data/m.identity_server`,
    keys: ['"base_url"', '"base\\u005furl"', '"x"'],
    harden: (value) =>
      isObject(value) && typeof value["base_url"] === "string" ? { base_url: null } : value,
  },
  {
    url: `${hs}/voip/turnServer`,
    keys: ['"uris"', '"\\u0075ris"', '"username"'],
    harden(value) {
      if (!isObject(value) || !Array.isArray(value["uris"])) return value;
      const { uris } = value;
      if (uris.length === 0) return value;
      const kept = uris.filter((uri) => typeof uri === "string" && /^turns?:\/*[^?/]/i.test(uri));
      return kept.length === 0 ? {} : { ...value, uris: kept };
    },
  },
  {
    url: `${hs}/sync?since=s1`,
    keys: ['"account_data"', '"events"', '"type"', '"content"', '"base_url"', '"t\\u0079pe"'],
    harden(value) {
      if (!isObject(value) || !isObject(value["account_data"])) return value;
      const { events } = value["account_data"];
      if (!Array.isArray(events)) return value;
      const found = events
        .filter(isObject)
        .filter(
          (event) => event["type"] === "m.identity_server" && Object.hasOwn(event, "content"),
        );
      // An account has one of a type; those before the last are emptied unread.
      for (const event of found.slice(0, -1)) event["content"] = {};
      const last = found.at(-1);
      if (last !== undefined) {
        const content = last["content"];
        if (isObject(content) && typeof content["base_url"] === "string") {
          last["content"] = { base_url: null };
        }
      }
      return value;
    },
  },
  {
    url: `${site}config.json`,
    keys: [
      '"integrations_ui_url"',
      '"integrations\\u005fui_url"',
      '"integrationsRestUrl"',
      '"integrations_widgets_urls"',
      '"default_server_config"',
      '"m.identity_server"',
      '"default_is_url"',
      '"setting_defaults"',
      '"settingDefaults"',
      '"UIFeature.identityServer"',
      '"widget_build_url"',
      '"x"',
    ],
    atoms: serviceAtoms,
    likely: (value) =>
      `{"integrations_ui_url":${value()},"integrations_widgets_urls":[${value()},${value()}],"setting_defaults":${value()},"default_server_config":{"m.identity_server":${value()}},"integrationsUiUrl":${value()},"integrations_rest_url":${value()}}`,
    harden(value) {
      if (!isObject(value) || Object.keys(value).length === 0) return value;
      for (const server of ["default_server_config", "defaultServerConfig"]) {
        remove(value, [server, "m.identity_server"]);
      }
      for (const key of [
        "default_is_url",
        "defaultIsUrl",
        "integrationsUiUrl",
        "integrationsRestUrl",
        "integrationsWidgetsUrls",
        "widget_build_url",
        "widgetBuildUrl",
        "audio_stream_url",
        "audioStreamUrl",
      ]) {
        remove(value, [key]);
      }
      set(value, ["integrations_ui_url"], null);
      set(value, ["integrations_rest_url"], null);
      set(value, ["integrations_widgets_urls"], []);
      for (const setting of [
        "UIFeature.identityServer",
        "MessageComposerInput.showStickersButton",
      ]) {
        set(value, ["setting_defaults", setting], false);
        remove(value, ["settingDefaults", setting]);
      }
      return value;
    },
    named: (value) =>
      [
        "integrations_ui_url",
        "integrations_rest_url",
        "integrationsUiUrl",
        "integrationsRestUrl",
        "integrations_widgets_urls",
        "integrationsWidgetsUrls",
      ].flatMap((key) => {
        const found = at(value, [key]);
        return [...placeOf(found), ...listed(found).flatMap(placeOf)];
      }),
  },
  {
    url: "https://hs.example.org/.well-known/matrix/client",
    keys: [
      '"m.integrations"',
      '"m.integration\\u0073"',
      '"managers"',
      '"api_url"',
      '"ui_url"',
      '"m.identity_server"',
      '"org.matrix.msc4143.rtc_foci"',
      '"livekit_service_url"',
      '"io.element.call_behaviour"',
      '"x"',
    ],
    atoms: serviceAtoms,
    likely: (value) =>
      `{"m.integrations":{"managers":[{"api_url":${value()},"ui_url":${value()}},${value()},{"ui_url":${value()}}]},"m.identity_server":${value()},"org.matrix.msc4143.rtc_foci":[{"livekit_service_url":${value()}},${value()}]}`,
    harden(value) {
      if (!isObject(value)) return value;
      remove(value, ["m.identity_server"]);
      remove(value, ["io.element.call_behaviour"]);
      if (Object.hasOwn(value, "m.integrations")) value["m.integrations"] = { managers: [] };
      return value;
    },
    named: (value) => [
      ...listed(at(value, ["m.integrations", "managers"])).flatMap((manager) => [
        ...placeOf(at(manager, ["api_url"])),
        ...placeOf(at(manager, ["ui_url"])),
      ]),
      ...listed(at(value, ["org.matrix.msc4143.rtc_foci"])).flatMap((focus) => {
        const url = at(focus, ["livekit_service_url"]);
        // The site's own host may serve calls, and is nobody's integration manager.
        const hosts =
          url === `https://${new URL(site).host}/` ? [new URL(site).host] : placeOf(url);
        return hosts.map((place) => `call ${place.split("/")[0]}`);
      }),
    ],
  },
];

/** What its shields change, where others would change the same responses. */
const FEW_SHIELDS = ["config", "identity", "integrations"];

/** Mulberry32. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

const atoms = [
  "1",
  "-0.5e-3",
  "1e400",
  "null",
  "true",
  '""',
  '"x"',
  '"m.identity_server"',
  '"m.identity\\u005fserver"',
  '"https://canary.example\\ud800"',
  '"turn:turn.example:3478"',
  '"TURNS:\\u0074urn.example"',
  '"stun:canary.example"',
  '"\\ud83d\\ude00 \\udc00\\/"',
  "[]",
  "{}",
];
const noise = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "\\",
  "\u0001",
  "\u00a0",
  "\ufeff",
  "01",
  "+",
  "//",
];

function texts(random: (below: number) => number, kind: Kind): string {
  const pick = <Value>(values: readonly Value[]): Value => values[random(values.length)] as Value;
  const space = (): string => pick(["", "", "", " ", "\n\t", "\r"]);
  const value = (depth: number): string => {
    const what = random(depth > 5 ? 1 : 4);
    if (what === 0) return pick([...atoms, ...(kind.atoms ?? [])]);
    const many = random(4);
    if (what === 1) {
      return `[${Array.from({ length: many }, () => value(depth + 1)).join(`${space()},${space()}`)}]`;
    }
    return object(depth, many);
  };
  const object = (depth: number, many: number): string => {
    const members = Array.from({ length: many }, () => {
      const key =
        random(6) === 0 ? pick(['"__proto__"', '"\\ud800"', '""', '"é"']) : pick(kind.keys);
      return `${space()}${key}${space()}:${space()}${value(depth + 1)}`;
    });
    return `{${members.join(",")}${space()}}`;
  };
  const event = (): string =>
    `{"type":"m.identity_server",${pick(kind.keys)}:${value(3)},"content":{"base_url":${pick(atoms)}}}`;
  let text = object(0, 1 + random(3));
  if (kind.likely !== undefined && random(2) === 0) text = kind.likely(() => value(3));
  if (kind.url.includes("/sync") && random(2) === 0) {
    const next = random(4) === 0 ? event() : value(3);
    text = `{"account_data":{"events":[${event()},${next}]},${pick(kind.keys)}:${value(1)}}`;
  }
  if (kind.url.includes("turn") && random(2) === 0) {
    text = `{"uris":[${pick(atoms)},${pick(atoms)}],${pick(kind.keys)}:${value(1)}}`;
  }
  return text;
}

/** Bytes of it, some of them others. */
function spoilt(random: (below: number) => number, text: string): Uint8Array {
  let spoiltText = text;
  if (random(4) === 0) {
    const at = random(text.length + 1);
    spoiltText =
      text.slice(0, at) + (noise[random(noise.length)] ?? "") + text.slice(at + random(2));
  }
  const bytes = [...new TextEncoder().encode(spoiltText)];
  if (random(4) === 0) {
    const others = [0xff, 0xc3, 0xe2, 0xf0, 0x80, 0xed, 0xbf, 0x00];
    const more = Array.from({ length: 1 + random(3) }, () => others[random(others.length)] ?? 0);
    bytes.splice(random(bytes.length + 1), random(2), ...more);
  }
  for (let marks = [0, 0, 0, 1, 1, 2][random(6)] ?? 0; marks > 0; marks -= 1) {
    bytes.unshift(0xef, 0xbb, 0xbf);
  }
  return Uint8Array.from(bytes);
}

function newCore(stored?: string): InstanceType<typeof window.boundary.Core> {
  const core = new window.boundary.Core(site);
  core.applySettings(stored, undefined);
  return core;
}

const read = (bytes: Uint8Array): Json | undefined => {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Json;
  } catch {
    return undefined;
  }
};

/** The same value always as the same text. */
function shownAs(value: Json | undefined): string {
  if (Array.isArray(value)) return `[${value.map(shownAs).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "no JSON any more";
  const members = Object.entries(value).map(
    ([key, inner]) => `${JSON.stringify(key)}:${shownAs(inner)}`,
  );
  return `{${members.sort().join(",")}}`;
}

/** With the shields alone on that the kinds above know. */
const fewShields = JSON.stringify({
  version: 1,
  shields: Object.fromEntries(
    tables.shields.map(({ id }) => [id, FEW_SHIELDS.includes(id) ? "on" : "off"]),
  ),
});

/** Places that a core has learned of: of managers, and of call services by their hosts alone. */
function learned(core: InstanceType<typeof window.boundary.Core>): string[] {
  const memory = JSON.parse(core.memory() ?? "{}") as {
    managers?: { what: { host: string; path_prefix: string } }[];
    rtc_hosts?: { what: string }[];
  };
  return [
    ...(memory.managers ?? []).map(({ what }) => what.host + what.path_prefix),
    ...(memory.rtc_hosts ?? []).map(({ what }) => `call ${what}`),
  ];
}

/** What is wrong with what the core makes of a response; undefined: nothing. */
function difference(
  shared: InstanceType<typeof window.boundary.Core>,
  kind: Kind,
  bytes: Uint8Array,
): string | undefined {
  // What one has learned it does not learn again.
  const core = kind.named === undefined ? shared : newCore(fewShields);
  const told = core.answer("GET", kind.url, 200, bytes);
  const places = kind.named === undefined ? [] : learned(core);
  if (core !== shared) core.free();
  const value = read(bytes);
  if (value === undefined) {
    if (places.length > 0) return `the browser refuses it, and the core learned ${places.join()}`;
    return told === undefined ? undefined : "the browser refuses it, and the core changed it";
  }
  const named = [...new Set(kind.named?.(value))].sort().join();
  const found = [...new Set(places)].sort().join();
  if (found !== named) return `learned ${found} instead of ${named}`;
  const shown = shownAs(read(told ?? bytes));
  const wanted = shownAs(kind.harden(value));
  return shown === wanted ? undefined : `${shown} instead of ${wanted}`;
}

const shownText = (bytes: Uint8Array): string =>
  JSON.stringify(new TextDecoder("latin1").decode(bytes.subarray(0, 400)));

/** For each random text what the core makes of it, where that is another than it should be. */
function responses(
  seed: number,
  many: number,
): { differences: string[]; counts: Record<string, number> } {
  const random = randomFrom(seed);
  const core = newCore();
  const differences: string[] = [];
  const counts = { refused: 0, hardened: 0, kept: 0, learned: 0 };
  for (let index = 0; index < many && differences.length < 5; index += 1) {
    const kind = kinds[index % kinds.length] as Kind;
    const bytes = spoilt(random, texts(random, kind));
    const wrong = difference(core, kind, bytes);
    if (wrong !== undefined) differences.push(`${kind.url} ${shownText(bytes)}: ${wrong}`);
    const value = read(bytes);
    if (value !== undefined && (kind.named?.(value).length ?? 0) > 0) counts.learned += 1;
    if (value === undefined) counts.refused += 1;
    else if (JSON.stringify(value) === JSON.stringify(kind.harden(value))) counts.kept += 1;
    else counts.hardened += 1;
  }
  return { differences, counts };
}

/** Texts that parsers are known to differ in. */
function hostile(): string[] {
  const core = newCore();
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  const objects = '{"a":'.repeat(100_000) + "1" + "}".repeat(100_000);
  const canary = '"base_url":"https://canary.example"';
  const event = `{"type":"m.identity_server","content":{${canary}}}`;
  const members = [
    canary,
    '"uris":["stun:canary.example","turn:turn.example"]',
    `"account_data":{"events":[${event}]}`,
    '"default_is_url":"https://canary.example"',
    '"m.identity_server":{"base_url":"https://canary.example"}',
  ];
  const found: string[] = [];
  for (const [index, kind] of kinds.entries()) {
    const member = members[index] ?? "";
    const name = member.slice(0, member.indexOf(":"));
    for (const text of [
      `{"deep":[],${member}}`,
      `{"x":1e400,"y":-1E-400,"z":123456789012345678901234567890,${member}}`,
      `{${name}:1,${member}}`,
      `{${member},${name}:1}`,
      `{${member},${name}:null,${member}}`,
      `{"__proto__":{${member}},${member}}`,
      `{"__proto__":{${member}}}`,
      `{${member}} x`,
      `{${member},}`,
      `{${member}`,
      `\ufeff{${member}}`,
      `\ufeff\ufeff{${member}}`,
      `\u00a0{${member}}`,
      `{${member}}\u2028`,
      `{"\\ud800":"\\udfff",${member}}`,
      `{"a\u2028b":"\u007f",${member}}`,
      `{"x":"${"\\u0000".repeat(1_000)}",${member}}`,
      `{"x":${"9".repeat(100_000)},${member}}`,
      "",
      " ",
      "null",
      "0",
    ]) {
      const wrong = difference(core, kind, new TextEncoder().encode(text));
      if (wrong !== undefined) found.push(`${kind.url} ${text.slice(0, 200)}: ${wrong}`);
    }
    for (const text of [`{"deep":${deep},${member}}`, `{"deep":${objects},${member}}`]) {
      // Too deep to be shown again: what the parser takes is hardened.
      const bytes = new TextEncoder().encode(text);
      const told = core.answer("GET", kind.url, 200, bytes);
      const isRead = read(bytes) !== undefined;
      const isLeft = new TextDecoder().decode(told ?? bytes).includes("canary");
      if (isRead && isLeft) found.push(`${kind.url} deep: not hardened`);
    }
  }
  return found;
}

const pieces = [
  "https:",
  "http:",
  "HTTPS:",
  "wss:",
  "//",
  "/",
  "\\",
  "chat.example.org",
  "canary.example",
  "allowed.example",
  "Allowed.EXAMPLE",
  "@",
  ":443",
  ":80",
  ":",
  ":0443",
  ":8443",
  "\t",
  "\n",
  " ",
  "\u0000",
  "%2e",
  ".",
  "..",
  "/../",
  "xn--",
  "xn--bcher-kva",
  "\u00fc",
  "\u3002",
  "\uff0e",
  "\u00ad",
  "0x7f.1",
  "127.1",
  "127.0.0.1",
  "1",
  "[::1]",
  "?",
  "#",
  "a",
  "welcome.html",
  "data:",
  "mxc:",
  "javascript:",
  "file:",
  "ftp:",
  "%",
  "%00",
  "|",
  "^",
  "_",
  "-",
  "\ud800",
  "\ufeff",
  "?x=https://",
] as const;

const plain = [
  "",
  "welcome.html",
  "/welcome.html",
  "./a",
  "../a",
  "?a",
  "#a",
  "https://chat.example.org",
  "https://chat.example.org:443/a?b#c",
  "//chat.example.org/a",
  " https://CHAT.example.org/",
  "https://allowed.example/",
  "ht\ntps://allowed.example:443/x",
  "//allowed.example",
];
const strangers = [
  "https://canary.example/",
  "//canary.example",
  " https://canary.example",
  "https:\\\\canary.example",
  "/\\canary.example",
  "\\\\canary.example",
  "https:canary.example",
  "h\tttps://canary.example",
  "https://chat.example.org@canary.example/",
  "https://canary\u3002example/",
  "http:/canary.example",
  "https:/\t/canary.example",
  "\u0001//canary.example",
];

/** Whether the browser would load this from the site, from the allowed host, or from nowhere. */
function isHarmless(text: string): boolean {
  let url: URL;
  try {
    url = new URL(text, site);
  } catch {
    return true;
  }
  const isWeb = ["https:", "http:", "wss:", "ws:", "ftp:", "file:"].includes(url.protocol);
  // A host on a list is allowed at each of its ports.
  return !isWeb || url.host === "chat.example.org" || url.hostname === "allowed.example";
}

/** Addresses in Element's configuration: what is left of them leads to nobody else. */
function addresses(
  seed: number,
  many: number,
): { differences: string[]; counts: Record<string, number> } {
  const random = randomFrom(seed);
  const core = newCore('{"version":1,"allow":{"extras":["allowed.example"]}}');
  const url = "https://chat.example.org/app/config.json";
  const isKept = (text: string): boolean => {
    const body = JSON.stringify({ brand: "x", embedded_pages: { welcome_url: text } });
    const told = core.answer("GET", url, 200, new TextEncoder().encode(body));
    const shown = JSON.parse(new TextDecoder().decode(told)) as {
      embedded_pages?: { welcome_url?: string };
    };
    return shown.embedded_pages?.welcome_url !== undefined;
  };
  const differences: string[] = [];
  for (const text of plain)
    if (!isKept(text)) differences.push(`taken away: ${JSON.stringify(text)}`);
  for (const text of strangers) if (isKept(text)) differences.push(`left: ${JSON.stringify(text)}`);
  const counts = { kept: 0, "taken away": 0 };
  for (let index = 0; index < many && differences.length < 5; index += 1) {
    let text = "";
    for (let count = 1 + random(6); count > 0; count -= 1) text += pieces[random(pieces.length)];
    const kept = isKept(text);
    counts[kept ? "kept" : "taken away"] += 1;
    if (kept && !isHarmless(text)) differences.push(`left: ${JSON.stringify(text)}`);
  }
  return { differences, counts };
}

const reading = { responses, hostile, addresses };

declare global {
  interface Window {
    reading: typeof reading;
  }
}

window.reading = reading;
