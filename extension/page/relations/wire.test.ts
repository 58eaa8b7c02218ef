import "../../testing/page.ts";

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { RELATES_TO, shownRelation } from "./relation.ts";
import type { Plain } from "./relation.ts";
import { isSame, outerContent, padded, RANDOM_BYTES } from "./wire.ts";

const CIPHER = { algorithm: "m.megolm.v1.aes-sha2", ciphertext: "x", session_id: "s" };
const reply = { "m.in_reply_to": { event_id: "$1" } };

const outer = (relation: unknown): unknown => outerContent({ ...CIPHER, "m.relates_to": relation });

describe("what stays outside", () => {
  test("of a reply and of a reaction is nothing", () => {
    assert.deepEqual(outer(reply), CIPHER);
    assert.deepEqual(outer({ rel_type: "m.annotation", event_id: "$1", key: "👍" }), CIPHER);
  });

  test("of a thread is which", () => {
    const thread = { rel_type: "m.thread", event_id: "$root" };
    const kept = { ...CIPHER, "m.relates_to": thread };
    assert.deepEqual(outer({ ...thread, ...reply, is_falling_back: true }), kept);
    assert.equal(outer(thread), undefined);
  });

  test("of edits, votes and what nobody here knows is all", () => {
    for (const type of ["m.replace", "m.reference", "org.example.other"]) {
      assert.equal(outer({ rel_type: type, event_id: "$1", more: 1 }), undefined);
    }
    assert.equal(outerContent(CIPHER), undefined);
    assert.equal(outer(7), undefined);
  });
});

test("relations are the same where all that is known of them is", () => {
  const reaction = { rel_type: "m.annotation", event_id: "$1", key: "👍" };
  assert.equal(isSame(reaction, { key: "👍", event_id: "$1", rel_type: "m.annotation" }), true);
  assert.equal(isSame(reaction, { ...reaction, key: "👎" }), false);
  assert.equal(isSame(reply, { "m.in_reply_to": { event_id: "$2" } }), false);
  assert.equal(isSame(undefined, undefined), false);
});

test("lengths of reactions spread, the shorter the more often, and nothing else changes", () => {
  const lengths = new Map<number, number>();
  for (let count = 0; count < 2_000; count += 1) {
    const random = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
    const { "org.mantle.padding": padding, ...rest } = padded({ a: 1 }, random);
    assert.deepEqual(rest, { a: 1 });
    const blocks = Math.floor(String(padding).length / 16);
    lengths.set(blocks, (lengths.get(blocks) ?? 0) + 1);
  }
  assert.ok(lengths.size >= 8, "lengths do not spread");
  assert.ok(Math.max(...lengths.keys()) <= 12, "a reaction has no bound");
  assert.ok((lengths.get(0) ?? 0) > (lengths.get(6) ?? 0), "longer ones are not rarer");
  for (const byte of [0, 255]) {
    const all = padded({}, new Uint8Array(RANDOM_BYTES).fill(byte));
    assert.equal(String(all["org.mantle.padding"]).length, byte === 0 ? 0 : 12 * 16 + 15);
  }
});

test("the vectors that others are given leave so, and are shown as they are inside", () => {
  const file = new URL(
    "../../../core/room-state/tests/vectors/names_pictures_relations.json",
    import.meta.url,
  );
  const { relations } = JSON.parse(readFileSync(file, "utf8")) as {
    relations: { payload: string; event: { content: Plain } }[];
  };
  assert.equal(relations.length, 4);
  for (const { payload, event } of relations) {
    const { type, content } = JSON.parse(payload) as { type: string; content: Plain };
    const { [RELATES_TO]: left, ...sealed } = event.content;
    const whole = { ...sealed, [RELATES_TO]: content[RELATES_TO] };
    assert.deepEqual(outerContent(whole) ?? whole, event.content);
    const decrypted = { type, content, outer: left, isInnerCertain: true };
    assert.deepEqual(shownRelation(decrypted), content[RELATES_TO]);
    if (type !== "m.reaction") continue;
    // Two whole blocks and five bytes.
    const random = new Uint8Array(RANDOM_BYTES).fill(1);
    [random[0], random[3]] = [5, 4];
    const { "org.mantle.padding": _padding, ...bare } = content;
    assert.deepEqual(padded(bare, random), content);
  }
});
