/** Whose account is shown in pictures, and what Mantle counted there, in each language. */
import type { Page } from "puppeteer-core";
import type { Account } from "../support/synapse.ts";
import type { World } from "../support/world.ts";
import { type Guarded, PASSWORD } from "../e2e/encrypted-state/people.ts";
import { callApi } from "../e2e/extension-pages.ts";

export const SITE = "chat.example.org";
const V3 = "/_matrix/client/v3";
const DAYS = 14;

type Json = Record<string, unknown>;

export interface Scene {
  readonly user: string;
  readonly rooms: readonly string[];
  readonly sessions: readonly string[];
  readonly words: readonly string[];
}

/** Whose account it is, in each language. */
export const SCENES: Readonly<Record<string, Scene>> = {
  en: {
    user: "alice",
    rooms: ["Orchard plans", "Board, in confidence", "Family"],
    sessions: ["chat.example.org: Chrome on Windows", "Alice's telephone"],
    words: ["orchard"],
  },
  de: {
    user: "anna",
    rooms: ["Gartenpläne", "Vorstand, vertraulich", "Familie"],
    sessions: ["chat.example.org: Chrome unter Windows", "Annas Telefon"],
    words: ["garten"],
  },
  fr: {
    user: "alix",
    rooms: ["Plans du verger", "Bureau, confidentiel", "Famille"],
    sessions: ["chat.example.org: Chrome sur Windows", "Téléphone d’Alix"],
    words: ["verger"],
  },
};

/** Calls home of an Element without Mantle, by how often. */
const CALLS: readonly (readonly [url: string, times: number])[] = [
  ["https://scalar.vector.im/api/register", 12],
  ["https://vector.im/_matrix/identity/v2", 3],
  ["https://posthog.element.io/e/", 7],
  ["https://api.maptiler.com/maps/x/style.json", 2],
];

/** What an account has that is a few years old, and an hour of its Element. */
export async function live(world: World, person: Guarded, scene: Scene): Promise<void> {
  const me: Account = person.credentials;
  const call = (method: string, path: string, body: Json): Promise<Json> =>
    world.synapse.call(me, method, path, body);
  const data = (type: string): string => `${V3}/user/${me.userId}/account_data/${type}`;
  for (const name of scene.sessions) {
    const identifier = { type: "m.id.user", user: scene.user };
    const login = { type: "m.login.password", identifier, password: PASSWORD };
    await call("POST", `${V3}/login`, { ...login, initial_device_display_name: name });
  }
  await call("PUT", data("m.identity_server"), { base_url: "https://vector.im" });
  const manager = { type: "m.integration_manager", url: "https://scalar.vector.im/" };
  await call("PUT", data("m.widgets"), { manager: { content: manager } });
  for (const word of scene.words) {
    const rule = { pattern: word, actions: ["notify"] };
    await call("PUT", `${V3}/pushrules/global/content/${word}`, rule);
  }
  for (const name of scene.rooms) {
    const encryption = { algorithm: "m.megolm.v1.aes-sha2" };
    const { room_id: room } = await call("POST", `${V3}/createRoom`, {
      name,
      initial_state: [{ type: "m.room.encryption", state_key: "", content: encryption }],
    });
    await person.seeName(String(room), name);
    await person.page.evaluate(
      async (base, roomId, user) => {
        const path = `${base}/_matrix/client/v3/rooms/${roomId}/typing/${user}`;
        const body = JSON.stringify({ typing: true, timeout: 1_000 });
        await fetch(path, { method: "PUT", body }).catch(() => undefined);
      },
      `https://${me.userId.replace(/^.*:/, "")}`,
      String(room),
      me.userId,
    );
  }
  await person.page.evaluate(async (calls: typeof CALLS) => {
    for (const [url, times] of calls) {
      for (let time = 0; time < times; time += 1) {
        await fetch(url, { method: "POST", body: "{}" }).catch(() => undefined);
      }
    }
  }, CALLS);
}

/** Two weeks, as the background counts them. */
export async function fillLedger(page: Page): Promise<void> {
  const rows = [
    ["integrations", "blocked", "scalar.vector.im", "/api/register"],
    ["identity", "blocked", "vector.im", "/_matrix/identity/v2"],
    ["telemetry", "blocked", "posthog.element.io", "/e/"],
    ["typing", "answered", "hs.example.org", "rooms/{}/typing/{}"],
    ["receipts", "rewritten", "hs.example.org", "rooms/{}/receipt/{}/{}"],
    ["maps", "blocked", "api.maptiler.com", "/maps"],
  ] as const;
  const days: Record<string, { [key: string]: number | string }[]> = {};
  for (let day = 0; day < DAYS; day += 1) {
    const time = Date.now() - day * 24 * 60 * 60 * 1000;
    const date = new Date(time);
    const name = [date.getFullYear(), date.getMonth() + 1, date.getDate()]
      .map((part) => String(part).padStart(2, "0"))
      .join("-");
    days[`ledger/${name}`] = rows.map(([shield, action, host, endpoint], at) => ({
      ...{ shield, action, host, endpoint },
      count: 2 + (((at + 2) * (day * day + 5)) % 23),
      last: time - at * 1_700_000,
    }));
  }
  await callApi(page, "storage.local.set", days);
}
