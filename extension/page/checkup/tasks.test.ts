import "../../testing/page.ts";

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";

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
let signedIn = ALICE;
let converted: string[] = [];
let rooms: string[] = [];
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
    response.end("{}");
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
  };
  Object.assign(window, { mxMatrixClientPeg: { get: () => client } });
});
after(() => server.close());
beforeEach(() => {
  asked = [];
  converted = [];
  signedIn = ALICE;
});

describe("a task of the check-up", () => {
  const request = { ...REQUEST, method: "GET" } as const;
  const tasks: CheckUpTask[] = [
    { do: "ask", user: ALICE, request },
    { do: "preview", user: ALICE, rooms: ["!a"] },
    { do: "convert", user: ALICE, room: "!a" },
  ];

  test("is done in the name of whom it is for", async () => {
    const outcomes = [];
    for (const task of tasks) outcomes.push((await run(task)).is);
    assert.deepEqual(outcomes, ["answer", "preview", "answer"]);
    assert.deepEqual(asked, [request.path]);
    assert.deepEqual(converted, [`${ALICE} !a`]);
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
  });
});
