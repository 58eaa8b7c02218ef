/** Hosts of specs that need no Element of their own: a page that says it is one, and who signs in there. */
import type { Page } from "puppeteer-core";
import { type Route, answerJson, withPreflight } from "../support/recorder.ts";

const ME = "@a:hs.example.org";
/** What Mantle knows an Element by. */
export const ELEMENT_HTML =
  '<!doctype html><meta name="application-name" content="Element"><div id="matrixchat"></div>';

/** At `/no-wasm` a page that forbids WebAssembly. */
export const elementPage: Route = (request, response) => {
  response.writeHead(200, {
    "Content-Type": "text/html",
    ...(request.path === "/no-wasm"
      ? { "Content-Security-Policy": "script-src 'self'; connect-src *" }
      : {}),
  });
  response.end(ELEMENT_HTML);
};

/** Answers whatever it is asked as if somebody had signed in. */
export const signsInAnybody: Route = withPreflight((request, response) =>
  answerJson(request, response, 200, { user_id: ME }),
);

const LONG_AGO = Date.UTC(2023, 4, 1);
/** In one piece wider than a small screen. */
const OWNER = "@alongnamewithoutanybreak:hs.example.org";

type StateEvent = readonly [type: string, content: object, key?: string];

function room(...more: readonly StateEvent[]): object {
  const create: StateEvent = ["m.room.create", { room_version: "12" }];
  const events = [create, ...more].map(([type, content, key = ""]) => {
    return { type, content, state_key: key, sender: OWNER, origin_server_ts: LONG_AGO };
  });
  return { state: { events } };
}

const widget = { type: "m.custom", url: "https://pad.example.org/" };
const secretRoom = (name: string): object =>
  room(
    ["m.room.encryption", { algorithm: "m.megolm.v1.aes-sha2" }],
    ["m.room.encrypted", { ciphertext: "x" }, "m.room.topic:"],
    ["m.room.name", { name }],
    ["m.room.topic", { topic: name }],
    ["m.room.avatar", { url: "mxc://hs.example.org/r" }],
    ["im.vector.modular.widgets", widget, "pad"],
  );
const openRoom = (name: string): object =>
  room(
    ["m.room.name", { name }],
    ["m.room.join_rules", { join_rule: "public" }],
    ["m.room.history_visibility", { history_visibility: "world_readable" }],
    ["m.room.guest_access", { guest_access: "can_join" }],
  );
const data = (type: string, content: object): object => ({ type, content });

/** What a homeserver says of an account that shows everything that the check-up looks for. */
const TOLD: readonly (readonly [path: RegExp, answer: object])[] = [
  [
    /\/devices$/,
    {
      devices: ["Chrome/Windows", "Telephone"].map((name, at) => ({
        ...{ device_id: `D${at}`, display_name: name, last_seen_ts: LONG_AGO },
      })),
    },
  ],
  [
    /\/sync\?/,
    {
      account_data: {
        events: [
          data("m.identity_server", { base_url: "https://vector.im" }),
          data("m.widgets", {
            manager: {
              content: { type: "m.integration_manager", url: "https://scalar.vector.im/" },
            },
            stickers: {
              content: { type: "m.stickerpicker", url: "https://stickers.example.org/" },
            },
          }),
          data("m.push_rules", {
            global: {
              content: ["orchard", "harvest"].map((pattern) => ({
                ...{ rule_id: pattern, pattern, actions: ["notify"], enabled: true },
              })),
            },
          }),
        ],
      },
      rooms: {
        join: {
          "!a": secretRoom("Orchard"),
          "!b": secretRoom("Harvest"),
          "!c": openRoom("Market"),
        },
      },
    },
  ],
  [/\/account\/3pid$/, { threepids: [{ address: "a@example.org", added_at: LONG_AGO }] }],
  [
    /\/pushers$/,
    { pushers: [{ app_display_name: "Phone", data: { url: "https://push.example.org/" } }] },
  ],
  [/\/room_keys\/version$/, { version: "1", algorithm: "x", auth_data: {} }],
  [
    /\/profile\//,
    { displayname: "A", avatar_url: "mxc://hs.example.org/me", "m.tz": "Europe/Paris" },
  ],
  [/\/presence\//, { presence: "online", status_msg: "busy" }],
  [/\/directory\/list\/room\//, { visibility: "public" }],
];

/** As `signsInAnybody`, who has an account that shows everything, behind a content network. */
export const tellsEverything: Route = withPreflight((request, response) => {
  const [, answer] = TOLD.find(([path]) => path.test(request.path)) ?? [];
  response.setHeader("CF-Ray", "1");
  response.setHeader("Access-Control-Expose-Headers", "CF-Ray");
  answerJson(request, response, 200, answer ?? { user_id: ME });
});

/** Has a page say that somebody is signed in, whose session knows no key backup. */
export async function signInToPage(page: Page, homeserver: string): Promise<void> {
  await page.evaluate(
    (baseUrl, user) => {
      // Methods, since a compiler gives other functions their names by a helper that pages lack.
      const client = {
        baseUrl,
        getUserId() {
          return user;
        },
        getDeviceId() {
          return "HERE";
        },
        getAccessToken() {
          return "token";
        },
        getCrypto() {
          return {
            isKeyBackupTrusted() {
              return Promise.resolve({ trusted: false });
            },
          };
        },
      };
      const mxMatrixClientPeg = {
        get() {
          return client;
        },
      };
      Object.assign(globalThis, { mxMatrixClientPeg });
    },
    homeserver,
    OWNER,
  );
}
