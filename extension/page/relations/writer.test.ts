import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { connectShieldSettings } from "../core/shield-settings.ts";
import type { Outcome, PausedRequest } from "../intercept/handlers.ts";
import type { Plain } from "./relation.ts";
import { RelationReader } from "./reader.ts";
import { RemovedReactions } from "./removed.ts";
import type { PageEvent, RelationsClient } from "./sdk.ts";
import { RelationWriter, whoWillNotSee } from "./writer.ts";

connectShieldSettings(() => ({ mode: "on", options: {}, allow: [] }));

const CIPHER = { algorithm: "m.megolm.v1.aes-sha2", ciphertext: "sealed", session_id: "s" };
const REACTION = { rel_type: "m.annotation", event_id: "$1", key: "👍" };
const REPLY = { "m.in_reply_to": { event_id: "$1" } };

/** An event as matrix-js-sdk holds it, as far as this goes. */
class MatrixEvent {
  event: Plain;
  clearEvent: Plain | undefined;
  readonly status = "sending";

  constructor(event: Plain) {
    this.event = event;
  }

  getWireContent(): unknown {
    return this.event["content"];
  }

  getType(): unknown {
    return (this.clearEvent ?? this.event)["type"];
  }

  makeRedacted(): void {
    this.clearEvent = undefined;
  }
}

let echo: MatrixEvent | undefined;
let isEncrypted = true;
let fails = false;
/** What was encrypted. */
let sealed: Plain[] = [];
/** What matrix-js-sdk would find after a reload. */
let kept: unknown;

const crypto = {
  decryptEvent: () => Promise.reject(new Error("not asked")),
  isEncryptionEnabledInRoom: () => Promise.resolve(false),
  encryptEvent: (event: MatrixEvent) => {
    if (fails) return Promise.reject(new Error("no key"));
    const content = event.event["content"] as Plain;
    sealed.push(content);
    event.clearEvent = { type: event.event["type"], content };
    event.event["type"] = "m.room.encrypted";
    // As matrix-sdk-crypto does.
    event.event["content"] = { ...CIPHER, "m.relates_to": content["m.relates_to"] };
    return Promise.resolve();
  },
};
const room = {
  roomId: "!r:hs",
  hasEncryptionStateEvent: () => isEncrypted,
  getEventForTxnId: (id: string) => (id === "m/1" ? echo : undefined),
  savePendingEvents: () => {
    kept = structuredClone(echo?.event);
  },
};
const client = {
  getCrypto: () => crypto,
  getRooms: () => [],
  on: () => undefined,
  getRoom: (id: string) => (id === room.roomId ? room : null),
  getEventMapper: () => (event: Plain) => new MatrixEvent(event),
} as unknown as RelationsClient;

const BASE = "https://hs.example.org/base/_matrix/client/v3/rooms/!r%3Ahs/send";

function send(
  type: string,
  body: unknown,
  running: RelationsClient | undefined = client,
): Promise<Outcome> {
  const reader = new RelationReader(new RemovedReactions());
  const request: PausedRequest = {
    method: "PUT",
    url: `${BASE}/${type}/m%2F1?user_id=x`,
    headers: [],
    body: new TextEncoder().encode(JSON.stringify(body)),
    signal: undefined,
  };
  return new RelationWriter(reader, () => running).handle(request);
}

const sentBody = (outcome: Outcome): unknown =>
  outcome.kind === "send" && typeof outcome.body === "string"
    ? JSON.parse(outcome.body)
    : outcome.kind;

