import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { answerKey } from "./answer-key.ts";

const API = "https://hs.example/_matrix/client/v3";
const of = (url: string, account = "@alice:hs", question = "publish"): Promise<unknown> =>
  answerKey(account, "profile", question, url);

test("a lasting answer is for one account, question, and room or user", async () => {
  const given = await of(`${API}/rooms/!a:hs/state/m.room.avatar`);
  assert.match(String(given), /^[0-9a-f]{64}$/);
  assert.equal(given, await of(`${API}/rooms/!a:hs/redact/x?reason=1`));
  for (const other of [
    await of(`${API}/rooms/!b:hs/state/m.room.avatar`),
    await of(`${API}/rooms/!a:hs/state/m.room.avatar`, "@bob:hs"),
    await of(`${API}/rooms/!a:hs/state/m.room.avatar`, ""),
    await of(`${API}/rooms/!a:hs/state/m.room.avatar`, "@alice:hs", "other"),
    await of(`${API}/profile/!a:hs2/displayname`),
    await of(`${API}/pushrules/global/content/word`),
  ]) {
    assert.notEqual(other, given);
  }
});

test("what a base path or a query says of rooms is not what the request is about", async () => {
  const plain = await of(`${API}/rooms/!a:hs/state/x`);
  const base = "https://hs.example/rooms/!b:hs/_matrix/client/v3";
  assert.equal(await of(`${base}/rooms/!a:hs/state/x`), plain);
  assert.notEqual(await of(`${base}/pushrules/x`), await of(`${base}/rooms/!b:hs/state/x`));
  const query = `${API}/pushrules/x?y=/_matrix/client/v3/rooms/!a:hs/z`;
  assert.equal(await of(query), await of(`${API}/pushrules/x`));
});

test("no two parts run into each other", async () => {
  assert.notEqual(await answerKey("@a", "x", "y/z", API), await answerKey("@a\nx/y", "z", "", API));
});

test("a call server's is for that server alone", async () => {
  const given = await of("call-server:sfu.example.net:8443");
  assert.equal(given, await of("call-server:sfu.example.net:8443"));
  for (const host of ["sfu.example.net", "sfu.example.com:8443", ""]) {
    assert.notEqual(given, await of(`call-server:${host}`), host);
  }
});
