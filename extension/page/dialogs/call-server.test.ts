import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectRequests, takeAnswer } from "../channel/relay-requests.ts";
import type { Delegate } from "../intercept/decision.ts";
import type { Outcome } from "../intercept/handlers.ts";
import { askForFrame, callServerHandler, MAX_ASKED } from "./call-server.ts";

const question = { id: "call-server", title: "T", text: "$1", send: "S", remember: null };
const delegate: Delegate = { handler: "ask", shield: "calls", name: "Calls", question };

type PageRequest = Parameters<Parameters<typeof connectRequests>[0]>[0];

const sent: PageRequest[] = [];
connectRequests((request) => void sent.push(request));
let account = "@alice:hs";
(window as unknown as Record<string, unknown>)["localStorage"] = { getItem: () => account };
// As in a frame: nothing of Mantle's is shown there.
(window as unknown as Record<string, unknown>)["top"] = {};

const handle = (host: string): Promise<Outcome> => {
  const request = { url: `https://${host}/sfu/get`, method: "POST", headers: [], body: undefined };
  return callServerHandler.handle({ ...request, signal: undefined }, delegate);
};
const hosts = (): string[] =>
  sent.map((request) => (request.kind === "call-server" ? request.host : request.kind));
const answerLast = (isAllowed: boolean): void => {
  takeAnswer({ kind: "call-server-allowed", id: sent.at(-1)?.id ?? 0, isAllowed });
};
const kinds = (outcomes: readonly Outcome[]): unknown[] =>
  outcomes.map(({ kind, noted }) => `${kind} ${noted}`);

test("a frame asks the window once for each server, and holds what is for it meanwhile", async () => {
  const held = [handle("a.example"), handle("a.example")];
  let isSettled = false;
  void held[0]?.then(() => (isSettled = true));
  await new Promise((turn) => setImmediate(turn));
  assert.equal(isSettled, false);
  assert.deepEqual(hosts(), ["a.example"]);
  answerLast(true);
  assert.deepEqual(kinds(await Promise.all(held)), ["send agreed", "send agreed"]);

  const other = handle("a.example:8443");
  assert.deepEqual(hosts(), ["a.example", "a.example:8443"]);
  answerLast(false);
  assert.deepEqual(kinds([await other, await handle("a.example:8443")]), [
    "reply asked",
    "reply asked",
  ]);
  assert.equal(sent.length, 2);
});

test("what one person allowed or refused holds for nobody who signs in after them", async () => {
  account = "@bob:hs";
  const held = handle("a.example");
  assert.deepEqual(hosts(), ["a.example", "a.example:8443", "a.example"]);
  answerLast(false);
  assert.equal((await held).kind, "reply");
  account = "@alice:hs";
  assert.equal((await handle("a.example")).kind, "send");
});

test("a relay that says no, or something else, is a no", async () => {
  const refused = handle("b.example");
  takeAnswer({ kind: "refused", id: sent.at(-1)?.id ?? 0, why: "No." });
  // What handles requests refuses it then.
  await assert.rejects(refused);
  const odd = handle("c.example");
  takeAnswer({ kind: "stored", id: sent.at(-1)?.id ?? 0 });
  assert.equal((await odd).kind, "reply");
});

test("servers that a member names without end are not asked about without end", async () => {
  sent.length = 0;
  for (let number = 0; number < 20; number += 1) {
    const before = sent.length;
    const outcome = handle(`s${number}.example`);
    if (sent.length > before) answerLast(false);
    assert.equal((await outcome).kind, "reply");
  }
  // Five were asked about above.
  assert.equal(sent.length, MAX_ASKED - 5);
});

test("the window says no for a frame where nobody is to be asked, and shows it nowhere else", async () => {
  const asked: string[] = [];
  const gate = (found: Delegate | undefined): Parameters<typeof askForFrame>[0] => ({
    prompt: (what) => {
      asked.push(what);
      return found;
    },
  });
  assert.equal(await askForFrame(gate(undefined), { wish: 1, host: "a.example" }), false);
  assert.equal(
    await askForFrame(gate({ ...delegate, question: null }), { wish: 1, host: "a.example" }),
    false,
  );
  // A frame in a frame is no window either.
  assert.equal(await askForFrame(gate(delegate), { wish: 1, host: "a.example" }), false);
  assert.deepEqual(new Set(asked), new Set(["call-server:a.example"]));
});
