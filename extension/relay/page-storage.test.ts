import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { fakeApi } from "../testing/extension-api.ts";
import { NAME_KEY, PageStorage } from "./page-storage.ts";

class Values {
  readonly map = new Map<string, string>();
  getItem(key: string): string | null {
    return this.map.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.map.set(key, value);
  }
}

const ORIGIN = "https://chat.example.org";
let values: Values;
const tab = (): PageStorage =>
  new PageStorage(
    () => values,
    ORIGIN,
    () => false,
  );

beforeEach(() => {
  fakeApi();
  values = new Values();
});

test("nothing is written to a page that keeps nothing", () => {
  assert.deepEqual(tab().place(), { origin: ORIGIN, part: undefined, isPrivate: false });
  assert.equal(values.map.size, 0);
});

test("all tabs of a storage give it one name", async () => {
  const places = await Promise.all([tab().named(), tab().named(), tab().named()]);
  const names = new Set(places.map(({ part }) => part));
  assert.equal(names.size, 1);
  assert.match([...names][0] ?? "", /^[0-9a-f]{32}$/);
});

test("a lock that the page does not give, or that fails afterwards, costs nothing", async () => {
  const request = (isRun: boolean) => (_name: string, task: () => void) => {
    if (isRun) task();
    return Promise.reject(new Error('Permission denied to access property "then"'));
  };
  for (const locks of [{ request: request(true) }, { request: request(false) }, undefined]) {
    values = new Values();
    Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
    assert.match((await tab().named()).part ?? "", /^[0-9a-f]{32}$/);
  }
});

test("storages have different names", async () => {
  const first = await tab().named();
  values = new Values();
  assert.notEqual((await tab().named()).part, first.part);
});

test("a name somebody else wrote there counts only when it is one", async () => {
  for (const name of ["", "..", "a".repeat(31), `${"a".repeat(32)}/state`, "A".repeat(32)]) {
    values.setItem(NAME_KEY, name);
    assert.equal(tab().place().part, undefined, name);
  }
});

test("signing out is told once, with the place that was", async () => {
  const one = tab();
  const { part } = await one.named();
  assert.equal(one.takeGone(), undefined);
  values.map.clear();
  assert.equal(one.takeGone()?.part, part);
  assert.equal(one.takeGone(), undefined);
  assert.notEqual((await one.named()).part, part);
  assert.equal(one.takeGone(), undefined);
});

test("another session in the same storage is another place", async () => {
  const one = tab();
  const { part } = await one.named();
  values.map.clear();
  const other = await tab().named();
  assert.equal(one.place().part, other.part);
  assert.equal(one.takeGone()?.part, part);
});

test("a document without storage, or whose storage is full, keeps nothing and throws nothing", async () => {
  const none = new PageStorage(
    () => {
      throw new Error("SecurityError");
    },
    ORIGIN,
    () => false,
  );
  assert.equal((await none.named()).part, undefined);
  assert.equal(none.isSignedIn, false);
  const full = new PageStorage(
    () => ({
      getItem: () => null,
      setItem: () => {
        throw new Error("QuotaExceededError");
      },
    }),
    ORIGIN,
    () => false,
  );
  assert.equal((await full.named()).part, undefined);
});

test("is somebody's while they are signed in, and nobody else's", () => {
  const storage = tab();
  assert.equal(storage.isOf("@alice:hs.example.org"), false);
  values.setItem("mx_user_id", "@alice:hs.example.org");
  assert.equal(storage.isOf("@alice:hs.example.org"), true);
  values.setItem("mx_user_id", "@bob:hs.example.org");
  assert.equal(storage.isOf("@alice:hs.example.org"), false);
});
