import "../../testing/page.ts";

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { isInnerOnly, relationOf, shownRelation, withRelation } from "./relation.ts";
import type { Plain } from "./relation.ts";

const TEXT = "m.room.message";
const REACTION = "m.reaction";
const reply = (id: string) => ({ "m.in_reply_to": { event_id: id } });
const reaction = (id: string, key = "👍") => ({ rel_type: "m.annotation", event_id: id, key });
const thread = (id: string) => ({ rel_type: "m.thread", event_id: id });

function shown(
  type: string,
  inner: unknown,
  outer: unknown,
  more: { content?: Record<string, unknown>; isInnerCertain?: boolean } = {},
): unknown {
  const content = { ...more.content, ...(inner === undefined ? {} : { "m.relates_to": inner }) };
  return shownRelation({ type, content, outer, isInnerCertain: more.isInnerCertain ?? true });
}

describe("the relation that is shown", () => {
  test("is the inner one, whatever stands outside", () => {
    for (const outer of [undefined, reply("$forged"), thread("$forged"), reaction("$forged"), 7]) {
      assert.deepEqual(shown(TEXT, reply("$1"), outer), reply("$1"));
      assert.deepEqual(shown(REACTION, reaction("$1"), outer), reaction("$1"));
    }
    const inner = { ...thread("$root"), ...reply("$1"), is_falling_back: true };
    assert.deepEqual(shown(TEXT, inner, thread("$root")), inner);
    assert.deepEqual(shown(TEXT, inner, { ...thread("$root"), ...reply("$forged") }), inner);
  });

  test("is none where the inner one is malformed: what stands outside does not come in its place", () => {
    const malformed = [
      7,
      null,
      [],
      { rel_type: 7 },
      { event_id: {} },
      { key: [] },
      { "m.in_reply_to": "$1" },
      { "m.in_reply_to": {} },
      { "m.in_reply_to": null },
      { is_falling_back: "yes" },
    ];
    for (const inner of malformed) {
      assert.equal(relationOf(inner), undefined);
      assert.equal(shown(TEXT, inner, reply("$outer")), undefined);
    }
  });

  test("is the outer one where older clients have it alone", () => {
    for (const outer of [reply("$1"), thread("$1"), { rel_type: "m.reference", event_id: "$1" }]) {
      assert.deepEqual(shown(TEXT, undefined, outer), outer);
    }
    const edit = { rel_type: "m.replace", event_id: "$1" };
    assert.deepEqual(shown(TEXT, undefined, edit, { content: { "m.new_content": {} } }), edit);
  });

  test("of an edit of what was not sent yet is the outer one, which has its name", () => {
    const edit = (id: string) => ({ rel_type: "m.replace", event_id: id });
    const unsent = edit("~!r:hs:m1.0");
    const content = { "m.new_content": {} };
    assert.deepEqual(shown(TEXT, unsent, edit("$1"), { content }), edit("$1"));
    assert.equal(shown(TEXT, unsent, edit("$1")), undefined);
    assert.deepEqual(shown(TEXT, unsent, reply("$1"), { content }), unsent);
    assert.deepEqual(shown(TEXT, edit("$2"), edit("$1"), { content }), edit("$2"));
  });

  test("is none where only the homeserver can have put it outside", () => {
    assert.equal(shown(REACTION, undefined, reaction("$1")), undefined);
    assert.equal(shown(TEXT, undefined, reaction("$1")), undefined);
    assert.equal(shown(TEXT, undefined, { rel_type: "m.replace", event_id: "$1" }), undefined);
  });

  test("of a reaction is none where nobody knows whether it was inside", () => {
    const unsure = { isInnerCertain: false };
    assert.equal(shown(REACTION, reaction("$1"), reaction("$1"), unsure), undefined);
    assert.deepEqual(shown(REACTION, reaction("$1"), undefined, unsure), reaction("$1"));
    assert.deepEqual(shown(TEXT, reply("$1"), reply("$1"), unsure), reply("$1"));
  });

  test("is no thread that the homeserver knows nothing of, but what it answers there", () => {
    assert.equal(shown(TEXT, thread("$root"), undefined), undefined);
    assert.deepEqual(shown(TEXT, { ...thread("$root"), ...reply("$1") }, undefined), reply("$1"));
  });
});

test("the vectors that others are given are read so", () => {
  const file = new URL(
    "../../../core/room-state/tests/vectors/names_pictures_relations.json",
    import.meta.url,
  );
  const { relation_readings: readings } = JSON.parse(readFileSync(file, "utf8")) as {
    relation_readings: {
      says: string;
      type: string;
      content: Plain;
      outside: unknown;
      shown: unknown;
    }[];
  };
  assert.equal(readings.length, 16);
  for (const { says, type, content, outside, shown: expected } of readings) {
    const outer = outside ?? undefined;
    const relation = shownRelation({ type, content, outer, isInnerCertain: true });
    assert.deepEqual(relation ?? null, expected, says);
  }
});

test("who has relations inside alone speaks MSC4392", () => {
  const of = (inner: unknown, outer: unknown): boolean =>
    isInnerOnly({
      type: TEXT,
      content: { "m.relates_to": inner },
      outer,
      isInnerCertain: true,
    });
  assert.equal(of(reply("$1"), undefined), true);
  assert.equal(of(reply("$1"), reply("$1")), false);
  assert.equal(of(7, undefined), false);
  assert.equal(of(undefined, undefined), false);
});

test("nothing else of a content is changed", () => {
  const content = { algorithm: "a", "m.relates_to": reply("$1"), ["__proto__x"]: 1 };
  const copy = structuredClone(content);
  assert.deepEqual(withRelation(content, undefined), { algorithm: "a", ["__proto__x"]: 1 });
  assert.deepEqual(withRelation(content, reply("$2")), { ...content, "m.relates_to": reply("$2") });
  assert.deepEqual(content, copy);
});
