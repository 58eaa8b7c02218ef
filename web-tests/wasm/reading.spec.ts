/**
 * What the core reads is what the browser reads: random and hostile bytes and addresses through the
 * browser's own decoder and parsers, and through the core. Any difference fails.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import type { Page } from "puppeteer-core";

import { bothBrowsers, launch, type LaunchedBrowser } from "../support/browsers.ts";
import { pageScript } from "./page-script.ts";
import type {} from "./reading-page.ts";

const TEXTS = 6_000;
const ADDRESSES = 20_000;

for (const kind of bothBrowsers) {
  describe(`reading in ${kind}`, () => {
    let browser: LaunchedBrowser;
    let page: Page;
    const seed = Number(process.env["MANTLE_SEED"] ?? Date.now() % 1_000_000);

    before(async () => {
      // Port 9 discards: nothing here may go to the network.
      browser = await launch(kind, { proxyPort: 9 });
      page = await browser.newPage();
      await page.addScriptTag({ content: await pageScript("reading-page.ts") });
    });
    after(() => browser.close());

    test("responses are hardened as the browser reads them, or refused by it", async () => {
      const { differences, counts } = await page.evaluate(
        (start, many) => window.reading.responses(start, many),
        seed,
        TEXTS,
      );
      assert.deepEqual(differences, [], `seed ${seed}`);
      // Neither kind may be the rare one.
      for (const [what, count] of Object.entries(counts)) {
        assert.ok(count > TEXTS / 50, `only ${count} ${what}, seed ${seed}`);
      }
    });

    test("hostile texts are read alike", async () => {
      assert.deepEqual(await page.evaluate(() => window.reading.hostile()), []);
    });

    test("addresses are what the browser's URL parser makes of them, or judged as a stranger's", async () => {
      const { differences, counts } = await page.evaluate(
        (start, many) => window.reading.addresses(start, many),
        seed,
        ADDRESSES,
      );
      assert.deepEqual(differences, [], `seed ${seed}`);
      for (const [what, count] of Object.entries(counts)) {
        assert.ok(count > 100, `only ${count} ${what}, seed ${seed}`);
      }
    });
  });
}
