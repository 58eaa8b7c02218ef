import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { AVATAR, PictureReader } from "./reader.ts";
import type { PictureClient } from "./reader.ts";

const CONTENT = {
  file: {
    v: "v2",
    url: "mxc://hs.example.org/abc",
    key: { alg: "A256CTR", kty: "oct", ext: true, key_ops: ["decrypt"], k: "k".repeat(43) },
    iv: "i".repeat(22),
    hashes: { sha256: "h".repeat(43) },
  },
};

/** An event as matrix-js-sdk holds it, as far as this goes. */
class MatrixEvent {
  readonly event: Record<string, unknown>;
  constructor(event: Record<string, unknown>) {
    this.event = event;
  }
  getContent(): Record<string, unknown> {
    return this.event["content"] as Record<string, unknown>;
  }
  getRoomId(): string | undefined {
    return this.event["room_id"] as string | undefined;
  }
}

let isRead: string[] = [];
/** Whether a room encrypts its state. */
let known: () => Promise<boolean>;
let reader: PictureReader;

const clientOf = (Event: typeof MatrixEvent): PictureClient =>
  ({
    baseUrl: "https://hs.example.org",
    getAccessToken: () => "secret",
    getRoom: () => null,
    getEventMapper: () => (event: object) => new Event(event as Record<string, unknown>),
    mxcUrlToHttp: (mxc: unknown, ...rest: unknown[]) => `${String(mxc)} ${rest.join()}`,
  }) as unknown as PictureClient;

const avatar = (more: object = {}): Record<string, unknown> => ({
  type: AVATAR,
  state_key: "",
  event_id: "$1",
  room_id: "!room",
  content: CONTENT,
  ...more,
});

beforeEach(() => {
  isRead = [];
  known = () => Promise.resolve(false);
  reader = new PictureReader({
    isEncrypted: (roomId) => {
      isRead.push(roomId);
      return known();
    },
    thumbnail: () => Promise.reject(new Error("not made")),
    urlOf: () => "blob:it",
    revoke: () => undefined,
    later: () => undefined,
  });
});

describe("Element", () => {
  class Event extends MatrixEvent {}
  Event.prototype.getContent = MatrixEvent.prototype.getContent;

  test("is given a name for an encrypted picture, and nothing by it until it is there", () => {
    class One extends Event {
      override getContent(): Record<string, unknown> {
        return super.getContent();
      }
    }
    const client = clientOf(One);
    reader.attach(client);
    const event = new One(avatar());
    const shown = event.getContent();
    assert.match(String(shown["url"]), /^mxc:\/\/hs\.example\.org\/abc#/);
    // The same each time, as React wants it.
    assert.equal(event.getContent(), shown);
    assert.equal(client.mxcUrlToHttp(shown["url"], 96, 96, "crop"), null);
    assert.deepEqual(isRead, ["!room"]);
    // Nothing that is stored or sent has it.
    assert.ok(!("url" in (event.event["content"] as object)));
  });

  test("sends, keeps and reads everything else as it is", () => {
    class One extends Event {
      override getContent(): Record<string, unknown> {
        return super.getContent();
      }
    }
    const client = clientOf(One);
    reader.attach(client);
    const same = [
      avatar({ event_id: "~!room:txn" }),
      avatar({ event_id: undefined }),
      avatar({ type: "m.room.message" }),
      avatar({ content: { url: "mxc://hs.example.org/abc" } }),
      avatar({ content: { ...CONTENT, url: "mxc://hs.example.org/abc" } }),
      avatar({ content: {} }),
    ];
    for (const event of same) assert.equal(new One(event).getContent(), event["content"]);
    assert.equal(
      client.mxcUrlToHttp("mxc://hs.example.org/abc", 1, 2),
      "mxc://hs.example.org/abc 1,2",
    );
    assert.equal(client.mxcUrlToHttp(null), "null ");
  });

  test("that signs in as somebody else finds nothing of before", () => {
    class One extends Event {
      override getContent(): Record<string, unknown> {
        return super.getContent();
      }
    }
    const client = clientOf(One);
    reader.attach(client);
    const event = new One(avatar());
    const before = event.getContent()["url"];
    const other = clientOf(One);
    reader.attach(other);
    assert.equal(other.mxcUrlToHttp(before), null);
    assert.deepEqual(isRead, []);
    assert.notEqual(event.getContent()["url"], before);
  });

  test("that signs in as somebody else meanwhile fetches nothing in either's name", async () => {
    class One extends Event {
      override getContent(): Record<string, unknown> {
        return super.getContent();
      }
    }
    let say: (isIt: boolean) => void = () => undefined;
    known = () => new Promise((resolve) => (say = resolve));
    const tokens: string[] = [];
    const of = (name: string): PictureClient => ({
      ...clientOf(One),
      getAccessToken: () => {
        tokens.push(name);
        return name;
      },
    });
    const client = of("alice");
    reader.attach(client);
    client.mxcUrlToHttp(new One(avatar()).getContent()["url"]);
    assert.deepEqual(isRead, ["!room"]);
    reader.attach(of("bob"));
    say(true);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((next) => setImmediate(next));
    assert.deepEqual(tokens, []);
  });

  test("that signed out has none, and is not changed twice when it comes back", () => {
    class One extends Event {
      override getContent(): Record<string, unknown> {
        return super.getContent();
      }
    }
    const client = clientOf(One);
    reader.attach(client);
    const changed = client.mxcUrlToHttp;
    const event = new One(avatar());
    const before = event.getContent()["url"];
    reader.attach(undefined);
    assert.equal(client.mxcUrlToHttp(before), null);
    assert.deepEqual(isRead, []);
    reader.attach(client);
    assert.equal(client.mxcUrlToHttp, changed);
    assert.notEqual(event.getContent()["url"], before);
  });

  test("of another make stays as it is", () => {
    const strange = { ...clientOf(Event), mxcUrlToHttp: undefined } as unknown as PictureClient;
    reader.attach(strange);
    assert.equal(new Event(avatar()).getContent(), CONTENT);
  });
});
