import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { FAIL, PASS, REPLY, UNREADABLE } from "../intercept/decision.ts";
import { fallbackAnswer, fallbackDecision } from "./fallback.ts";

const flags = (method: string, url: string): number => fallbackDecision(method, url).flags;
const API = "https://hs.example/_matrix/client/v3";

describe("without a working core", () => {
  test("changes that a shield would look at are refused, in words", () => {
    for (const [method, url] of [
      ["POST", `${API}/login`],
      ["POST", `${API}/createRoom`],
      ["POST", `${API}/rooms/!a:hs/invite`],
      ["PUT", `${API}/rooms/!a:hs/state/m.room.name/`],
      ["PUT", `${API}/rooms/!a:hs/state/m.room.name`],
      // A room whose ID is "", "." or "..", as a URL parser leaves it.
      ["PUT", `${API}/rooms//state/m.room.name/`],
      ["PUT", `${API}/rooms/state/m.room.name/`],
      ["PUT", `${API}/state/m.room.name/`],
      ["POST", "https://hs.example/_matrix/client/unstable/org.example/invite"],
      ["PUT", `${API}/user/@a:hs/account_data/m.widgets`],
      ["DELETE", `${API}/devices/ABC`],
      ["POST", "https://hs.example/_matrix/media/v3/upload?filename=x"],
    ] as const) {
      const { flags: made, reply } = fallbackDecision(method, url);
      assert.equal(made, REPLY, url);
      assert.equal(reply?.status, 403);
      assert.match(String((JSON.parse(reply?.body ?? "") as { error: string }).error), /reload/);
    }
  });

  test("services that are never asked are blocked, whatever the method", () => {
    for (const url of [
      "https://scalar.vector.im/api/x",
      "https://eu.posthog.com/capture",
      "wss://sentry.io/x",
      "https://scalar.vector.im./api/x",
      "https://user:word@eu.posthog.com.:8443/capture",
      "https://anyone.example/_matrix/identity/v2/lookup",
      "https://anyone.example/sub/_matrix/integrations/v1/account",
      "https://anyone.example/x?a=b&scalar_token=1",
    ]) {
      for (const method of ["GET", "POST", "OPTIONS"]) assert.equal(flags(method, url), FAIL, url);
    }
  });

  test("reading goes on, and so does what only looks alike", () => {
    for (const [method, url] of [
      ["GET", `${API}/sync?since=1`],
      ["GET", `${API}/login`],
      ["PUT", `${API}/rooms/!a:hs/send/m.room.message/1`],
      ["POST", "https://hs.example/login"],
      ["GET", "https://scalar.vector.im.example/"],
      ["GET", "https://notposthog.com/"],
      ["GET", "https://posthog.com@hs.example/"],
      ["GET", `${API}/sync#/_matrix/identity`],
      ["GET", "https://hs.example/?x=/_matrix/identity/"],
    ] as const) {
      assert.equal(flags(method, url), PASS, url);
    }
  });

  test("a response that was to be looked at is not shown", () => {
    assert.equal(fallbackAnswer(), UNREADABLE);
  });

  test("a base path, another version or a slash at the end change nothing", () => {
    for (const url of [
      "https://hs.example/base/_matrix/client/r0/login",
      "https://hs.example/_matrix/x/_matrix/client/v3/login/",
      "https://hs.example/_matrix/client/unstable/org.matrix/login",
      "https://hs.example:8448/_matrix/client/v3/login?x=1#y",
      "https://hs.example/_matrix/identity/../client/_matrix/client/v3/login",
    ]) {
      assert.notEqual(flags("POST", url), PASS, url);
    }
  });

  test("nor does another way to write the same letters", () => {
    for (const [method, url] of [
      ["POST", `${API}/lo%67in`],
      ["POST", `${API}/create%52oom`],
      ["POST", "https://hs.example/%5fmatrix/client/v3/login"],
      ["PUT", `${API}/rooms/!a:hs/st%61te/m.room.name/`],
      ["GET", "https://a.example/_matrix/identit%79/v2"],
      ["POST", "https://hs.example/_matrix/media/v3/%75pload"],
    ] as const) {
      assert.notEqual(flags(method, url), PASS, url);
    }
    // An escaped slash is part of a name.
    assert.equal(flags("PUT", `${API}/rooms%2F!a:hs%2Fstate%2Fm.room.name/send/x/1`), PASS);
    assert.equal(flags("POST", `${API}/x%`), PASS);
  });

  test("a page's own changes to what texts and expressions can do change nothing", () => {
    const { exec, test: own } = RegExp.prototype;
    RegExp.prototype.exec = () => null;
    RegExp.prototype.test = () => false;
    try {
      assert.equal(flags("POST", `${API}/login`), REPLY);
    } finally {
      RegExp.prototype.exec = exec;
      RegExp.prototype.test = own;
    }
  });

  test("time grows with the address, not with its square", () => {
    // 4 MB take a third of a second; squared they would take minutes.
    const start = performance.now();
    flags("POST", `${API}/${"%61/".repeat(1_000_000)}_matrix/identit`);
    assert.ok(performance.now() - start < 20_000);
  });
});
