/**
 * The report's session in a world that lies: a homeserver, and a configuration, that say whatever
 * might take a shield away. What servers saw is counted as if the homeserver had an ordinary address.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { bothBrowsers } from "../support/browsers.ts";
import { isSync, lyingHomeserver } from "../support/lies.ts";
import type { Lie, Plain } from "../support/lies.ts";
import { answerJson, withPreflight } from "../support/recorder.ts";
import type { Exchange, Handler } from "../support/recorder.ts";
import { LOGIN_TOKENS } from "../support/single-sign-on.ts";
import { HOMESERVER, MANAGER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import type { SessionResult } from "./driven.ts";
import { CANARY_HOST, driveMore } from "./hostile-more.ts";
import type { Report } from "./report.ts";
import { countLeaks } from "./rows.ts";
import { readTables, reportOf, testBuild } from "./run.ts";
import { FOREIGN_PARTS, runSession } from "./session.ts";

const CONFIG = fileURLToPath(new URL("../client/config.json", import.meta.url));
/** Another port, a first folder without a name, an escaped slash, and a path that looks like Matrix's. */
const ODD_HOST = `${HOMESERVER}:8448`;
const ODD_PATH = "//odd%2Fbase/_matrix/client/v3/keys/upload";
const BASE = `https://${ODD_HOST}${ODD_PATH}`;
/** What the configuration says; Element takes the name and the password out of it. */
const BASE_AS_SAID = `https://somebody:word@${ODD_HOST}${ODD_PATH}`;
const MEDIA = /^\/_matrix\/(?:media|client\/v1\/media)\//;
const OWN_FOLDER = "https://chat.example.org/bundles";

/** Whom a server had better not name: Element's own site, itself, and those whom shields know. */
const NAMED = [
  OWN_FOLDER,
  "https://chat.example.org/",
  BASE,
  `https://${HOMESERVER}/`,
  `https://${MANAGER}/`,
  "https://vector.im",
  "https://",
  ` https:\\\\${MANAGER}`,
];
const MANY = Array.from({ length: 300 }, (_, at) => `https://m${at}.example/`);

/** Of a server that names everybody. */
const NAMING_EVERYBODY = {
  "m.integrations": {
    managers: [...NAMED, ...MANY].map((url) => ({ api_url: url, ui_url: url })),
  },
  "org.matrix.msc4143.rtc_foci": NAMED.map((url) => ({
    type: "livekit",
    livekit_service_url: url,
  })),
  "io.element.e2ee": { default: false, force_disable: true },
  "io.element.jitsi": { preferredDomain: "chat.example.org" },
};

/** A managers' widget in account data, as Element stores it. */
const managersOf = (urls: readonly string[]): Plain =>
  Object.fromEntries(
    urls.map((url, at) => [
      `manager${at}`,
      {
        type: "m.integration_manager",
        content: { type: "m.integration_manager", url, data: { api_url: url } },
      },
    ]),
  );

/** Before the true account data and after it. */
const ACCOUNT_DATA: readonly { type: string; content: Plain }[] = [
  { type: "m.widgets", content: managersOf(NAMED) },
  { type: "m.widgets", content: managersOf(MANY) },
  { type: "m.identity_server", content: { base_url: "https://vector.im" } },
  { type: "m.identity_server", content: { base_url: OWN_FOLDER } },
  { type: "im.vector.setting.integration_provisioning", content: { integrationProvisioning: true } },
  { type: "im.vector.setting.breadcrumbs", content: { recent_rooms: ["!planted:hs.example.org"] } },
  { type: "io.element.recent_emoji", content: { recent_emoji: [["👎", 1]] } },
  { type: "m.recent_emoji", content: { recent_emoji: "planted" } },
  {
    type: "im.vector.web.settings",
    content: { "SpotlightSearch.recentSearches": "planted", sendReadReceipts: true },
  },
  // A value that a person can set is believed; these are none.
  { type: "m.media_preview_config", content: { media_previews: 7, invite_avatars: ["on"] } },
  { type: "io.element.msc4278.media_preview_config", content: { media_previews: "always" } },
  { type: "im.vector.analytics", content: { pseudonymousAnalyticsOptIn: true, id: "planted" } },
  { type: "__proto__", content: { constructor: { prototype: null } } },
];

/** How often each was said to a client. */
export interface Lies {
  config: number;
  syncs: number;
  signIns: number;
}

