import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { OwnNameOutcome, OwnNameTask } from "../../protocol/own-name.ts";
import { PageCryptoError } from "../room-state/element/client.ts";
import { runOwnName } from "./chosen.ts";
import type { ChosenParts } from "./chosen.ts";

let parts: ChosenParts;
let set: string[];

beforeEach(() => {
  set = [];
  parts = {
    isOn: () => true,
    shownRoom: () => "!r:hs",
    isEncrypted: () => Promise.resolve(true),
    current: () => "Rosa",
    set: (roomId, name) => {
      set.push(`${roomId} ${name}`);
      return Promise.resolve();
    },
  };
});

const run = async (task: OwnNameTask): Promise<OwnNameOutcome> => {
  const { kind, wish, outcome } = await runOwnName(parts, { kind: "own-name", wish: 7, task });
  assert.deepEqual([kind, wish], ["own-name-answer", 7]);
  return outcome;
};

describe("a name in the popup", () => {
  test("is offered for the room that is shown", async () => {
    assert.deepEqual(await run({ do: "look" }), { is: "offered", room: "!r:hs", name: "Rosa" });
    parts = { ...parts, current: () => undefined };
    assert.deepEqual(await run({ do: "look" }), { is: "offered", room: "!r:hs", name: "" });
  });

  test("is not offered where it would not leave sealed", async () => {
    for (const change of [
      { isOn: () => false },
      { shownRoom: () => undefined },
      { isEncrypted: () => Promise.resolve(false) },
      { isEncrypted: () => Promise.reject(new Error("nobody can tell")) },
    ]) {
      const before = parts;
      parts = { ...parts, ...change };
      assert.deepEqual(await run({ do: "look" }), { is: "none" });
      parts = before;
    }
  });

  test("is set, or it is said why not", async () => {
    assert.deepEqual(await run({ do: "set", room: "!r:hs", name: "Viola" }), { is: "set" });
    assert.deepEqual(set, ["!r:hs Viola"]);
    for (const [error, why] of [
      [new PageCryptoError("Not ready."), /^Not ready\.$/],
      [new TypeError("anything"), /could not encrypt your name/],
    ] as const) {
      parts = { ...parts, set: () => Promise.reject(error) };
      const outcome = await run({ do: "set", room: "!r:hs", name: "Viola" });
      assert.equal(outcome.is, "failed");
      assert.match(outcome.is === "failed" ? outcome.why : "", why);
    }
  });
});
