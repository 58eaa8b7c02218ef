import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { fakeApi, type FakeApi } from "../testing/extension-api.ts";
import {
  addedSites,
  parseSite,
  registerAddedSites,
  siteHosts,
  sitesToAllow,
  storedSites,
} from "./sites.ts";

const texts = (stored: readonly string[], managed: readonly string[] = []) => ({
  stored: JSON.stringify({ sites: stored }),
  managed: managed.length === 0 ? null : JSON.stringify({ sites: managed }),
});
const urls = (sites: readonly { url: string }[]): string[] => sites.map(({ url }) => url);

let api: FakeApi;
beforeEach(() => {
  api = fakeApi();
  api.builtIn = ["https://app.element.io/*", "https://example.org/element/*"];
});

describe("what is a site", () => {
  test("https origins, with a path at most, as the browser writes them", () => {
    assert.deepEqual(parseSite("https://Chat.Example.org:8443/element//"), {
      url: "https://chat.example.org:8443/element",
      host: "chat.example.org",
      match: "https://chat.example.org/element/*",
      permission: "https://chat.example.org/*",
    });
    assert.equal(parseSite("https://bücher.example")?.host, "xn--bcher-kva.example");
  });

  test("this machine over http, in all its names, with any port", () => {
    for (const origin of [
      "http://localhost",
      "http://chat.localhost",
      "http://127.0.0.1",
      "http://127.1.2.3",
      "http://[::1]",
    ]) {
      assert.deepEqual(parseSite(`${origin}:8080/element`), {
        url: `${origin}:8080/element`,
        host: new URL(origin).hostname,
        match: `${origin}/element/*`,
        permission: `${origin}/*`,
      });
    }
  });

  test("nothing else", () => {
    for (const text of [
      "",
      "chat.example.org",
      "http://chat.example.org",
      "http://localhost.example.org",
      "http://127.0.0.1.example.org",
      "http://126.0.0.1",
      "http://notlocalhost",
      "http://[::2]",
      "https://user@chat.example.org",
      "https://:word@chat.example.org",
      "https://chat.example.org/?room",
      "https://chat.example.org/#room",
      "https://chat.example.org/?",
      "https://a%b/",
      "https://a b/",
      "https://*/",
      "https://*.example.org",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "moz-extension://abc/popup.html",
    ]) {
      assert.equal(parseSite(text), undefined, text);
    }
  });

  test("no path is a pattern for others", () => {
    assert.equal(parseSite("https://a.example/*")?.match, "https://a.example/%2A/*");
  });

  test("stored texts that are none hold no site", () => {
    for (const text of [null, "", "{", "[]", '"x"', "1", '{"sites":"https://a.example"}']) {
      assert.deepEqual(storedSites(text), [], String(text));
    }
    const mixed = JSON.stringify({ sites: [1, null, "https://a.example", {}, "http://b.example"] });
    assert.deepEqual(urls(storedSites(mixed)), ["https://a.example"]);
  });
});

describe("sites that were added", () => {
  test("are those named that permission was given for", async () => {
    api.granted = ["https://a.example/*", "http://localhost/*"];
    const named = ["https://a.example/element", "https://b.example", "http://localhost:8080"];
    assert.deepEqual(urls(await addedSites(texts(named))), [
      "http://localhost:8080",
      "https://a.example/element",
    ]);
    assert.deepEqual(await siteHosts(texts(named)), [
      "a.example",
      "app.element.io",
      "example.org",
      "localhost",
    ]);
  });

  test("lost settings do not take the protection away", async () => {
    api.granted = ["https://a.example/*", "https://app.element.io/*", "http://127.0.0.1/*"];
    for (const stored of [null, "{", "{}"]) {
      assert.deepEqual(urls(await addedSites({ stored, managed: null })), [
        "http://127.0.0.1",
        "https://a.example",
      ]);
    }
  });

  test("permission for every site adds none, and covers those named over https alone", async () => {
    api.granted = ["https://*/*", "*://*/*", "<all_urls>", "https://*.example.org/*"];
    const named = texts(["https://a.example", "http://localhost:8080"], ["https://b.example"]);
    assert.deepEqual(urls(await addedSites(named)), ["https://a.example", "https://b.example"]);
    assert.deepEqual(urls(await addedSites(texts([]))), []);
    assert.deepEqual(urls(await sitesToAllow(named)), ["http://localhost:8080"]);
    const local = texts([], ["http://localhost:8080"]);
    assert.deepEqual(urls(await sitesToAllow(local)), ["http://localhost:8080"]);
  });

  test("those named without permission can be allowed, the person's own too, each once", async () => {
    api.granted = ["https://a.example/*"];
    const own = ["https://a.example", "https://b.example/element", "https://c.example"];
    const named = texts(own, ["https://c.example", "https://d.example"]);
    assert.deepEqual(urls(await sitesToAllow(named)).sort(), [
      "https://b.example/element",
      "https://c.example",
      "https://d.example",
    ]);
    assert.deepEqual(urls(await sitesToAllow(texts(own))), [
      "https://b.example/element",
      "https://c.example",
    ]);
  });

  test("the same host over http is another site", async () => {
    api.builtIn = ["https://localhost/*"];
    api.granted = ["http://localhost/*"];
    assert.deepEqual(urls(await addedSites(texts([]))), ["http://localhost"]);
  });

  test("are registered once, and gone with their permission", async () => {
    api.granted = ["https://a.example/*", "http://localhost/*"];
    const named = texts(["https://a.example/element", "http://localhost:8080"]);
    await registerAddedSites(named);
    await registerAddedSites(named);
    assert.deepEqual(api.scripts.map(({ id }) => id).sort(), [
      "page http://localhost/*",
      "page https://a.example/element/*",
      "relay http://localhost/*",
      "relay https://a.example/element/*",
    ]);
    api.granted = ["http://localhost/*"];
    await registerAddedSites(named);
    assert.deepEqual(api.scripts.map(({ id }) => id).sort(), [
      "page http://localhost/*",
      "relay http://localhost/*",
    ]);
  });
});
