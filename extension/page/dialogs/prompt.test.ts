import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectRequests, takeAnswer } from "../channel/relay-requests.ts";
import { Memory } from "../channel/memory.ts";
import { delegateRequest, registerHandler } from "../intercept/handlers.ts";
import type { Handled } from "../intercept/handlers.ts";
import type { RequestPolicy } from "../intercept/decision.ts";
import { then } from "../primordials/primordials.ts";
import { askHandler } from "./consent.ts";
import { ask } from "./prompt.ts";

const QUESTION = {
  title: "Send it?",
  text: ["Everybody could read it."],
  choices: [{ id: "send", label: "Send" }],
};
const FORGED = { choice: "send", remember: ["room"] };

const realThen = Promise.prototype.then;
/** The test runner's own promises are left alone. */
const isMantles = (value: unknown): boolean =>
  value === "kept" ||
  (typeof value === "object" &&
    value !== null &&
    ["choice", "kind", "key"].some((name) => Object.hasOwn(value, name)));

/** What a page can do to what the engine asks of promises and of what they are resolved with. */
const patches: Record<string, (forged: unknown, seen: unknown[]) => () => void> = {
  "Promise.prototype.then": (forged, seen) =>
    replaced(Promise.prototype, "then", {
      value(this: Promise<unknown>, fulfilled?: (value: unknown) => unknown, ...rest: []) {
        const instead = (value: unknown): unknown => {
          if (!isMantles(value)) return fulfilled?.(value);
          seen.push(value);
          return fulfilled?.(forged);
        };
        return Reflect.apply(realThen, this, [fulfilled && instead, ...rest]) as unknown;
      },
    }),
  "Promise.prototype.constructor": (forged, seen) => {
    const undo = patches["Promise.prototype.then"]?.(forged, seen);
    const undoOther = replaced(Promise.prototype, "constructor", {
      value: class Other extends Promise<unknown> {},
    });
    return () => {
      undoOther();
      undo?.();
    };
  },
  "Object.prototype.then": (forged, seen) =>
    replaced(Object.prototype, "then", {
      get(this: unknown) {
        // Not what the page itself gives: that would go on for ever.
        if (!isMantles(this) || this === forged) return undefined;
        seen.push(this);
        return (fulfilled: (value: unknown) => void) => fulfilled(forged);
      },
    }),
};

function replaced(of: object, name: string, descriptor: PropertyDescriptor): () => void {
  const before = Object.getOwnPropertyDescriptor(of, name);
  Object.defineProperty(of, name, { ...descriptor, configurable: true });
  return () => {
    if (before === undefined) delete (of as Record<string, unknown>)[name];
    else Object.defineProperty(of, name, before);
  };
}

/** The outcome, with the patch in force until it is there; undefined: none came. */
async function under<Value>(
  patch: (typeof patches)[string],
  forged: unknown,
  work: () => Promise<Value>,
): Promise<{ value: Value | undefined; seen: unknown[] }> {
  const seen: unknown[] = [];
  let value: Value | undefined;
  let isDone = false;
  const undo = patch(forged, seen);
  try {
    void then(work(), (given) => {
      value = given;
      isDone = true;
    });
    for (let turns = 0; turns < 20 && !isDone; turns += 1) {
      await nextTurn();
    }
  } finally {
    undo();
  }
  return { value, seen };
}

/** Awaited under the patches too. */
function nextTurn(): PromiseLike<void> {
  const turn = new Promise<void>((done) => setImmediate(done));
  return {
    then: (fulfilled) => Reflect.apply(realThen, turn, [fulfilled]) as never,
  } as PromiseLike<void>;
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const gate = { note: () => undefined } as unknown as RequestPolicy;
const request = {
  method: "PUT",
  url: "https://hs.example/_matrix/client/v3/profile/@a:hs/displayname",
  headers: [],
  body: undefined,
  signal: undefined,
};

for (const [name, patch] of Object.entries(patches)) {
  test(`the page gives no answer by ${name}`, async () => {
    const { value, seen } = await under(patch, FORGED, () => ask(QUESTION));
    assert.deepEqual(plain(value), { choice: "dismissed", remember: [] });
    assert.deepEqual(seen, []);
  });

  test(`the page lets no refused request out by ${name}`, async () => {
    registerHandler("ask", askHandler);
    const question = { id: "q", title: "T", text: "x", send: "Send", remember: null };
    const delegates = [{ handler: "ask", shield: "profile", name: "Profile", question }] as const;
    const forged: Handled = { kind: "send", request };
    const { value, seen } = await under(patch, forged, () =>
      delegateRequest(gate, delegates, request),
    );
    assert.equal(value?.kind, "reply");
    assert.deepEqual(seen, []);
  });

  test(`the page remembers nothing in the person's stead by ${name}`, async () => {
    connectRequests(({ id }) => {
      setImmediate(() => takeAnswer({ kind: "loaded", id, entries: { key: "kept" } }));
    });
    const { value, seen } = await under(patch, { key: "send", kind: "loaded", entries: {} }, () =>
      new Memory("answers").recall("key"),
    );
    assert.equal(value, "kept");
    assert.deepEqual(seen, []);
  });
}

test("what a handler did not say is not read from what the page put into every object", async () => {
  registerHandler("ask", { handle: () => Promise.resolve({ kind: "send" as const }) }, "other");
  const delegates = [{ handler: "ask", shield: "other", name: "", question: null }] as const;
  const undo = replaced(Object.prototype, "url", { value: "https://evil.example" });
  let handled: Handled;
  try {
    handled = await delegateRequest(gate, delegates, request);
  } finally {
    undo();
  }
  assert.equal(handled.kind === "send" && handled.request.url, request.url);
});
