/** Integration managers learn nothing; what is not a manager works as before. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive, tryToDrive } from "../../support/client-page.ts";
import { isAsked, openQuestion, press } from "../../support/question.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { until } from "../extension-pages.ts";
import {
  assertNone,
  assertWorks,
  countFetches,
  observe,
  onBoth,
  openSides,
  sent,
  to,
} from "./sides.ts";
import type { Side, Sides } from "./sides.ts";

const CONFIG_MANAGER = {
  rest: "https://im.example.org/manager/api",
  ui: "https://im.example.org/manager/",
};
const SERVER_MANAGER = {
  rest: "https://im-server.example.org/api",
  ui: "https://im-server.example.org/ui",
};
const ACCOUNT_MANAGER = {
  rest: "https://im-account.example.org/api",
  ui: "https://im-account.example.org/ui",
};
/** Every shape of address a manager has. */
const BASES = [
  "https://scalar.vector.im/api",
  "https://scalar.vector.im/_matrix/integrations/v1",
  "https://scalar-staging.vector.im/api",
  "https://scalar-staging.vector.im/_matrix/integrations/v1",
  "https://scalar-staging.riot.im/scalar/api",
  "https://any.example.net/_matrix/integrations/v1",
  "https://any.example.net/below/a/path/_matrix/integrations/v1",
];
const ROOM = "!room:hs.example.org";

const widgets = {
  manager: {
    type: "m.integration_manager",
    content: {
      type: "m.integration_manager",
      url: ACCOUNT_MANAGER.ui,
      data: { api_url: ACCOUNT_MANAGER.rest },
    },
  },
  stickers: {
    type: "m.widget",
    content: { type: "m.stickerpicker", url: "https://stickers.example.org/" },
  },
};

