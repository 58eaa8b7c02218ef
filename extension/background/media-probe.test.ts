import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";

import { probe } from "./media-probe.ts";

const MEDIA = "/_matrix/media/v3/download/hs.example/abc";
const COMMON = {
  system: "Windows",
  userAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
  languages: ["de-DE", "de", "en-US", "en"],
} as const;

let asked: IncomingMessage[] = [];
let server: Server;
let base = "";
let reply: (response: ServerResponse) => void = (response) => response.end("ok");

before(async () => {
  server = createServer((request, response) => {
    asked.push(request);
    reply(response);
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => server.close());

test("gives the status of each, 0 where nobody answers", async () => {
  asked = [];
  const { statuses } = await probe([`${base}${MEDIA}`, `http://127.0.0.1:1${MEDIA}`], null);
  assert.deepEqual(statuses, [200, 0]);
  reply = (response) => response.writeHead(404).end();
  assert.deepEqual((await probe([`${base}${MEDIA}`], null)).statuses, [404]);
});

test("goes nowhere it is sent to", async () => {
  asked = [];
  reply = (response) => response.writeHead(302, { location: `${base}/elsewhere` }).end();
  await probe([`${base}${MEDIA}`], null);
  assert.deepEqual(
    asked.map(({ url }) => url),
    [MEDIA],
  );
});

test("looks as pages do, and carries nothing that names somebody", async () => {
  asked = [];
  reply = (response) => response.end("ok");
  await probe([`${base}${MEDIA}`], { ...COMMON, languages: [...COMMON.languages] });
  const [request] = asked;
  assert.equal(request?.headers["accept-language"], "de-DE,de;q=0.8,en-US;q=0.5,en;q=0.3");
  assert.equal(request?.headers["user-agent"], COMMON.userAgent);
  for (const name of ["authorization", "cookie", "referer", "if-none-match"]) {
    assert.equal(request?.headers[name], undefined, name);
  }
});
