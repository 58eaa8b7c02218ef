import assert from "node:assert/strict";
import { beforeEach, describe, mock, test } from "node:test";

import type { EffectBatch } from "../protocol/relay-background.ts";
import type { RecordEffect } from "../protocol/reports.ts";
import { fakeApi, type FakeApi } from "../testing/extension-api.ts";
import {
  addBatch,
  MAX_DAY_ROWS,
  MAX_ENTRIES,
  clearLedger,
  dayOf,
  forgetPrivateLedger,
  keepLedgerFor,
  notePage,
  readDays,
  readLedger,
  totalOf,
} from "./ledger.ts";

const DAY = 24 * 60 * 60 * 1000;
const record = (more: Partial<RecordEffect> = {}): RecordEffect => ({
  type: "record",
  time: Date.now(),
  shield: "identity",
  action: "answered",
  host: "vector.im",
  endpoint: "/_matrix/identity/v2",
  count: 1,
  ...more,
});
const batch = (number: number, effects: EffectBatch["effects"], relay = "r"): EffectBatch => ({
  kind: "effect-batch",
  relay,
  batch: number,
  effects,
  inUse: [],
});
const top = (tab: number, isPrivate = false) => ({ tab, isTop: true, isPrivate });

let api: FakeApi;
beforeEach(() => {
  api = fakeApi();
});

