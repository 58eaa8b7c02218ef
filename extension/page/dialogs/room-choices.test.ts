import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { stored } from "../../testing/stored.ts";
import { choiceKey, MAX_ROOMS, recallChoice, rememberChoice } from "./room-choices.ts";

beforeEach(() => stored.clear());

const url = (room: string): string =>
  `https://hs.example.org/_matrix/client/v3/rooms/${room}/send/m.reaction/m1`;

test("a choice is one person's for one room, and names neither", async () => {
  const key = (await choiceKey("@a:hs", "relations", url("!1"))) ?? "";
  await rememberChoice(key, "encrypt");
  assert.equal(await recallChoice(key), "encrypt");
  for (const [account, room] of [
    ["@b:hs", "!1"],
    ["@a:hs", "!2"],
  ] as const) {
    assert.equal(
      await recallChoice((await choiceKey(account, "relations", url(room))) ?? ""),
      undefined,
    );
  }
  const asEncrypted = url("!1").replace("m.reaction", "m.room.encrypted");
  assert.equal(await choiceKey("@a:hs", "relations", asEncrypted), key);
  assert.notEqual(await choiceKey("@a:hs", "room-pictures", url("!1")), key);
  assert.match([...stored].flat().join(" "), /^[0-9a-f]{64} encrypt \d{4}-\d\d-\d\d$/);
  await rememberChoice(key, "readable");
  assert.equal(await recallChoice(key), "readable");
});

test("only so many are kept, the oldest go, and no answer to another question", async () => {
  stored.set("other", "send");
  for (let count = 0; count < MAX_ROOMS + 3; count += 1) {
    const day = `2026-01-${String(1 + Math.floor(count / 20)).padStart(2, "0")}`;
    stored.set(`room${count}`, `encrypt ${day}`);
  }
  await rememberChoice("new", "readable");
  const rooms = [...stored.keys()].filter((name) => name !== "other");
  assert.equal(rooms.length, MAX_ROOMS);
  assert.equal(stored.get("other"), "send");
  assert.equal(stored.has("room3"), false);
  assert.equal(stored.has(`room${MAX_ROOMS + 2}`), true);
  assert.equal(await recallChoice("new"), "readable");
});

test("what is no choice is asked again", async () => {
  for (const text of [
    "",
    "encrypt",
    "send 2026-01-01",
    "encrypt 2026-1-1",
    "readable 2026-01-01x",
  ]) {
    stored.set("key", text);
    assert.equal(await recallChoice("key"), undefined, text);
  }
});
