import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { MAX_KEY_LENGTH, MAX_VALUE_LENGTH } from "../../protocol/requests.ts";
import { EntryError, store } from "../channel/store.ts";
import { connectRequests, takeAnswer } from "../channel/relay-requests.ts";
import { putEntries } from "./persist.ts";

const disk = new Map<string, string | null>();
let isFull = false;

/** As the relay answers. */
connectRequests((request) => {
  if (request.kind !== "store") return;
  if (isFull) {
    takeAnswer({ kind: "refused", id: request.id, why: "QUOTA_BYTES quota exceeded" });
    return;
  }
  disk.set(request.key, request.value);
  takeAnswer({ kind: "stored", id: request.id });
});

const put = (key: string, value: string | null): Promise<void> => store.put("state", key, value);

describe("entries of encrypted state", () => {
  test("one that can never be stored costs itself alone", async () => {
    for (const bad of [
      { key: `hint/${"x".repeat(MAX_KEY_LENGTH)}`, value: "v" },
      { key: "room/!large:hs", value: "v".repeat(MAX_VALUE_LENGTH + 1) },
      { key: "", value: "v" },
    ]) {
      disk.clear();
      await putEntries(
        [{ key: "room/!a:hs", value: "a" }, bad, { key: "owners", value: "o" }],
        put,
      );
      assert.deepEqual(
        [...disk],
        [
          ["room/!a:hs", "a"],
          ["owners", "o"],
        ],
      );
    }
  });

  test("what sending hangs on is never taken for stored; the others are, all the same", async () => {
    for (const kind of ["outbound", "pending"]) {
      disk.clear();
      const bad = { key: `${kind}/!a:hs`, value: "v".repeat(MAX_VALUE_LENGTH + 1) };
      const entries = [bad, { key: "outbound/!b:hs", value: "b" }];
      await assert.rejects(putEntries(entries, put), EntryError);
      assert.deepEqual([...disk], [["outbound/!b:hs", "b"]]);
    }
  });

  test("a store that does not work is told, whatever the entry", async () => {
    isFull = true;
    await assert.rejects(putEntries([{ key: "room/!a:hs", value: "a" }], put), /quota/);
    isFull = false;
  });

  test("at the bounds entries are stored, and taken out", async () => {
    disk.clear();
    const key = "k".repeat(MAX_KEY_LENGTH);
    await putEntries([{ key, value: "v".repeat(MAX_VALUE_LENGTH) }], put);
    assert.equal(disk.get(key)?.length, MAX_VALUE_LENGTH);
    await putEntries([{ key }, { key: "device", value: null }], put);
    assert.equal(disk.get(key), null);
    assert.equal(disk.get("device"), null);
  });
});
