import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import type { PageRow } from "../../browser/ledger.ts";
import { PAGE_ROW } from "../../testing/rows.ts";
import { deedsOf } from "./happened.ts";

const row = (more: Partial<PageRow>): PageRow => ({ ...PAGE_ROW, ...more });

describe("what happened", () => {
  test("is put together by shield, and by host where that is what matters", () => {
    const manager = {
      shield: "integrations",
      action: "blocked",
      host: "scalar.vector.im",
    } as const;
    const deeds = deedsOf([
      row({ count: 2 }),
      row({ host: "other.example", count: 3 }),
      row({ ...manager, endpoint: "/api/register", count: 7 }),
      row({ ...manager, endpoint: "/api/account", count: 5 }),
      row({ ...manager, host: "dimension.example" }),
    ]);
    assert.deepEqual(deeds, [
      { name: "did_integrations", host: "scalar.vector.im", count: 12 },
      { name: "did_typing", host: "", count: 5 },
      { name: "did_integrations", host: "dimension.example", count: 1 },
    ]);
  });

  test("says of a request only what is true of it; the rest comes last, and loses no count", () => {
    const state = { shield: "encrypted-state", action: "rewritten" } as const;
    const deeds = deedsOf([
      row({ ...state, endpoint: "user/{}/filter", count: 40 }),
      row({ ...state, endpoint: "rooms/{}/state/{}", count: 2 }),
      row({ ...state, endpoint: "createRoom" }),
      row({ ...state, action: "answered", endpoint: "rooms/{}/state/{}" }),
      row({ shield: "device-name", action: "rewritten", endpoint: "(unknown Matrix path)" }),
      row({ shield: "of-a-later-version" }),
      row({ shield: "constructor" }),
    ]);
    assert.deepEqual(deeds, [
      { name: "did_encrypted_state", host: "", count: 2 },
      { name: "did_encrypted_room", host: "", count: 1 },
      { name: "did_other", host: "", shield: "encrypted-state", count: 41 },
      { name: "did_other", host: "", shield: "device-name", count: 1 },
      { name: "did_other", host: "", shield: "of-a-later-version", count: 1 },
      { name: "did_other", host: "", shield: "constructor", count: 1 },
    ]);
  });

  test("has every text it may ask for, in both plural forms, with the number in it", () => {
    const texts = JSON.parse(
      readFileSync(new URL("../../_locales/en/messages.json", import.meta.url), "utf8"),
    ) as Record<string, { message: string }>;
    const source = readFileSync(new URL("happened.ts", import.meta.url), "utf8");
    const names = new Set(source.match(/\bdid_[a-z_]+/g));
    assert.ok(names.size >= 20, `${names.size} names found`);
    for (const name of names) {
      for (const form of ["one", "other"]) {
        assert.match(texts[`${name}_${form}`]?.message ?? "", /\$1 /, `${name}_${form}`);
      }
    }
    const known = Object.keys(texts).filter((name) => name.startsWith("did_"));
    assert.deepEqual(
      known.filter((name) => !names.has(name.replace(/_[^_]+$/, ""))),
      [],
    );
  });
});
