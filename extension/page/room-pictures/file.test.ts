import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { isMediaAddress, MAX_BYTES, pictureFile } from "./file.ts";

const FILE = {
  v: "v2",
  url: "mxc://hs.example.org/abc-_1",
  key: {
    alg: "A256CTR",
    kty: "oct",
    ext: true,
    key_ops: ["encrypt", "decrypt"],
    k: "k".repeat(43),
  },
  iv: "i".repeat(22),
  hashes: { sha256: "h".repeat(43) },
};
const FOUND = {
  place: "hs.example.org/abc-_1",
  key: "k".repeat(43),
  iv: "i".repeat(22),
  sha256: "h".repeat(43),
};

describe("a picture's file", () => {
  test("is found where it is whole, with padding or without", () => {
    assert.deepEqual(pictureFile({ file: FILE }), FOUND);
    const padded = {
      ...FILE,
      key: { ...FILE.key, k: `${FOUND.key}=` },
      iv: `${FOUND.iv}==`,
      hashes: { sha256: `${FOUND.sha256}=` },
    };
    assert.deepEqual(pictureFile({ file: padded, info: { size: MAX_BYTES } }), FOUND);
  });

  test("is none beside the address of a readable picture", () => {
    assert.equal(pictureFile({ file: FILE, url: "mxc://hs.example.org/other" }), undefined);
    assert.equal(pictureFile({ file: FILE, url: "" }), undefined);
  });

  const broken: Record<string, unknown> = {
    "no object": "file",
    "a list": [],
    "another version": { ...FILE, v: "v1" },
    "no version": { ...FILE, v: undefined },
    "no address": { ...FILE, url: undefined },
    "an address elsewhere": { ...FILE, url: "https://hs.example.org/abc" },
    "an address with a path": { ...FILE, url: "mxc://hs.example.org/../abc" },
    "an address that leads up a path": { ...FILE, url: "mxc://../abc" },
    "an address that leads nowhere": { ...FILE, url: "mxc://./abc" },
    "an address with a query": { ...FILE, url: "mxc://hs.example.org/abc?x" },
    "an address with a fragment": { ...FILE, url: "mxc://hs.example.org/abc#mantle-1" },
    "a server of another form": { ...FILE, url: "mxc://hs@example.org/abc" },
    "another cipher": { ...FILE, key: { ...FILE.key, alg: "A128CTR" } },
    "a key of another kind": { ...FILE, key: { ...FILE.key, kty: "RSA" } },
    "a short key": { ...FILE, key: { ...FILE.key, k: "k".repeat(42) } },
    "a key that is a number": { ...FILE, key: { ...FILE.key, k: 1 } },
    "a long counter": { ...FILE, iv: "i".repeat(43) },
    "no hash": { ...FILE, hashes: {} },
    "no hashes": { ...FILE, hashes: null },
    "another hash": { ...FILE, hashes: { sha512: "h".repeat(43) } },
  };
  for (const [what, file] of Object.entries(broken)) {
    test(`is none with ${what}`, () => {
      assert.equal(pictureFile({ file }), undefined);
    });
  }

  test("is none in what is no object, or longer than a picture", () => {
    for (const content of [null, undefined, [], "x", {}]) {
      assert.equal(pictureFile(content), undefined);
    }
    assert.equal(pictureFile({ file: FILE, info: { size: MAX_BYTES + 1 } }), undefined);
  });
});

describe("an address of media", () => {
  test("is one, and nothing else beside it", () => {
    assert.ok(isMediaAddress("mxc://hs.example.org:8448/a_B-9"));
    for (const value of [
      undefined,
      7,
      "",
      "https://hs.example.org/abc",
      "mxc://hs.example.org/abc/def",
      "mxc://hs.example.org/",
      'mxc://hs.example.org/abc","body":"x',
      "mxc://hs.example.org/abc\n",
    ]) {
      assert.equal(isMediaAddress(value), false, String(value));
    }
  });
});
