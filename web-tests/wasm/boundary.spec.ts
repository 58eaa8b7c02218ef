/**
 * The boundary as the hooks use it, on the built WASM: hunts for broken conversions only. What the
 * core decides is tested in the tests beside each crate of core.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import type { Page } from "puppeteer-core";

import * as decision from "../../extension/page/intercept/decision.ts";
import { bothBrowsers, launch, type LaunchedBrowser } from "../support/browsers.ts";
import { pageScript } from "./page-script.ts";
import type {} from "./boundary-page.ts";

const login = "https://hs.example.org/_matrix/client/v3/login";

for (const kind of bothBrowsers) {
  describe(`WASM boundary in ${kind}`, () => {
    let browser: LaunchedBrowser;
    let page: Page;

    before(async () => {
      // Port 9 discards: nothing here may go to the network.
      browser = await launch(kind, { proxyPort: 9 });
      page = await browser.newPage();
      await page.addScriptTag({ content: await pageScript("boundary-page.ts") });
    });
    after(() => browser.close());

    test("decisions are the flags the hooks know", async () => {
      const flags = await page.evaluate((url) => {
        const core = new window.boundary.Core("https://app.element.io/");
        const early = core.ready();
        core.applySettings(undefined, undefined);
        const decided = core.decide("POST", url);
        const body = new TextEncoder().encode('{"initial_device_display_name":"Chrome"}');
        return {
          early,
          ready: core.ready(),
          decided,
          rewritten: core.decideBody("POST", url, "content-type: application/json", body),
          reply: core.decide("GET", "https://scalar.vector.im/api/account"),
          watch: core.decide("GET", "https://app.element.io/config.json"),
        };
      }, login);
      assert.deepEqual(flags, {
        early: false,
        ready: true,
        decided: decision.NEEDS_BODY | decision.INSPECT_RESPONSE,
        rewritten: decision.REWRITTEN | decision.INSPECT_RESPONSE,
        reply: decision.REPLY,
        watch: decision.INSPECT_RESPONSE,
      });
    });

    test("a reply is plain data, once", async () => {
      const reply = await page.evaluate(() => {
        const core = new window.boundary.Core("https://app.element.io/");
        core.assumeStrictest();
        core.decide("GET", "https://scalar.vector.im/api/account");
        return core.takeReply();
      });
      assert.equal(typeof reply.status, "number");
      assert.equal(typeof reply.statusText, "string");
      assert.ok(reply.headers.every((pair) => pair.length === 2));
      assert.deepEqual(Object.fromEntries(reply.headers), {
        "content-type": "application/json",
        "x-mantle": "integrations",
      });
      assert.doesNotThrow(() => JSON.parse(reply.body));
    });

    test("a body may be a view into a larger buffer, and comes back in one of its own", async () => {
      const outcome = await page.evaluate((url) => {
        const core = new window.boundary.Core("https://app.element.io/");
        core.assumeStrictest();
        const text = '{"initial_device_display_name":"Chrome","note":"\u{1F510}\\u0000 ß"}';
        const bytes = new TextEncoder().encode(`garbage${text}garbage`);
        core.decideBody("POST", url, "", bytes.subarray(7, bytes.length - 7));
        const body = core.takeBody();
        return {
          text: new TextDecoder().decode(body),
          isBytes: body instanceof Uint8Array,
          owned: body.buffer.byteLength === body.byteLength,
        };
      }, login);
      assert.deepEqual(outcome, {
        text: '{"initial_device_display_name":"Element","note":"\u{1F510}\\u0000 ß"}',
        isBytes: true,
        owned: true,
      });
    });

    test("memory that grew in between does not spoil later calls", async () => {
      const outcome = await page.evaluate((url) => {
        const core = new window.boundary.Core("https://app.element.io/");
        core.assumeStrictest();
        return [1, 30_000_000, 2].map((padding) => {
          const pad = "x".repeat(padding);
          const text = `{"pad":"${pad}","initial_device_display_name":"Chrome"}`;
          core.decideBody("POST", url, "", new TextEncoder().encode(text));
          return new TextDecoder().decode(core.takeBody()).slice(-41);
        });
      }, login);
      assert.deepEqual(outcome, Array(3).fill(',"initial_device_display_name":"Element"}'));
    });

    test("an answer is undefined when nothing changes, and bytes when something does", async () => {
      const outcome = await page.evaluate(() => {
        const core = new window.boundary.Core("https://app.element.io/");
        core.assumeStrictest();
        const url = "https://app.element.io/config.json";
        core.decide("GET", url);
        const [unreadable, hardened] = [
          "not json",
          '{"brand":"\u{1F510}","integrations_ui_url":"https://scalar.vector.im/"}',
        ].map((text) => {
          const answer = core.answer("GET", url, 200, new TextEncoder().encode(text));
          return answer === undefined ? undefined : new TextDecoder().decode(answer);
        });
        return {
          unreadable,
          hardened,
          failed: core.answer("GET", url, 500, new Uint8Array(3)),
        };
      });
      assert.equal(outcome.unreadable, undefined);
      assert.equal(outcome.failed, undefined);
      const config = JSON.parse(outcome.hardened ?? "null") as Record<string, unknown>;
      assert.equal(config["brand"], "\u{1F510}");
      assert.equal(config["integrations_ui_url"], null);
    });

    test("effects carry times as plain numbers", async () => {
      const outcome = await page.evaluate(() => {
        const core = new window.boundary.Core("https://app.element.io/");
        core.assumeStrictest();
        const before = core.pending();
        core.decide("GET", "https://scalar.vector.im/api/account");
        const pending = core.pending();
        const effects = core.effects(1_700_000_000_123);
        // Structured clone is how they leave the page; a BigInt would survive it, JSON would not.
        return { before, pending, effects: JSON.stringify(effects), after: core.pending() };
      });
      assert.equal(outcome.before, false);
      assert.equal(outcome.pending, true);
      assert.equal(outcome.after, false);
      const effects = JSON.parse(outcome.effects) as Record<string, unknown>[];
      const record = effects.find((effect) => effect["type"] === "record");
      assert.equal(record?.["time"], 1_700_000_000_123);
      assert.equal(record?.["shield"], "integrations");
      assert.equal(record?.["host"], "scalar.vector.im");
      assert.equal(record?.["count"], 1);
    });

    test("strings no UTF-8 can hold do not trap", async () => {
      const problems = await page.evaluate(() => {
        const core = new window.boundary.Core("\ud800");
        const report = core.applySettings("{\udfff", "\ud800");
        core.decide("\ud800", "https://hs.example.org/\udfff");
        core.decideBody("\ud800", "\udfff", "\ud800", new Uint8Array([0xff, 0xc0]));
        return { problems: report.problems, alive: core.ready() };
      });
      assert.ok(problems.alive);
      assert.ok(problems.problems.length > 0);
      assert.ok(problems.problems.every((sentence) => typeof sentence === "string"));
    });

    test("settings are described, changed and described again", async () => {
      const outcome = await page.evaluate(() => {
        const { change, describe: show } = window.boundary.pages;
        const stored = change(undefined, undefined, {
          type: "mode",
          shield: "device-name",
          mode: "off",
        });
        const named = change(stored, undefined, { type: "deviceName", value: "\u{1F510} mine" });
        const view = show(named, undefined);
        let refusal = "";
        try {
          change(named, undefined, { type: "deviceName", value: "" });
        } catch (error) {
          refusal = error instanceof Error ? error.message : `not an Error: ${String(error)}`;
        }
        return { stored: named, view, refusal };
      });
      assert.doesNotThrow(() => JSON.parse(outcome.stored));
      const shield = outcome.view.shields.find((candidate) => candidate.id === "device-name");
      assert.equal(shield?.mode, "off");
      assert.equal(shield?.source, "user");
      assert.equal(shield?.locked, false);
      assert.equal(outcome.view.deviceName.value, "\u{1F510} mine");
      assert.deepEqual(outcome.view.problems, []);
      assert.match(outcome.refusal, /^[A-Z"].*\.$/);
    });

    test("hosts are what the browser's own parser makes of them", async () => {
      const typed = {
        "Scalar.Example.ORG": "scalar.example.org",
        "a.example:443": "a.example",
        "a.example:8448": "a.example:8448",
        "bücher.example": "xn--bcher-kva.example",
        "BÜCHER.example.": "xn--bcher-kva.example",
        "[2001:db8:0:0:0:0:0:1]": "[2001:db8::1]",
        "127.1": "127.0.0.1",
        "a%b": undefined,
        "a b": undefined,
        "*.example.org": undefined,
        "u@a.example": undefined,
        "a.example/x": undefined,
        "": undefined,
      };
      const found = await page.evaluate((hosts) => {
        const { host } = window.boundary.pages;
        return hosts.map((text) => host(text) ?? null);
      }, Object.keys(typed));
      assert.deepEqual(
        found,
        Object.values(typed).map((host) => host ?? null),
      );
      // Nothing that passes may cost a batch of rules: the browser's parser leaves it as it is.
      const same = await page.evaluate(
        (hosts) => hosts.every((host) => new URL(`https://${host}/`).host === host),
        found.filter((host) => host !== null),
      );
      assert.ok(same);
    });

    test("sites and lists are stored as the browser's own parser writes them", async () => {
      const found = await page.evaluate(() => {
        const { change, site, sites } = window.boundary.pages;
        const urls = ["https://Bücher.example/Ä b/", "http://localhost:8080/"];
        const stored = change(undefined, undefined, { type: "sites", sites: urls });
        const hosts = ["Bücher.example", "turn.example:443"];
        const listed = change(undefined, undefined, { type: "allow", shield: "calls", hosts });
        let refusal = "";
        try {
          change(undefined, undefined, { type: "sites", sites: ["http://Bücher.example"] });
        } catch (error) {
          refusal = error instanceof Error ? error.message : "";
        }
        const none = ["http://a.example", "https://u@a.example", "https://a.example/?", "x"];
        return {
          own: sites(stored, undefined).own,
          allow: (JSON.parse(listed) as { allow: unknown }).allow,
          refusal,
          none: none.map((text) => site(text) ?? null),
        };
      });
      assert.deepEqual(
        found.own.map(({ url, match, permission }) => [url, match, permission]),
        [
          [
            "https://xn--bcher-kva.example/%C3%84%20b",
            "https://xn--bcher-kva.example/%C3%84%20b/*",
            "https://xn--bcher-kva.example/*",
          ],
          ["http://localhost:8080", "http://localhost/*", "http://localhost/*"],
        ],
      );
      assert.deepEqual(found.allow, { calls: ["xn--bcher-kva.example", "turn.example"] });
      assert.match(found.refusal, /“http:\/\/Bücher\.example” is not a site/);
      assert.deepEqual(found.none, [null, null, null, null]);
    });
  });
}
