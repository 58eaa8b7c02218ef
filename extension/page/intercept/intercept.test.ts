import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { headersFrom, pairsOf } from "../primordials/header-list.ts";
import { bytesOfBase64 } from "../primordials/base64.ts";
import {
  FAIL,
  DELEGATE_RESPONSE,
  DELEGATE,
  PASS,
  REPLY,
  REDIRECT,
  REWRITTEN,
  INSPECT_RESPONSE,
  type RequestPolicy,
  type Delegate,
} from "./decision.ts";
import {
  beforeSending,
  bodyBytes,
  delegateResponse,
  delegateRequest,
  registerResponseHandler,
  registerHandler,
  type PausedRequest,
  type Outcome,
} from "./handlers.ts";
import { permissionFor } from "./permission.ts";
import { takePlan } from "./plan.ts";

const reply = { status: 403, statusText: "Forbidden", headers: [], body: "{}" };
const delegate = (handler: Delegate["handler"], shield = "s"): Delegate => ({
  handler,
  shield,
  name: shield,
  question: null,
});
const noted: string[] = [];
const gate = (more: Partial<RequestPolicy> = {}): RequestPolicy =>
  ({
    takeReply: () => reply,
    takeBody: () => new Uint8Array([1]),
    takeUrl: () => "https://other.example/",
    takeDelegates: () => [delegate("ask")],
    takeResponseDelegate: () => delegate("state"),
    note: (shield: string, action: string) => void noted.push(`${shield} ${action}`),
    answer: () => undefined,
    ...more,
  }) as RequestPolicy;
const held = (more: Partial<PausedRequest> = {}): PausedRequest => ({
  method: "PUT",
  url: "https://hs.example/x",
  headers: [["Authorization", "Bearer x"]],
  body: new Uint8Array([1, 2]),
  signal: undefined,
  ...more,
});

describe("a plan", () => {
  test("takes what the decision left, and nothing else", () => {
    const asked: string[] = [];
    const counting = new Proxy(gate(), {
      get: (target, name) => {
        asked.push(String(name));
        return target[name as keyof RequestPolicy];
      },
    });
    assert.deepEqual(takePlan(counting, PASS), {
      isSettled: false,
      reply: undefined,
      body: undefined,
      url: undefined,
      delegates: undefined,
      responseDelegate: undefined,
      isWatched: false,
    });
    assert.deepEqual(asked, []);
    takePlan(counting, REWRITTEN | INSPECT_RESPONSE);
    assert.deepEqual(asked, ["takeBody"]);
    const all = takePlan(
      gate(),
      REDIRECT | REWRITTEN | DELEGATE | DELEGATE_RESPONSE | INSPECT_RESPONSE,
    );
    assert.equal(all.url, "https://other.example/");
    assert.deepEqual(all.body, new Uint8Array([1]));
    assert.equal(all.delegates?.length, 1);
    assert.equal(all.responseDelegate?.handler, "state");
    assert.equal(all.isWatched, true);
    assert.equal(all.isSettled, false);
  });

  test("what is settled is not sent, with words or without", () => {
    assert.deepEqual(takePlan(gate(), REPLY).reply, reply);
    assert.equal(takePlan(gate(), REPLY).isSettled, true);
    assert.equal(takePlan(gate(), FAIL).isSettled, true);
    assert.equal(takePlan(gate(), FAIL).reply, undefined);
  });

  test("a core that cannot say where to send it has it refused", () => {
    const broken = takePlan(gate({ takeUrl: () => undefined }), REDIRECT);
    assert.equal(broken.isSettled, true);
    assert.deepEqual(broken.reply, reply);
  });
});

