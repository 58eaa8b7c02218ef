import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { ENCRYPTED_PICTURE as avatar } from "../../testing/pictures.ts";
import type { Outcome, PausedRequest } from "../intercept/handlers.ts";
import type { PageClient } from "../room-state/element/client.ts";
import { PageCryptoError } from "../room-state/element/client.ts";
import { nameIn } from "./profile.ts";
import { NameWriter } from "./writer.ts";
import type { WriterParts } from "./writer.ts";

const ME = "@me:hs";
const SEALED = { ciphertext: "c", session_id: "s" };
const url = (user: string): string =>
  `https://hs.example.org/_matrix/client/v3/rooms/!r:hs/state/m.room.member/${user}`;

let parts: WriterParts;
/** What was sealed. */
let inside: string[];
let writer: NameWriter;

beforeEach(() => {
  inside = [];
  parts = {
    runningClient: () => ({ getUserId: () => ME }) as unknown as PageClient,
    isEncrypted: () => Promise.resolve(true),
    publicProfile: () => Promise.resolve({ name: "Public", picture: undefined }),
    heldContent: () => undefined,
    isShown: () => true,
    picture: () => undefined,
    now: () => 0,
    seal: (_client, _roomId, contentJson) => {
      inside.push(contentJson);
      return Promise.resolve(SEALED);
    },
  };
  writer = new NameWriter({
    runningClient: () => parts.runningClient(),
    isEncrypted: (roomId, userId) => parts.isEncrypted(roomId, userId),
    picture: (roomId, userId) => parts.picture(roomId, userId),
    now: () => parts.now(),
    publicProfile: (client) => parts.publicProfile(client),
    heldContent: (roomId) => parts.heldContent(roomId),
    isShown: (roomId, userId) => parts.isShown(roomId, userId),
    seal: (client, roomId, content) => parts.seal(client, roomId, content),
  });
});

const put = (body: unknown, to = url(ME)): Promise<Outcome> =>
  writer.handle({
    method: "PUT",
    url: to,
    headers: [],
    body: new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body)),
    signal: undefined,
  } as PausedRequest);
const join = (displayname: unknown): object => ({ membership: "join", displayname });
const bodyOf = (outcome: Outcome): Record<string, unknown> => {
  assert.ok(outcome.kind === "send" && outcome.body instanceof Uint8Array);
  return JSON.parse(new TextDecoder().decode(outcome.body)) as Record<string, unknown>;
};
const isRefused = (outcome: Outcome): boolean => outcome.kind === "reply" && outcome.status === 403;
const names = (): (string | undefined)[] => inside.map((content) => nameIn(JSON.parse(content)));

describe("a name in one room leaves", () => {
  test("sealed, and servers are told the public one", async () => {
    const outcome = await put(join("Rosa"));
    const body = bodyOf(outcome);
    assert.deepEqual(body, { ...join("Public"), "org.mantle.member_profile": SEALED });
    assert.deepEqual(names(), ["Rosa"]);
    assert.ok(outcome.kind === "send" && writer.isSealed(outcome.body as Uint8Array));
    assert.equal(writer.isSealed(new Uint8Array(1)), false);
  });

  test("without a public name, with none outside", async () => {
    const none = { name: undefined, picture: undefined };
    parts = { ...parts, publicProfile: () => Promise.resolve(none) };
    assert.equal("displayname" in bodyOf(await put(join("Rosa"))), false);
  });

  test("as it is in rooms that encrypt no state, of somebody else, and of who leaves", async () => {
    assert.deepEqual(await put(join("Rosa"), url("@other:hs")), { kind: "send" });
    assert.deepEqual(await put({ membership: "leave" }), { kind: "send" });
    assert.deepEqual(await put("no object"), await put("no object"));
    parts = { ...parts, isEncrypted: () => Promise.resolve(false) };
    assert.deepEqual(await put(join("Rosa")), { kind: "send" });
    assert.deepEqual(inside, []);
  });

  test("not at all where anything fails, and never readable", async () => {
    const fails = (): Promise<never> => Promise.reject(new PageCryptoError("Not ready."));
    for (const broken of [{ isEncrypted: fails }, { publicProfile: fails }, { seal: fails }]) {
      parts = { ...parts, ...broken };
      const outcome = await put(join("Rosa"));
      assert.ok(isRefused(outcome) && outcome.kind === "reply");
      assert.match(outcome.body, /Not ready/);
    }
    assert.ok(isRefused(await put(join("Rosa"), `${url(ME)}/more`)));
  });

  test("and a picture that is new beside it is asked about, one that stands there is not", async () => {
    parts = { ...parts, picture: () => "mxc://a/b" };
    const isSealed = async (more: object): Promise<boolean> => {
      const outcome = await put({ ...join("Rosa"), ...more });
      bodyOf(outcome);
      return outcome.kind === "send" && writer.isSealed(outcome.body as Uint8Array);
    };
    assert.equal(await isSealed({ avatar_url: "mxc://a/b" }), true);
    assert.equal(await isSealed({ avatar_url: "mxc://a/new" }), false);
    assert.equal(await isSealed({}), false);
  });

  test("not readable where it was sealed, whatever the room's settings have become", async () => {
    parts = {
      ...parts,
      isEncrypted: () => Promise.resolve(false),
      heldContent: () => '{"displayname":"Rosa"}',
    };
    assert.ok(isRefused(await put(join("Rosa"))));
    assert.deepEqual(await put(join("Viola")), { kind: "send" });
  });

  test("and is under way for some time", async () => {
    assert.equal(writer.hasWritten("!r:hs", 10), false);
    await put(join("Rosa"));
    assert.equal(writer.hasWritten("!r:hs", 10), true);
    parts = { ...parts, now: () => 11 };
    assert.equal(writer.hasWritten("!r:hs", 10), false);
  });

  test("not where it is too long", async () => {
    assert.ok(isRefused(await put(join("n".repeat(513)))));
    assert.deepEqual(inside, []);
  });
});

