import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { PausedRequest, Outcome } from "../intercept/handlers.ts";
import { searchHandler } from "./search.ts";

const room = (roomId: string, isEncrypted: boolean) => ({
  roomId,
  hasEncryptionStateEvent: () => isEncrypted,
});
let rooms = [room("!clear:hs", false), room("!secret:hs", true), room("!open:hs", false)];
const page = window as unknown as Record<string, unknown>;

const search = (body: unknown): Promise<Outcome> =>
  searchHandler.handle(
    { body: new TextEncoder().encode(JSON.stringify(body)) } as unknown as PausedRequest,
    {} as never,
  );
const wanted = (filter: unknown, more: object = {}): object => ({
  search_categories: { room_events: { search_term: "word", filter, ...more } },
});
const sentRooms = (outcome: Outcome): unknown => {
  if (outcome.kind !== "send" || outcome.body === undefined) return outcome;
  const body = JSON.parse(String(outcome.body)) as {
    search_categories: { room_events: { filter: { rooms: unknown } } };
  };
  return body.search_categories.room_events.filter.rooms;
};

beforeEach(() => {
  rooms = [room("!clear:hs", false), room("!secret:hs", true), room("!open:hs", false)];
  page["mxMatrixClientPeg"] = {
    get: () => ({ getRooms: () => rooms, baseUrl: "https://hs", getUserId: () => "@a:hs" }),
  };
});

describe("what the homeserver is asked to search", () => {
  test("of all rooms those known to be readable", async () => {
    for (const filter of [undefined, {}, { rooms: undefined }, { rooms: null }, { rooms: "x" }]) {
      assert.deepEqual(sentRooms(await search(wanted(filter))), ["!clear:hs", "!open:hs"]);
    }
  });

  test("of some those among them; an unknown room counts as encrypted", async () => {
    const outcome = await search(wanted({ rooms: ["!secret:hs", "!clear:hs", "!unknown:hs"] }));
    assert.deepEqual(sentRooms(outcome), ["!clear:hs"]);
    assert.deepEqual(await search(wanted({ rooms: ["!clear:hs"] })), { kind: "send" });
  });

  test("nothing where all are encrypted or none is asked for", async () => {
    for (const asked of [["!secret:hs"], ["!unknown:hs"], [], [null, 1, "__proto__"]]) {
      const outcome = await search(wanted({ rooms: asked }));
      assert.equal(outcome.kind, "reply", JSON.stringify(asked));
      assert.equal(outcome.kind === "reply" && outcome.status, 200);
    }
  });

  test("everything else of the search stays as it is", async () => {
    const outcome = await search(
      wanted({ limit: 5, rooms: ["!secret:hs", "!open:hs"] }, { x: [1] }),
    );
    assert.equal(outcome.kind, "send");
    assert.deepEqual(
      JSON.parse(String(outcome.kind === "send" && outcome.body)),
      wanted({ limit: 5, rooms: ["!open:hs"] }, { x: [1] }),
    );
  });

  test("a search of no messages is none of our business", async () => {
    assert.deepEqual(await search({ search_categories: {} }), { kind: "send" });
    assert.deepEqual(await search({}), { kind: "send" });
  });

  test("without a client nobody knows which rooms are encrypted: refused, in words", async () => {
    page["mxMatrixClientPeg"] = undefined;
    const outcome = await search(wanted({}));
    assert.equal(outcome.kind === "reply" && outcome.status, 403);
  });

  test("what is no search is refused by whoever called", async () => {
    await assert.rejects(
      searchHandler.handle(
        { body: new TextEncoder().encode("{") } as unknown as PausedRequest,
        {} as never,
      ),
    );
  });
});
