import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { LearnedEffect } from "../protocol/reports.ts";
import { fakeApi, type FakeApi } from "../testing/extension-api.ts";
import {
  MAX_LEARNED_PER_SITE,
  forgetLearned,
  learn,
  readLearned,
  type LearnedFrom,
} from "./learned.ts";

const named = (...hosts: string[]): LearnedEffect[] =>
  hosts.map((host) => ({ type: "learned", shield: "integrations", host, pathPrefix: "" }));
const from = (site: string, more: Partial<LearnedFrom> = {}): LearnedFrom => ({
  site,
  part: "",
  isPrivate: false,
  inUse: [],
  ...more,
});
const hosts = async (site?: string): Promise<string[]> =>
  (await readLearned())
    .filter((entry) => site === undefined || entry.site === site)
    .map(({ host }) => host);

let api: FakeApi;
beforeEach(() => {
  api = fakeApi();
});

describe("hosts that a configuration named", () => {
  test("are kept once, in memory alone", async () => {
    assert.equal(await learn(from("a.example"), named("m.example")), true);
    assert.equal(await learn(from("a.example"), named("m.example")), false);
    assert.deepEqual(await hosts(), ["m.example"]);
    assert.deepEqual(api.local.values, {});
  });

  test("never the page's own host, whatever its port", async () => {
    await learn(from("a.example"), named("a.example", "a.example:8443", "m.example"));
    assert.deepEqual(await hosts(), ["m.example"]);
  });

  test("never a server in use, and one that comes into use is let go", async () => {
    await learn(from("a.example"), named("hs.example", "auth.example", "m.example"));
    assert.deepEqual(await hosts(), ["hs.example", "auth.example", "m.example"]);
    // Signing in comes after the server's `.well-known`.
    const inUse = ["hs.example:8448", "auth.example"];
    assert.equal(await learn(from("a.example", { inUse }), []), true);
    assert.deepEqual(await hosts(), ["m.example"]);
    await learn(from("a.example", { inUse }), named("hs.example", "auth.example:9000"));
    assert.deepEqual(await hosts(), ["m.example"]);
  });

  test("another site's servers are its own matter", async () => {
    await learn(from("a.example"), named("hs.example"));
    await learn(from("b.example", { inUse: ["hs.example"] }), []);
    assert.deepEqual(await hosts("a.example"), ["hs.example"]);
  });

  test("what is no host is left out alone", async () => {
    await learn(from("a.example"), named("", "a%b", "a b", "m.example", "x/y", "u@h", "*"));
    assert.deepEqual(await hosts(), ["m.example"]);
  });

  test("one site never pushes out another's; its own oldest go, at the bound", async () => {
    await learn(from("a.example"), named("first.example"));
    const many = Array.from({ length: MAX_LEARNED_PER_SITE }, (_, index) => `m${index}.example`);
    await learn(from("b.example"), named(...many));
    assert.equal((await hosts("b.example")).length, MAX_LEARNED_PER_SITE);
    assert.equal((await hosts("b.example"))[0], "m0.example");
    await learn(from("b.example"), named("last.example"));
    assert.equal((await hosts("b.example")).length, MAX_LEARNED_PER_SITE);
    assert.equal((await hosts("b.example"))[0], "m1.example");
    assert.deepEqual(await hosts("a.example"), ["first.example"]);
  });

  test("go with the session in which they were named", async () => {
    await learn(from("a.example", { part: "1" }), named("one.example"));
    await learn(from("a.example", { part: "2" }), named("two.example"));
    await learn(from("a.example", { isPrivate: true }), named("hidden.example"));
    await forgetLearned((entry) => entry.part === "1");
    assert.deepEqual(await hosts(), ["two.example", "hidden.example"]);
    await forgetLearned((entry) => entry.isPrivate);
    assert.deepEqual(await hosts(), ["two.example"]);
  });

  test("said at the same time, none is lost", async () => {
    await Promise.all(
      ["a", "b", "c", "d"].map((name) => learn(from("site.example"), named(`${name}.example`))),
    );
    assert.equal((await hosts()).length, 4);
  });

  test("a damaged value counts as none", async () => {
    api.session.values["learned"] = { not: "a list" };
    assert.deepEqual(await readLearned(), []);
    await learn(from("a.example"), named("m.example"));
    assert.deepEqual(await hosts(), ["m.example"]);
  });
});
