import "../../testing/page.ts";

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, mock, test } from "node:test";

import type { PageClient } from "./element/client.ts";
import { HomeserverError, isFinal, sendAsClient } from "./homeserver.ts";

let server: Server;
let base = "";
let asked: IncomingMessage[] = [];
let reply: (response: ServerResponse) => void = (response) => response.end("{}");

before(async () => {
  server = createServer((request, response) => {
    asked.push(request);
    reply(response);
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => server.close());

const client = (baseUrl: string, token: string | null = "secret"): PageClient =>
  ({ baseUrl, getAccessToken: () => token }) as PageClient;

describe("requests in the client's name", () => {
  test("go to its homeserver, with or without a slash or a path at its end", async () => {
    asked = [];
    for (const url of [base, `${base}/`, `${base}/sub`]) {
      await sendAsClient(client(url), "GET", "/_matrix/client/versions");
    }
    assert.deepEqual(
      asked.map(({ url }) => url),
      ["/_matrix/client/versions", "/_matrix/client/versions", "/sub/_matrix/client/versions"],
    );
    assert.equal(asked[0]?.headers.authorization, "Bearer secret");
    assert.equal(asked[0]?.headers["content-type"], undefined);
  });

  test("what is no JSON is nothing, and what is not 2xx is an error whatever it says", async () => {
    reply = (response) => response.end("<html>");
    assert.equal(await sendAsClient(client(base), "GET", "/_matrix/x"), undefined);
    for (const body of ["", "null", "[]", '"text"', "1", '{"errcode":1,"retry_after_ms":"5"}']) {
      reply = (response) => response.writeHead(429).end(body);
      const error = await sendAsClient(client(base), "PUT", "/_matrix/x", "{}").catch(
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof HomeserverError, body);
      assert.deepEqual([error.status, error.errcode, error.retryAfter], [429, "", undefined]);
    }
  });
});

describe("a homeserver that does not answer", () => {
  for (const [what, begin] of [
    ["at all", () => undefined],
    ["to its end", (response: ServerResponse) => void response.writeHead(200).write('{"a":')],
  ] as const) {
    test(`${what} is given up`, { timeout: 20_000 }, async () => {
      let isThere = (): void => undefined;
      const there = new Promise<void>((resolve) => (isThere = resolve));
      reply = (response) => {
        begin(response);
        isThere();
      };
      mock.timers.enable({ apis: ["setTimeout"] });
      try {
        let isOver = false;
        const sent = sendAsClient(client(base), "GET", "/_matrix/x").finally(() => (isOver = true));
        const refused = assert.rejects(sent, { name: "AbortError" });
        await there;
        for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
        mock.timers.tick(109_000);
        assert.equal(isOver, false);
        mock.timers.tick(2_000);
        await refused;
      } finally {
        mock.timers.reset();
        reply = (response) => response.end("{}");
        server.closeAllConnections();
      }
    });
  }
});

describe("a homeserver's error", () => {
  test("never makes anybody wait for ever, nor not at all", () => {
    const wait = (value: unknown): number | undefined =>
      new HomeserverError(429, { retry_after_ms: value }).retryAfter;
    assert.equal(wait(1500), 1500);
    assert.equal(wait(0), 0);
    for (const odd of [-1, Number.NaN, Number.POSITIVE_INFINITY, "1500", null, {}]) {
      assert.equal(wait(odd), undefined, String(odd));
    }
  });

  test("is final where asking again would change nothing", () => {
    for (const status of [400, 403, 404, 413]) {
      assert.equal(isFinal(new HomeserverError(status, {})), true, String(status));
    }
    for (const status of [401, 408, 429, 500, 502, 504]) {
      assert.equal(isFinal(new HomeserverError(status, {})), false, String(status));
    }
    for (const other of [new TypeError("Failed to fetch"), undefined, { status: 403 }]) {
      assert.equal(isFinal(other), false);
    }
  });
});