describe("a reaction", () => {
  beforeEach(() => {
    echo = new MatrixEvent({ type: "m.reaction", content: { "m.relates_to": REACTION } });
    isEncrypted = true;
    fails = false;
    sealed = [];
  });
  const body = { "m.relates_to": REACTION };

  test("leaves as an encrypted event that says nothing outside", async () => {
    const outcome = await send("m.reaction", body);
    assert.deepEqual(sentBody(outcome), CIPHER);
    assert.equal(
      outcome.kind === "send" && outcome.url,
      `${BASE}/m.room.encrypted/m%2F1?user_id=x`,
    );
    const [inside] = sealed;
    assert.deepEqual(inside?.["m.relates_to"], REACTION);
    assert.equal(typeof inside?.["org.mantle.padding"], "string");
    // What Element shows of it is what it showed before.
    const shown = (echo as unknown as PageEvent).getWireContent();
    assert.deepEqual(shown["m.relates_to"], REACTION);
    // After a reload nobody could tell any more that it is inside: none is kept outside.
    assert.deepEqual(kept, { type: "m.room.encrypted", content: CIPHER });
  });

  test("leaves again as it did, with the same ciphertext", async () => {
    await send("m.reaction", body);
    const again = (echo as unknown as PageEvent).getWireContent();
    assert.deepEqual(sentBody(await send("m.room.encrypted", again)), CIPHER);
    assert.deepEqual(sentBody(await send("m.room.encrypted", CIPHER)), "send");
    assert.equal(sealed.length, 1);
  });

  test("leaves as it is in a room without encryption", async () => {
    isEncrypted = false;
    assert.deepEqual(await send("m.reaction", body), { kind: "send" });
    assert.deepEqual(sealed, []);
  });

  test("is refused, and stays as it was, where it cannot be encrypted", async () => {
    fails = true;
    const outcome = await send("m.reaction", body);
    assert.equal(outcome.kind, "reply");
    assert.deepEqual(echo?.event["content"], { "m.relates_to": REACTION });
    fails = false;
    assert.deepEqual(sentBody(await send("m.reaction", body)), CIPHER);
  });

  test("is refused where Element holds no such event, or another", async () => {
    assert.equal(
      (await send("m.reaction", { "m.relates_to": { ...REACTION, key: "👎" } })).kind,
      "reply",
    );
    echo = undefined;
    assert.equal((await send("m.reaction", body)).kind, "reply");
    assert.deepEqual(sealed, []);
  });
});

describe("an encrypted event", () => {
  beforeEach(() => {
    echo = new MatrixEvent({
      type: "m.room.encrypted",
      content: { ...CIPHER, "m.relates_to": REPLY },
    });
    echo.clearEvent = { type: "m.room.message", content: { body: "b", "m.relates_to": REPLY } };
  });

  test("keeps inside what it answers", async () => {
    const outcome = await send("m.room.encrypted", { ...CIPHER, "m.relates_to": REPLY });
    assert.deepEqual(sentBody(outcome), CIPHER);
    assert.equal(outcome.kind === "send" && outcome.url, undefined);
    const shown = (echo as unknown as PageEvent).getWireContent();
    assert.deepEqual(shown["m.relates_to"], REPLY);
    assert.deepEqual(kept, { type: "m.room.encrypted", content: CIPHER });
  });

  test("is refused where the relation is not inside for certain", async () => {
    for (const inner of [undefined, { "m.in_reply_to": { event_id: "$2" } }]) {
      if (echo !== undefined) echo.clearEvent = { content: { "m.relates_to": inner } };
      const outcome = await send("m.room.encrypted", { ...CIPHER, "m.relates_to": REPLY });
      assert.equal(outcome.kind, "reply");
    }
    const other = { ...CIPHER, ciphertext: "another", "m.relates_to": REPLY };
    assert.equal((await send("m.room.encrypted", other)).kind, "reply");
  });

  test("leaves as it is where homeservers need what it says", async () => {
    for (const type of ["m.replace", "m.thread", "m.reference"]) {
      const relation = { rel_type: type, event_id: "$1" };
      const outcome = await send("m.room.encrypted", { ...CIPHER, "m.relates_to": relation });
      assert.deepEqual(outcome, { kind: "send" });
    }
  });

  test("leaves as it is where no client can be seen, and the ledger says so", async () => {
    const body = { ...CIPHER, "m.relates_to": REPLY };
    const blind = { getCrypto: () => undefined } as unknown as RelationsClient;
    assert.deepEqual(await send("m.room.encrypted", body, blind), {
      kind: "send",
      noted: "flagged",
    });
  });

  test("is no reaction in clear where Element's crypto is missing and the room is encrypted", async () => {
    const blind = { ...client, getCrypto: () => undefined } as unknown as RelationsClient;
    const body = { "m.relates_to": REACTION };
    assert.equal((await send("m.reaction", body, blind)).kind, "reply");
    isEncrypted = false;
    assert.equal((await send("m.reaction", body, blind)).kind, "send");
  });
});

test("the question counts who has shown nothing, and names some", () => {
  const others = ["@1:hs", "@2:hs", "@3:hs", "@4:hs", "@5:hs", "@6:hs", "@7:hs"];
  assert.match(whoWillNotSee(others, new Set(["@2:hs"])), /^6 other .*@1:hs, @3:hs, .*@6:hs\./);
  assert.doesNotMatch(whoWillNotSee(others, new Set()), /@6:hs/);
  assert.match(whoWillNotSee(["@1:hs"], new Set()), /^One other person .*@1:hs/);
  assert.match(whoWillNotSee(others, new Set(others)), /^Everybody/);
});