describe("the ledger", () => {
  test("counts a batch once, however often and in what order it is delivered", async () => {
    await addBatch(batch(1, [record({ count: 2 })]), top(1));
    await addBatch(batch(2, [record({ count: 3 })]), top(1));
    assert.equal(await addBatch(batch(1, [record({ count: 2 })]), top(1)), undefined);
    assert.equal(await addBatch(batch(2, [record({ count: 3 })]), top(1)), undefined);
    const { rows } = await readLedger();
    assert.equal(rows.length, 1);
    assert.equal(rows[0]?.count, 5);
  });

  test("loses nothing to batches of many tabs at once", async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, tab) =>
        addBatch(batch(1, [record({ host: `h${tab}` })], `relay ${tab}`), top(tab)),
      ),
    );
    const { rows, pages } = await readLedger();
    assert.equal(rows.length, 20);
    assert.equal(pages.length, 20);
  });

  test("tells of a page what was done, by shield, host and endpoint, and of nothing it let pass", async () => {
    await addBatch(batch(1, [record(), record({ host: "other.example" })]), top(1));
    await addBatch(batch(2, [record({ count: 2 }), record({ action: "flagged" })]), top(1));
    const rows = (await readLedger()).pages[0]?.rows?.map(({ host, count }) => [host, count]);
    assert.deepEqual(rows, [
      ["other.example", 1],
      ["vector.im", 3],
    ]);
    await clearLedger();
    assert.deepEqual((await readLedger()).pages[0]?.rows, []);
  });

  test("keeps the latest 40 kinds of a page, which a hostile page cannot make more", async () => {
    const hosts = Array.from({ length: 41 }, (_, at) => `h${at}.example`);
    await addBatch(
      batch(
        1,
        hosts.slice(0, 40).map((host) => record({ host })),
      ),
      top(1),
    );
    assert.equal((await readLedger()).pages[0]?.rows?.length, 40);
    await addBatch(
      batch(2, [record({ host: "h0.example" }), record({ host: "h40.example" })]),
      top(1),
    );
    const rows = (await readLedger()).pages[0]?.rows ?? [];
    assert.equal(rows.length, 40);
    assert.equal(
      rows.some(({ host }) => host === "h1.example"),
      false,
    );
    assert.deepEqual(
      rows.slice(-2).map(({ host, count }) => [host, count]),
      [
        ["h0.example", 2],
        ["h40.example", 1],
      ],
    );
  });

  test("keeps of a page no longer than of everything, and nothing where nothing is kept", async () => {
    const late = Date.now();
    await keepLedgerFor(2);
    await addBatch(
      batch(1, [record({ time: late - 3 * DAY }), record({ host: "new.example" })]),
      top(1),
    );
    const hosts = async () => (await readLedger()).pages[0]?.rows?.map(({ host }) => host);
    assert.deepEqual(await hosts(), ["new.example"]);
    await keepLedgerFor(0);
    assert.deepEqual(await hosts(), []);
    await addBatch(batch(2, [record()]), top(1));
    assert.deepEqual(await hosts(), []);
    assert.doesNotMatch(JSON.stringify(api.local.values), /example|vector/);
  });

  test("adds to a page that an older version wrote", async () => {
    const page = { tab: 1, relay: "r", status: "running", handled: { identity: 4 } };
    api.local.values["ledger"] = { version: 1, rows: [], pages: [page], taken: [] };
    await addBatch(batch(1, [record()]), top(1));
    const [kept] = (await readLedger()).pages;
    assert.equal(kept?.handled["identity"], 5);
    assert.equal(kept?.rows?.length, 1);
  });

  test("keeps first and last times whatever the order in which records come", async () => {
    const late = Date.now();
    await addBatch(batch(1, [record({ time: late }), record({ time: late - 500 })]), top(1));
    const [row] = (await readLedger()).rows;
    assert.deepEqual([row?.first, row?.last], [late - 500, late]);
  });

  test("has a bound: the rows that were not seen for longest go", async () => {
    const time = Date.now();
    const many = Array.from({ length: 500 }, (_, index) =>
      record({ host: `h${index}`, time: time - 1000 + index }),
    );
    await addBatch(batch(1, many), top(1));
    assert.equal((await readLedger()).rows.length, 500);
    await addBatch(batch(2, [record({ host: "new", time: time + 1 })]), top(1));
    const { rows } = await readLedger();
    assert.equal(rows.length, 500);
    assert.equal(rows[0]?.host, "new");
    assert.ok(!rows.some(({ host }) => host === "h0"));
    assert.ok(rows.some(({ host }) => host === "h1"));
  });

  test("keeps rows for the days it was told, and none for none", async () => {
    const old = Date.now() - 10 * DAY;
    await addBatch(batch(1, [record({ host: "old", time: old }), record()]), top(1));
    await keepLedgerFor(30);
    assert.equal((await readLedger()).rows.length, 2);
    await keepLedgerFor(7);
    assert.equal((await readLedger()).rows.length, 1);
    await keepLedgerFor(0);
    await addBatch(batch(2, [record()]), top(1));
    assert.deepEqual((await readLedger()).rows, []);
  });

  test("a page loaded anew begins with nothing; flagged requests are no count", async () => {
    await notePage(1, "first", "running", false);
    await addBatch(batch(1, [record(), record({ action: "flagged" })], "first"), top(1));
    const [page] = (await readLedger()).pages;
    assert.equal(page === undefined ? undefined : totalOf(page), 1);
    assert.equal(totalOf(await notePage(1, "second", "running", false)), 0);
  });

  test("frames count for their tab, and make no page of their own", async () => {
    const frame = { tab: 5, isTop: false, isPrivate: false };
    assert.equal(await addBatch(batch(1, [record()], "frame"), frame), undefined);
    assert.equal((await readLedger()).rows.length, 1);
  });

  test("clearing keeps what was delivered: a late repeat counts nothing", async () => {
    await addBatch(batch(1, [record()]), top(1));
    await clearLedger();
    await addBatch(batch(1, [record()]), top(1));
    assert.deepEqual((await readLedger()).rows, []);
  });

  test("private windows are counted in memory alone, and forgotten when they are gone", async () => {
    await addBatch(batch(1, [record({ host: "open" })]), top(1));
    await notePage(2, "hidden", "running", true);
    await addBatch(batch(1, [record({ host: "hidden" })], "hidden"), top(2, true));
    assert.ok(!JSON.stringify(api.local.values).includes("hidden"));
    const { rows, pages } = await readLedger();
    assert.deepEqual(rows.map(({ host }) => host).sort(), ["hidden", "open"]);
    assert.deepEqual(pages.map(({ tab }) => tab).sort(), [1, 2]);
    await forgetPrivateLedger();
    assert.deepEqual(
      (await readLedger()).rows.map(({ host }) => host),
      ["open"],
    );
  });

  test("a damaged ledger is an empty one", async () => {
    for (const stored of [null, "x", [], {}, { version: 2 }, { version: 1, rows: {} }]) {
      api.local.values["ledger"] = stored;
      assert.deepEqual((await readLedger()).rows, []);
      await addBatch(batch(1, [record()], `relay ${JSON.stringify(stored)}`), top(1));
      assert.equal((await readLedger()).rows.length, 1);
    }
  });
});

