import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { PausedRequest } from "../intercept/handlers.ts";
import { HeldUploads, MAX_HELD, MAX_HELD_BYTES, MAX_NAMES, withAddress } from "./held.ts";
import type { HeldUpload } from "./held.ts";

const request: PausedRequest = {
  method: "POST",
  url: "https://hs.example.org/_matrix/media/v3/upload",
  headers: [],
  body: undefined,
  signal: undefined,
};
/** As large as it says; all of the large ones are made of the same bytes. */
const part = new Blob([new Uint8Array(1_000_000)]);
const file = (size = 1): Blob => {
  const rest = new Uint8Array(size % part.size);
  return new Blob([...Array<Blob>(Math.floor(size / part.size)).fill(part), rest]);
};

let revoked: string[] = [];
let uploads: HeldUploads;
beforeEach(() => {
  revoked = [];
  uploads = new HeldUploads((url) => revoked.push(url));
});
const add = (size?: number): HeldUpload => uploads.add("hs.example.org", request, file(size));

describe("uploads that wait", () => {
  test("have a name of a form that servers give, which nobody can foresee", () => {
    const names = Array.from({ length: 50 }, () => add().mxc);
    for (const name of names) assert.match(name, /^mxc:\/\/hs\.example\.org\/[A-Za-z0-9_-]{24}$/);
    assert.equal(new Set(names).size, names.length);
  });

  test("are found by what names them, as it is or as an address writes it", () => {
    const [one, other] = [add(), add()];
    assert.deepEqual(uploads.namedIn(`{"url":"${one.mxc}"}`), [one]);
    assert.deepEqual(uploads.namedIn(`/x/${encodeURIComponent(other.mxc)}`), [other]);
    assert.deepEqual(uploads.namedIn(`${other.mxc} ${one.mxc}`), [one, other]);
    assert.deepEqual(uploads.namedIn("mxc://hs.example.org/"), []);
    assert.equal(uploads.find(one.mxc), one);
  });

  test("may be so many; one more, and the oldest is to go out", () => {
    const all = Array.from({ length: MAX_HELD }, () => add());
    assert.deepEqual(uploads.overflow(), []);
    add();
    assert.deepEqual(uploads.overflow(), [all[0]]);
    // Its bytes stay until they are somewhere else.
    assert.ok(all[0]?.file !== undefined);
  });

  test("may have so many bytes; one more, and the oldest is to go out", () => {
    const [first, second] = [add(MAX_HELD_BYTES - 1), add(1)];
    assert.deepEqual(uploads.overflow(), []);
    add(1);
    assert.deepEqual(uploads.overflow(), [first]);
    first.file = undefined;
    assert.deepEqual(uploads.overflow(), []);
    assert.ok(second.file !== undefined);
  });

  test("wait in any case while they are the newest", () => {
    const large = add(MAX_HELD_BYTES + 1);
    assert.deepEqual(uploads.overflow(), []);
    assert.ok(large.file !== undefined);
    add();
    assert.deepEqual(uploads.overflow(), [large]);
  });

  test("are let go where they are encrypted already, and known by name", () => {
    const all = Array.from({ length: MAX_HELD }, () => add());
    for (const one of all) one.isEncrypted = true;
    add();
    assert.deepEqual(uploads.overflow(), []);
    assert.equal(all[0]?.file, undefined);
    assert.ok(all[1]?.file !== undefined);
    assert.equal(uploads.find(all[0]?.mxc ?? ""), all[0]);
  });

  test("are known by so many names, of which the oldest go, with what was shown", () => {
    const first = add();
    first.file = undefined;
    first.url = "blob:first";
    for (let count = 1; count < MAX_NAMES; count += 1) add().file = undefined;
    uploads.overflow();
    assert.equal(uploads.find(first.mxc), first);
    add();
    uploads.overflow();
    assert.equal(uploads.find(first.mxc), undefined);
    assert.deepEqual(revoked, ["blob:first"]);
    assert.equal(uploads.size, MAX_NAMES);
  });

  test("go with the session", () => {
    const one = add();
    one.url = "blob:one";
    uploads.clear();
    assert.equal(uploads.size, 0);
    assert.deepEqual(revoked, ["blob:one"]);
  });
});

describe("an address in the place of a name", () => {
  const name = `mxc://hs.example.org/${"n".repeat(24)}`;
  const actual = "mxc://hs.example.org/actual";

  test("stands wherever the name stood", () => {
    const written = `{"a":"${name}","b":["${name}"]} ${encodeURIComponent(name)}`;
    assert.equal(
      withAddress(written, name, actual),
      `{"a":"${actual}","b":["${actual}"]} ${encodeURIComponent(actual)}`,
    );
    assert.equal(withAddress("nothing", name, actual), "nothing");
  });

  test("is none where the name is written in a way nobody knows", () => {
    assert.equal(withAddress(name.replaceAll("/", "\\/"), name, actual), undefined);
  });
});
