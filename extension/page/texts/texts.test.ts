import "../../testing/page.ts";

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { counted, translated, useTexts } from "./texts.ts";

/** With setters that the page put where lists have their entries. */
function withIndices<Result>(work: () => Result): { result: Result; seen: unknown[] } {
  const seen: unknown[] = [];
  const prototype = Array.prototype as unknown as Record<string, unknown>;
  for (let index = 0; index < 10; index += 1) {
    Object.defineProperty(prototype, index, {
      configurable: true,
      get: () => "the page's words",
      set: (value: unknown) => void (seen[Symbol.for(`${index}`) as never] = value as never),
    });
  }
  let result: Result;
  try {
    result = work();
  } finally {
    for (let index = 0; index < 10; index += 1) delete prototype[index];
  }
  for (const symbol of Object.getOwnPropertySymbols(seen)) seen.push(seen[symbol as never]);
  return { result, seen: [...seen] };
}

describe("a page that patches what lists and numbers are made of", () => {
  afterEach(() => useTexts(null));

  test("puts no words into a counted text", () => {
    const { result, seen } = withIndices(() => counted("roomsFailed", 2, "9", "reason"));
    assert.equal(result, counted("roomsFailed", 2, "9", "reason"));
    assert.match(result, /^2 of 9 .*reason$/);
    assert.deepEqual(seen, []);
  });

  test("puts no words into a translated sentence", () => {
    useTexts(JSON.stringify({ "It has $1 and $2.": "Es hat $1 und $2.", "a $1": "ein $1" }));
    const { result, seen } = withIndices(() => translated("It has a hat and a coat."));
    assert.equal(result, "Es hat ein hat und ein coat.");
    assert.deepEqual(seen, []);
  });

  test("changes no number in one", () => {
    const { Number: native } = globalThis;
    let said: string;
    try {
      globalThis.Number = (() => 2) as unknown as NumberConstructor;
      said = counted("previewWithout", 2, "9", "@a:hs");
    } finally {
      globalThis.Number = native;
    }
    assert.match(said, /^2 of 9 /);
  });
});
