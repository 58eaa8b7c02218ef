import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { DELEGATE, PASS, REPLY, REWRITTEN } from "../intercept/decision.ts";
import type { Delegate } from "../intercept/decision.ts";
import type { PausedRequest } from "../intercept/handlers.ts";

const HS = "https://hs.example.org/base";
const WHOAMI = `${HS}/_matrix/client/v3/account/whoami`;

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

/** What the homeserver was asked; it answers with `answers`, in their order, and then with 200. */
const asked: Asked[] = [];
let answers: (Response | Error | "never")[] = [];
window.fetch = (input, init = {}) => {
  asked.push({
    method: init.method ?? "GET",
    url: input as string,
    authorization: (init.headers as Record<string, string>)["Authorization"],
    body: init.body === undefined ? "" : new TextDecoder().decode(init.body as Uint8Array),
  });
  const answer = answers.shift() ?? json(200, {});
  if (answer === "never") return new Promise<Response>(() => undefined);
  return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
};
// Natives are captured when a file is first read.
const { UnnamedSessions } = await import("./unnamed-sessions.ts");

let mode = "on";
let flags = REWRITTEN;
const noted: string[] = [];
const waited: number[] = [];
const core = {
  shieldSettings: () => ({ mode }),
  decideBody: () => flags,
  takeBody: () => new TextEncoder().encode('{"display_name":"Element"}'),
  note: (shield: string, action: string, method: string) =>
    void noted.push(`${shield} ${action} ${method}`),
};
const begin = (): InstanceType<typeof UnnamedSessions> =>
  new UnnamedSessions(core, (milliseconds) => {
    waited.push(milliseconds);
    return Promise.resolve();
  });

function json(status: number, content: unknown): Response {
  return new Response(JSON.stringify(content), { status });
}

const bytes = (content: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(content));
const tokenRequest = { method: "POST", url: "https://mas.example.org/oauth2/token", headers: [] };
const scope = (device: string): string =>
  `openid urn:matrix:org.matrix.msc2967.client:api:* urn:matrix:client:device:${device}`;
const held = (token: string, url = WHOAMI): PausedRequest => ({
  method: "GET",
  url,
  headers: [["Authorization", `Bearer ${token}`]],
  body: undefined,
  signal: undefined,
});

