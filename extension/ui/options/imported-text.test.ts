import assert from "node:assert/strict";
import { test } from "node:test";

import { fakeApi } from "../../testing/extension-api.ts";
import { importedText } from "./imported-text.ts";

test("whoever imports sites is told to allow them, and nobody else", async () => {
  const api = fakeApi();
  const sites = JSON.stringify({ version: 1, sites: ["https://a.example/element"] });
  assert.equal(await importedText('{"version":1}'), "imported");
  assert.equal(await importedText(sites), "importedSites");
  api.granted = ["https://a.example/*"];
  assert.equal(await importedText(sites), "imported");
});
