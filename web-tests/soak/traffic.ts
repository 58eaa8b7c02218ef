/**
 * Eight hours of a busy Element as requests and answers, the same in every run: what one page asks
 * for, and what a homeserver tells it. Rooms and people are a fixed number, as a day has them; events,
 * files, links and searches are new each time, so that whatever is kept for each of them shows.
 */

export const SITE_HOMESERVER = "https://hs.example.org";
/** In every made-up id, so that the scripted half of the homeserver knows its own. */
export const SOAK = "soak-";

/** In one cycle. A day has 2,000 of them: 10,000 syncs, 50,000 requests, 2,000 changes of a room. */
export const CYCLE = { syncs: 5, requests: 25, changes: 1 } as const;

const ROOMS = 40;
const PEOPLE = 200;
/** Hosts that are no homeserver: links, pictures and widgets lead to some hundred in a day. */
const HOSTS = 120;

/**
 * The first syncs bring names that nobody here has the key of: more than Mantle lets wait (4,096), so
 * that what waits is as much as it can be before anything is judged.
 */
const UNREADABLE = { syncs: 40, each: 120 } as const;

const C = "/_matrix/client/v3";

export interface SoakRequest {
  readonly via: "fetch" | "xhr" | "beacon";
  readonly method: string;
  readonly url: string;
  readonly body?: string;
  /** With the session's token. */
  readonly signed: boolean;
}

export interface Cycle {
  readonly index: number;
  readonly requests: readonly SoakRequest[];
  /** A room is given this name. */
  readonly change: { readonly roomId: string; readonly name: string };
}

const room = (index: number): string => `!${SOAK}${index % ROOMS}:hs.example.org`;
const person = (index: number): string => `@${SOAK}${index % PEOPLE}:hs.example.org`;
const event = (index: number): string => `$${SOAK}${index}`;

type Draft = readonly [method: string, path: string, body?: unknown];

/** What request number `n` of the session's user is. */
function draft(n: number, user: string): Draft {
  const id = encodeURIComponent;
  const inRoom = `${C}/rooms/${id(room(n))}`;
  const own = `${C}/user/${id(user)}`;
  const drafts: readonly Draft[] = [
    ["GET", `${C}/profile/${id(person(n))}`],
    ["PUT", `${inRoom}/typing/${id(user)}`, { typing: n % 2 === 0, timeout: 30_000 }],
    ["POST", `${inRoom}/receipt/m.read/${id(event(n))}`, { thread_id: "main" }],
    ["POST", `${inRoom}/read_markers`, { "m.fully_read": event(n), "m.read": event(n) }],
    ["GET", `/_matrix/client/v1/media/thumbnail/hs.example.org/${SOAK}${n}?width=96&height=96`],
    ["GET", `/_matrix/client/v1/media/download/hs.example.org/${SOAK}${n}`],
    [
      "GET",
      `/_matrix/client/v1/media/preview_url?url=${id(`https://${SOAK}${n}.example.net/`)}&ts=${n}`,
    ],
    [
      "PUT",
      `${C}/presence/${id(user)}/status`,
      { presence: n % 2 === 0 ? "online" : "unavailable" },
    ],
    ["GET", `${inRoom}/messages?from=${SOAK}${n}&dir=b&limit=30`],
    ["GET", `${inRoom}/context/${id(event(n))}?limit=0`],
    ["GET", `/_matrix/client/v1/rooms/${id(room(n))}/relations/${id(event(n))}?limit=20`],
    ["GET", `${inRoom}/members?at=${SOAK}${n}&not_membership=leave`],
    ["GET", `${inRoom}/event/${id(event(n))}`],
    ["PUT", `${inRoom}/send/m.room.message/${SOAK}${n}`, { msgtype: "m.text", body: `Text ${n}` }],
    [
      "PUT",
      `${inRoom}/send/m.reaction/${SOAK}${n}`,
      { "m.relates_to": { rel_type: "m.annotation", event_id: event(n), key: "+" } },
    ],
    ["PUT", `${inRoom}/redact/${id(event(n))}/${SOAK}${n}`, {}],
    ["GET", `${inRoom}/state/m.room.name/`],
    ["POST", `${C}/user_directory/search`, { search_term: `${SOAK}person ${n}`, limit: 10 }],
    ["POST", `${C}/publicRooms`, { filter: { generic_search_term: `${SOAK}${n}` } }],
    [
      "PUT",
      `${own}/account_data/im.vector.setting.breadcrumbs`,
      { recent_rooms: [room(n), room(n + 1)] },
    ],
    ["PUT", `${own}/account_data/io.element.recent_emoji`, { recent_emoji: [["+", n]] }],
    ["PUT", `${own}/rooms/${id(room(n))}/account_data/m.marked_unread`, { unread: n % 2 === 0 }],
    ["POST", `${C}/keys/query`, { device_keys: { [person(n)]: [] }, timeout: 10_000 }],
    ["PUT", `${C}/sendToDevice/m.secret.request/${SOAK}${n}`, { messages: {} }],
    ["GET", `/_matrix/client/v1/rooms/${id(room(n))}/hierarchy?limit=20&from=${SOAK}${n}`],
  ];
  return drafts[n % drafts.length] ?? ["GET", `${C}/capabilities`];
}

