import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { isCommonBrowser } from "../protocol/common-browser.ts";
import { acceptLanguage, commonBrowser, isChromium } from "./common-browser.ts";

const CHROME =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const FIREFOX = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const MAC =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const MAC_FIREFOX =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONE =
  "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36";
const PHONE_FIREFOX = "Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0";

describe("the browser that is shown", () => {
  test("keeps its kind and version, and has a system as most have", () => {
    assert.equal(
      commonBrowser(CHROME, ["en"]).userAgent,
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    );
    assert.equal(
      commonBrowser(FIREFOX, ["en"]).userAgent,
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
    );
    assert.equal(commonBrowser(MAC, ["en"]).userAgent, MAC);
    assert.equal(commonBrowser(MAC_FIREFOX, ["en"]).userAgent, MAC_FIREFOX);
    assert.equal(
      commonBrowser(PHONE, ["en"]).userAgent,
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
    );
    assert.equal(
      commonBrowser(PHONE_FIREFOX, ["en"]).userAgent,
      "Mozilla/5.0 (Android 10; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
    );
  });

  test("tells one language with its commonest region, and English", () => {
    for (const [given, shown] of [
      [
        ["de-AT", "fr", "it"],
        ["de-DE", "de", "en-US", "en"],
      ],
      [["pt-BR"], ["pt-BR", "pt", "en-US", "en"]],
      [["pt"], ["pt-BR", "pt", "en-US", "en"]],
      [["pt-AO"], ["pt-PT", "pt", "en-US", "en"]],
      [["zh-HK"], ["zh-TW", "zh", "en-US", "en"]],
      [["zh-SG"], ["zh-CN", "zh", "en-US", "en"]],
      [
        ["en-GB", "de"],
        ["en-US", "en"],
      ],
      [[], ["en-US", "en"]],
      [["not a tag"], ["en-US", "en"]],
      [["x-private"], ["en-US", "en"]],
      [["tlh"], ["en-US", "en"]],
    ] as const) {
      assert.deepEqual(commonBrowser(FIREFOX, given).languages, shown, String(given));
    }
  });

  test("is one that pages and rules take", () => {
    for (const userAgent of [CHROME, FIREFOX, MAC, PHONE, PHONE_FIREFOX, "", "Mozilla/5.0 ()"]) {
      const shown = commonBrowser(userAgent, ["de"]);
      assert.equal(isCommonBrowser(shown), true, userAgent);
      assert.match(acceptLanguage(shown), /^[\w-]+(?:,[\w-]+;q=0\.[1-9])*$/);
    }
    assert.equal(isChromium(commonBrowser(CHROME, [])), true);
    assert.equal(isChromium(commonBrowser(FIREFOX, [])), false);
  });
});
