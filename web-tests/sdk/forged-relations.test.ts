/**
 * What a homeserver writes beside ciphertext, in every answer by which matrix-js-sdk comes to an event:
 * matrix-js-sdk itself, of 2026 and of 2024, without a browser. Its crypto is a stand-in that does with
 * relations what matrix-sdk-crypto does.
 */
import "../../extension/testing/page.ts";

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { SILENT } from "../support/quiet-sdk.ts";
import type { IEvent, ISearchResults, MatrixClient, MatrixEvent, Room } from "matrix-js-sdk";
import { RelationReader } from "../../extension/page/relations/reader.ts";
import { RemovedReactions } from "../../extension/page/relations/removed.ts";
import type { RelationsClient } from "../../extension/page/relations/sdk.ts";

type Sdk = typeof import("matrix-js-sdk");
type Plain = Record<string, unknown>;

const ROOM = "!garden:hs";
const ALICE = "@alice:hs";
const BOB = "@bob:hs";
const MALLORY = "@mallory:hs";
const KEY = "key of a device";

const annotation = (id: string, key = "🌱"): Plain => ({
  rel_type: "m.annotation",
  event_id: id,
  key,
});
const reply = (id: string): Plain => ({ "m.in_reply_to": { event_id: id } });
const related = (type: string, id: string): Plain => ({ rel_type: type, event_id: id });
const reaction = (id: string): { type: string; content: Plain } => ({
  type: "m.reaction",
  content: { "m.relates_to": annotation(id) },
});
const text = (body: string, relation?: Plain): Plain => ({
  msgtype: "m.text",
  body,
  ...(relation === undefined ? {} : { "m.relates_to": relation }),
});
const editOf = (id: string, body: string): Plain => ({
  ...text(`* ${body}`, related("m.replace", id)),
  "m.new_content": text(body),
});

let count = 0;

/** An encrypted event as a homeserver hands it out. */
function event(
  id: string,
  inside: { type?: string; content: Plain },
  beside: { sender?: string; outer?: Plain | undefined; relations?: Plain } = {},
): Plain {
  count += 1;
  const { type = "m.room.message", content } = inside;
  const { sender = BOB, outer, relations } = beside;
  const made = {
    type: "m.room.encrypted",
    room_id: ROOM,
    event_id: id,
    sender,
    origin_server_ts: count,
    content: {
      algorithm: "m.megolm.v1.aes-sha2",
      session_id: "s",
      sender_key: KEY,
      ciphertext: JSON.stringify({ type, room_id: ROOM, content }),
      ...(outer === undefined ? {} : { "m.relates_to": outer }),
    },
    unsigned: relations === undefined ? {} : { "m.relations": relations },
  };
  known[id] = made;
  return made;
}

/** What requests for such paths are answered with. */
let answers: Record<string, unknown> = {};
/** Events that the homeserver has, by id. */
let known: Record<string, Plain> = {};

const answerTo = (input: unknown): Promise<Response> => {
  const { pathname } = new URL(String(input));
  const path = decodeURIComponent(pathname).replace(/^.*\/rooms\/!garden:hs/, "");
  const name = Object.keys(answers).find((one) => path.startsWith(one));
  const found = name === undefined ? known[path.replace("/event/", "")] : answers[name];
  const isList = path.startsWith("/relations/");
  const body = found ?? (isList ? { chunk: [] } : { errcode: "M_NOT_FOUND", error: path });
  const status = found === undefined && !isList ? 404 : 200;
  return Promise.resolve(
    new Response(JSON.stringify(body), {
      status,
      headers: { "Content-Type": "application/json" },
    }),
  );
};

/** Keys that are not there yet, by what is in the ciphertext; and what waits for them. */
let withheld: string | undefined;
let waiting: MatrixEvent[] = [];