/** Strangers: analytics, an identity server, an integration manager, and whatever is linked to. */
function stranger(n: number): SoakRequest {
  const host = [
    "posthog.example.org",
    "vector.im",
    "scalar.vector.im",
    `${SOAK}${n % HOSTS}.example.net`,
    `${SOAK}${(n * 7) % HOSTS}.example.net`,
  ][n % 5];
  const path = ["/e/", "/_matrix/identity/v2", "/api/widgets", `/picture/${n}.png`, "/"][n % 5];
  const url = `https://${host ?? ""}${path ?? "/"}`;
  if (n % 5 === 0) {
    return { via: "beacon", method: "POST", url, body: JSON.stringify({ n }), signed: false };
  }
  return { via: n % 2 === 0 ? "fetch" : "xhr", method: "GET", url, signed: false };
}

export function cycle(index: number, user: string, named: readonly string[]): Cycle {
  const requests = Array.from({ length: CYCLE.requests }, (_, at): SoakRequest => {
    const n = index * CYCLE.requests + at;
    if (at >= CYCLE.requests - 3) return stranger(index * 3 + at);
    const [method, path, body] = draft(n, user);
    const via = n % 3 === 0 ? "xhr" : "fetch";
    const url = SITE_HOMESERVER + path;
    const rest = body === undefined ? {} : { body: JSON.stringify(body) };
    return { via, method, url, signed: true, ...rest };
  });
  const roomId = named[index % named.length] ?? "";
  return { index, requests, change: { roomId, name: `Name ${index} of ${SOAK}room` } };
}

type Plain = Record<string, unknown>;

function timelineEvent(n: number): Plain {
  const base = {
    event_id: event(n),
    sender: person(n * 13),
    origin_server_ts: 1_700_000_000_000 + n,
    unsigned: { age: 12 },
  };
  const ciphertext = `${SOAK}ciphertext${n}`;
  switch (n % 12) {
    case 0:
      return { ...base, type: "m.room.encrypted", content: encrypted(n, ciphertext) };
    case 3:
      return {
        ...base,
        type: "m.reaction",
        content: {
          "m.relates_to": { rel_type: "m.annotation", event_id: event(n - 3), key: "+" },
        },
      };
    case 5:
      return { ...base, type: "m.room.redaction", redacts: event(n - 5), content: {} };
    case 7:
      return {
        ...base,
        type: "m.room.member",
        state_key: person(n * 13),
        content: { membership: n % 24 === 7 ? "join" : "leave", displayname: `Person ${n}` },
      };
    case 9:
      return { ...base, type: "m.room.name", state_key: "", content: { name: `Readable ${n}` } };
    case 11:
      // A name whose key never comes: to be tried again, in vain.
      return {
        ...base,
        type: "m.room.encrypted",
        state_key: "m.room.name:",
        content: encrypted(n, ciphertext),
      };
    default:
      return {
        ...base,
        type: "m.room.message",
        content: { msgtype: "m.text", body: `Message ${n} `.repeat(8) },
      };
  }
}

