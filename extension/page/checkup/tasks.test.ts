import "../../testing/page.ts";

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, mock, test } from "node:test";

import {
  type CheckUpOutcome,
  type CheckUpTask,
  readCheckUpOutcome,
} from "../../protocol/check-up.ts";
import type { RoomConversion } from "../room-state/conversion.ts";
import { runTask } from "./tasks.ts";

const ALICE = "@alice:hs.example.org";
const REQUEST = { method: "GET", path: "/_matrix/client/v3/devices", body: null, signed: true };

let server: Server;
let base = "";
let asked: string[] = [];
let reply: (response: ServerResponse) => void;
let signedIn = ALICE;
let converted: string[] = [];
let rooms: string[] = [];
let judged: object[] = [];
/** The session's: whether it is there, and what it says of key backups, where its version can. */
let crypto: { isThere: boolean; says: (() => unknown) | undefined };
const conversion = {
  convertible: () => Promise.resolve(rooms),
  preview: (user: string, rooms: string[]) => Promise.resolve([`${user} ${rooms.join()}`]),
  convertOne: (user: string, room: string) => {
    converted.push(`${user} ${room}`);
    return Promise.resolve();
  },
} as unknown as RoomConversion;

async function run(task: CheckUpTask): Promise<CheckUpOutcome> {
  return (await runTask(conversion, { kind: "check-up", wish: 1, task })).outcome;
}

before(async () => {
  server = createServer((request, response) => {
    asked.push(request.url ?? "");
    reply(response);
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = {
    get baseUrl() {
      return base;
    },
    getUserId: () => signedIn,
    getDeviceId: () => "HERE",
    getAccessToken: () => "secret",
    getCrypto: () => {
      if (!crypto.isThere) return undefined;
      const { says } = crypto;
      if (says === undefined) return {};
      return {
        isKeyBackupTrusted: (info: object) => {
          judged.push(info);
          return new Promise((resume) => resume(says()));
        },
      };
    },
  };
  Object.assign(window, { mxMatrixClientPeg: { get: () => client } });
});
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  reply = (response) => response.end("{}");
  converted = [];
  judged = [];
  crypto = { isThere: true, says: () => ({ trusted: false, matchesDecryptionKey: false }) };
  signedIn = ALICE;
});

describe("a task of the check-up", () => {
  const request = { ...REQUEST, method: "GET" } as const;
  const tasks: CheckUpTask[] = [
    { do: "ask", user: ALICE, request },
    { do: "preview", user: ALICE, rooms: ["!a"] },
    { do: "convert", user: ALICE, room: "!a" },
    { do: "judge", user: ALICE, backup: '{"version":"3"}' },
  ];

  test("is done in the name of whom it is for", async () => {
    const outcomes = [];
    for (const task of tasks) outcomes.push((await run(task)).is);
    assert.deepEqual(outcomes, ["answer", "preview", "answer", "answer"]);
    assert.deepEqual(asked, [request.path]);
    assert.deepEqual(judged, [{ version: "3" }]);
    assert.deepEqual(converted, [`${ALICE} !a`]);
  });

  test("an answer that is too long, or does not end, is none", async () => {
    const ask = { do: "ask", user: ALICE, request } as const;
    const none = { is: "answer", status: 0, headers: "", body: "" };
    // More than is read, and then nothing: whoever read on would wait for ever.
    reply = (response) => {
      for (let sent = 0; sent < 17; sent += 1) response.write("x".repeat(1_000_000));
    };
    const late = new Promise((resume) => setTimeout(resume, 5_000, "late").unref());
    assert.deepEqual(await Promise.race([run(ask), late]), none);
    reply = (response) => response.end("\u00fc".repeat(3));
    const outcome = await run(ask);
    assert.equal(outcome.is === "answer" && outcome.body, "\u00fc".repeat(3));
  });

  test("has an end, also where the homeserver never answers", async () => {
    reply = () => undefined;
    mock.timers.enable({ apis: ["setTimeout"] });
    const asking = run({ do: "ask", user: ALICE, request });
    await new Promise((resume) => setImmediate(resume));
    mock.timers.tick(110_000);
    mock.timers.reset();
    const outcome = await asking;
    assert.deepEqual(outcome, { is: "answer", status: 0, headers: "", body: "" });
  });

  test("tells of no more rooms than may be told of", async () => {
    rooms = Array.from({ length: 6_000 }, (_, index) => `!${String(index)}`);
    const outcome = await run({ do: "account" });
    assert.ok(outcome.is === "account");
    assert.equal(outcome.convertible.length, 5_000);
    assert.deepEqual(readCheckUpOutcome(outcome), outcome);
  });

  test("is not done in the name of somebody else", async () => {
    signedIn = "@bob:hs.example.org";
    for (const task of tasks) assert.deepEqual(await run(task), { is: "nobody" }, task.do);
    assert.deepEqual(asked, []);
    assert.deepEqual(converted, []);
    assert.deepEqual(judged, []);
  });

  test("a key backup is judged by the session's crypto, or by nobody", async () => {
    const judge = async (backup: string): Promise<[number, string]> => {
      const outcome = await run({ do: "judge", user: ALICE, backup });
      return outcome.is === "answer" ? [outcome.status, outcome.body] : [-1, outcome.is];
    };
    const no = '{"trusted":false,"matchesDecryptionKey":false}';
    assert.deepEqual(await judge("{}"), [200, no]);
    crypto.says = () => ({ trusted: true, matchesDecryptionKey: true, more: "x" });
    assert.deepEqual(await judge("{}"), [200, '{"trusted":true,"matchesDecryptionKey":true}']);
    // Whatever is no clear yes is none.
    crypto.says = () => ({ trusted: "yes" });
    assert.deepEqual(await judge("{}"), [200, no]);
    crypto.says = () => undefined;
    assert.deepEqual(await judge("{}"), [0, ""]);
    crypto.says = () => {
      throw new Error("The key is none.");
    };
    assert.deepEqual(await judge("{}"), [0, ""]);
    crypto.says = undefined;
    assert.deepEqual(await judge("{}"), [0, ""]);
    crypto.isThere = false;
    assert.deepEqual(await judge("{}"), [0, ""]);
    crypto.isThere = true;
    crypto.says = () => ({});
    assert.deepEqual(await judge("no JSON"), [0, ""]);
  });
});
