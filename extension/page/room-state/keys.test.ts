import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import type { StateEngine } from "./engine.ts";
import { KeyFetcher, MEMBER_PROFILE } from "./keys.ts";

test("names in one room are handed on where the module keeps their order no more", async () => {
  const peg = { mxMatrixClientPeg: { get: () => ({ getRoom: () => null }) } };
  Object.assign((globalThis as unknown as { window: object }).window, peg);
  const events: { roomId: string; event: object }[] = [];
  for (let number = 0; number < 100; number += 1) {
    const event = { type: MEMBER_PROFILE, state_key: `@p${number}:hs`, event_id: `$${number}` };
    events.push({ roomId: "!r", event });
  }
  const state = {
    retryNeeds: () => undefined,
    retried: () => ({ events, more: false }),
    // Of a room it has 64 places.
    isCurrent: (_room: string, _type: string, user: string) => Number(/\d+/.exec(user)) >= 36,
  };
  const engine = {
    isRunning: true,
    call: (call: (of: unknown) => unknown) => call(state),
    persistSoon: () => undefined,
  };
  const keys = new KeyFetcher(engine as unknown as StateEngine);
  const taken: unknown[] = [];
  keys.onMemberProfile = (_room, event) => taken.push(event["event_id"]);
  keys.scheduleRetry(0);
  for (let round = 0; round < 100 && taken.length < 100; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(taken.length, 100);
});