describe("the days of the ledger", () => {
  const DATE = Date.UTC(2026, 5, 15, 12);
  const at = async (time: number, task: () => Promise<unknown>): Promise<void> => {
    mock.timers.enable({ apis: ["Date"], now: time });
    try {
      await task();
    } finally {
      mock.timers.reset();
    }
  };
  const many = (count: number, more: Partial<RecordEffect> = {}): RecordEffect[] =>
    Array.from({ length: count }, (_, index) => record({ host: `h${index}.example`, ...more }));

  test("count each day by itself, and a batch once", async () => {
    await at(DATE, () => addBatch(batch(1, [record({ time: 1 })]), top(1)));
    await at(DATE + DAY, async () => {
      await addBatch(batch(2, [record({ time: 2 }), record({ time: 3, count: 4 })]), top(1));
      await addBatch(batch(2, [record({ time: 2 }), record({ time: 3, count: 4 })]), top(1));
    });
    const days = (await readDays()).map(({ day, count, last }) => [day, count, last]);
    assert.deepEqual(days, [
      [dayOf(DATE + DAY), 5, 3],
      [dayOf(DATE), 1, 1],
    ]);
  });

  test("hold no more than their bound, of a day and of all, and the oldest go", async () => {
    await at(DATE, () => addBatch(batch(1, many(MAX_DAY_ROWS + 1)), top(1)));
    const first = await readDays();
    assert.equal(first.length, MAX_DAY_ROWS);
    assert.equal(
      first.some(({ host }) => host === "h0.example"),
      false,
    );
    const days = MAX_ENTRIES / MAX_DAY_ROWS + 3;
    for (let day = 1; day < days; day += 1) {
      await at(DATE + day * DAY, () => addBatch(batch(day + 1, many(MAX_DAY_ROWS)), top(1)));
      assert.ok((await readDays()).length <= MAX_ENTRIES);
    }
    const left = await readDays();
    assert.equal(left.length, MAX_ENTRIES);
    assert.equal(left[0]?.day, dayOf(DATE + (days - 1) * DAY));
    assert.equal(left.at(-1)?.day, dayOf(DATE + 3 * DAY));
  });

  test("go when they are cleared, too old, or not wanted at all", async () => {
    const fill = async (): Promise<void> => {
      for (let day = 0; day < 4; day += 1) {
        await at(DATE + day * DAY, () =>
          addBatch(batch(day + 1, [record()], `${Math.random()}`), top(1)),
        );
      }
    };
    await fill();
    await at(DATE + 3 * DAY, () => keepLedgerFor(1));
    assert.deepEqual(
      (await readDays()).map(({ day }) => day),
      [dayOf(DATE + 3 * DAY), dayOf(DATE + 2 * DAY)],
    );
    await clearLedger();
    assert.deepEqual(await readDays(), []);
    await at(DATE, () => keepLedgerFor(0));
    await fill();
    assert.deepEqual(await readDays(), []);
  });

  test("stay gone, whatever is being counted while they go", async () => {
    const ways: [boolean, () => Promise<void>][] = [
      [false, clearLedger],
      [true, clearLedger],
      [false, () => keepLedgerFor(0)],
      [true, forgetPrivateLedger],
    ];
    for (const [isPrivate, forget] of ways) {
      // At whatever point of the counting it begins.
      for (let turns = 0; turns < 40; turns += 1) {
        fakeApi();
        await addBatch(batch(1, [record()]), top(1, isPrivate));
        const counting = addBatch(batch(2, [record()]), top(1, isPrivate));
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        await Promise.all([forget(), counting]);
        assert.deepEqual(await readDays(), [], `${forget.name} ${turns}`);
        assert.deepEqual((await readLedger()).rows, [], `${forget.name} ${turns}`);
      }
    }
  });

  test("of private windows are in memory only, and go with these", async () => {
    await addBatch(batch(1, [record()]), top(1, true));
    assert.deepEqual(Object.keys(api.local.values), []);
    assert.equal((await readDays()).length, 1);
    await forgetPrivateLedger();
    assert.deepEqual(api.session.values, {});
  });
});
