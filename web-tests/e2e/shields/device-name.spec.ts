/** Sessions get one plain name; browser, system and site stay unknown. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive } from "../../support/client-page.ts";
import type { Exchange } from "../../support/recorder.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { assertWorks, observe, onBoth, openSides, sent, to } from "./sides.ts";
import type { Observed, Sides } from "./sides.ts";

const PLAIN = "Element";
const TELLING = /^chat\.example\.org: (Chrome Headless|Chrome|Firefox) on Linux$/;
const FIELD = "initial_device_display_name";

function named(observed: Observed<unknown>, path: RegExp): Exchange[] {
  return to(observed, HOMESERVER).filter(
    (exchange) => exchange.method !== "GET" && path.test(exchange.path),
  );
}

for (const kind of bothBrowsers) {
  describe(`device-name in ${kind}`, { timeout: 240_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld();
      sides = await openSides(kind, world);
    });

    after(async () => {
      await sides?.close();
      await world?.close();
    });

    it("is plain for the guest that Element registers at page load", async () => {
      const guest = (name: "without" | "with"): Exchange | undefined =>
        sides[name].recorder
          .to(HOMESERVER)
          .find(({ path }) => path.endsWith("/register?kind=guest"));
      assert.match(String(sent(guest("without"))[FIELD]), TELLING);
      assert.equal(sent(guest("with"))[FIELD], PLAIN);
      assert.equal(guest("with")?.status, 200);
    });

    it("is plain when signing in, and the rest of the request is untouched", async () => {
      const both = await onBoth(sides, (side) => side.signIn());
      const [bare] = named(both.without, /\/login$/);
      const [guarded] = named(both.with, /\/login$/);
      assert.match(String(sent(bare)[FIELD]), TELLING);
      const expected = {
        ...sent(bare),
        identifier: sent(guarded)["identifier"],
        [FIELD]: PLAIN,
      };
      assert.deepEqual(sent(guarded), expected);
      assert.deepEqual(Object.keys(sent(guarded)), Object.keys(sent(bare)));
      assert.equal(guarded?.headers["content-length"], String(guarded?.body.length));
      assert.equal(guarded?.headers["content-type"], bare?.headers["content-type"]);
    });

    it("is plain in both requests of an interactive registration", async () => {
      const both = await onBoth(sides, (side) =>
        drive(side.page, "register", `${side.name}${Date.now()}`, "a password"),
      );
      const bare = named(both.without, /\/register$/);
      const guarded = named(both.with, /\/register$/);
      // The first answer, 401 with the flows, reached the page: it tried again.
      assert.deepEqual(
        bare.map(({ status }) => status),
        [401, 200],
      );
      assert.deepEqual(
        guarded.map(({ status }) => status),
        [401, 200],
      );
      assert.equal(both.with.value.requests, 2);
      for (const exchange of bare) assert.match(String(sent(exchange)[FIELD]), TELLING);
      const [first, second] = guarded.map((exchange) => sent(exchange));
      assert.equal(first?.[FIELD], PLAIN);
      const { auth, ...rest } = second ?? {};
      assert.deepEqual(rest, first);
      assert.equal((auth as { type: string }).type, "m.login.dummy");
      assert.equal(typeof (auth as { session?: string }).session, "string");
    });

    for (const version of ["r0", "v3", "v1", "unstable"]) {
      it(`is plain under /client/${version}/`, async () => {
        const both = await onBoth(sides, async ({ page }) => {
          const login = { type: "m.login.password", user: "nobody", password: "wrong" };
          for (const path of ["login", "register", "register?kind=guest"]) {
            await drive(page, "homeserverCall", "POST", `/_matrix/client/${version}/${path}`, {
              ...login,
              [FIELD]: "chat.example.org: Chrome on Linux",
            });
          }
        });
        const names = (observed: Observed<unknown>): unknown[] =>
          named(observed, /\/(login|register)/).map((exchange) => sent(exchange)[FIELD]);
        assert.equal(names(both.without).length, 3);
        for (const name of names(both.without)) assert.match(String(name), TELLING);
        assert.deepEqual(names(both.with), [PLAIN, PLAIN, PLAIN]);
      });
    }

    it("adds no name where the page sent none", async () => {
      const both = await onBoth(sides, ({ page }) =>
        drive(page, "homeserverCall", "POST", "/_matrix/client/v3/login", {
          type: "m.login.token",
        }),
      );
      assert.deepEqual(
        named(both.with, /\/login$/)[0]?.body,
        named(both.without, /\/login$/)[0]?.body,
      );
    });

    it("is plain when a session is renamed", async () => {
      const both = await onBoth(sides, async (side) => {
        const [device] = await drive(side.page, "devices");
        const deviceId = device?.deviceId ?? "";
        await drive(side.page, "renameDevice", deviceId, "Ada's laptop at the clinic");
        const devices = await drive(side.page, "devices");
        return devices.find((candidate) => candidate.deviceId === deviceId)?.name;
      });
      assert.equal(both.without.value, "Ada's laptop at the clinic");
      assert.equal(both.with.value, PLAIN);
      assert.deepEqual(sent(named(both.with, /\/devices\//)[0]), { display_name: PLAIN });
    });

    it("is what other users see", async () => {
      const peer = await world.synapse.register(`peer${Date.now()}`, "a password");
      const seen = async (userId: string): Promise<string[]> => {
        const keys = await world.synapse.call(peer, "POST", "/_matrix/client/v3/keys/query", {
          device_keys: { [userId]: [] },
        });
        return [...JSON.stringify(keys).matchAll(/"device_display_name":"([^"]*)"/g)].map(
          (match) => match[1] ?? "",
        );
      };
      // The session renamed above and others of the same user.
      await sides.without.reopen();
      await sides.without.signIn();
      await sides.with.reopen();
      await sides.with.signIn();
      assert.ok((await seen(sides.without.account.userId)).some((name) => TELLING.test(name)));
      const names = await seen(sides.with.account.userId);
      assert.ok(names.length > 0);
      assert.deepEqual(
        names.filter((name) => name !== PLAIN),
        [],
      );
    });

    it("is plain where a client registers at an authorisation server", async () => {
      const both = await onBoth(sides, ({ page }) =>
        drive(page, "registerOAuthClient", "https://auth.example.org"),
      );
      const registration = (observed: Observed<unknown>): Record<string, unknown> =>
        sent(to(observed, "auth.example.org").find(({ method }) => method === "POST"));
      assert.equal(registration(both.without)["client_name"], "Example Org Chat");
      const { client_name: name, ...rest } = registration(both.with);
      assert.equal(name, PLAIN);
      const { client_name: _, contacts: _contacts, ...told } = registration(both.without);
      const { logo_uri: logo, tos_uri: terms, policy_uri: privacy, ...bare } = told;
      assert.ok(
        [logo, terms, privacy].every((address) => String(address).includes("chat.example.org")),
      );
      // Redirects must stay: the sign-in comes back there.
      assert.deepEqual(rest, bare);
      assert.equal(both.with.value.clientId, "client-id-1");
    });

    it("takes the user's own text, and the browser's when the shield is off", async () => {
      try {
        for (const [settings, expected] of [
          [{ version: 1, deviceName: 'Desk "3" – Küche' }, /^Desk "3" – Küche$/],
          [{ version: 1, shields: { "device-name": "flag" } }, TELLING],
          [{ version: 1, shields: { "device-name": "off" } }, TELLING],
        ] as const) {
          await sides.settings(settings as never);
          await sides.with.reopen();
          const guests = sides.with.recorder
            .to(HOMESERVER)
            .filter(({ path }) => path.includes("kind=guest"));
          assert.match(String(sent(guests[0])[FIELD]), expected);
          const signedIn = await observe(sides.with, (side) => side.signIn());
          assert.match(String(sent(named(signedIn, /\/login$/)[0])[FIELD]), expected);
        }
      } finally {
        await sides.settings(undefined);
      }
    });

    it("leaves the session working", async () => {
      await sides.with.reopen();
      await sides.with.signIn();
      await assertWorks(sides.without);
      await assertWorks(sides.with);
    });
  });
}
