import { GPS_BYTES, holds } from "../support/canaries.ts";
import type { Canaries } from "../support/canaries.ts";
import type { Exchange } from "../support/recorder.ts";

/** Everything one session showed to servers. */
export interface Seen {
  /** What every server saw, preflights left out. */
  readonly exchanges: readonly Exchange[];
  readonly canaries: Canaries;
  readonly userId: string;
  readonly peerUserId: string;
  /** Leaks that show elsewhere than in this browser's requests, by row id. */
  readonly elsewhere: Readonly<Record<string, number>>;
  /**
   * When the session switched on what is off as recommended, in milliseconds since the epoch. It does
   * then what these shields are for, and their rows count that only.
   */
  readonly chosenSince?: number | undefined;
}

/** How often a leak was seen, or why the session cannot make it happen. */
export type Row =
  | {
      readonly id: string;
      readonly leaks: (seen: Seen) => readonly Exchange[] | number;
      /** Its shield is off as recommended, and on where this is counted. */
      readonly isChosen?: true;
    }
  | { readonly id: string; readonly notDriven: string };

const HOMESERVER = "hs.example.org";
const OPEN_HOMESERVER = "open.example.org";
const WEB_HOST = "chat.example.org";
const SITE = "chat.example.org";

type Test = (exchange: Exchange) => boolean;

const path = (exchange: Exchange): string => exchange.path.split("?")[0] ?? "";
const query = (exchange: Exchange): URLSearchParams =>
  new URLSearchParams(exchange.path.split("?")[1] ?? "");

