/**
 * Encrypted reactions and replies where an event is not read in its room's order: by a link to it, by
 * itself, in a thread's panel, in what the homeserver lists and in what it finds in a search.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../support/browsers.ts";
import { clientPage, drive, unhandled } from "../support/client-page.ts";
import type { Plain, WireEvent } from "../support/lies.ts";
import { startMixedWorld, WITHOUT_MANTLE } from "./encrypted-state/people.ts";
import type { Guarded, MixedWorld } from "./encrypted-state/people.ts";

/** More than a first sync brings. */
const MANY = 60;

for (const kind of bothBrowsers) {
  describe(`relations that are looked up in ${kind}`, { timeout: 600_000 }, () => {
    let mixed: MixedWorld;
    /** With Mantle; Erin's Element is of 2024. */
    let alice: Guarded;
    let bob: Guarded;
    let erin: Guarded;
    /** Without. */
    let dave: Guarded;
    let readers: Guarded[];
    let roomId: string;
    let aboutId: string;
    let replyId: string;
    let reactionIds: string[];
    let rootId: string;
    let inThreadId: string;
    let answerId: string;
    let last: string;

    const call = (method: string, path: string, content?: Plain): Promise<Plain> =>
      mixed.world.synapse.call(alice.credentials, method, `/_matrix/client/${path}`, content);
    const inRoom = (path: string): string => `v3/rooms/${encodeURIComponent(roomId)}/${path}`;
    const everybodySees = async (eventId: string, body: string): Promise<string> => {
      for (const { page, label } of [alice, bob, erin, dave]) {
        await drive(page, "seeEvent", roomId, eventId, body).catch((error: unknown) => {
          throw new Error(`${label}, ${body}: ${String(error)}`);
        });
      }
      return eventId;
    };
    const say = async (by: Guarded, body: string): Promise<string> =>
      everybodySees((await drive(by.page, "sendText", roomId, body)).eventId, body);
    const sayInThread = async (
      by: Guarded,
      body: string,
      answered: { eventId: string; isFallingBack: boolean },
    ): Promise<string> => {
      const sent = await drive(by.page, "sendInThread", roomId, rootId, body, answered);
      return everybodySees(sent.eventId, body);
    };
    const react = async (by: Guarded, about: string, key: string): Promise<string> =>
      (await drive(by.page, "react", roomId, about, key)).eventId;

    before(async () => {
      mixed = await startMixedWorld(kind, async (_world, front) => {
        front.route("chat.mozilla.org", await clientPage({ sdk: "35" }));
      });
      await mixed.storeShields({ relations: "on" });
      alice = await mixed.open("alice", "chat.example.org");
      bob = await mixed.open("bob", "app.element.io");
      erin = await mixed.open("erin", "chat.mozilla.org");
      dave = await mixed.open("dave", WITHOUT_MANTLE);
      readers = [alice, bob, erin];
      ({ roomId } = await drive(alice.page, "createRoom", {
        name: "Garden",
        encrypted: true,
        invite: [bob.userId, erin.userId, dave.userId],
      }));
      for (const { page } of [bob, erin, dave]) await drive(page, "joinRoom", roomId);
      aboutId = await say(alice, "The well is dry");
      const reply = await drive(bob.page, "sendReply", roomId, aboutId, "Then dig deeper");
      replyId = await everybodySees(reply.eventId, "Then dig deeper");
      reactionIds = [await react(bob, aboutId, "Cactus"), await react(erin, aboutId, "Cactus")];
      await react(dave, aboutId, "Fountain");
      rootId = await say(alice, "Where to dig");
      inThreadId = await sayInThread(bob, "By the oak", { eventId: rootId, isFallingBack: true });
      const answered = { eventId: inThreadId, isFallingBack: false };
      answerId = await sayInThread(erin, "Not among roots", answered);
      reactionIds.push(await react(erin, inThreadId, "Acorn"));
      for (let count = 1; count <= MANY; count += 1) {
        const content = { msgtype: "m.text", body: `${count}` };
        const path = inRoom(`send/m.room.message/filler${count}`);
        last = String((await call("PUT", path, content))["event_id"]);
      }
    });

    after(() => mixed?.close());

    /** A page that has no more of the room than a first sync brings. */
    const withLatestOnly = async (one: Guarded): Promise<void> => {
      await one.restart({ reload: true, clearCache: true });
      await drive(one.page, "seeEvent", roomId, last, String(MANY));
      assert.equal(await drive(one.page, "shownEvent", roomId, aboutId), null);
      assert.equal(await drive(one.page, "shownEvent", roomId, inThreadId), null);
    };
    const REACTED = (): Record<string, string[]> => ({
      Cactus: [bob.userId, erin.userId],
      Fountain: [dave.userId],
    });

    it("a link to a message shows its reactions, and what a reply answers", async () => {
      for (const one of readers) {
        await withLatestOnly(one);
        await drive(one.page, "goTo", roomId, aboutId);
        await drive(one.page, "seeReactions", roomId, aboutId, REACTED());
        const reply = await drive(one.page, "seeEvent", roomId, replyId, "Then dig deeper");
        assert.equal(reply.replyTo, aboutId, one.label);
        // And no second time where the room's history reaches it.
        await drive(one.page, "loadAll", roomId);
        await drive(one.page, "seeReactions", roomId, aboutId, REACTED());
      }
      await withLatestOnly(dave);
      await drive(dave.page, "goTo", roomId, aboutId);
      await drive(dave.page, "seeReactions", roomId, aboutId, { Fountain: [dave.userId] });
      assert.equal((await drive(dave.page, "seeEvent", roomId, replyId)).replyTo, null);
    });

    it("one event by itself says what it answers", async () => {
      for (const one of readers) {
        await withLatestOnly(one);
        assert.deepEqual(await drive(one.page, "fetchEvent", roomId, replyId), {
          type: "m.room.message",
          body: "Then dig deeper",
          replyTo: aboutId,
          thread: null,
          isRemoved: false,
          isMessage: true,
        });
        const [reactionId = ""] = reactionIds;
        assert.equal((await drive(one.page, "fetchEvent", roomId, reactionId)).type, "m.reaction");
        // What is looked at alone is among nobody's reactions.
        assert.deepEqual(await drive(one.page, "reactionsTo", roomId, aboutId), {});
      }
      assert.equal((await drive(dave.page, "fetchEvent", roomId, replyId)).replyTo, null);
    });

    it("a thread's panel has what is answered in it; reactions come with the room's history", async () => {
      for (const one of readers) {
        await withLatestOnly(one);
        await drive(one.page, "goTo", roomId, rootId);
        const texts = await drive(one.page, "openThread", roomId, rootId);
        for (const text of ["By the oak", "Not among roots"]) {
          assert.ok(texts.includes(text), `${one.label} has ${texts.join(", ")}`);
        }
        const answer = await drive(one.page, "seeEvent", roomId, answerId, "Not among roots");
        assert.deepEqual([answer.thread, answer.replyTo], [rootId, inThreadId]);
        await drive(one.page, "loadAll", roomId);
        await drive(one.page, "seeReactions", roomId, inThreadId, { Acorn: [erin.userId] });
      }
    });

    it("the homeserver lists nothing of them as related to a message", async () => {
      const related = async (id: string): Promise<unknown[]> => {
        const path = `v1/rooms/${encodeURIComponent(roomId)}/relations/${encodeURIComponent(id)}`;
        const { chunk } = await call("GET", `${path}?recurse=true&limit=100`);
        return (chunk as WireEvent[]).map(({ event_id: one, type }) => `${type} ${one}`).sort();
      };
      const plain = await related(aboutId);
      assert.deepEqual(
        plain.map((one) => String(one).split(" ")[0]),
        ["m.reaction"],
        "Dave's alone",
      );
      assert.deepEqual(
        await related(rootId),
        [inThreadId, answerId].map((id) => `m.room.encrypted ${id}`).sort(),
      );
      assert.deepEqual(await related(inThreadId), []);
    });

    it("a search finds nothing of them, and shows what it finds as ever", async () => {
      const { roomId: square } = await drive(alice.page, "createRoom", {
        name: "Square",
        encrypted: false,
        invite: [dave.userId],
      });
      await drive(dave.page, "joinRoom", square);
      const { eventId: pump } = await drive(alice.page, "sendText", square, "The pump is dry");
      await drive(alice.page, "sendReply", square, pump, "Then pump deeper");
      for (const { page } of [alice, dave]) {
        const found = await drive(page, "findMessages", "deeper");
        assert.deepEqual(
          found.map(({ body, replyTo }) => [body, replyTo]),
          [["Then pump deeper", pump]],
        );
        for (const term of ["deeper", "Cactus", "Acorn"]) {
          assert.deepEqual(await drive(page, "findMessages", term, [roomId]), []);
        }
      }
      // A search that goes through all that is stored finds what is readable, and nothing else.
      const stored = async (word: string): Promise<boolean> =>
        (await mixed.world.synapse.searchDatabase([word])).length > 0;
      for (const word of ["pump deeper", "Fountain"]) assert.ok(await stored(word), word);
      for (const word of ["dig deeper", "Cactus", "Acorn"]) assert.ok(!(await stored(word)), word);
    });

    it("no page had an error", async () => {
      for (const { page } of [...readers, dave]) assert.deepEqual(await unhandled(page), []);
    });
  });
}