for (const kind of bothBrowsers) {
  describe(`integrations in ${kind}`, { timeout: 240_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({
        client: {
          config: (config) => ({
            ...config,
            integrations_ui_url: CONFIG_MANAGER.ui,
            integrations_rest_url: CONFIG_MANAGER.rest,
          }),
        },
        wellKnown: {
          "m.integrations": {
            managers: [{ api_url: SERVER_MANAGER.rest, ui_url: SERVER_MANAGER.ui }],
          },
          "org.matrix.msc4143.rtc_foci": [
            { type: "livekit", livekit_service_url: "https://livekit.example.org/service" },
          ],
        },
      });
      sides = await openSides(kind, world);
      for (const side of [sides.without, sides.with]) {
        await storeWidgets(side);
        await side.signIn();
        // The client asks for `.well-known` on its own, beside the first sync.
        await drive(side.page, "homeserverCall", "GET", "/.well-known/matrix/client");
      }
    });

    after(async () => {
      await sides?.close();
      await world?.close();
    });

    async function storeWidgets(side: Side): Promise<void> {
      const path = `/_matrix/client/v3/user/${side.account.userId}/account_data/m.widgets`;
      await world.synapse.call(side.account, "PUT", path, widgets);
    }

    it("hides the managers of config.json, .well-known and the account", async () => {
      const both = await onBoth(sides, (side) => drive(side.page, "managers"));
      assert.deepEqual(both.without.value, [
        { ui: ACCOUNT_MANAGER.ui, rest: ACCOUNT_MANAGER.rest },
        { ui: SERVER_MANAGER.ui, rest: SERVER_MANAGER.rest },
        { ui: CONFIG_MANAGER.ui, rest: CONFIG_MANAGER.rest },
      ]);
      assert.deepEqual(both.with.value, []);
    });

    for (const base of [...BASES, CONFIG_MANAGER.rest, SERVER_MANAGER.rest, ACCOUNT_MANAGER.rest]) {
      it(`never signs up at ${base}`, async () => {
        const both = await onBoth(sides, (side) => tryToDrive(side.page, "managerAccount", base));
        const { host } = new URL(base);
        const signUp = to(both.without, host).find(({ path }) => path.includes("/register?v=1.1"));
        assert.equal(typeof sent(signUp)["access_token"], "string");
        assert.equal(sent(signUp)["matrix_server_name"], "hs.example.org");
        assertNone(both.with, host);
        assert.equal(both.with.value.ok, false);
        assert.match(both.with.value.ok ? "" : both.with.value.error, /HTTP 403.*M_FORBIDDEN/);
      });
    }

    it("never reads nor accepts terms", async () => {
      const both = await onBoth(sides, (side) =>
        tryToDrive(side.page, "managerTerms", "https://scalar.vector.im/api", "token"),
      );
      const terms = to(both.without, "scalar.vector.im").map(
        ({ method, path }) => `${method} ${path}`,
      );
      assert.deepEqual(terms, [
        "GET /_matrix/integrations/v1/terms",
        "POST /_matrix/integrations/v1/terms",
      ]);
      assertNone(both.with, "scalar.vector.im");
      // js-sdk understands the refusal as an answer of a Matrix server.
      assert.equal(both.with.value.ok ? "" : both.with.value.errcode, "M_FORBIDDEN");
    });

    it("never opens the manager's page with the room's name", async () => {
      const both = await onBoth(sides, async (side) => {
        const { roomId } = await drive(side.page, "createRoom", {
          name: "Secret Plans",
          encrypted: true,
        });
        await drive(side.page, "roomName", roomId, "Secret Plans");
        return drive(side.page, "openManager", "https://scalar.vector.im/", {
          roomId,
          token: "token",
        });
      });
      const [page] = to(both.without, "scalar.vector.im");
      assert.match(page?.path ?? "", /room_name=Secret\+Plans/);
      assert.deepEqual(both.without.value, { loaded: true });
      assertNone(both.with, "scalar.vector.im");
      assert.deepEqual(both.with.value, { loaded: false });
    });

    it("tells no widget state and looks up no titles", async () => {
      const both = await onBoth(sides, async (side) => {
        const rest = "https://scalar.vector.im/api";
        await tryToDrive(side.page, "disableWidgetAssets", rest, "token", "stickers");
        await tryToDrive(
          side.page,
          "lookUpTitle",
          rest,
          "token",
          "https://link.example.org/secret",
        );
      });
      assert.equal(to(both.without, "scalar.vector.im").length, 2);
      assertNone(both.with, "scalar.vector.im");
    });

    for (const url of [
      "https://other.example.net/x?scalar_token=abc",
      "https://other.example.net/x?a=1&scalar_token=abc&b=2",
      "https://other.example.net/?scalar_token=",
    ]) {
      it(`sends no manager's token: ${url}`, async () => {
        const both = await onBoth(sides, async (side) => {
          const fetched = await drive(side.page, "visit", url);
          await drive(side.page, "requestImage", `${url}#image`);
          await drive(side.page, "openFrame", url);
          return fetched.status;
        });
        assert.ok(to(both.without, "other.example.net").length >= 3);
        assertNone(both.with, "other.example.net");
        assert.equal(both.with.value, 403);
      });
    }

    it("lets other addresses of the same hosts' neighbours pass", async () => {
      const both = await onBoth(sides, async (side) => {
        await drive(side.page, "visit", "https://other.example.net/x?my_scalar_tokens=1");
        await drive(side.page, "visit", "https://notscalar.vector.im/api/register");
        // Only the manager's part of a host is closed.
        await drive(side.page, "visit", "https://im.example.org/elsewhere");
      });
      for (const side of [both.without, both.with]) {
        assert.equal(
          to(side, /^(other\.example\.net|notscalar\.vector\.im|im\.example\.org)$/).length,
          3,
        );
      }
    });

    for (const form of ["json", "query", "header", "form"] as const) {
      it(`stops an OpenID token in a ${form} on its way to a host that is not allowed`, async () => {
        const both = await onBoth(sides, (side) =>
          drive(side.page, "giveOpenIdToken", "https://live.example.org/createStream", ROOM, form),
        );
        const { value } = both.without;
        const [given] = to(both.without, "live.example.org");
        const everything = `${given?.path} ${JSON.stringify(given?.headers)} ${given?.body.toString()}`;
        assert.ok(
          everything.includes(value.token) || everything.includes(encodeURIComponent(value.token)),
        );
        assertNone(both.with, "live.example.org");
        assert.equal(both.with.value.status, 403);
        // The homeserver still gave one: only its way out is closed.
        assert.ok(both.with.value.token.length > 0);
      });
    }

    it("delivers an OpenID token to the call server the homeserver names", async () => {
      const both = await onBoth(sides, (side) =>
        drive(side.page, "giveOpenIdToken", "https://livekit.example.org/sfu/get", ROOM, "json"),
      );
      for (const side of [both.without, both.with]) {
        const [given] = to(side, "livekit.example.org");
        const token = sent(given)["openid_token"] as { access_token: string };
        assert.equal(token.access_token, side.value.token);
      }
    });

    it("delivers it to a call server on the person's list, and to no other", async () => {
      const url = "https://sfu.example.net/sfu/get";
      const give = (side: Side): Promise<{ status: number; token: string }> =>
        drive(side.page, "giveOpenIdToken", url, ROOM, "json");
      const both = await onBoth(sides, give);
      assert.equal(to(both.without, "sfu.example.net").length, 1);
      assertNone(both.with, "sfu.example.net");
      await sides.settings({ version: 1, allow: { calls: ["sfu.example.net"] } });
      const isGiven = async (): Promise<boolean> => (await give(sides.with)).status !== 403;
      await until(isGiven, "the list in the page", 30_000);
      assert.ok(sides.with.recorder.to("sfu.example.net").length > 0);
      await sides.settings(undefined);
      await until(async () => !(await isGiven()), "no list in the page", 30_000);
    });

    it("asks before a call in the page itself gives a stranger's call server one", async () => {
      const { page, recorder } = sides.with;
      // As Element Call asks (MSC4195).
      const ask = (host: string): Promise<number> =>
        page.evaluate(
          async (url, room) => {
            const openid_token = {
              access_token: "of-the-page",
              matrix_server_name: "hs.example.org",
            };
            const member = { id: "1", claimed_device_id: "D" };
            const body = JSON.stringify({ room_id: room, openid_token, member });
            return (await fetch(url, { method: "POST", body })).status;
          },
          `https://${host}/get_token`,
          ROOM,
        );
      const refused = ask("no.example.net");
      assert.match((await openQuestion(page)).text[0] ?? "", / no\.example\.net,/);
      assert.equal(recorder.to("no.example.net").length, 0);
      await press(page, "Cancel");
      assert.equal(await refused, 403);
      assert.equal(await ask("no.example.net"), 403);
      assert.equal(recorder.to("no.example.net").length, 0);

      const held = [ask("yes.example.net"), ask("yes.example.net")];
      await openQuestion(page);
      assert.equal(recorder.to("yes.example.net").length, 0);
      await press(page, "Connect");
      for (const status of await Promise.all(held)) assert.notEqual(status, 403);
      assert.notEqual(await ask("yes.example.net"), 403);
      assert.equal(recorder.to("yes.example.net").length, 3);
      assert.equal(await isAsked(page), false);
    });

    it("saves no manager to the account, and other widgets as before", async () => {
      const both = await onBoth(sides, async (side) => {
        const refused = await tryToDrive(side.page, "writeAccountData", "m.widgets", {
          ...widgets,
          manager: { ...widgets.manager, extra: 1 },
        });
        const { stickers } = widgets;
        const other = await tryToDrive(side.page, "writeAccountData", "m.widgets", {
          stickers: { ...stickers, extra: Math.random() },
        });
        return { refused: refused.ok ? "" : refused.errcode, other: other.ok };
      });
      assert.deepEqual(both.without.value, { refused: "", other: true });
      assert.deepEqual(both.with.value, { refused: "M_FORBIDDEN", other: true });
      const written = both.with.seen.filter(
        ({ method, path }) => method === "PUT" && path.includes("m.widgets"),
      );
      assert.equal(written.length, 1);
      assert.ok(!written[0]?.body.includes("m.integration_manager"));
    });

    it("drops managers where the account is asked directly, and keeps other widgets", async () => {
      const both = await onBoth(sides, async (side) => {
        await storeWidgets(side);
        const path = `/_matrix/client/v3/user/${side.account.userId}/account_data/m.widgets`;
        const { body } = await drive(side.page, "homeserverCall", "GET", path);
        return Object.keys(JSON.parse(body) as object).sort();
      });
      assert.deepEqual(both.without.value, ["manager", "stickers"]);
      assert.deepEqual(both.with.value, ["stickers"]);
    });

    it("is quiet: one try each, nothing unhandled, and the session works", async () => {
      const fetched = await countFetches(sides.with.page);
      await tryToDrive(sides.with.page, "managerAccount", "https://scalar.vector.im/api");
      await tryToDrive(sides.with.page, "managerTerms", "https://scalar.vector.im/api", "token");
      const tries = (await fetched()).filter((url) => url.startsWith("https://scalar.vector.im"));
      assert.equal(tries.length, 2);
      await assertWorks(sides.without);
      await assertWorks(sides.with);
    });

    it("lets an allowed manager work, and everything when the shield is off", async () => {
      try {
        await sides.settings({ version: 1, allow: { integrations: ["scalar.vector.im"] } });
        await sides.with.reopen();
        await sides.with.signIn();
        const allowed = await observe(sides.with, async ({ page }) => {
          const account = await drive(page, "managerAccount", "https://scalar.vector.im/api");
          await drive(page, "managerTerms", "https://scalar.vector.im/api", account.token);
          const opened = await drive(page, "openManager", "https://scalar.vector.im/", {
            roomId: ROOM,
            token: account.token,
          });
          await tryToDrive(page, "managerAccount", "https://scalar-staging.vector.im/api");
          return { account, opened };
        });
        assert.equal(allowed.value.account.userId, "@alice:hs.example.org");
        assert.deepEqual(allowed.value.opened, { loaded: true });
        assert.equal(to(allowed, "scalar.vector.im").length, 5);
        assertNone(allowed, "scalar-staging.vector.im");

        await sides.settings({ version: 1, shields: { integrations: "off" } });
        await sides.with.reopen();
        await sides.with.signIn();
        const off = await observe(sides.with, ({ page }) =>
          tryToDrive(page, "managerAccount", "https://scalar-staging.vector.im/api"),
        );
        assert.equal(to(off, "scalar-staging.vector.im").length, 2);
      } finally {
        await sides.settings(undefined);
      }
    });
  });
}
