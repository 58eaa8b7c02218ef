/** Element's own settings arrive hardened, and nothing else in them is touched. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive, openClient } from "../../support/client-page.ts";
import { answerJson } from "../../support/recorder.ts";
import type { Handler } from "../../support/recorder.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { assertWorks, onBoth, openSides, to } from "./sides.ts";
import type { Sides } from "./sides.ts";

type Plain = Record<string, unknown>;

/** Old names of keys still count in Element. */
const OLD_NAMES: Plain = {
  brand: "Old",
  defaultServerConfig: {
    "m.homeserver": { base_url: "https://hs.example.org" },
    "m.identity_server": { base_url: "https://vector.im" },
  },
  integrationsUiUrl: "https://scalar.vector.im/",
  integrationsRestUrl: "https://scalar.vector.im/api",
  integrationsWidgetsUrls: ["https://scalar.vector.im/api"],
  defaultIsUrl: "https://vector.im",
  default_is_url: "https://vector.im",
};
const WELL_KNOWN: Plain = {
  "m.integrations": {
    managers: [{ api_url: "https://im.example.org/api", ui_url: "https://im.example.org/" }],
  },
  "io.element.call_behaviour": { widget_build_url: "https://build.example.org/" },
  "org.example.other": { kept: [1, 2.5, "ü", null, { deep: true }] },
};
const serve =
  (content: unknown): Handler =>
  (request, response) =>
    answerJson(request, response, 200, content);

