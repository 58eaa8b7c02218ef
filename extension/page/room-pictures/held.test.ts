import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { PausedRequest } from "../intercept/handlers.ts";
import {
  HeldUploads,
  MAX_AGE_MS,
  MAX_HELD,
  MAX_HELD_BYTES,
  MAX_NAMES,
  withAddress,
} from "./held.ts";
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
let time: number;
beforeEach(() => {
  revoked = [];
  time = 1_000;
  uploads = new HeldUploads(
    (url) => revoked.push(url),
    () => time,
  );
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

  const kept = (all: readonly HeldUpload[]): boolean[] => all.map(({ file }) => file !== undefined);

  test("may be so many; with one more the oldest's bytes are let go, and its name is known", () => {
    const all = Array.from({ length: MAX_HELD }, () => add());
    uploads.makeRoom();
    assert.deepEqual(kept(all), Array<boolean>(MAX_HELD).fill(true));
    add();
    uploads.makeRoom();
    assert.deepEqual(kept(all), [false, ...Array<boolean>(MAX_HELD - 1).fill(true)]);
    assert.equal(uploads.find(all[0]?.mxc ?? ""), all[0]);
  });

  test("may have so many bytes; with one more the oldest's are let go", () => {
    const all = [add(MAX_HELD_BYTES - 1), add(1)];
    uploads.makeRoom();
    assert.deepEqual(kept(all), [true, true]);
    add(1);
    uploads.makeRoom();
    assert.deepEqual(kept(all), [false, true]);
  });

  test("wait in any case while they are the newest", () => {
    const large = add(MAX_HELD_BYTES + 1);
    uploads.makeRoom();
    assert.deepEqual(kept([large]), [true]);
    add();
    uploads.makeRoom();
    assert.deepEqual(kept([large]), [false]);
  });

  test("are let go first where they are encrypted already", () => {
    const all = Array.from({ length: MAX_HELD }, () => add());
    for (const one of all.slice(2)) one.isEncrypted = true;
    add();
    uploads.makeRoom();
    assert.deepEqual(
      kept(all),
      all.map((_, index) => index !== 2),
    );
  });

  test("may be named while they wait, and some minutes after they are where they belong", () => {
    assert.equal(uploads.isAnyWanted(), false);
    const [waiting, sent, encrypted] = [add(), add(), add()];
    time += MAX_AGE_MS - 1;
    sent.file = undefined;
    encrypted.isEncrypted = true;
    for (const one of [sent, encrypted]) uploads.noteUse(one);
    time += MAX_AGE_MS - 1;
    waiting.file = undefined;
    assert.equal(uploads.isAnyWanted(), true);
    assert.ok(encrypted.file !== undefined);
    time += 1;
    assert.equal(uploads.isAnyWanted(), false);
    assert.equal(encrypted.file, undefined);
    assert.equal(uploads.find(sent.mxc), sent);
    const refused = add();
    time += MAX_AGE_MS * 100;
    assert.equal(uploads.isAnyWanted(), true);
    assert.ok(refused.file !== undefined);
  });

  test("are known by so many names, of which the oldest go, with what was shown", () => {
    const first = add();
    first.file = undefined;
    first.url = "blob:first";
    for (let count = 1; count < MAX_NAMES; count += 1) add().file = undefined;
    uploads.makeRoom();
    assert.equal(uploads.find(first.mxc), first);
    add();
    uploads.makeRoom();
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