describe("a session that its server named", () => {
  beforeEach(() => {
    asked.length = 0;
    noted.length = 0;
    waited.length = 0;
    answers = [];
    mode = "on";
    flags = REWRITTEN;
  });

  test("makes requests to the homeserver wait, and no others, until it has a name", async () => {
    const sessions = begin();
    assert.equal(sessions.flags(PASS, WHOAMI), PASS);
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A/B") }));
    assert.equal(sessions.flags(PASS, "https://mas.example.org/oauth2/token"), PASS);
    assert.equal(sessions.flags(REPLY, WHOAMI), REPLY);
    assert.equal(sessions.flags(PASS, WHOAMI), DELEGATE);
    assert.deepEqual(
      sessions.delegates([]).map(({ handler }) => handler),
      ["session"],
    );
    assert.deepEqual(await sessions.handle(held("t")), { kind: "send" });
    const url = `${HS}/_matrix/client/v3/devices/A%2FB`;
    const body = '{"display_name":"Element"}';
    assert.deepEqual(asked, [{ method: "PUT", url, authorization: "Bearer t", body }]);
    assert.equal(sessions.flags(PASS, WHOAMI), PASS);
    assert.deepEqual(await sessions.handle(held("t")), { kind: "send" });
    assert.equal(asked.length, 1);
  });

  test("comes before others that take the request over, who must be known", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A") }));
    const other: Delegate = { handler: "state", shield: "s", name: "s", question: null };
    assert.equal(sessions.flags(DELEGATE, WHOAMI), DELEGATE);
    assert.deepEqual(
      sessions.delegates([other]).map(({ handler }) => handler),
      ["session", "state"],
    );
    assert.deepEqual(sessions.delegates([]), []);
  });

  test("is named once, however many requests come at once", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A") }));
    const all = [held("t"), held("t"), held("t", `${HS}/_matrix/client/v3/sync`)];
    await Promise.all(all.map((request) => sessions.handle(request)));
    assert.equal(asked.length, 1);
  });

  test("lets requests of other sessions pass", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A") }));
    assert.deepEqual(await sessions.handle(held("other")), { kind: "send" });
    assert.deepEqual(await sessions.handle({ ...held("t"), headers: [] }), { kind: "send" });
    assert.equal(asked.length, 0);
    const inQuery = { ...held("t", `${WHOAMI}?access_token=t`), headers: [] };
    assert.deepEqual(await sessions.handle(inQuery), { kind: "send" });
    assert.equal(asked.length, 1);
  });

  test("is asked for its device where the answer named none", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t" }));
    answers = [json(200, { device_id: "XYZ" })];
    await sessions.handle(held("t"));
    assert.deepEqual(
      asked.map(({ method, url }) => `${method} ${url.slice(HS.length)}`),
      ["GET /_matrix/client/v3/account/whoami", "PUT /_matrix/client/v3/devices/XYZ"],
    );
  });

  test("goes on where its homeserver lets nobody rename sessions, and that is noted", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A") }));
    answers = [json(404, { errcode: "M_UNRECOGNIZED" })];
    assert.deepEqual(await sessions.handle(held("t")), { kind: "send" });
    assert.deepEqual(noted, ["device-name flagged PUT"]);
  });

  test("waits as the homeserver wishes, for a bounded time, and goes nowhere without a name", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A") }));
    answers = [json(429, { retry_after_ms: 900 }), json(429, { retry_after_ms: 1e9 })];
    assert.deepEqual(await sessions.handle(held("t")), { kind: "send" });
    assert.deepEqual(waited, [900, 5000]);

    await sessions.open(tokenRequest, 200, bytes({ access_token: "u", scope: scope("B") }));
    answers = [json(502, "<"), new TypeError("offline"), new Response("<html>", { status: 503 })];
    const outcome = await sessions.handle(held("u"));
    assert.equal(outcome.kind === "reply" && outcome.status, 503);
    // The next request of it tries again.
    assert.deepEqual(await sessions.handle(held("u")), { kind: "send" });
    assert.equal(asked.length, 7);
  });

  test("keeps the name its server gave it where the shield was switched off meanwhile", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A") }));
    mode = "off";
    assert.deepEqual(await sessions.handle(held("t")), { kind: "send" });
    assert.equal(asked.length, 0);
  });

  test("goes nowhere where the core cannot name it", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t", scope: scope("A") }));
    flags = REPLY;
    assert.equal((await sessions.handle(held("t"))).kind, "reply");
    assert.equal(asked.length, 0);
  });

  test("is none where the answer holds no token, and eight at most are waited for", async () => {
    const sessions = begin();
    const not = [{ error: "authorization_pending" }, { access_token: 1 }, { access_token: "" }];
    for (const content of not) await sessions.open(tokenRequest, 200, bytes(content));
    await sessions.open(tokenRequest, 400, bytes({ access_token: "t" }));
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t".repeat(65 * 1024) }));
    assert.equal(sessions.flags(PASS, WHOAMI), PASS);
    for (let index = 0; index < 9; index += 1) {
      const content = { access_token: `t${index}`, scope: scope("A") };
      await sessions.open(tokenRequest, 200, bytes(content));
    }
    await sessions.handle(held("t0"));
    assert.equal(asked.length, 0);
    await sessions.handle(held("t1"));
    assert.equal(asked.length, 1);
  });

  test("is not lost to a device's name or a token that no address can hold", async () => {
    const sessions = begin();
    await sessions.open(tokenRequest, 200, bytes({ access_token: "t" }));
    answers = [json(200, { device_id: "\ud800" })];
    const outcome = await sessions.handle(held("t"));
    assert.equal(outcome.kind === "reply" && outcome.status, 503);
    // The next request of it tries again.
    answers = [json(200, { device_id: "A" })];
    assert.deepEqual(await sessions.handle(held("t")), { kind: "send" });

    await sessions.open(tokenRequest, 200, bytes({ access_token: "\udc00", scope: scope("A") }));
    assert.deepEqual(await sessions.handle(held("of another account")), { kind: "send" });
    assert.equal(asked.length, 3);
  });
});
