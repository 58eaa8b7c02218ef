import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { PageRequest, RelayAnswer } from "../../protocol/page-relay.ts";
import { MAX_KEY_LENGTH, MAX_VALUE_LENGTH } from "../../protocol/requests.ts";
import { Memory } from "./memory.ts";
import { askRelay, connectRequests, takeAnswer } from "./relay-requests.ts";
import { store } from "./store.ts";

const sent: PageRequest[] = [];
const last = (): PageRequest => sent[sent.length - 1] as PageRequest;

describe("questions to the relay", () => {
  test("asked before the channel stands leave once it does, in order", async () => {
    const first = askRelay({ kind: "load", area: "media" }, 1000);
    const second = askRelay({ kind: "load", area: "answers" }, 1000);
    assert.equal(sent.length, 0);
    connectRequests((request) => void sent.push(request));
    assert.deepEqual(
      sent.map((request) => (request.kind === "load" ? request.area : "")),
      ["media", "answers"],
    );
    // Answers come in any order.
    const [one, two] = sent as [PageRequest, PageRequest];
    takeAnswer({ kind: "loaded", id: two.id, entries: { two: "2" } });
    takeAnswer({ kind: "loaded", id: one.id, entries: { one: "1" } });
    assert.deepEqual(await first, { kind: "loaded", id: one.id, entries: { one: "1" } });
    assert.deepEqual(await second, { kind: "loaded", id: two.id, entries: { two: "2" } });
  });

  test("have numbers of their own", async () => {
    const asked = Array.from({ length: 5 }, () => askRelay({ kind: "load", area: "media" }, 1000));
    const ids = sent.slice(-5).map(({ id }) => id);
    assert.equal(new Set(ids).size, 5);
    for (const id of ids) takeAnswer({ kind: "stored", id });
    await Promise.all(asked);
  });

  test("end when nobody answers, and a late answer does nothing", async () => {
    await assert.rejects(askRelay({ kind: "load", area: "media" }, 20), /reload the page/);
    takeAnswer({ kind: "stored", id: last().id });
  });

  test("say why they were refused; answers to nobody do nothing", async () => {
    const asked = askRelay({ kind: "module", name: "state" }, 1000);
    const odd = ["__proto__", "toString", -1, Number.NaN] as unknown as number[];
    for (const id of odd) takeAnswer({ kind: "stored", id } as RelayAnswer);
    takeAnswer({ kind: "refused", id: last().id, why: "Not now." });
    takeAnswer({ kind: "stored", id: last().id });
    await assert.rejects(asked, /Not now/);
  });
});

describe("the store", () => {
  test("refuses at once what no relay would store, and sends nothing", async () => {
    const before = sent.length;
    const long = "v".repeat(MAX_VALUE_LENGTH + 1);
    await assert.rejects(store.put("state", "k", long), /1 MB/);
    await assert.rejects(store.put("state", "k".repeat(MAX_KEY_LENGTH + 1), "v"), /name/);
    await assert.rejects(store.put("state", "", null), /name/);
    assert.equal(sent.length, before);
  });

  test("takes names and values at their bounds, and null to take one out", async () => {
    for (const value of ["v".repeat(MAX_VALUE_LENGTH), null]) {
      const key = "k".repeat(MAX_KEY_LENGTH);
      const stored = store.put("state", key, value);
      assert.deepEqual(last(), { kind: "store", id: last().id, area: "state", key, value });
      takeAnswer({ kind: "stored", id: last().id });
      await stored;
    }
  });

  test("takes an answer of another kind for none", async () => {
    const loading = store.load("state");
    takeAnswer({ kind: "stored", id: last().id });
    await assert.rejects(loading, /unexpected/);
  });
});

describe("what is remembered", () => {
  test("is read anew each time, since answers are taken back elsewhere", async () => {
    const memory = new Memory("answers");
    for (const kept of [{ key: "send" }, {}] as Record<string, string>[]) {
      const recalled = memory.recall("key");
      takeAnswer({ kind: "loaded", id: last().id, entries: kept });
      assert.equal(await recalled, kept["key"]);
    }
  });

  test("is nothing where the store cannot be read or written", async () => {
    const memory = new Memory("answers");
    const recalled = memory.recall("key");
    takeAnswer({ kind: "refused", id: last().id, why: "No." });
    assert.equal(await recalled, undefined);
    const remembered = memory.remember("key", "send");
    takeAnswer({ kind: "refused", id: last().id, why: "No." });
    await remembered;
  });

  test("names of every object are no answers", async () => {
    const memory = new Memory("answers");
    for (const key of ["toString", "constructor", "__proto__"]) {
      const recalled = memory.recall(key);
      takeAnswer({ kind: "loaded", id: last().id, entries: {} });
      assert.equal(await recalled, undefined, key);
    }
  });
});