for (const kind of bothBrowsers) {
  describe(`config in ${kind}`, { timeout: 240_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({
        client: {
          answers: {
            "/config.old.example.json": serve(OLD_NAMES),
            "/config.broken.example.json": (_request, response) => {
              response.writeHead(200, { "Content-Type": "application/json" });
              response.end('{ "integrations_ui_url": "https://scalar.vector.im/", ');
            },
            "/config.other.example.json": serve({ brand: "Other", default_country_code: "DE" }),
            "/config.empty.example.json": serve({}),
            "/config.missing.example.json": (request, response) =>
              answerJson(request, response, 404, { integrations_ui_url: "https://x.example.org" }),
            "/config.txt": serve({ integrations_ui_url: "https://scalar.vector.im/" }),
          },
        },
        wellKnown: WELL_KNOWN,
        synapseConfig: { default_identity_server: "https://vector.im" },
      });
      sides = await openSides(kind, world);
    });

    after(async () => {
      await sides?.close();
      await world?.close();
    });

    const read = async (url: string): Promise<{ without: Plain; with: Plain }> => {
      const both = await onBoth(sides, async ({ page }) =>
        page.evaluate(async (address: string) => {
          const response = await fetch(address);
          const { url: final, status, ok, type, redirected } = response;
          const header = response.headers.get("content-type");
          const copy = await response.clone().text();
          const text = await response.text();
          return { final, status, ok, type, redirected, header, text, same: copy === text };
        }, url),
      );
      return { without: both.without.value, with: both.with.value };
    };
    const content = (answer: Plain): Plain => JSON.parse(String(answer["text"])) as Plain;

    it("makes Element start without managers and identity server, with a plain device name", async () => {
      const both = await onBoth(sides, ({ page }) => drive(page, "loaded"));
      const bare = both.without.value;
      const guarded = both.with.value;
      assert.equal(bare.identityServerUrl, "https://vector.im");
      assert.equal(bare.config.integrations_rest_url, "https://scalar.vector.im/api");
      assert.equal(guarded.identityServerUrl, undefined);
      assert.equal(guarded.config.integrations_rest_url, null);
      assert.equal(guarded.config.integrations_ui_url, null);
      assert.deepEqual(guarded.config.integrations_widgets_urls, []);
      assert.equal(guarded.config.default_device_display_name, "Element");
      assert.equal(guarded.homeserverUrl, "https://hs.example.org");
      // Discovery itself is content: no banner for the person.
      assert.deepEqual(guarded.discovered["m.homeserver"], bare.discovered["m.homeserver"]);
      assert.notEqual(guarded.discovered["m.identity_server"].state, "FAIL_PROMPT");
      assert.deepEqual(guarded.problems, []);
    });

    it("sends nothing to a homeserver whose address hides what is asked of it", async () => {
      const bases = ["?", "?x=https://x.example", "#", "?x#y"].map(
        (end, index) => `https://hs.example.org/hidden-${index}/${end}`,
      );
      const answers = await onBoth(sides, ({ page }) =>
        page.evaluate(async (all: string[]) => {
          const body = '{"initial_device_display_name":"hidden"}';
          const statuses: (number | string)[] = [];
          for (const base of all) {
            const login = `${base}/_matrix/client/v3/login`;
            const answer = fetch(login, { method: "POST", body });
            statuses.push(await answer.then(({ status }) => status).catch(() => "no CORS"));
            const request = new XMLHttpRequest();
            request.open("POST", `${base}/_matrix/client/v3/createRoom`);
            const isOver = new Promise((resolve) => {
              request.onloadend = resolve;
            });
            request.send(body);
            await isOver;
            statuses.push(request.status);
          }
          return statuses;
        }, bases),
      );
      const told = (side: "without" | "with"): number =>
        to(answers[side], "hs.example.org").filter(({ path }) => path.startsWith("/hidden-"))
          .length;
      assert.equal(told("without"), 2 * bases.length);
      assert.equal(told("with"), 0);
      assert.deepEqual(
        answers.with.value,
        bases.flatMap(() => [403, 403]),
      );
    });

    it("changes config.json in these keys only", async () => {
      const both = await read("/config.json?cachebuster=1");
      const expected = content(both.without);
      const server = expected["default_server_config"] as Plain;
      delete server["m.identity_server"];
      expected["integrations_ui_url"] = null;
      expected["integrations_rest_url"] = null;
      expected["integrations_widgets_urls"] = [];
      expected["default_device_display_name"] = "Element";
      const defaults = expected["setting_defaults"] as Plain;
      defaults["UIFeature.identityServer"] = false;
      defaults["MessageComposerInput.showStickersButton"] = false;
      Object.assign(defaults, {
        sendTypingNotifications: false,
        dontSendTypingNotifications: true,
        sendReadReceipts: false,
        urlPreviewsEnabled: false,
        "UIFeature.urlPreviews": false,
        "UIFeature.locationSharing": false,
        automaticKeyBackNotEnabledReporting: false,
        automaticDecryptionErrorReporting: false,
        automaticErrorReporting: false,
        analyticsOptIn: false,
        "Performance.addSendMessageTimingMetadata": false,
        webRtcForceTURN: true,
        "UIFeature.shareSocial": false,
      });
      (expected["room_directory"] as Plain)["servers"] = [];
      expected["permalink_prefix"] = "https://chat.example.org";
      for (const key of ["posthog", "sentry", "map_style_url"]) {
        assert.ok(key in expected, key);
        delete expected[key];
      }
      delete expected["uisi_autorageshake_app"];
      assert.deepEqual(content(both.with), expected);
      for (const key of ["final", "status", "ok", "type", "redirected", "header", "same"]) {
        assert.deepEqual(both.with[key], both.without[key], key);
      }
      assert.equal(both.with["same"], true);
    });

    it("changes config.<host>.json too", async () => {
      const both = await read("/config.other.example.json");
      assert.equal(content(both.with)["brand"], content(both.without)["brand"]);
      assert.equal(content(both.with)["integrations_ui_url"], null);
      assert.equal(content(both.with)["default_country_code"], "DE");
    });

    it("knows the old names of the keys", async () => {
      const both = await read("/config.old.example.json");
      assert.deepEqual(content(both.without), OLD_NAMES);
      const guarded = content(both.with);
      for (const key of [
        "integrationsUiUrl",
        "integrationsRestUrl",
        "integrationsWidgetsUrls",
        "defaultIsUrl",
        "default_is_url",
      ]) {
        assert.ok(!(key in guarded), key);
      }
      assert.deepEqual(guarded["defaultServerConfig"], {
        "m.homeserver": { base_url: "https://hs.example.org" },
      });
      assert.equal(guarded["brand"], "Old");
    });

    it("keeps an empty config.<host>.json empty: Element takes the general one then", async () => {
      const both = await read("/config.empty.example.json");
      assert.deepEqual(content(both.with), {});
    });

    it("hands on what is not a configuration as it is", async () => {
      for (const path of [
        "/config.broken.example.json",
        "/config.missing.example.json",
        "/config.txt",
      ]) {
        const both = await read(path);
        assert.deepEqual(both.with, both.without, path);
      }
    });

    it("is the same for XMLHttpRequest, asynchronous and not", async () => {
      for (const asynchronous of [true, false]) {
        const both = await onBoth(sides, ({ page }) =>
          page.evaluate(
            (wait: boolean) =>
              new Promise<{ text: string; url: string; status: number }>((resolve) => {
                const request = new XMLHttpRequest();
                request.onload = () =>
                  resolve({
                    text: request.responseText,
                    url: request.responseURL,
                    status: request.status,
                  });
                request.open("GET", "/config.json", wait);
                request.send();
              }),
            asynchronous,
          ),
        );
        const { text: bare, ...rest } = both.without.value;
        const { text: guarded, ...guardedRest } = both.with.value;
        assert.deepEqual(guardedRest, rest);
        assert.equal(
          (JSON.parse(bare) as Plain)["integrations_ui_url"],
          "https://scalar.vector.im/",
        );
        assert.equal((JSON.parse(guarded) as Plain)["integrations_ui_url"], null);
      }
    });

    it("hardens .well-known of every server, in these keys only", async () => {
      for (const { recorder } of [sides.without, sides.with]) {
        recorder.route("typed.example.net", (request, response) =>
          answerJson(request, response, 200, {
            "m.homeserver": { base_url: "https://hs.example.org" },
            "m.identity_server": { base_url: "https://vector.im" },
            ...WELL_KNOWN,
          }),
        );
      }
      for (const host of ["hs.example.org", "typed.example.net"]) {
        const both = await read(`https://${host}/.well-known/matrix/client`);
        const bare = content(both.without);
        const guarded = content(both.with);
        assert.deepEqual(bare["m.identity_server"], { base_url: "https://vector.im" });
        assert.ok(!("m.identity_server" in guarded));
        assert.deepEqual(guarded["m.integrations"], { managers: [] });
        assert.ok(!("io.element.call_behaviour" in guarded));
        assert.deepEqual(guarded["io.element.voip"], { disable_fallback_ice: true });
        assert.deepEqual(guarded["org.example.other"], bare["org.example.other"]);
        assert.deepEqual(guarded["m.homeserver"], bare["m.homeserver"]);
        assert.equal(both.with["final"], both.without["final"]);
      }
    });

    it("hardens what a sign-in says about servers", async () => {
      for (const { recorder } of [sides.without, sides.with]) {
        recorder.route("login.example.net", (request, response) =>
          request.method === "OPTIONS"
            ? answerJson(request, response, 200, {})
            : answerJson(request, response, 200, {
                user_id: "@a:login.example.net",
                access_token: "token",
                device_id: "D",
                well_known: {
                  "m.homeserver": { base_url: "https://login.example.net" },
                  "m.identity_server": { base_url: "https://vector.im" },
                },
              }),
        );
      }
      const both = await onBoth(sides, ({ page }) =>
        page.evaluate(async () => {
          const response = await fetch("https://login.example.net/_matrix/client/v3/login", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: '{"type":"m.login.password"}',
          });
          return (await response.json()) as Plain;
        }),
      );
      const { well_known: bare } = both.without.value as { well_known: Plain };
      assert.deepEqual(bare["m.identity_server"], { base_url: "https://vector.im" });
      const { well_known: guarded, ...rest } = both.with.value as { well_known: Plain };
      assert.deepEqual(guarded, { "m.homeserver": { base_url: "https://login.example.net" } });
      assert.deepEqual(rest, {
        user_id: "@a:login.example.net",
        access_token: "token",
        device_id: "D",
      });
    });

    it("leaves the configuration of other sites alone", async () => {
      for (const { recorder } of [sides.without, sides.with]) {
        recorder.route(
          "elsewhere.example.net",
          serve({ integrations_ui_url: "https://x.example.org" }),
        );
      }
      const both = await read("https://elsewhere.example.net/config.json");
      assert.deepEqual(both.with, both.without);
    });

    it("follows its own switch and those of the shields it serves", async () => {
      try {
        for (const [settings, manager, identity] of [
          [{ shields: { config: "off" } }, "https://scalar.vector.im/api", true],
          [{ shields: { integrations: "off" } }, "https://scalar.vector.im/api", false],
          [{ shields: { identity: "off" } }, null, true],
          [
            { allow: { integrations: ["scalar.vector.im"] } },
            "https://scalar.vector.im/api",
            false,
          ],
          [{ allow: { identity: ["vector.im"] } }, null, true],
          [{ shields: { telemetry: "off", maps: "off" } }, null, false],
          [{ allow: { telemetry: ["element.io"], maps: ["api.maptiler.com"] } }, null, false],
          // Strict hides what is asked about else.
          [{ profile: "strict" }, null, false],
        ] as const) {
          await sides.settings({ version: 1, ...settings } as never);
          await sides.with.page.goto("about:blank");
          await openClient(sides.with.page);
          const { config } = await drive(sides.with.page, "loaded");
          const about = JSON.stringify(settings);
          assert.equal(config.integrations_rest_url, manager, about);
          const named = config.default_server_config?.["m.identity_server"] !== undefined;
          assert.equal(named, identity, about);
          const isOpen = (shield: string): boolean =>
            about.includes(shield) || about.includes('"config"');
          assert.equal(config.posthog !== undefined, isOpen("telemetry"), about);
          const reports = config.bug_report_endpoint_url !== undefined;
          assert.equal(reports, !about.includes("strict"), about);
          const looksUp = config["enable_client_well_known_lookups"] !== false;
          assert.equal(looksUp, !about.includes("strict"), about);
          assert.equal(config.map_style_url !== undefined, isOpen("maps"), about);
        }
      } finally {
        await sides.settings(undefined);
      }
    });

    it("has a running Element leave the server of its name alone, where no third party is wanted", async () => {
      const lookUps = async (side: Sides["with"]): Promise<number> => {
        await side.reopen();
        await side.signIn();
        const asked = side.recorder.to("hs.example.org");
        return asked.filter(({ path }) => path === "/.well-known/matrix/client").length;
      };
      assert.ok((await lookUps(sides.without)) > 0);
      assert.ok((await lookUps(sides.with)) > 0);
      try {
        await sides.settings({ version: 1, shields: { "third-party": "on" } });
        assert.equal(await lookUps(sides.with), 0);
      } finally {
        await sides.settings(undefined);
      }
    });

    it("leaves the session working", async () => {
      await sides.with.reopen();
      for (const side of [sides.without, sides.with]) {
        await side.signIn();
        await assertWorks(side);
      }
    });
  });
}