/** Names of a room, each of a session of its own. */
const unreadable = (n: number): Plain[] =>
  Array.from({ length: UNREADABLE.each }, (_, step) => {
    const number = `${n}-${step}`;
    return {
      type: "m.room.encrypted",
      state_key: "m.room.name:",
      event_id: `${event(n)}-unreadable${step}`,
      sender: person(n + step),
      origin_server_ts: 1_699_000_000_000 + n,
      content: {
        algorithm: "m.megolm.v1.aes-sha2",
        ciphertext: `${SOAK}ciphertext${number}`,
        session_id: `${SOAK}unreadable${number}`,
        sender_key: `${SOAK}key${step}`,
        device_id: "DEVICE",
      },
    };
  });

const encrypted = (n: number, ciphertext: string): Plain => ({
  algorithm: "m.megolm.v1.aes-sha2",
  ciphertext,
  session_id: `${SOAK}session${n}`,
  sender_key: `${SOAK}key${n % PEOPLE}`,
  device_id: "DEVICE",
});

/** What a room is told with when the page first hears of it. */
function firstState(index: number): Plain[] {
  const state = (type: string, key: string, content: unknown): Plain => ({
    type,
    state_key: key,
    content,
    sender: person(index),
    event_id: `${event(index)}-${type}-${key}`,
    origin_server_ts: 1_700_000_000_000,
  });
  return [
    state("m.room.create", "", { room_version: "11" }),
    state("m.room.power_levels", "", { users: { [person(index)]: 100 }, state_default: 0 }),
    state("m.room.encryption", "", { algorithm: "m.megolm.v1.aes-sha2" }),
    ...Array.from({ length: 10 }, (_, at) =>
      state("m.room.member", person(index + at * 17), { membership: "join" }),
    ),
  ];
}

/** The answer to sync number `n`; `changes` are state events of real rooms, by room. */
export function syncAnswer(n: number, changes: ReadonlyMap<string, readonly Plain[]>): Plain {
  const join: Record<string, Plain> = {};
  for (let at = 0; at < 3; at += 1) {
    const which = n * 3 + at;
    const events = [0, 1].map((step) => timelineEvent(which * 2 + step));
    if (at === 0 && n < UNREADABLE.syncs) events.push(...unreadable(n));
    join[room(which)] = {
      state: { events: which < ROOMS ? firstState(which) : [] },
      timeline: { events, limited: false, prev_batch: `${SOAK}${n}` },
      ephemeral: {
        events: [
          { type: "m.typing", content: { user_ids: [person(n)] } },
          {
            type: "m.receipt",
            content: {
              [event(which)]: { "m.read": { [person(n)]: { ts: n, thread_id: "main" } } },
            },
          },
        ],
      },
      account_data: {
        events: [{ type: "m.fully_read", content: { event_id: event(which) } }],
      },
      unread_notifications: { notification_count: n % 4, highlight_count: 0 },
    };
  }
  for (const [roomId, events] of changes) {
    join[roomId] = { timeline: { events, limited: false, prev_batch: `${SOAK}${n}` } };
  }
  const isSeldom = n % 100 === 50;
  return {
    next_batch: `${SOAK}${n + 1}`,
    rooms: {
      join,
      ...(isSeldom
        ? {
            invite: {
              [`!${SOAK}invite${n}:hs.example.org`]: {
                invite_state: {
                  events: [
                    {
                      type: "m.room.name",
                      state_key: "",
                      sender: person(n),
                      content: { name: `Invitation ${n}` },
                    },
                  ],
                },
              },
            },
            leave: { [`!${SOAK}left${n}:hs.example.org`]: { timeline: { events: [] } } },
          }
        : {}),
    },
    presence: {
      events: [{ type: "m.presence", sender: person(n), content: { presence: "online" } }],
    },
    account_data: {
      events:
        n % 50 === 0
          ? [{ type: "m.direct", content: { [person(n)]: [room(n), room(n + 1)] } }]
          : [],
    },
    to_device: {
      events:
        n % 10 === 0
          ? [
              {
                type: "m.room.encrypted",
                sender: person(n),
                content: {
                  algorithm: "m.olm.v1.curve25519-aes-sha2",
                  sender_key: `${SOAK}key${n % PEOPLE}`,
                  ciphertext: { [`${SOAK}own`]: { type: 0, body: `${SOAK}olm${n}` } },
                },
              },
            ]
          : [],
    },
    device_lists: { changed: n % 10 === 5 ? [person(n)] : [], left: [] },
    device_one_time_keys_count: { signed_curve25519: 50 },
    "org.matrix.msc2732.device_unused_fallback_key_types": ["signed_curve25519"],
  };
}