/** As matrix-sdk-crypto: what stands outside alone is copied into the content. */
const decryptEvent = (of: MatrixEvent): Promise<unknown> => {
  const wire = of.getWireContent() as { ciphertext: string; "m.relates_to"?: Plain };
  if (withheld !== undefined && wire.ciphertext.includes(withheld)) {
    waiting.push(of);
    return Promise.reject(new Error("no key"));
  }
  const clear = JSON.parse(wire.ciphertext) as { content: Plain };
  const outer = wire["m.relates_to"];
  if (outer !== undefined) clear.content["m.relates_to"] ??= outer;
  return Promise.resolve({ clearEvent: clear, senderCurve25519Key: KEY });
};

interface World {
  readonly sdk: Sdk;
  readonly client: MatrixClient;
  readonly room: Room;
}

/** Puts back what a reader changes for all events. */
let undo = (): void => undefined;

function world(sdk: Sdk): World {
  const { MatrixEvent: Event, Thread } = sdk;
  Thread.setServerSideSupport(2);
  Thread.setServerSideListSupport(2);
  Thread.setServerSideFwdPaginationSupport(2);
  const native = Object.getOwnPropertyDescriptors(Event.prototype);
  undo = () => {
    Object.defineProperties(Event.prototype, native);
  };
  const client = sdk.createClient({
    baseUrl: "https://hs.example.org",
    userId: ALICE,
    accessToken: "token",
    deviceId: "DEVICE",
    timelineSupport: true,
    logger: SILENT,
    fetchFn: answerTo as typeof fetch,
  });
  Object.assign(client, {
    clientOpts: { threadSupport: true },
    cryptoBackend: {
      decryptEvent,
      getEncryptionInfoForEvent: () => Promise.resolve({ shieldReason: null }),
      stop: () => undefined,
    },
  });
  const options = { timelineSupport: true, pendingEventOrdering: "detached" as never };
  const room = new sdk.Room(ROOM, client, ALICE, options);
  client.store.storeRoom(room);
  room.currentState.setStateEvents([
    new Event({
      type: "m.room.encryption",
      state_key: "",
      room_id: ROOM,
      event_id: "$encryption",
      sender: BOB,
      content: { algorithm: "m.megolm.v1.aes-sha2" },
    }),
  ]);
  new RelationReader(new RemovedReactions()).attach(client as unknown as RelationsClient);
  return { sdk, client, room };
}

const redaction = ({ sdk }: World, id: string): MatrixEvent =>
  new sdk.MatrixEvent({ type: "m.room.redaction", room_id: ROOM, redacts: id, content: {} });

const cryptoOf = ({ client }: World): never => client.getCrypto() as never;

async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn += 1) await new Promise((next) => setImmediate(next));
}

/** By sync. */
async function synced({ client, room }: World, ...events: Plain[]): Promise<void> {
  const mapper = client.getEventMapper();
  await room.addLiveEvents(
    events.map((one) => mapper(one as Partial<IEvent>)),
    { addToState: false },
  );
  await settle();
}

/** Each way in which an event of before comes, with what else is around it. */
const WAYS: Record<string, (of: World, all: Plain[]) => Promise<unknown>> = {
  "a sync": (of, all) => synced(of, ...all),
  "/messages": async ({ client, room }, all) => {
    answers["/messages"] = { chunk: [...all].reverse(), start: "a", end: "b" };
    room.oldState.paginationToken = "a";
    await client.scrollback(room, all.length);
  },
  "/context": async ({ client, room }, all) => {
    const [first, ...rest] = all;
    answers["/context"] = { event: first, events_before: [], events_after: rest, state: [] };
    await client.getEventTimeline(room.getUnfilteredTimelineSet(), String(first?.["event_id"]));
  },
};

function reactionsTo({ room }: World, id: string): Record<string, string[]> {
  const relations = room.relations.getChildEventsForEvent(id, "m.annotation", "m.reaction");
  const shown: Record<string, string[]> = {};
  for (const [key, events] of relations?.getSortedAnnotationsByKey() ?? []) {
    if (events.size > 0) shown[key] = [...events].map((one) => one.getSender() ?? "");
  }
  return shown;
}

const shownOf = (found: MatrixEvent): Plain => ({
  body: found.getContent()["body"] as unknown,
  replyTo: found.replyEventId,
});

