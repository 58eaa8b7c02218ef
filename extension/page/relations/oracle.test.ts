/**
 * The page's half of what is tried against matrix-sdk-crypto itself: the same cases, which say what
 * stands inside and outside, are those of core/room-state/oracle/tests/relations.rs.
 */
import "../../testing/page.ts";

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { RELATES_TO, shownRelation } from "./relation.ts";
import type { Plain } from "./relation.ts";
import { outerContent } from "./wire.ts";

interface Case {
  readonly type: string;
  readonly inner: Plain;
  readonly outer: Plain | null;
}

const file = new URL("../../../core/room-state/oracle/tests/relations.json", import.meta.url);
const cases = JSON.parse(readFileSync(file, "utf8")) as Case[];

const contentOf = (relation: Plain): Plain => ({
  body: "b",
  "m.new_content": { body: "b" },
  [RELATES_TO]: relation,
});

test("what matrix-sdk-crypto writes leaves with no more outside than these", () => {
  assert.ok(cases.length > 0);
  for (const { inner, outer } of cases) {
    // It puts the whole relation outside.
    const sent = { ciphertext: "sealed", [RELATES_TO]: inner };
    const left = (outerContent(sent) ?? sent) as Plain;
    assert.deepEqual(left[RELATES_TO] ?? null, outer);
    assert.equal(left["ciphertext"], "sealed");
  }
});

test("what matrix-sdk-crypto writes, and what Mantle writes, is shown as it is inside", () => {
  for (const { type, inner, outer } of cases) {
    for (const beside of [inner, outer ?? undefined]) {
      const decrypted = { type, content: contentOf(inner), outer: beside, isInnerCertain: true };
      assert.deepEqual(shownRelation(decrypted), inner, `${type} ${JSON.stringify(beside)}`);
    }
  }
});