describe("the public name", () => {
  test("is nothing to hide where there is no other", async () => {
    assert.deepEqual(await put(join("Public")), { kind: "send" });
    assert.deepEqual(await put({ membership: "join" }), { kind: "send" });
  });

  test("takes the other one back, sealed as well", async () => {
    parts = { ...parts, heldContent: () => '{"displayname":"Rosa"}' };
    for (const name of ["Public", "", null]) bodyOf(await put(join(name)));
    assert.deepEqual(names(), [undefined, undefined, undefined]);
  });

  test("keeps the other one where Element did not show that yet", async () => {
    parts = { ...parts, heldContent: () => '{"displayname":"Rosa"}', isShown: () => false };
    const body = bodyOf(await put({ ...join("Public"), avatar_url: "mxc://a/b" }));
    assert.equal(body["avatar_url"], "mxc://a/b");
    assert.deepEqual(names(), ["Rosa"]);
  });

  test("takes back one that has not come back yet", async () => {
    await put(join("Rosa"));
    bodyOf(await put(join("Public")));
    assert.deepEqual(names(), ["Rosa", undefined]);
  });
});

describe("a name that is chosen in the popup", () => {
  const chosen = async (name: string, displayname = "Public"): Promise<unknown> => {
    const content = { ...join(displayname), "org.mantle.member_profile": { ciphertext: "old" } };
    const client = parts.runningClient();
    assert.ok(client !== undefined);
    const bytes = await writer.chosen(
      client,
      { roomId: "!r:hs", userId: ME },
      { content, change: { name } },
    );
    return bytes && JSON.parse(new TextDecoder().decode(bytes));
  };

  test("is sealed by the same writer", async () => {
    assert.deepEqual(await chosen("Rosa"), {
      ...join("Public"),
      "org.mantle.member_profile": SEALED,
    });
    assert.deepEqual(names(), ["Rosa"]);
    assert.equal(writer.hasWritten("!r:hs", 10), true);
  });

  test("takes the other one back where it is none or the public one, whatever Element shows", async () => {
    assert.equal(await chosen(""), undefined);
    assert.equal(await chosen("Public"), undefined);
    parts = { ...parts, heldContent: () => '{"displayname":"Rosa"}', isShown: () => false };
    await chosen("");
    await chosen("Public");
    assert.deepEqual(names(), [undefined, undefined]);
  });

  test("takes one back that everybody can read", async () => {
    const body = (await chosen("", "Readable")) as Record<string, unknown>;
    assert.equal(body["displayname"], "Public");
    assert.deepEqual(names(), [undefined]);
  });

  test("is never made where it would be readable", async () => {
    parts = { ...parts, isEncrypted: () => Promise.resolve(false) };
    await assert.rejects(chosen("Rosa"), PageCryptoError);
    parts = { ...parts, isEncrypted: () => Promise.resolve(true) };
    await assert.rejects(chosen("n".repeat(513)), PageCryptoError);
    assert.deepEqual(inside, []);
  });
});