/** Runs the session in each browser, without and with Mantle. */
export async function makeHostileReport(
  say: (line: string) => void,
): Promise<{ report: Report; sessions: readonly SessionResult[]; lies: Lies }> {
  const tables = await readTables();
  const lies: Lies = { config: 0, syncs: 0, signIns: 0 };
  const config = await hostileConfig();
  const world = await startWorld({
    withOpenMedia: true,
    synapseConfig: LOGIN_TOKENS,
    // Synapse says itself which homeserver and identity server there are.
    wellKnown: NAMING_EVERYBODY,
    client: {
      answers: {
        "/config.json": (_request, response) => {
          lies.config += 1;
          response.writeHead(200, { "Content-Type": "application/json" }).end(config);
        },
      },
    },
  });
  world.recorder.route(ODD_HOST, oddHomeserver(world, lies));
  const sessions: SessionResult[] = [];
  try {
    for (const kind of bothBrowsers) {
      for (const extension of [undefined, testBuild(kind)]) {
        say(`${kind} ${extension === undefined ? "without" : "with"} Mantle …`);
        const { seen, ...result } = await runSession(world, kind, extension, { more: driveMore });
        const below = { ...seen, exchanges: seen.exchanges.map(belowBase) };
        sessions.push({ ...result, seen: below, leaks: countLeaks(below) });
      }
    }
  } finally {
    await world.close();
  }
  return { report: reportOf(tables, sessions), sessions, lies };
}

/** A byte order mark, names twice with the last one counting, and lists that name everybody. */
async function hostileConfig(): Promise<Buffer> {
  const honest = JSON.parse(await readFile(CONFIG, "utf8")) as Plain;
  const hostile = {
    ...honest,
    ...FOREIGN_PARTS,
    default_server_config: {
      "m.homeserver": { base_url: BASE_AS_SAID, server_name: HOMESERVER },
      "m.identity_server": { base_url: "https://vector.im" },
    },
    integrations_ui_url: OWN_FOLDER,
    integrations_rest_url: BASE,
    integrations_widgets_urls: [...NAMED, ...MANY, null, 7, {}],
    room_directory: { servers: ["matrix.org", "chat.example.org", HOMESERVER, 7] },
    setting_defaults: {
      breadcrumbs: true,
      "UIFeature.widgets": true,
      integrationProvisioning: true,
      custom_themes: [
        {
          name: "Planted",
          fonts: { faces: [{ src: [{ url: ` https:\\\\${CANARY_HOST}/x.woff2`, format: "woff2" }] }] },
        },
      ],
    },
    jitsi_widget: { skip_built_in_welcome_screen: true },
    "net.nordeck.element_web.module.widget_lifecycle": {
      widget_permissions: { [`https://${CANARY_HOST}/*`]: { identity_approved: true } },
    },
    branding: { welcome_background_url: `url(https://${CANARY_HOST}/x.png)` },
  };
  const earlier =
    '{"integrations_ui_url":"https://honest.example/","posthog":null,"__proto__":{"sentry":null},';
  return Buffer.from(`\uFEFF${earlier}${JSON.stringify(hostile).slice(1)}`);
}

/** The true homeserver below the odd base, with lies. */
function oddHomeserver(world: World, told: Lies): Handler {
  const liar = lyingHomeserver(world.synapse.baseUrl);
  const firstSync: Lie = (answer, request) => {
    if (!isSync(request) || new URL(request.path, "http://x").searchParams.has("since")) return false;
    const data = (answer["account_data"] ??= {}) as { events?: unknown[] };
    data.events = [...structuredClone(ACCOUNT_DATA), ...(data.events ?? []), ...ACCOUNT_DATA];
    told.syncs += 1;
    return true;
  };
  const signIn: Lie = (answer, request) => {
    if (request.method !== "POST" || !/\/(login|register)(\?|$)/.test(request.path)) return false;
    if (answer["access_token"] === undefined) return false;
    answer["well_known"] = {
      ...NAMING_EVERYBODY,
      "m.homeserver": { base_url: `https://${MANAGER}/` },
      "m.identity_server": { base_url: "https://chat.example.org" },
    };
    told.signIns += 1;
    return true;
  };
  liar.tell(firstSync);
  liar.tell(signIn);
  const elsewhere = withPreflight((request, response) =>
    answerJson(request, response, 404, { errcode: "M_NOT_FOUND", error: "Not below the base" }),
  );
  return (request, response) => {
    if (request.path.startsWith(`${ODD_PATH}/`)) {
      return liar.route({ ...request, path: request.path.slice(ODD_PATH.length) }, response);
    }
    // Media are asked for at the root of the host, whatever the base: so does matrix-js-sdk.
    return MEDIA.test(request.path) ? liar.route(request, response) : elsewhere(request, response);
  };
}

/** Rows know the homeserver by its ordinary address. */
function belowBase(exchange: Exchange): Exchange {
  if (exchange.host !== ODD_HOST) return exchange;
  const isBelow = exchange.path.startsWith(`${ODD_PATH}/`);
  const path = isBelow ? exchange.path.slice(ODD_PATH.length) : exchange.path;
  return { ...exchange, host: HOMESERVER, path };
}

/** How many requests of a session went below the odd base; for the test of the test. */
export function requestsBelow(session: SessionResult): number {
  return session.seen.exchanges.filter(({ headers }) => headers.host === ODD_HOST).length;
}
