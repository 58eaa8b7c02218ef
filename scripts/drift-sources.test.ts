import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";

import { type Explained, judge, questionsOfCall, questionsOfPath } from "./drift-judge.ts";
import { type Found, whatIsIn } from "./drift-sources.ts";

const folder = mkdtempSync(path.join(tmpdir(), "mantle-drift-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function read(code: string): Found {
  const file = path.join(folder, "client.ts");
  writeFileSync(file, code);
  return whatIsIn(folder, [file]);
}

const callsOf = (code: string): string[] =>
  read(code).calls.map(({ method, prefix, path: text }) => `${method} ${prefix ?? "-"} ${text}`);

describe("what a package's code can send", () => {
  it("has method, path and prefix of a request", () => {
    assert.deepEqual(
      callsOf(`
        enum Prefix { V1 = "/_matrix/client/v1" }
        function read(http, room) {
          const path = encodeUri("/rooms/$roomId/state", { $roomId: room });
          return http.authedRequest(Method.Get, path, undefined, undefined, { prefix: Prefix.V1 });
        }`),
      ["GET /_matrix/client/v1 /rooms/{}/state"],
    );
  });

  it("follows a variable that grows, and both ways of a condition", () => {
    assert.deepEqual(
      callsOf(`
        function read(http, key) {
          let path = "/rooms/$roomId/state/$type";
          if (key) path = encodeUri(path + "/$key", {});
          return http.authedRequest(Method.Put, path);
        }`).sort(),
      ["PUT - /rooms/{}/state/{}", "PUT - /rooms/{}/state/{}/{}"],
    );
    assert.deepEqual(callsOf(`http.request(Method.Post, here ? "/a/b" : "/c/d");`), [
      "POST - /a/b",
      "POST - /c/d",
    ]);
  });

  it("follows a template and a function of the same file", () => {
    assert.deepEqual(
      callsOf(`
        const BASE = "/room_keys";
        function where(version) { return \`\${BASE}/version/\${version}\`; }
        function drop(http, version) { http.authedRequest(Method.Delete, where(version)); }`),
      ["DELETE - /room_keys/version/{}"],
    );
  });

  it("says so where a path cannot be told", () => {
    const found = read(
      `function ask(http, url) { return http.requestOtherUrl(Method.Post, url); }`,
    );
    assert.deepEqual(found.unseen, ["POST client.ts: ask"]);
    assert.deepEqual(found.calls, []);
  });

  it("has types, hosts and paths of texts, and nothing of comments or imports", () => {
    const found = read(`
      // "m.in_a_comment" and https://comment.example.org/
      import x from "./m.imported";
      const a = "m.room.name", b = "us.cloke.msc4175.tz", c = "room.timeline.limit";
      const d = "https://host.example.org/path", e = "/brand/new?x=1", f = "/";
      const g = \`org.example.\${a}\`;`);
    assert.deepEqual(
      [...found.types.keys()],
      ["m.room.name", "us.cloke.msc4175.tz", "org.example.{}"],
    );
    assert.deepEqual([...found.hosts.keys()], ["host.example.org"]);
    assert.deepEqual([...found.paths.keys()], ["/brand/new"]);
  });
});

describe("what is held against the tables", () => {
  const nothing: Explained = { calls: [], paths: [], types: [], hosts: [] };
  const knows = (path: string): boolean => path.startsWith("/_matrix/client/v3/rooms/");
  const known = {
    routed: (question: { path: string }): boolean => knows(question.path),
    named: (text: string): boolean => text === "m.known",
  };
  const verdictOn = (code: string, explained = nothing, everyReasonIsNeeded = true): string[] =>
    judge([{ name: "package", found: read(code) }], known, explained, { everyReasonIsNeeded })
      .problems;

  it("fails what is in no table", () => {
    const code = `
      function ask(http) {
        http.authedRequest(Method.Put, "/rooms/$roomId/state");
        http.authedRequest(Method.Get, "/brand/new");
      }
      const types = ["m.known", "m.new"], host = "https://new.example.org/", path = "/newer";`;
    const problems = verdictOn(code);
    assert.equal(problems.length, 4, problems.join("\n"));
    for (const [index, entry] of [
      "calls: GET /brand/new",
      "paths: /newer",
      "types: m.new",
      "hosts: new.example.org",
    ].entries()) {
      assert.ok(problems[index]?.startsWith(`${entry} is in no table`), problems[index]);
    }
  });

  it("takes a reason, and fails one that nobody needs or that says nothing", () => {
    const reason = "A member of messages, encrypted with them.";
    const types = [{ reason, of: ["m.new"] }];
    assert.deepEqual(verdictOn(`const a = "m.new";`, { ...nothing, types }), []);
    const paths = [{ reason, of: ["/rooms/x"] }];
    assert.deepEqual(verdictOn(`const a = "/rooms/x";`, { ...nothing, paths }), [
      "paths /rooms/x no longer comes up, or a table has it now; take it off the list.",
    ]);
    const named = [{ reason, of: ["m.known"] }];
    assert.deepEqual(verdictOn(`const a = "m.known";`, { ...nothing, types: named }), []);
    assert.deepEqual(verdictOn(`const a = "m.known";`, { ...nothing, types }), [
      "types m.new no longer comes up, or a table has it now; take it off the list.",
    ]);
    assert.deepEqual(verdictOn(`const a = "m.known";`, { ...nothing, types }, false), []);
    assert.deepEqual(
      verdictOn(`const a = "m.new";`, { ...nothing, types: [{ reason: "later", of: ["m.new"] }] }),
      ['"later" is no reason.'],
    );
  });

  it("asks the router with the prefix of the request, and under every base for a bare path", () => {
    const call = { method: "GET", path: "/a/{}", prefix: "/_matrix/client/v1", where: "" };
    assert.deepEqual(questionsOfCall(call), [{ method: "GET", path: "/_matrix/client/v1/a/x" }]);
    assert.deepEqual(questionsOfCall({ ...call, prefix: undefined }), [
      { method: "GET", path: "/_matrix/client/v3/a/x" },
    ]);
    assert.ok(questionsOfPath("/a").some(({ path }) => path === "/_matrix/media/v3/a"));
    assert.ok(questionsOfPath("https://hs/_matrix/x").every(({ path }) => path === "/_matrix/x"));
  });
});
