import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { OwnNameOutcome, OwnNameTask } from "../../protocol/own-name.ts";
import { PageCryptoError } from "../room-state/element/client.ts";
import { runOwnName } from "./chosen.ts";
import type { ChosenParts } from "./chosen.ts";

let parts: ChosenParts;
let set: string[];
let picked: string[];

beforeEach(() => {
  set = [];
  picked = [];
  parts = {
    isOn: () => true,
    shownRoom: () => "!r:hs",
    isEncrypted: () => Promise.resolve(true),
    current: () => ({ name: "Rosa", picture: undefined }),
    // As long as the person takes.
    pickPicture: (roomId) => {
      picked.push(roomId);
      return new Promise(() => undefined);
    },
    set: (roomId, change) => {
      set.push(`${roomId} ${JSON.stringify(change)}`);
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
    const offered = { is: "offered", room: "!r:hs", name: "Rosa", hasPicture: false };
    assert.deepEqual(await run({ do: "look" }), offered);
    parts = { ...parts, current: () => ({ name: undefined, picture: { file: {} } }) };
    assert.deepEqual(await run({ do: "look" }), { ...offered, name: "", hasPicture: true });
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

  test("has the page ask for a picture, which the popup does not wait for", async () => {
    assert.deepEqual(await run({ do: "pick-picture", room: "!r:hs" }), { is: "asked" });
    assert.deepEqual(picked, ["!r:hs"]);
  });

  test("is set, or it is said why not", async () => {
    assert.deepEqual(await run({ do: "set", room: "!r:hs", name: "Viola" }), { is: "set" });
    assert.deepEqual(await run({ do: "public-picture", room: "!r:hs" }), { is: "set" });
    assert.deepEqual(set, ['!r:hs {"name":"Viola"}', '!r:hs {"isPictureTaken":true}']);
    for (const [error, why] of [
      [new PageCryptoError("Not ready."), /^Not ready\.$/],
      [new TypeError("anything"), /could not encrypt your name/],
    ] as const) {
      parts = { ...parts, set: () => Promise.reject(error) };
      const outcome = await run({ do: "set", room: "!r:hs", name: "Viola" });
      assert.equal(outcome.is, "failed");
      assert.match(outcome.is === "failed" ? outcome.why : "", why);
      const other = await run({ do: "public-picture", room: "!r:hs" });
      assert.match(
        other.is === "failed" ? other.why : "",
        /Not ready|could not encrypt your picture/,
      );
    }
  });
});