describe("handlers", () => {
  const outcome = async (made: unknown): Promise<unknown> => {
    registerHandler("ask", { handle: async () => made as Outcome }, "one");
    return delegateRequest(gate(), [delegate("ask", "one")], held());
  };

  test("one that is missing, throws or says nothing has the request refused", async () => {
    const refused = async (handled: Promise<unknown>): Promise<void> => {
      const { kind, reply: made } = (await handled) as { kind: string; reply: typeof reply };
      assert.equal(kind, "reply");
      assert.equal(made.status, 403);
      assert.match(made.body, /M_FORBIDDEN/);
    };
    await refused(delegateRequest(gate(), [], held()));
    await refused(delegateRequest(gate(), [delegate("media", "nobody")], held()));
    for (const made of [undefined, {}, { kind: "pass" }]) await refused(outcome(made));
    registerHandler("ask", { handle: () => Promise.reject(new Error("x")) }, "late");
    await refused(delegateRequest(gate(), [delegate("ask", "late")], held()));
    const atOnce = (): never => {
      throw new Error("x");
    };
    registerHandler("ask", { handle: atOnce }, "at-once");
    await refused(delegateRequest(gate(), [delegate("ask", "at-once")], held()));
  });

  test("each sees what the one before it made of the request, until one settles it", async () => {
    const seen: string[] = [];
    registerHandler(
      "media",
      {
        handle: async ({ url, body }) => {
          seen.push(`${url} ${(body as Uint8Array).length}`);
          return { kind: "send", url: `${url}1`, body: "text" };
        },
      },
      "first",
    );
    registerHandler(
      "media",
      {
        handle: async ({ url, body }) => {
          seen.push(`${url} ${(body as Uint8Array).length}`);
          return { kind: "fail" };
        },
      },
      "second",
    );
    const delegates = [
      delegate("media", "first"),
      delegate("media", "second"),
      delegate("media", "third"),
    ];
    assert.deepEqual(await delegateRequest(gate(), delegates, held()), { kind: "fail" });
    assert.deepEqual(seen, ["https://hs.example/x 2", "https://hs.example/x1 4"]);
  });

  test("what they did is counted once each, and an untouched request not at all", async () => {
    noted.length = 0;
    const request = held();
    for (const made of [
      { kind: "send" },
      { kind: "send", body: request.body },
      { kind: "send", body: "new" },
      { kind: "send", noted: "asked" },
      { kind: "reply", status: 200, body: "{}" },
      { kind: "fail", noted: "blocked" },
    ]) {
      registerHandler("ask", { handle: async () => made as Outcome }, "count");
      await delegateRequest(gate(), [delegate("ask", "count")], request);
    }
    assert.deepEqual(noted, ["count rewritten", "count asked", "count answered", "count blocked"]);
  });

  test("an answer's handler that fails leaves the answer as it is", async () => {
    const bytes = new Uint8Array([1]);
    const request = { method: "GET", url: "https://hs.example/", headers: [] };
    assert.equal(await delegateResponse(delegate("state", "none"), request, 200, bytes), undefined);
    registerResponseHandler("state", { open: () => Promise.reject(new Error("x")) }, "late");
    assert.equal(await delegateResponse(delegate("state", "late"), request, 200, bytes), undefined);
    const open = (): never => {
      throw new Error("x");
    };
    registerResponseHandler("state", { open, before: open }, "at-once");
    assert.equal(
      await delegateResponse(delegate("state", "at-once"), request, 200, bytes),
      undefined,
    );
    assert.equal(beforeSending(gate(), delegate("state", "at-once"), held()), undefined);
    assert.equal(beforeSending(gate(), delegate("state", "late"), held()), undefined);
  });

  test("an answer made here goes through the core as the homeserver's would", async () => {
    registerResponseHandler(
      "state",
      {
        open: async () => undefined,
        before: async () => ({ kind: "reply", status: 200, body: '{"a":1}' }),
      },
      "early",
    );
    const answer = (_m: string, _u: string, status: number, body: Uint8Array): Uint8Array =>
      new TextEncoder().encode(`${status} ${new TextDecoder().decode(body)}`);
    const handled = await beforeSending(gate({ answer }), delegate("state", "early"), held());
    assert.equal(handled?.kind === "reply" ? handled.reply.body : "", '200 {"a":1}');
  });

  test("bodies of every kind have bytes", async () => {
    assert.deepEqual(await bodyBytes(undefined), new Uint8Array(0));
    assert.deepEqual(await bodyBytes(new Uint8Array([1])), new Uint8Array([1]));
    assert.deepEqual(await bodyBytes(new Blob(["ä"])), new Uint8Array([0xc3, 0xa4]));
  });
});

describe("asking the person", () => {
  test("at once where settings are there, after them otherwise, and only where somebody minds", async () => {
    const minds = (what: string): Delegate | undefined =>
      what === "position:" ? delegate("ask") : undefined;
    const ready = gate({ isReady: () => true, prompt: minds });
    assert.equal(
      permissionFor(ready, "https://a.example/", async () => true),
      undefined,
    );
    assert.equal(await permissionFor(ready, "position:", async () => false), false);
    let settle = (): void => undefined;
    const later = gate({
      isReady: () => false,
      whenReady: () => new Promise((resolve) => (settle = resolve)),
      prompt: minds,
    });
    const permission = permissionFor(later, "position:", async () => false);
    const other = permissionFor(
      gate({ isReady: () => false, whenReady: async () => undefined, prompt: minds }),
      "https://a.example/",
      async () => false,
    );
    settle();
    assert.equal(await permission, false);
    assert.equal(await other, true);
  });
});

describe("small things that everything stands on", () => {
  test("headers keep their order and repeated names", () => {
    const pairs = [
      ["accept", "a"],
      ["set-cookie", "1"],
      ["set-cookie", "2"],
    ] as const;
    assert.deepEqual(pairsOf(headersFrom(pairs)), pairs);
    assert.throws(() => headersFrom([["no header", "x"]]), TypeError);
  });

  test("base64 gives every byte back, and refuses what is none", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    assert.deepEqual(bytesOfBase64(Buffer.from(bytes).toString("base64")), bytes);
    assert.deepEqual(bytesOfBase64(""), new Uint8Array(0));
    assert.throws(() => bytesOfBase64("ä"));
  });
});
