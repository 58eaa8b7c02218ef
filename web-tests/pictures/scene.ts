/** Whose account is shown in pictures, and what Mantle counted there, in each language. */
import type { Page } from "puppeteer-core";
import type { BrowserKind } from "../support/browsers.ts";
import type { Account } from "../support/synapse.ts";
import { type World, startWorld } from "../support/world.ts";
import { openChecked } from "../e2e/checkup-page.ts";
import { type Guarded, PASSWORD } from "../e2e/encrypted-state/people.ts";
import {
  type ExtensionBrowser,
  launchMantle,
  storeLedger,
  storeSettings,
  tabShowing,
} from "../e2e/extension-pages.ts";

export const SITE = "chat.example.org";
const V3 = "/_matrix/client/v3";
const DAYS = 14;

type Json = Record<string, unknown>;

interface Scene {
  readonly user: string;
  readonly rooms: readonly string[];
  readonly sessions: readonly string[];
  readonly words: readonly string[];
}

/** Whose account it is, in each language. */
const SCENES: Readonly<Record<string, Scene>> = {
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

/** Each scene once it was lived, in a browser of its own that speaks its language. */
export async function inEachLanguage(
  kind: BrowserKind,
  task: (language: string, running: ExtensionBrowser, person: Guarded) => Promise<void>,
): Promise<void> {
  const world = await startWorld();
  try {
    for (const [language, scene] of Object.entries(SCENES)) {
      const running = await launchMantle(kind, world.recorder.port, { languages: language });
      try {
        const person = await openChecked(world, running, scene.user, SITE);
        await live(world, person, scene);
        await task(language, running, person);
      } finally {
        await running.close();
      }
    }
  } finally {
    await world.close();
  }
}

/** Says yes for the person, and which tab shows their Element. */
export async function tabWithConsent(settings: Page): Promise<number> {
  await storeSettings(settings, { version: 1, options: { general: { consent: true } } });
  return tabShowing(settings, SITE);
}

/** What an account has that is a few years old, and an hour of its Element. */
async function live(world: World, person: Guarded, scene: Scene): Promise<void> {
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
  await storeLedger(page, DAYS, (day, time) =>
    rows.map(([shield, action, host, endpoint], at) => ({
      ...{ shield, action, host, endpoint },
      count: 2 + (((at + 2) * (day * day + 5)) % 23),
      last: time - at * 1_700_000,
    })),
  );
}
