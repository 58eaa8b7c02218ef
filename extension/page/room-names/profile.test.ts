import "../../testing/page.ts";

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import {
  innerContent as innerOf,
  MAX_NAME,
  memberIn,
  memberPath,
  nameIn,
  outerContent,
  pictureIn,
  withPicture,
} from "./profile.ts";
import type { Plain } from "./profile.ts";

interface Vector {
  readonly displayname: string | null;
  readonly payload: string;
  readonly event: { readonly content: Plain };
}

const innerContent = (name: string | undefined): string => innerOf({ name, picture: undefined });
const HS = "https://hs.example.org";

describe("a name in one room", () => {
  test("is as long inside as most others, and as none", () => {
    const length = (name: string | undefined): number =>
      new TextEncoder().encode(innerContent(name)).length;
    const lengths = [undefined, "A", "Rosa", "Grüße", "👩‍👩‍👧‍👦", "n".repeat(70)].map(length);
    assert.deepEqual(new Set(lengths), new Set([128]));
    assert.equal(length("n".repeat(200)), 256);
    for (const name of ["Rosa", 'quoted "\\', "👩‍👩‍👧‍👦"]) {
      assert.equal(nameIn(JSON.parse(innerContent(name))), name);
    }
    assert.equal(nameIn(JSON.parse(innerContent(undefined))), undefined);
  });

  test("is text of some length, or none", () => {
    for (const name of ["", 1, null, {}, "n".repeat(MAX_NAME + 1)]) {
      assert.equal(nameIn({ displayname: name }), undefined);
    }
    for (const content of [null, "text", [], undefined]) assert.equal(nameIn(content), undefined);
    assert.equal(nameIn({ displayname: "n".repeat(MAX_NAME) })?.length, MAX_NAME);
  });

  test("leaves nothing of it outside", () => {
    const content = { membership: "join", displayname: "Rosa", avatar_url: "mxc://a/b" };
    const before = { ...content, "org.mantle.member_profile": { ciphertext: "old" } };
    const sealed = { ciphertext: "new" };
    assert.deepEqual(outerContent(before, "Public", sealed), {
      membership: "join",
      displayname: "Public",
      avatar_url: "mxc://a/b",
      "org.mantle.member_profile": sealed,
    });
    assert.deepEqual(outerContent(content, undefined, sealed), {
      membership: "join",
      avatar_url: "mxc://a/b",
      "org.mantle.member_profile": sealed,
    });
  });
});

describe("a picture in one room", () => {
  const file = {
    v: "v2",
    url: "mxc://hs/sealed",
    key: { alg: "A256CTR", kty: "oct", k: "k".repeat(43) },
    iv: "i".repeat(22),
    hashes: { sha256: "h".repeat(43) },
  };

  test("stands beside the name, or alone", () => {
    for (const name of ["Rosa", undefined]) {
      for (const picture of [{ file }, { file, info: { size: 3 } }]) {
        const inner = innerOf({ name, picture });
        assert.equal(inner.length % 128, 0);
        assert.deepEqual(pictureIn(JSON.parse(inner)), picture);
        assert.equal(nameIn(JSON.parse(inner)), name);
      }
    }
  });

  test("is an encrypted one of bounded size, or none", () => {
    const wrong = [
      { file, url: "mxc://hs/readable" },
      { file: { ...file, url: "https://hs/x" } },
      { file: { ...file, hashes: {} } },
      { file, info: { size: 50_000_000 } },
      { file: null },
      "mxc://hs/readable",
    ];
    for (const avatar of wrong) assert.equal(pictureIn({ avatar }), undefined);
    assert.deepEqual(pictureIn({ avatar: { file, more: 1 } }), { file });
  });

  test("leaves the public one outside, or none", () => {
    const content = { membership: "join", avatar_url: "mxc://hs/other" };
    assert.deepEqual(withPicture(content, "mxc://hs/public"), {
      membership: "join",
      avatar_url: "mxc://hs/public",
    });
    assert.deepEqual(withPicture(content, undefined), { membership: "join" });
  });
});

describe("the address of a member event", () => {
  test("is known in every spelling", () => {
    const target = { roomId: "!r:hs", userId: "@a:hs" };
    for (const path of [
      memberPath("!r:hs", "@a:hs"),
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.member/@a:hs",
      "/sub/_matrix/client/r0/rooms/%21r%3Ahs/state/m%2Eroom.member/%40a%3Ahs?x=1",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.member/@a:hs/",
    ]) {
      assert.deepEqual(memberIn(HS + path), target, path);
    }
  });

  test("is no other's", () => {
    for (const path of [
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.member",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.name/@a:hs",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.member/%E0%A4%A",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.member/@a:hs/more",
    ]) {
      assert.equal(memberIn(HS + path), undefined, path);
    }
  });
});

test("the vectors that others are given are what is written here, inside and outside", () => {
  const file = new URL(
    "../../../core/room-state/tests/vectors/names_pictures_relations.json",
    import.meta.url,
  );
  const { member_profiles: vectors, member_picture: pictured } = JSON.parse(
    readFileSync(file, "utf8"),
  ) as { member_profiles: Vector[]; member_picture: Vector };
  assert.equal(vectors.length, 2);
  for (const { displayname, payload, event } of vectors) {
    const name = displayname ?? undefined;
    const { content } = JSON.parse(payload) as { content: Plain };
    assert.deepEqual(content, JSON.parse(innerContent(name)));
    assert.equal(nameIn(content), name);
    const sealed = event.content["org.mantle.member_profile"];
    const chosen = { membership: "join", displayname: displayname ?? "Alice" };
    assert.deepEqual(event.content, outerContent(chosen, "Alice", sealed));
  }
  const { content: inner } = JSON.parse(pictured.payload) as { content: Plain };
  const picture = pictureIn(inner);
  assert.notEqual(picture, undefined);
  assert.deepEqual(inner, JSON.parse(innerOf({ name: "Rosa", picture })));
});