/** Requests to the homeserver, by method and path after the API version. */
function hs(seen: Seen, method: string, pattern: RegExp, test: Test = () => true): Exchange[] {
  return seen.exchanges.filter(
    (exchange) =>
      exchange.host === HOMESERVER &&
      method.split("|").includes(exchange.method) &&
      pattern.test(decodeURIComponent(path(exchange)).replace(/^.*\/_matrix\/(client|media)\//, "")) &&
      test(exchange),
  );
}

/** Uploads to the homeserver and to the one with open media. */
function uploads(seen: Seen, test: Test): Exchange[] {
  return seen.exchanges.filter(
    (exchange) =>
      (exchange.host === HOMESERVER || exchange.host === OPEN_HOMESERVER) &&
      /POST|PUT/.test(exchange.method) &&
      /\/_matrix\/media\/[^?]*\/upload/.test(exchange.path) &&
      test(exchange),
  );
}

/** Requests to hosts other than the homeserver and the web host. */
function others(seen: Seen, test: Test): Exchange[] {
  return seen.exchanges.filter(
    (exchange) => exchange.host !== HOMESERVER && exchange.host !== WEB_HOST && test(exchange),
  );
}

const isManager: Test = ({ host }) => /^scalar|^im\./.test(host);
const manager = (seen: Seen, pattern: RegExp, test: Test = () => true): Exchange[] =>
  others(seen, (exchange) => isManager(exchange) && pattern.test(path(exchange)) && test(exchange));
/** Its page; a favicon comes with it. */
const isMatrixTo: Test = (e) => e.host === "matrix.to" && path(e) === "/";
const identity = (seen: Seen, pattern: RegExp, test: Test = () => true): Exchange[] =>
  others(
    seen,
    (exchange) =>
      path(exchange).startsWith("/_matrix/identity") &&
      pattern.test(path(exchange).replace("/_matrix/identity", "")) &&
      test(exchange),
  );
const at = (host: string, pattern = /./): ((seen: Seen) => Exchange[]) =>
  (seen) => others(seen, (exchange) => exchange.host === host && pattern.test(exchange.path));

function json(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Looks a member up along a path of keys. */
function member(content: unknown, ...keys: string[]): unknown {
  let value = content;
  for (const key of keys) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

const bodyHas =
  (canary: string): Test =>
  (exchange) =>
    holds(exchange.body, canary);
const sends =
  (...keys: string[]): Test =>
  (exchange) =>
    member(json(exchange.body), ...keys) !== undefined;
const answersWith =
  (canary: string): Test =>
  (exchange) =>
    holds(exchange.answer, canary);
/** A device name that tells where or in which browser Element runs. */
const tellsDevice = (name: unknown): boolean =>
  typeof name === "string" && /chat\.example\.org|Chrome|Firefox|Linux/.test(name);
const accountData = (seen: Seen, type: RegExp, test?: Test): Exchange[] =>
  hs(seen, "PUT", new RegExp(`/account_data/${type.source}`), test);
/** Another page's address may name the site as well: a sign-in page's says where to come back to. */
const comesFrom = ({ headers }: Exchange, host: string): boolean =>
  headers.referer !== undefined && new URL(headers.referer).host === host;
const distinctHosts = (exchanges: Exchange[]): number =>
  new Set(exchanges.map((exchange) => exchange.host)).size;

function openIdTokens(seen: Seen): string[] {
  return hs(seen, "POST", /openid\/request_token$/)
    .map((exchange) => member(json(exchange.answer), "access_token"))
    .filter((token) => typeof token === "string");
}

const UDP = "not a request: calls use UDP; e2e/shields/calls.spec.ts counts its packets";
const NAVIGATION = "a click that leaves Element; nothing is sent while it runs";
const WINDOWS = "messages between windows, no request";
const CHOSEN = "readable unless its type is chosen; e2e/shields/asking.spec.ts shows it chosen";
const FRAGMENT = "part of an address behind the #, which no server sees";

/** The report's rows; texts and shields are in the tables, by id. */
export const ROWS: readonly Row[] = [
  // 1 Integration manager, widgets, stickers
  { id: "im-register", leaks: (s) => manager(s, /\/register$/, sends("access_token")) },
  { id: "im-account", leaks: (s) => manager(s, /\/account$/) },
  {
    id: "im-frame-room-name",
    leaks: (s) => others(s, (e) => query(e).get("room_name") === s.canaries.roomName),
  },
  { id: "im-frame-room-id", leaks: (s) => manager(s, /./, (e) => query(e).has("room_id")) },
  { id: "im-terms", leaks: (s) => manager(s, /\/terms$/) },
  { id: "im-widget-state", leaks: (s) => manager(s, /\/set_assets_state$/) },
  {
    id: "im-title-lookup",
    leaks: (s) => manager(s, /\/title_lookup$/, (e) => holds(e.path, s.canaries.link)),
  },
  {
    id: "openid-third-party",
    leaks: (s) => {
      const tokens = openIdTokens(s);
      return others(
        s,
        (e) =>
          // One of an identity server's is the row is-register.
          !path(e).startsWith("/_matrix/identity") &&
          tokens.some(
            (token) =>
              e.path.includes(token) ||
              holds(e.body, token) ||
              (e.headers.authorization ?? "").includes(token),
          ),
      );
    },
  },
  { id: "openid-request", leaks: (s) => hs(s, "POST", /openid\/request_token$/) },
  {
    id: "im-messages",
    notDriven: `${WINDOWS}; e2e/shields/integrations.spec.ts shows that the window stays shut`,
  },
  {
    id: "im-account-data",
    leaks: (s) => accountData(s, /m\.widgets$/, bodyHas("m.integration_manager")),
  },
  {
    id: "widget-address",
    leaks: (s) => others(s, (e) => e.host === "widget.example.org" && holds(e.path, s.userId)),
  },
  { id: "widget-messages", notDriven: WINDOWS },
  { id: "widget-openid", notDriven: WINDOWS },
  { id: "call-widget-builder", leaks: at("build.example.org", /roomId=/) },
  {
    id: "live-stream-openid",
    leaks: (s) => others(s, (e) => e.host === "live.example.org" && sends("openid_token")(e)),
  },
  // 2 Calls
  {
    id: "jitsi-room-name",
    leaks: (s) => hs(s, "PUT", /\/state\/im\.vector\.modular\.widgets\//, bodyHas(s.canaries.roomName)),
  },
  { id: "jitsi-discovery", leaks: at("meet.element.io", /^\/\.well-known\//) },
  { id: "jitsi-user-info", notDriven: `${FRAGMENT}; e2e/shields/calls.spec.ts reads it in the frame` },
  {
    id: "jitsi-referer",
    leaks: (s) => others(s, (e) => e.host === "meet.element.io" && e.headers.referer !== undefined),
  },
  { id: "element-call-frame", leaks: at("call.element.io") },
  {
    id: "livekit-token",
    leaks: (s) => others(s, (e) => e.host === "livekit.example.org" && sends("openid_token")(e)),
  },
  {
    id: "call-server-address",
    notDriven: "a connection, no request; e2e/element-call.spec.ts counts those of a real call",
  },
  { id: "call-transports", leaks: (s) => hs(s, "GET", /\/rtc\/transports$/) },
  { id: "call-membership", leaks: (s) => hs(s, "PUT", /\/state\/org\.matrix\.msc3401\.call\.member\//) },
  { id: "call-signalling", leaks: (s) => hs(s, "PUT", /\/send\/m\.call\.invite\//, bodyHas("candidate:")) },
  { id: "call-addresses", notDriven: UDP },
  { id: "turn-server", leaks: (s) => hs(s, "GET", /\/voip\/turnServer$/) },
  { id: "fallback-stun", notDriven: UDP },
  { id: "third-party-protocols", leaks: (s) => hs(s, "GET", /\/thirdparty\/protocols$/) },
  { id: "dialled-number", leaks: (s) => hs(s, "GET", /\/thirdparty\/user\//) },
  // 3 Identity server
  { id: "is-ping", leaks: (s) => identity(s, /^\/(v2|api\/v1)\/?$/, (e) => e.method === "GET") },
  { id: "is-register", leaks: (s) => identity(s, /\/account\/register$/) },
  { id: "is-account", leaks: (s) => identity(s, /\/account$/) },
  { id: "is-terms", leaks: (s) => identity(s, /\/terms$/) },
  { id: "is-hash-details", leaks: (s) => identity(s, /\/hash_details$/) },
  { id: "is-lookup", leaks: (s) => identity(s, /^\/v2\/lookup$/) },
  {
    id: "is-lookup-plain",
    leaks: (s) => identity(s, /^\/v2\/lookup$/, bodyHas(s.canaries.contactEmail)),
  },
  {
    id: "is-lookup-legacy",
    leaks: (s) =>
      identity(
        s,
        /^\/api\/v1\/(bulk_)?lookup$/,
        (e) => holds(e.path, s.canaries.contactEmail) || holds(e.body, s.canaries.contactEmail),
      ),
  },
  {
    id: "is-validate-email",
    leaks: (s) => identity(s, /\/validate\/email\/requestToken$/, bodyHas(s.canaries.ownEmail)),
  },
  { id: "is-validate-msisdn", leaks: (s) => identity(s, /\/validate\/msisdn\//) },
  { id: "is-bind", leaks: (s) => identity(s, /\/3pid\/bind$/) },
  { id: "is-store-invite", leaks: (s) => identity(s, /\/store-invite$/) },
  { id: "bind-3pid", leaks: (s) => hs(s, "POST", /account\/3pid\/bind$/) },
  {
    id: "bind-3pid-legacy",
    leaks: (s) =>
      hs(
        s,
        "POST",
        /account\/3pid$/,
        (e) =>
          member(json(e.body), "bind") === true || sends("three_pid_creds", "id_server")(e),
      ),
  },
  { id: "unbind-3pid", leaks: (s) => hs(s, "POST", /account\/3pid\/unbind$/) },
  {
    id: "request-token-id-server",
    leaks: (s) =>
      hs(
        s,
        "POST",
        /\/requestToken$/,
        (e) => sends("id_server")(e) || sends("id_access_token")(e),
      ),
  },
  {
    id: "request-token-address",
    leaks: (s) => hs(s, "POST", /\/requestToken$/, bodyHas(s.canaries.ownEmail)),
  },
  {
    id: "uia-id-server",
    leaks: (s) =>
      hs(
        s,
        "POST",
        /./,
        (e) =>
          sends("auth", "threepid_creds", "id_server")(e) ||
          sends("auth", "threepidCreds", "id_server")(e),
      ),
  },
  { id: "invite-email", leaks: (s) => hs(s, "POST", /\/invite$/, bodyHas(s.canaries.invitedEmail)) },
  {
    id: "create-room-invite-email",
    leaks: (s) => hs(s, "POST", /createRoom$/, bodyHas(s.canaries.invitedEmail)),
  },
  {
    id: "invite-sign-url",
    leaks: (s) =>
      others(s, (e) => e.host === "sign.example.org" && (holds(e.path, s.userId) || holds(e.body, s.userId))),
  },
  {
    id: "account-data-identity-server",
    leaks: (s) => accountData(s, /m\.identity_server$/, bodyHas("is.example.org")),
  },
  // 4 Device names, sessions, login
  {
    id: "device-name-guest",
    leaks: (s) =>
      hs(
        s,
        "POST",
        /register$/,
        (e) =>
          query(e).get("kind") === "guest" &&
          tellsDevice(member(json(e.body), "initial_device_display_name")),
      ),
  },
  {
    id: "device-name-login",
    leaks: (s) =>
      hs(s, "POST", /\/login$/, (e) => tellsDevice(member(json(e.body), "initial_device_display_name"))),
  },
  {
    id: "device-name-register",
    leaks: (s) =>
      hs(
        s,
        "POST",
        /register$/,
        (e) =>
          query(e).get("kind") !== "guest" &&
          tellsDevice(member(json(e.body), "initial_device_display_name")),
      ),
  },
  {
    id: "device-name-peers",
    leaks: (s) => s.elsewhere["device-name-peers"] ?? 0,
  },
  // What the session is called at the homeserver, once it may do anything.
  { id: "device-name-token", leaks: (s) => s.elsewhere["device-name-token"] ?? 0 },
  {
    id: "device-rename",
    leaks: (s) => hs(s, "PUT", /\/devices\//, bodyHas(s.canaries.deviceName)),
  },
  {
    id: "device-name-dehydrated",
    leaks: (s) => hs(s, "PUT", /dehydrated_device$/, bodyHas("Dehydrated device")),
  },
  {
    id: "oidc-registration",
    leaks: (s) =>
      others(
        s,
        (e) =>
          e.method === "POST" &&
          (member(json(e.body), "client_name") === "Example Org Chat" ||
            ["logo_uri", "tos_uri", "policy_uri"].some((key) => sends(key)(e))),
      ),
  },
  {
    id: "oidc-registration-address",
    leaks: (s) =>
      others(
        s,
        (e) => e.method === "POST" && String(member(json(e.body), "client_uri")).includes(SITE),
      ),
  },
  {
    id: "oidc-authorize",
    leaks: (s) =>
      others(s, (e) => query(e).has("redirect_uri") && /:device:/.test(query(e).get("scope") ?? "")),
  },
  { id: "oidc-manage", leaks: (s) => others(s, (e) => query(e).has("action") && query(e).has("device_id")) },
  { id: "sso-redirect", leaks: (s) => hs(s, "GET", /login\/sso\/redirect/) },
  {
    id: "sso-room",
    leaks: (s) =>
      hs(s, "GET", /login\/sso\/redirect/, (e) =>
        (query(e).get("redirectUrl") ?? "").includes("#/room/"),
      ),
  },
  {
    id: "sso-login-token",
    leaks: (s) => s.exchanges.filter((e) => e.host === WEB_HOST && query(e).has("loginToken")),
  },
  {
    id: "local-notification-settings",
    leaks: (s) => accountData(s, /org\.matrix\.msc3890\.local_notification_settings\./, sends("is_silenced")),
  },
  { id: "client-information", leaks: (s) => accountData(s, /io\.element\.matrix_client_information\./, sends("url")) },
  {
    id: "login-address",
    leaks: (s) => hs(s, "POST", /\/login$/, (e) => holds(e.body, s.canaries.ownEmail)),
  },
  { id: "transaction-clock", leaks: (s) => hs(s, "PUT", /\/m\d{13}\.\d+$/) },
  { id: "rendezvous", notDriven: "the homeserver of the tests does not offer it" },
  // 5 Request headers; counted in hosts
  {
    id: "referer",
    leaks: (s) => distinctHosts(others(s, (e) => comesFrom(e, SITE))),
  },
  { id: "referer-unruly", notDriven: "Element loads nothing that way; e2e/backstop.spec.ts shows it" },
  {
    id: "origin",
    leaks: (s) =>
      distinctHosts(s.exchanges.filter((e) => e.host !== WEB_HOST && (e.headers.origin ?? "").includes(SITE))),
  },
  {
    id: "accept-language",
    leaks: (s) =>
      distinctHosts(s.exchanges.filter((e) => e.host !== WEB_HOST && e.headers["accept-language"] !== undefined)),
  },
  {
    id: "user-agent",
    leaks: (s) =>
      distinctHosts(
        s.exchanges.filter((e) => e.host !== WEB_HOST && /Chrome|Firefox/.test(e.headers["user-agent"] ?? "")),
      ),
  },
  { id: "ip-address", notDriven: "out of reach of an extension" },
  // 6 Room metadata: writes
  { id: "create-room-name", leaks: (s) => hs(s, "POST", /createRoom$/, bodyHas(s.canaries.roomName)) },
  { id: "create-room-topic", leaks: (s) => hs(s, "POST", /createRoom$/, bodyHas(s.canaries.topic)) },
  { id: "create-room-avatar", notDriven: CHOSEN },
  { id: "create-room-invitees", leaks: (s) => hs(s, "POST", /createRoom$/, bodyHas(s.peerUserId)) },
  { id: "create-room-guest-access", leaks: (s) => hs(s, "POST", /createRoom$/, bodyHas('"can_join"')) },
  { id: "create-room-history", leaks: (s) => hs(s, "POST", /createRoom$/, bodyHas('"world_readable"')) },
  {
    id: "well-known-e2ee-off",
    notDriven: "an order in an answer, no request; e2e/shields/asking.spec.ts shows it",
  },
  {
    id: "room-name-change",
    leaks: (s) => hs(s, "PUT", /\/state\/m\.room\.name\/?/, bodyHas(s.canaries.newRoomName)),
  },
  {
    id: "room-topic-change",
    leaks: (s) => hs(s, "PUT", /\/state\/m\.room\.topic\/?/, bodyHas(s.canaries.newTopic)),
  },
  { id: "room-avatar-change", notDriven: CHOSEN },
  {
    id: "room-avatar-upload",
    isChosen: true,
    leaks: (s) => hs(s, "POST|PUT", /\/upload/, bodyHas(s.canaries.avatarContent)),
  },
  {
    id: "room-nickname",
    leaks: (s) => hs(s, "PUT", /\/state\/m\.room\.member\//, bodyHas(s.canaries.roomNickname)),
  },
  {
    id: "room-nickname-encrypted",
    isChosen: true,
    leaks: (s) => hs(s, "PUT", /\/state\//, bodyHas(s.canaries.sealedNickname)),
  },
  {
    id: "room-own-picture-encrypted",
    isChosen: true,
    leaks: (s) => hs(s, "POST|PUT", /\/upload/, bodyHas(s.canaries.ownPictureContent)),
  },
  {
    id: "moderation-reason",
    leaks: (s) => hs(s, "POST", /\/(invite|kick|ban|unban|leave)$/, bodyHas(s.canaries.reason)),
  },
  { id: "knock-reason", leaks: (s) => hs(s, "POST", /\/knock\//, bodyHas(s.canaries.knockReason)) },
  { id: "space-tree", leaks: (s) => hs(s, "PUT", /\/state\/m\.space\.(child|parent)\//) },
  { id: "room-alias", leaks: (s) => hs(s, "POST|PUT", /createRoom$|directory\//, bodyHas(s.canaries.alias)) },
  { id: "room-pins", notDriven: CHOSEN },
  {
    id: "room-upgrade",
    leaks: (s) => hs(s, "GET|POST", /\/sync$/, answersWith(s.canaries.roomUpgradeName)),
  },
  // 7 Room metadata: reads
  { id: "sync-room-name", leaks: (s) => hs(s, "GET", /\/sync$/, answersWith(s.canaries.roomName)) },
  { id: "invite-room-name", leaks: (s) => s.elsewhere["invite-room-name"] ?? 0 },
  {
    id: "sliding-sync-room-name",
    leaks: (s) => hs(s, "POST", /msc3575\/sync$/, answersWith(s.canaries.roomName)),
  },
  {
    id: "initial-sync-room-name",
    leaks: (s) => hs(s, "GET", /\/initialSync$/, answersWith(s.canaries.roomName)),
  },
  {
    id: "history-room-name",
    leaks: (s) => hs(s, "GET", /\/messages$/, answersWith(s.canaries.roomName)),
  },
  {
    id: "state-room-name",
    leaks: (s) => hs(s, "GET", /\/state(\/m\.room\.name\/?)?$/, answersWith(s.canaries.roomName)),
  },
  {
    id: "summary-room-name",
    leaks: (s) => hs(s, "GET", /\/hierarchy$/, answersWith(s.canaries.roomName)),
  },
  // 8 Media
  {
    id: "upload-filename",
    leaks: (s) => uploads(s, (e) => holds(e.path, s.canaries.filename)),
  },
  {
    id: "upload-content",
    leaks: (s) => hs(s, "POST|PUT", /\/upload/, bodyHas(s.canaries.fileContent)),
  },
  { id: "upload-gps", leaks: (s) => uploads(s, (e) => e.body.includes(GPS_BYTES)) },
  {
    id: "upload-size",
    leaks: (s) =>
      hs(s, "POST", /\/upload$/, (e) => e.headers["content-type"] === "application/octet-stream" && !query(e).has("filename")),
  },
  { id: "media-viewed", leaks: (s) => hs(s, "GET", /(download|thumbnail)\//) },
  {
    id: "media-without-token",
    leaks: (s) =>
      hs(s, "GET", /(download|thumbnail)\//, (e) => e.headers.authorization === undefined && !query(e).has("access_token")),
  },
  // Fetched without a token by the session itself.
  { id: "media-public", leaks: (s) => s.elsewhere["media-public"] ?? 0 },
  {
    id: "url-preview",
    leaks: (s) => hs(s, "GET", /\/preview_url$/, (e) => holds(e.path, s.canaries.link)),
  },
  {
    id: "unasked-picture",
    notDriven: "Element of 2026 and later; e2e/shields/metadata.spec.ts reads the setting it gets",
  },
  { id: "notification-icon", notDriven: "a headless browser shows no notifications" },
  // 9 Messages
  { id: "message-text", leaks: (s) => hs(s, "PUT", /\/send\//, bodyHas(s.canaries.clearMessage)) },
  { id: "reaction", isChosen: true, leaks: (s) => hs(s, "PUT", /\/send\/m\.reaction\//) },
  {
    id: "relation",
    isChosen: true,
    leaks: (s) => hs(s, "PUT", /\/send\/m\.room\.encrypted\//, bodyHas('"m.in_reply_to"')),
  },
  {
    id: "relation-kept",
    leaks: (s) => hs(s, "PUT", /\/send\/m\.room\.encrypted\//, bodyHas('"m.replace"')),
  },
  { id: "redaction-reason", leaks: (s) => hs(s, "PUT", /\/redact\//, bodyHas(s.canaries.redactionReason)) },
  {
    id: "sender-key",
    leaks: (s) => hs(s, "PUT", /\/send\/m\.room\.encrypted\//, (e) => sends("sender_key")(e) || sends("device_id")(e)),
  },
  {
    id: "report-reason",
    leaks: (s) => hs(s, "POST", /\/report(\/|$)/, bodyHas(s.canaries.reason)),
  },
  { id: "key-backup", leaks: (s) => hs(s, "PUT", /room_keys\/keys$/, sends("rooms")) },
  { id: "key-backup-lookup", leaks: (s) => hs(s, "GET", /room_keys\/keys\/.+\/.+/) },
  { id: "history-keys", leaks: (s) => s.elsewhere["history-keys"] ?? 0 },
  { id: "key-recipients", leaks: (s) => hs(s, "POST|PUT", /keys\/(query|claim)$|sendToDevice\//) },
  {
    id: "send-timing",
    leaks: (s) => hs(s, "PUT", /\/send\/io\.element\.performance_metric\//),
  },
  // 10 Receipts, typing, presence
  { id: "read-receipt", leaks: (s) => hs(s, "POST", /\/receipt\/m\.read\//) },
  { id: "read-marker", leaks: (s) => hs(s, "POST", /\/read_markers$/, sends("m.read")) },
  { id: "typing", leaks: (s) => hs(s, "PUT", /\/typing\//) },
  {
    id: "presence",
    leaks: (s) => [
      ...hs(s, "PUT", /\/presence\//),
      ...hs(s, "GET", /\/sync$/, (e) => query(e).get("set_presence") !== "offline"),
    ],
  },
  { id: "breadcrumbs", leaks: (s) => accountData(s, /im\.vector\.setting\.breadcrumbs$/, sends("recent_rooms")) },
  { id: "room-tags", leaks: (s) => hs(s, "PUT", /\/tags\//) },
  // 11 Profile, search, directory, location
  { id: "profile-name", leaks: (s) => hs(s, "PUT", /\/profile\/.*\/displayname$/, bodyHas(s.canaries.displayName)) },
  { id: "profile-avatar", leaks: (s) => hs(s, "PUT", /\/profile\/.*\/avatar_url$/) },
  { id: "profile-time-zone", leaks: (s) => hs(s, "PUT", /\/profile\/.*(msc4175\.tz|m\.tz)$/, bodyHas("Europe/")) },
  {
    id: "profile-call",
    leaks: (s) => hs(s, "PUT", /\/profile\/.*msc4426\.call$/, bodyHas("call_joined_ts")),
  },
  {
    id: "profile-status",
    leaks: (s) => hs(s, "PUT", /\/profile\/.*msc4426\.status$/, bodyHas(s.canaries.displayName)),
  },
  {
    id: "user-search",
    leaks: (s) =>
      hs(s, "POST", /\/user_directory\/search$/, (e) => String(member(json(e.body), "search_term")).length < 3),
  },
  { id: "profile-lookup", leaks: (s) => hs(s, "GET", /\/profile\//, (e) => holds(decodeURIComponent(e.path), s.peerUserId)) },
  { id: "message-search", leaks: (s) => hs(s, "POST", /\/search$/, bodyHas(s.canaries.searchTerm)) },
  {
    id: "directory-search",
    leaks: (s) => hs(s, "POST", /\/publicRooms$/, bodyHas(s.canaries.directorySearchTerm)),
  },
  { id: "mutual-rooms", leaks: (s) => hs(s, "GET", /mutual_rooms$/) },
  {
    id: "admin-probe",
    leaks: (s) => s.exchanges.filter((e) => e.host === HOMESERVER && e.path.startsWith("/_synapse/admin/")),
  },
  { id: "map-style", leaks: at("api.maptiler.com", /style\.json/) },
  { id: "map-tile", leaks: at("api.maptiler.com", /^\/tiles\//) },
  { id: "geolocation", notDriven: "asks the browser's vendor; e2e/shields/asking.spec.ts shows it" },
  { id: "map-link", notDriven: `${NAVIGATION}; e2e/shields/asking.spec.ts clicks it` },
  // 12 Push
  { id: "push-keyword", leaks: (s) => hs(s, "PUT", /pushrules\/global\/content\//, (e) => holds(e.path, s.canaries.keyword)) },
  { id: "push-mutes", leaks: (s) => hs(s, "PUT", /pushrules\/global\/(room|sender|override)\//) },
  { id: "email-pusher", leaks: (s) => hs(s, "POST", /pushers\/set$/, (e) => member(json(e.body), "kind") === "email") },
  {
    id: "push-gateway",
    leaks: (s) =>
      hs(
        s,
        "POST",
        /pushers\/set$/,
        (e) => member(json(e.body), "kind") === "http" && !sends("data", "format")(e),
      ),
  },
  // 13 Account data
  { id: "direct-chats", leaks: (s) => accountData(s, /m\.direct$/) },
  { id: "ignored-users", leaks: (s) => accountData(s, /m\.ignored_user_list$/) },
  { id: "recent-emoji", leaks: (s) => accountData(s, /(m|io\.element)\.recent_emoji$/, sends("recent_emoji")) },
  {
    id: "web-settings",
    // A room's ID; a placeholder names none.
    leaks: (s) =>
      accountData(s, /im\.vector\.web\.settings$/, (e) =>
        /"SpotlightSearch\.recentSearches":\["!/.test(e.body.toString("utf8")),
      ),
  },
  {
    id: "section-names",
    leaks: (s) => accountData(s, /im\.vector\.web\.settings$/, bodyHas(s.canaries.sectionName)),
  },
  {
    id: "notification-sound",
    leaks: (s) => accountData(s, /im\.vector\.web\.settings$/, bodyHas(s.canaries.filename)),
  },
  { id: "analytics-id", leaks: (s) => accountData(s, /im\.vector\.analytics$/, sends("id")) },
  // 14 Telemetry, web host, links and other third parties
  { id: "posthog", leaks: at("posthog.element.io") },
  { id: "sentry", leaks: at("sentry.tools.element.io") },
  { id: "rageshake", leaks: (s) => others(s, (e) => e.host === "element.io" && holds(e.body, s.canaries.logLine)) },
  {
    id: "report-request",
    leaks: (s) => hs(s, "PUT", /sendToDevice\/im\.vector\.auto_rs_request\//),
  },
  { id: "welcome-bot", leaks: (s) => hs(s, "POST", /createRoom$/, bodyHas("@riot-bot:")) },
  {
    id: "matrix-to",
    leaks: (s) => others(s, (e) => isMatrixTo(e) && e.headers["sec-fetch-site"] !== "none"),
  },
  {
    id: "matrix-to-elsewhere",
    leaks: (s) => others(s, (e) => isMatrixTo(e) && e.headers["sec-fetch-site"] === "none"),
  },
  { id: "version-poll", leaks: (s) => s.exchanges.filter((e) => e.host === WEB_HOST && e.path === "/version") },
  {
    id: "homeserver-discovery",
    leaks: (s) => s.exchanges.filter((e) => e.host === HOMESERVER && e.path === "/.well-known/matrix/client"),
  },
  { id: "sliding-sync-proxy", leaks: at("slidingsync.example.org") },
  { id: "captcha", leaks: at("www.recaptcha.net") },
  { id: "gif-search", leaks: at("api.klipy.com") },
  { id: "release-notes", leaks: at("riot.im", /^\/github\//) },
  { id: "custom-page", leaks: at("pages.example.net") },
  { id: "custom-translations", leaks: at("translations.example.net") },
  { id: "remote-module", leaks: at("modules.example.net") },
  {
    id: "mobile-guide",
    notDriven: "only phones are sent there; e2e/shields/third-party.spec.ts follows the link",
  },
];

/** All of it where the session never came so far. */
function sinceChosen(seen: Seen): Seen {
  const { chosenSince: since } = seen;
  if (since === undefined) return seen;
  return { ...seen, exchanges: seen.exchanges.filter(({ time }) => time >= since) };
}

/** Counts every row; `null` where the session cannot make the leak happen. */
export function countLeaks(seen: Seen): Record<string, number | null> {
  return Object.fromEntries(
    ROWS.map((row) => {
      if ("notDriven" in row) return [row.id, null];
      const leaks = row.leaks(row.isChosen === true ? sinceChosen(seen) : seen);
      return [row.id, typeof leaks === "number" ? leaks : leaks.length];
    }),
  );
}