describe("a picture in one room", () => {
  const PUBLIC = "mxc://hs/public";
  /** What Element is shown in place of its address. */
  const SHOWN = "mxc://hs/sealed#mantle-1";
  const hold = (content: object): void => {
    parts = { ...parts, heldContent: () => JSON.stringify(content) };
  };
  const request = (body: object, to = url(ME)): PausedRequest => ({
    method: "PUT",
    url: to,
    headers: [],
    body: new TextEncoder().encode(JSON.stringify(body)),
    signal: undefined,
  });
  const withUrl = (avatar_url: string | undefined, name = "Public"): object => ({
    ...join(name),
    avatar_url,
  });
  const last = (): unknown => {
    const { displayname, avatar: picture } = JSON.parse(inside.at(-1) ?? "") as typeof parts & {
      displayname?: string;
      avatar?: object;
    };
    return [displayname, picture];
  };

  beforeEach(() => {
    parts = { ...parts, publicProfile: () => Promise.resolve({ name: "Public", picture: PUBLIC }) };
  });

  test("is sealed, and servers are told the public one", async () => {
    const sent = request(withUrl("mxc://hs/held"));
    assert.equal(await writer.sealsPicture(sent), true);
    const outcome = await writer.sealPicture(sent, avatar);
    const body = bodyOf(outcome);
    assert.deepEqual(body, { ...withUrl(PUBLIC), "org.mantle.member_profile": SEALED });
    assert.deepEqual(last(), [undefined, avatar]);
    assert.ok(outcome.kind === "send");
    assert.equal(writer.isSealed(outcome.body as Uint8Array), true, "nobody asks about it");
    // And it is not looked at again.
    const next = await writer.handle({ ...sent, body: outcome.body as Uint8Array });
    assert.deepEqual(next, { kind: "send", noted: null });
    assert.equal(inside.length, 1);
  });

  test("keeps the name, and is kept with another one", async () => {
    hold({ displayname: "Rosa", avatar });
    await writer.sealPicture(request(withUrl("mxc://hs/held", "Rosa")), { ...avatar, info: {} });
    assert.deepEqual(last(), ["Rosa", { ...avatar, info: {} }]);
    const body = bodyOf(await put(withUrl(SHOWN, "Viola")));
    assert.deepEqual(last(), ["Viola", avatar]);
    assert.equal(body["avatar_url"], PUBLIC);
    // Where Element does not show it yet.
    parts = { ...parts, isShown: () => false };
    assert.equal(bodyOf(await put(withUrl(PUBLIC, "Celia")))["avatar_url"], PUBLIC);
    assert.deepEqual(last(), ["Celia", avatar]);
  });

  test("is taken back by the public one, and by one that everybody can read", async () => {
    for (const url of [PUBLIC, "mxc://hs/readable"]) {
      hold({ displayname: "Rosa", avatar });
      const outcome = await put(withUrl(url, "Rosa"));
      assert.equal(bodyOf(outcome)["avatar_url"], url);
      assert.deepEqual(last(), ["Rosa", undefined]);
      assert.ok(outcome.kind === "send");
      assert.equal(writer.isSealed(outcome.body as Uint8Array), url === PUBLIC);
    }
  });

  test("stays when the name is taken back, also in the popup", async () => {
    hold({ displayname: "Rosa", avatar });
    await put(withUrl(SHOWN));
    assert.deepEqual(last(), [undefined, avatar]);
    const client = parts.runningClient();
    assert.ok(client !== undefined);
    const content = withUrl(PUBLIC) as Record<string, unknown>;
    const target = { roomId: "!r:hs", userId: ME };
    await writer.chosen(client, target, { content, change: { name: "" } });
    assert.deepEqual(last(), [undefined, avatar]);
    // And there it is taken back as well, with the public one or without.
    const change = { isPictureTaken: true } as const;
    const bytes = await writer.chosen(client, target, { content, change });
    assert.deepEqual(last(), ["Rosa", undefined]);
    assert.equal(new TextDecoder().decode(bytes).includes(PUBLIC), true);
    parts = { ...parts, heldContent: () => undefined };
    writer = new NameWriter(parts);
    assert.equal(await writer.chosen(client, target, { content, change }), undefined);
  });

  test("is never named as Element was shown it", async () => {
    // Nothing is held any more: somebody has removed it.
    assert.equal(bodyOf(await put(withUrl(SHOWN)))["avatar_url"], PUBLIC);
    assert.deepEqual(last(), [undefined, undefined]);
    parts = { ...parts, isEncrypted: () => Promise.resolve(false) };
    const outcome = await put(withUrl(SHOWN));
    assert.ok(isRefused(outcome) && outcome.kind === "reply");
    assert.match(outcome.body, /your picture/);
  });

  test("is as ever of somebody else, of who leaves, and in rooms that encrypt no state", async () => {
    const held = withUrl("mxc://hs/held");
    assert.equal(await writer.sealsPicture(request(held, url("@other:hs"))), false);
    assert.equal(await writer.sealsPicture(request({ ...held, membership: "leave" })), false);
    parts = { ...parts, isEncrypted: () => Promise.resolve(false) };
    assert.equal(await writer.sealsPicture(request(held)), false);
  });

  test("is refused where nobody can tell, or anything fails", async () => {
    const fails = (): Promise<never> => Promise.reject(new PageCryptoError("Not ready."));
    const held = request(withUrl("mxc://hs/held"));
    await assert.rejects(writer.sealsPicture(request({}, `${url(ME)}/more`)), PageCryptoError);
    for (const broken of [{ publicProfile: fails }, { seal: fails }]) {
      parts = { ...parts, ...broken };
      assert.ok(isRefused(await writer.sealPicture(held, avatar)));
    }
    parts = { ...parts, isEncrypted: fails };
    await assert.rejects(writer.sealsPicture(held), PageCryptoError);
  });
});