function shown({ room }: World, id: string): Plain | undefined {
  const found = room.findEventById(id);
  return found === undefined ? undefined : shownOf(found);
}

const OLDER = "../client-35/node_modules/matrix-js-sdk/lib";
const VERSIONS: Record<string, () => Promise<Sdk>> = {
  "43": () => {
    delete (globalThis as { __js_sdk_entrypoint?: unknown }).__js_sdk_entrypoint;
    return import("matrix-js-sdk");
  },
  "35": async () => {
    // Each takes itself for the only one.
    delete (globalThis as { __js_sdk_entrypoint?: unknown }).__js_sdk_entrypoint;
    const { logger } = (await import(`${OLDER}/logger.js`)) as { logger: object };
    Object.assign(logger, SILENT);
    return (await import(`${OLDER}/index.js`)) as Sdk;
  },
};

for (const [version, load] of Object.entries(VERSIONS)) {
  describe(`matrix-js-sdk ${version}`, () => {
    afterEach(() => {
      undo();
      answers = {};
      known = {};
      withheld = undefined;
      waiting = [];
    });

    for (const [way, come] of Object.entries(WAYS)) {
      describe(`by ${way}`, () => {
        const told = (outer?: Plain): Plain[] => [
          event("$about", { content: text("About") }),
          event("$other", { content: text("Other") }),
          event("$reaction", reaction("$about"), { outer }),
          event("$reply", { content: text("Reply", reply("$about")) }, { outer }),
          event("$bare", { content: text("Bare") }, { outer }),
        ];
        const comes = async (outer?: Plain): Promise<World> => {
          const of = world(await load());
          await come(of, told(outer));
          await settle();
          assert.deepEqual(reactionsTo(of, "$other"), {});
          assert.deepEqual(reactionsTo(of, "$nowhere"), {});
          assert.equal(shown(of, "$other")?.["body"], "Other");
          return of;
        };

        for (const [what, outer] of Object.entries({
          nothing: undefined,
          "a reaction to something else": annotation("$other", "👎"),
          "a reaction to what nobody has": annotation("$nowhere", "👎"),
          "an answer to something else": reply("$other"),
        })) {
          test(`all is what it is inside, with ${what} outside`, async () => {
            const of = await comes(outer);
            assert.deepEqual(reactionsTo(of, "$about"), { "🌱": [BOB] });
            assert.equal(shown(of, "$reply")?.["replyTo"], "$about");
            const bare = shown(of, "$bare");
            // Clients before MSC4392 may have an answer outside alone.
            const isAnswer = outer !== undefined && "m.in_reply_to" in outer;
            const replyTo = isAnswer ? "$other" : undefined;
            assert.deepEqual([bare?.["body"], bare?.["replyTo"]], ["Bare", replyTo]);
          });
        }

        // Where an event stands goes by these before it is decrypted: it may be missing, as one that the
        // homeserver withholds.
        for (const [what, outer] of Object.entries({
          "an edit": related("m.replace", "$other"),
          "a reference to what nobody has": related("m.reference", "$nowhere"),
          "a thread": related("m.thread", "$other"),
        })) {
          test(`nothing is something else than inside, with ${what} outside`, async () => {
            const of = await comes(outer);
            const reacted = JSON.stringify(reactionsTo(of, "$about"));
            assert.ok(["{}", JSON.stringify({ "🌱": [BOB] })].includes(reacted), reacted);
            assert.ok([undefined, "$about"].some((id) => id === shown(of, "$reply")?.["replyTo"]));
          });
        }
      });
    }

    test("an event that comes twice, and differently, is what it is inside", async () => {
      const of = world(await load());
      const about = event("$about", { content: text("About") });
      const other = event("$other", { content: text("Other") });
      const inside = reaction("$about");
      const honest = event("$reaction", inside);
      const forged = event("$reaction", inside, { outer: annotation("$nowhere", "👎") });
      await WAYS["/context"]?.(of, [about, other, forged]);
      await synced(of, honest);
      await WAYS["/messages"]?.(of, [about, other, forged]);
      await settle();
      assert.deepEqual(reactionsTo(of, "$about"), { "🌱": [BOB] });
      assert.deepEqual(reactionsTo(of, "$nowhere"), {});
    });

    test("what is asked for by itself, listed or searched for is what it is inside", async () => {
      const forge = (id: string): Plain =>
        event(
          id,
          { content: text(id, reply("$about")) },
          {
            outer: reply("$other"),
            relations: { "m.replace": event("$edit", { content: editOf("$other", "Edited") }) },
          },
        );
      const of = world(await load());
      const { client } = of;
      await synced(of, event("$about", { content: text("About") }));
      const found: MatrixEvent[] = [];
      forge("$single");
      found.push(client.getEventMapper()(await client.fetchRoomEvent(ROOM, "$single")));
      answers["/relations/"] = { chunk: [forge("$listed")] };
      found.push(...(await client.relations(ROOM, "$about", null, null)).events);
      answers["/threads"] = { chunk: [forge("$root")] };
      const list = await client.createThreadListMessagesRequest(ROOM, null);
      found.push(...list.chunk.map((one) => client.getEventMapper()(one)));
      const context = { events_before: [forge("$before")], events_after: [forge("$after")] };
      const results = [{ rank: 1, result: forge("$found"), context }];
      const none = { results: [], highlights: [] } as unknown as ISearchResults;
      const { results: matches } = client.processRoomEventsSearch(none, {
        search_categories: { room_events: { count: 1, highlights: [], results } },
      } as never);
      found.push(...matches.flatMap((one) => one.context.getTimeline()));
      await settle();
      assert.deepEqual(
        found.map(shownOf),
        ["$single", "$listed", "$root", "$before", "$found", "$after"].map((body) => ({
          body,
          replyTo: "$about",
        })),
      );
    });

    test("what people react to may be anything, by any key and as often as they like", async () => {
      const of = world(await load());
      const keyed = (id: string, key: unknown): { type: string; content: Plain } => ({
        type: "m.reaction",
        content: { "m.relates_to": { ...annotation(id), key } },
      });
      const long = "k".repeat(60_000);
      const removed = event("$removed", { content: text("gone") });
      removed["content"] = {};
      removed["unsigned"] = { redacted_because: { event_id: "$redaction" } };
      await synced(
        of,
        event("$about", { content: text("About") }),
        removed,
        event("$edit", { content: editOf("$about", "About it") }),
        ...[7, null, {}, "", long].map((key, index) => event(`$odd${index}`, keyed("$about", key))),
        event("$once", reaction("$about")),
        event("$twice", reaction("$about")),
        event("$mine", reaction("$about"), { sender: ALICE }),
        ...["$removed", "$edit", "$encryption", "$twice"].map((id) =>
          event(`$to${id.slice(1)}`, reaction(id)),
        ),
        event("$elsewhere", { content: text("Elsewhere", reply("$of another room")) }),
      );
      const all = reactionsTo(of, "$about");
      assert.deepEqual([all["🌱"], all[long]], [[BOB, BOB, ALICE], [BOB]]);
      assert.deepEqual(Object.keys(all).sort(), [long, "🌱"].sort());
      for (const id of ["$removed", "$edit", "$encryption", "$twice"]) {
        assert.deepEqual(reactionsTo(of, id), { "🌱": [BOB] }, id);
      }
      assert.equal(shown(of, "$about")?.["body"], "About it");
      assert.equal(shown(of, "$elsewhere")?.["replyTo"], "$of another room");
      // One of two by the same person is taken back.
      of.room.findEventById("$once")?.makeRedacted(redaction(of, "$once"), of.room);
      await settle();
      assert.deepEqual(reactionsTo(of, "$about")["🌱"], [BOB, ALICE]);
    });

    test("a reaction beside which something was forged is removed like any", async () => {
      const of = world(await load());
      await WAYS["/messages"]?.(of, [
        event("$about", { content: text("About") }),
        event("$reaction", reaction("$about"), { outer: annotation("$nowhere") }),
      ]);
      await settle();
      assert.deepEqual(reactionsTo(of, "$about"), { "🌱": [BOB] });
      of.room.findEventById("$reaction")?.makeRedacted(redaction(of, "$reaction"), of.room);
      await settle();
      assert.deepEqual(reactionsTo(of, "$about"), {});
    });

    test("what is listed as a message's edits or a poll's votes is of that one", async () => {
      const of = world(await load());
      const readable = { type: "m.room.message", content: editOf("$about", "Readable") };
      const vote = (id: string, poll: string): Plain =>
        event(id, {
          type: "m.poll.response",
          content: { "m.relates_to": related("m.reference", poll) },
        });
      const edits = [
        event("$edit", { content: editOf("$about", "About it") }),
        event("$other edit", { content: editOf("$other", "Other") }),
        event("$no edit", { content: text("No edit") }),
        { ...event("$readable", readable), ...readable },
      ];
      const listed = async (type: string, eventType: string, chunk: Plain[]): Promise<unknown> => {
        answers["/relations/"] = { chunk };
        const { events } = await of.client.relations(ROOM, "$about", type, eventType);
        return events.map((one) => one.getId());
      };
      await synced(of, event("$about", { content: text("About") }));
      assert.deepEqual(await listed("m.replace", "m.room.message", edits), ["$edit"]);
      const votes = [vote("$vote", "$about"), vote("$other vote", "$other")];
      assert.deepEqual(await listed("m.reference", "m.poll.response", votes), ["$vote"]);
    });

    describe("what is bundled with an encrypted message", () => {
      const target = { content: text("I agree") };
      const bundled = (edit: Plain): Plain => ({ relations: { "m.replace": edit } });
      const LIES: Record<string, Plain> = {
        "an edit of another message": event("$edit", { content: editOf("$other", "I refuse") }),
        "somebody else's edit": event(
          "$edit",
          { content: editOf("$target", "I refuse") },
          { sender: MALLORY },
        ),
        "a message that edits nothing": event("$edit", { content: text("I refuse") }),
        "an edit without a new text": event("$edit", {
          content: text("I refuse", related("m.replace", "$target")),
        }),
        "a reaction": event("$edit", reaction("$target")),
        "a readable edit": {
          ...event("$edit", target),
          type: "m.room.message",
          content: editOf("$target", "I refuse"),
        },
        "an edit of which nobody has the key": event("$edit", {
          content: editOf("$target", "no key"),
        }),
      };
      for (const [what, edit] of Object.entries(LIES)) {
        for (const [way, come] of Object.entries(WAYS)) {
          test(`does not take its place by ${way}: ${what}`, async () => {
            withheld = "no key";
            const of = world(await load());
            await come(of, [
              event("$target", target, bundled(edit) as { relations: Plain }),
              event("$other", { content: text("Other") }),
            ]);
            await settle();
            assert.equal(shown(of, "$target")?.["body"], "I agree");
          });
        }
      }

      test("takes its place where it is an edit of it, also when its key comes late", async () => {
        for (const late of [false, true]) {
          withheld = late ? "I think" : undefined;
          waiting = [];
          const of = world(await load());
          const edit = event("$edit", { content: editOf("$target", "I think so") });
          await WAYS["/messages"]?.(of, [
            event("$target", target, { relations: { "m.replace": edit } }),
          ]);
          await settle();
          const found = of.room.findEventById("$target");
          if (late) {
            assert.equal(found?.getContent()["body"], "I agree");
            withheld = undefined;
            for (const one of waiting) await one.attemptDecryption(cryptoOf(of), { isRetry: true });
            await settle();
          }
          assert.equal(found?.getContent()["body"], "I think so");
          undo();
        }
      });

      test("makes no reaction, however many it counts", async () => {
        const of = world(await load());
        const chunk = [{ type: "m.reaction", key: "👎", count: 40 }];
        await synced(of, event("$target", target, { relations: { "m.annotation": { chunk } } }));
        assert.deepEqual(reactionsTo(of, "$target"), {});
      });
    });
  });
}
