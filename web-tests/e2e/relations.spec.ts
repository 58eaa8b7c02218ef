/**
 * Reactions and replies after MSC4392, among people with Mantle (matrix-js-sdk 43 and 35) and without.
 * Each step goes on where the one before ended.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { bothBrowsers, setOffline } from "../support/browsers.ts";
import { clientPage, drive, tryToDrive, unhandled } from "../support/client-page.ts";
import { forge } from "../support/hostile-member.ts";
import {
  aboutRoom,
  holdToDevice,
  homeserverFront,
  isSync,
  lyingHomeserver,
  toClient,
} from "../support/lies.ts";
import type { LyingHomeserver, Plain, WireEvent } from "../support/lies.ts";
import { startPeer } from "../support/peer.ts";
import type { Peer } from "../support/peer.ts";
import { openQuestion, press } from "../support/question.ts";
import type { Recorder } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { givePower, PASSWORD, startMixedWorld, WITHOUT_MANTLE } from "./encrypted-state/people.ts";
import type { Guarded, MixedWorld } from "./encrypted-state/people.ts";
import { callApi, until } from "./extension-pages.ts";
import type { ExtensionBrowser } from "./extension-pages.ts";

/** Longest wait for something that must happen. */
const LIMIT = 45_000;
/** More than a first sync brings. */
const MANY = 30;

const replyTo = (id: string): Plain => ({ "m.in_reply_to": { event_id: id } });
const reactionTo = (id: string, key: string): Plain => ({
  "m.relates_to": { rel_type: "m.annotation", event_id: id, key },
});

for (const kind of bothBrowsers) {
  describe(`relations in ${kind}`, { timeout: 600_000 }, () => {
    let mixed: MixedWorld;
    let world: World;
    let recorder: Recorder;
    let liar: LyingHomeserver;
    let browser: ExtensionBrowser;
    /** With Mantle; Erin's Element is of 2024. */
    let alice: Guarded;
    let bob: Guarded;
    let erin: Guarded;
    /** Nobody with Mantle: a page, and a client outside any browser that speaks MSC4392. */
    let dave: Guarded;
    let carol: Peer;
    let carolAccount: Account;
    let readers: Guarded[];
    let roomId: string;
    /** What is reacted and replied to. */
    let messageId: string;

    before(async () => {
      mixed = await startMixedWorld(kind, async (made, front) => {
        liar = lyingHomeserver(made.synapse.baseUrl);
        front.route(HOMESERVER, liar.route);
        front.route("chat.mozilla.org", await clientPage({ sdk: "35" }));
      });
      ({ world, recorder, browser } = mixed);
      const baseUrl = homeserverFront(recorder, liar.route);
      alice = await mixed.open("alice", "chat.example.org");
      bob = await mixed.open("bob", "app.element.io");
      erin = await mixed.open("erin", "chat.mozilla.org");
      dave = await mixed.open("dave", WITHOUT_MANTLE);
      readers = [alice, bob, erin];
      carolAccount = await world.synapse.register("carol", PASSWORD);
      carol = await startPeer(world.synapse, carolAccount, { baseUrl });
      ({ roomId } = await drive(alice.page, "createRoom", {
        name: "Garden",
        encrypted: true,
        invite: [bob.userId, erin.userId, dave.userId, carol.userId],
      }));
      for (const { page: one } of [bob, erin, dave]) await drive(one, "joinRoom", roomId);
      await carol.join(roomId);
      ({ eventId: messageId } = await drive(alice.page, "sendText", roomId, "Who waters today?"));
      for (const { page: one } of [bob, erin, dave]) {
        await drive(one, "seeEvent", roomId, messageId, "Who waters today?");
      }
      await carol.receive(roomId, "Who waters today?");
    });

    after(async () => {
      carol?.stop();
      await mixed?.close();
    });

    /** Ciphertext of a peer's, with nothing beside it but what is given. */
    const sealed = async (
      type: string,
      content: Plain,
      outer?: Plain,
      by: Peer = carol,
    ): Promise<Plain> => {
      const { "m.relates_to": _copied, ...wire } = await forge(by, roomId, {
        type,
        content: JSON.stringify(content),
        asMessage: true,
      });
      return outer === undefined ? wire : { ...wire, "m.relates_to": outer };
    };
    const put = async (content: Plain, account: Account = carolAccount): Promise<string> => {
      const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.encrypted`;
      const answer = await world.synapse.call(
        account,
        "PUT",
        `${path}/peer${String(Math.random())}`,
        content,
      );
      return String(answer["event_id"]);
    };
    const send = async (type: string, content: Plain, outer?: Plain): Promise<string> =>
      put(await sealed(type, content, outer));
    const text = (body: string, relation?: Plain): Plain => ({
      msgtype: "m.text",
      body,
      ...(relation === undefined ? {} : { "m.relates_to": relation }),
    });
    /** The room's event with this ciphertext is told otherwise. */
    const lieAbout = (content: Plain, lie: (event: WireEvent) => void): (() => void) =>
      liar.tell(
        aboutRoom(roomId, ({ timeline }) => {
          const found = timeline.filter(
            (event) => (event.content as Plain)["ciphertext"] === content["ciphertext"],
          );
          for (const event of found) lie(event);
          return found.length > 0;
        }),
      );
    const everybodySees = async (
      people: Guarded[],
      expected: Record<string, string[]>,
      id = messageId,
      room = roomId,
    ): Promise<void> => {
      for (const { page, label } of people) {
        await drive(page, "seeReactions", room, id, expected).catch((error: unknown) => {
          throw new Error(`${label}: ${String(error)}`);
        });
      }
    };
    /** A message with a plain reaction and an encrypted one, so that a test needs no other's. */
    const reactedTo = async (body: string) => {
      const id = await carol.send(roomId, body);
      await drive(dave.page, "seeEvent", roomId, id, body);
      await drive(dave.page, "react", roomId, id, "👍");
      await send("m.reaction", reactionTo(id, "👍"));
      await send("m.reaction", reactionTo(id, "🌱"));
      return { id, expected: { "👍": [carol.userId, dave.userId], "🌱": [carol.userId] } };
    };

    it("an encrypted reaction is shown with Mantle, and to others nothing", async () => {
      await send("m.reaction", reactionTo(messageId, "👍"));
      await everybodySees(readers, { "👍": [carol.userId] });
      // What comes after it is there, so it was.
      const next = await send("m.room.message", text("I do"));
      await drive(dave.page, "seeEvent", roomId, next, "I do");
      assert.deepEqual(await drive(dave.page, "reactionsTo", roomId, messageId), {});
      assert.deepEqual(await unhandled(dave.page), []);
    });

    it("an encrypted reply is shown as one with Mantle, and to others as a message", async () => {
      const id = await send("m.room.message", text("Me", replyTo(messageId)));
      for (const { page } of readers) {
        const shown = await drive(page, "seeEvent", roomId, id, "Me");
        assert.equal(shown.replyTo, messageId);
      }
      assert.equal((await drive(dave.page, "seeEvent", roomId, id, "Me")).replyTo, null);
    });

    it("a reply in a thread is one there, and what it answers comes from inside", async () => {
      const thread = { rel_type: "m.thread", event_id: messageId };
      const inner = { ...thread, ...replyTo(messageId), is_falling_back: true };
      const id = await send("m.room.message", text("Here", inner), thread);
      for (const { page } of readers) {
        const shown = await drive(page, "seeEvent", roomId, id, "Here");
        assert.deepEqual([shown.thread, shown.replyTo], [messageId, messageId]);
      }
    });

    it("plain and encrypted reactions add up", async () => {
      const { id, expected } = await reactedTo("Adds up");
      await everybodySees(readers, expected, id);
      // And a plain one where the encrypted one is shown already.
      const next = await carol.send(roomId, "Adds up later");
      await send("m.reaction", reactionTo(next, "👍"));
      await everybodySees(readers, { "👍": [carol.userId] }, next);
      await drive(dave.page, "seeEvent", roomId, next, "Adds up later");
      await drive(dave.page, "react", roomId, next, "👍");
      await everybodySees(readers, { "👍": [carol.userId, dave.userId] }, next);
    });

    it("they are there after a reload, and from an empty cache", async () => {
      const { id, expected } = await reactedTo("Reloads");
      for (const clearCache of [false, true]) {
        for (const one of readers) await one.restart({ reload: true, clearCache });
        await everybodySees(readers, expected, id);
      }
    });

    it("a removed one leaves nothing, live and after a reload", async () => {
      const { id: about, expected } = await reactedTo("Removed");
      const id = await send("m.reaction", reactionTo(about, "🐌"));
      await everybodySees(readers, { ...expected, "🐌": [carol.userId] }, about);
      const remove = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/redact`;
      await world.synapse.call(carolAccount, "PUT", `${remove}/${encodeURIComponent(id)}/gone`, {});
      await everybodySees(readers, expected, about);
      // A removed event that is no message has no line in Element.
      const isNothing = ({ page, label }: Guarded): Promise<void> =>
        until(
          async () => {
            const shown = await drive(page, "shownEvent", roomId, id);
            return shown?.isRemoved === true && !shown.isMessage;
          },
          `${label} knows the removed event as a reaction`,
          LIMIT,
        );
      for (const one of readers) await isNothing(one);
      // A page that goes before it has stored that would not know it any more.
      const options = await browser.openExtensionPage("options.html");
      const isStored = async (): Promise<boolean> => {
        const stored = await callApi<Record<string, unknown>>(options, "storage.local.get", null);
        const kept = Object.values(stored).filter((value) => String(value).includes(id));
        return kept.length >= readers.length;
      };
      await until(isStored, "all have stored what was removed", LIMIT);
      await options.close();
      for (const clearCache of [false, true]) {
        for (const one of readers) {
          await one.restart({ reload: true, clearCache });
          await isNothing(one);
          await everybodySees([one], expected, about);
        }
      }
      await dave.restart({ reload: true, clearCache: true });
      assert.equal((await drive(dave.page, "seeEvent", roomId, id)).type, "m.room.encrypted");
      // Again, by the same person.
      await send("m.reaction", reactionTo(about, "🐌"));
      await everybodySees(readers, { ...expected, "🐌": [carol.userId] }, about);
    });

    it("keys that come late bring reaction and quote", async () => {
      const { lie, release, held } = holdToDevice();
      const end = liar.tell(toClient(alice.accessToken(), lie));
      await carol.client.getCrypto()?.forceDiscardSession(roomId);
      const before = await drive(alice.page, "reactionsTo", roomId, messageId);
      const reactionId = await send("m.reaction", reactionTo(messageId, "⏳"));
      const id = await send("m.room.message", text("Late", replyTo(messageId)));
      await drive(bob.page, "seeEvent", roomId, id, "Late");
      await until(
        async () => (await drive(alice.page, "undecryptable", roomId)) >= 2 && held() > 0,
        "both wait for their key",
        LIMIT,
      );
      assert.deepEqual(await drive(alice.page, "reactionsTo", roomId, messageId), before);
      release();
      // The next answer brings the keys.
      await carol.send(roomId, "Soon");
      await drive(alice.page, "seeReactions", roomId, messageId, {
        ...before,
        "⏳": [carol.userId],
      });
      assert.equal((await drive(alice.page, "seeEvent", roomId, id, "Late")).replyTo, messageId);
      assert.equal((await drive(alice.page, "seeEvent", roomId, reactionId)).type, "m.reaction");
      end();
    });

    it("those of older messages come with their history", async () => {
      const oldId = await carol.send(roomId, "Old");
      await send("m.reaction", reactionTo(oldId, "🦕"));
      let last = "";
      for (let count = 1; count <= MANY; count += 1) last = await carol.send(roomId, `${count}`);
      for (const one of [alice, erin]) {
        await one.restart({ reload: true, clearCache: true });
        await drive(one.page, "seeEvent", roomId, last, String(MANY));
        assert.equal(await drive(one.page, "shownEvent", roomId, oldId), null);
        await drive(one.page, "loadAll", roomId);
        await drive(one.page, "seeReactions", roomId, oldId, { "🦕": [carol.userId] });
      }
    });

    it("a homeserver's outer relation does not change what is shown", async () => {
      const about = await carol.send(roomId, "Lied about");
      const elsewhere = await carol.send(roomId, "Elsewhere");
      const quote = await sealed("m.room.message", text("Quote", replyTo(messageId)));
      const plain = await sealed("m.room.message", text("No reaction"));
      const edit = await sealed("m.room.message", text("No edit"));
      const unkeyed = await sealed("m.reaction", {});
      const reaction = await sealed("m.reaction", reactionTo(about, "🎯"));
      const outer = (relation: Plain) => (event: WireEvent) => {
        (event.content as Plain)["m.relates_to"] = relation;
      };
      const forged = { rel_type: "m.annotation", event_id: elsewhere, key: "👎" };
      const ends = [
        lieAbout(quote, outer(replyTo(elsewhere))),
        lieAbout(plain, outer(forged)),
        lieAbout(edit, outer({ rel_type: "m.replace", event_id: elsewhere })),
        lieAbout(unkeyed, outer(forged)),
        lieAbout(reaction, outer(forged)),
      ];
      const quoteId = await put(quote);
      for (const content of [plain, edit, unkeyed]) await put(content);
      await put(reaction);
      const last = await send("m.room.message", text("After the lies"));
      for (const { page } of readers) {
        await drive(page, "seeEvent", roomId, last, "After the lies");
        await drive(page, "seeReactions", roomId, about, { "🎯": [carol.userId] });
        assert.equal((await drive(page, "seeEvent", roomId, quoteId)).replyTo, messageId);
        assert.equal((await drive(page, "seeEvent", roomId, elsewhere)).body, "Elsewhere");
        assert.deepEqual(await drive(page, "reactionsTo", roomId, elsewhere), {});
      }
      // Without Mantle the homeserver is believed.
      await drive(dave.page, "seeEvent", roomId, last, "After the lies");
      assert.equal((await drive(dave.page, "seeEvent", roomId, quoteId)).replyTo, elsewhere);
      assert.notDeepEqual(await drive(dave.page, "reactionsTo", roomId, elsewhere), {});
      for (const end of ends) end();
    });

    it("a reaction that somebody else signed is not shown", async () => {
      const about = await carol.send(roomId, "To sign");
      const forged = await sealed("m.reaction", reactionTo(about, "👎"));
      const end = lieAbout(forged, (event) => {
        event.sender = bob.userId;
      });
      await put(forged);
      const honest = await send("m.reaction", reactionTo(about, "🤝"));
      const last = await send("m.room.message", text("Signed"));
      for (const { page } of readers) {
        await drive(page, "seeEvent", roomId, last, "Signed");
        await drive(page, "seeReactions", roomId, about, { "🤝": [carol.userId] });
        assert.equal((await drive(page, "seeEvent", roomId, honest)).type, "m.reaction");
      }
      end();
    });

    it("a reaction that is removed before its key comes is never shown", async () => {
      const about = await carol.send(roomId, "To remove");
      for (const { page } of [alice, bob, dave]) {
        await drive(page, "seeEvent", roomId, about, "To remove");
      }
      const { lie, release, held } = holdToDevice();
      const end = liar.tell(toClient(alice.accessToken(), lie));
      await carol.client.getCrypto()?.forceDiscardSession(roomId);
      const id = await send("m.reaction", reactionTo(about, "🪫"));
      await everybodySees([bob], { "🪫": [carol.userId] }, about);
      const remove = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/redact`;
      await world.synapse.call(carolAccount, "PUT", `${remove}/${encodeURIComponent(id)}/late`, {});
      // This needs no key, and comes after the removal.
      await drive(dave.page, "react", roomId, about, "🧭");
      const after = { "🧭": [dave.userId] };
      await everybodySees([alice, bob], after, about);
      assert.ok(held() > 0);
      release();
      const last = await send("m.room.message", text("After the removal"));
      for (const { page } of [alice, bob]) {
        await drive(page, "seeEvent", roomId, last, "After the removal");
      }
      await everybodySees([alice, bob], after, about);
      end();
    });

    /** Invited by the room's creator, and there for everybody. */
    const join = async (peer: Peer): Promise<void> => {
      const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/invite`;
      await world.synapse.call(alice.credentials, "POST", path, { user_id: peer.userId });
      await peer.join(roomId);
      const hello = await peer.send(roomId, `Hello from ${peer.userId}`);
      for (const { page } of readers) {
        await drive(page, "seeEvent", roomId, hello, `Hello from ${peer.userId}`);
      }
    };

    it("a reaction whose sender's devices are known later is shown then", async () => {
      const account = await world.synapse.register("frank", PASSWORD);
      const frank = await startPeer(world.synapse, account);
      try {
        const tokens = readers.map((one) => `Bearer ${one.accessToken()}`);
        const { held, letGo } = liar.hold(
          ({ path, headers }) =>
            path.includes("/keys/query") && tokens.includes(headers.authorization ?? ""),
        );
        const about = await carol.send(roomId, "For frank");
        await join(frank);
        const content = reactionTo(about, "🐢");
        const id = await put(await sealed("m.reaction", content, undefined, frank), account);
        const last = await frank.send(roomId, "Not known yet");
        for (const { page } of readers) {
          assert.equal((await drive(page, "seeEvent", roomId, id)).type, "m.reaction");
          await drive(page, "seeEvent", roomId, last, "Not known yet");
          assert.deepEqual(await drive(page, "reactionsTo", roomId, about), {});
        }
        assert.ok(held() >= readers.length);
        letGo();
        await everybodySees(readers, { "🐢": [frank.userId] }, about);
      } finally {
        frank.stop();
      }
    });

    it("a reaction from a device that its owner verifies later is shown then", async () => {
      const first = await world.synapse.register("grace", PASSWORD);
      const owner = await startPeer(world.synapse, first);
      const login = await world.synapse.call(undefined, "POST", "/_matrix/client/v3/login", {
        type: "m.login.password",
        identifier: { type: "m.id.user", user: "grace" },
        password: PASSWORD,
      });
      const second: Account = {
        userId: String(login["user_id"]),
        accessToken: String(login["access_token"]),
        deviceId: String(login["device_id"]),
      };
      const grace = await startPeer(world.synapse, second);
      try {
        await owner.client.getCrypto()?.bootstrapCrossSigning({
          // A first upload needs no password (MSC3967).
          authUploadDeviceSigningKeys: async (upload) => {
            await upload(null);
          },
        });
        const about = await carol.send(roomId, "For grace");
        await join(grace);
        const content = reactionTo(about, "🦔");
        const id = await put(await sealed("m.reaction", content, undefined, grace), second);
        const last = await grace.send(roomId, "Not verified yet");
        for (const { page } of readers) {
          assert.equal((await drive(page, "seeEvent", roomId, id)).type, "m.reaction");
          await drive(page, "seeEvent", roomId, last, "Not verified yet");
          assert.deepEqual(await drive(page, "reactionsTo", roomId, about), {});
        }
        const crypto = owner.client.getCrypto();
        await until(
          async () =>
            (await crypto?.getUserDeviceInfo([second.userId], true))
              ?.get(second.userId)
              ?.has(second.deviceId) === true,
          "the owner's first device knows the second",
          LIMIT,
        );
        await crypto?.crossSignDevice(second.deviceId);
        await everybodySees(readers, { "🦔": [grace.userId] }, about);
      } finally {
        owner.stop();
        grace.stop();
      }
    });

    describe("are written", () => {
      /** What the homeserver was told of reactions and of what is answered, since `recorder.clear()`. */
      const told = (): { reactions: number; replies: number; reactedInside: number } => {
        const puts = recorder.exchanges.filter(
          ({ method, path }) => method === "PUT" && path.includes("/send/"),
        );
        const bodies = puts.map(({ body }) => body.toString("utf8"));
        return {
          reactions: puts.filter(({ path }) => path.includes("/send/m.reaction/")).length,
          replies: bodies.filter((body) => body.includes("m.in_reply_to")).length,
          reactedInside: bodies.filter((body) => body.includes("m.annotation")).length,
        };
      };
      const NOTHING = { reactions: 0, replies: 0, reactedInside: 0 };
      const outside = (): Plain[] =>
        recorder.exchanges
          .filter(({ method, path }) => method === "PUT" && path.includes("/send/"))
          .map(({ body }) => JSON.parse(body.toString("utf8")) as Plain)
          .filter((body) => body["m.relates_to"] !== undefined)
          .map((body) => body["m.relates_to"] as Plain);
      const set = async (mode: string): Promise<void> => {
        await mixed.storeShields({ relations: mode });
        for (const one of readers) await one.restart({ reload: true });
      };
      const withOuter = [
        { rel_type: "m.thread", what: "thread" },
        { rel_type: "m.replace", what: "edit" },
      ];
      let answeredId: string;

      it("in clear while the shield is off, which shows what it is for", async () => {
        recorder.clear();
        answeredId = (await drive(alice.page, "sendText", roomId, "Off")).eventId;
        await drive(alice.page, "react", roomId, answeredId, "🌧");
        await drive(alice.page, "sendReply", roomId, answeredId, "Readable");
        assert.deepEqual(told(), { reactions: 1, replies: 1, reactedInside: 1 });
      });

      it("inside the ciphertext while it is on, and everybody with Mantle sees them", async () => {
        await set("on");
        recorder.clear();
        const { eventId } = await drive(alice.page, "sendText", roomId, "On");
        for (const { page } of readers) await drive(page, "seeEvent", roomId, eventId, "On");
        const replies = new Map<string, string>();
        for (const { page, label } of readers) {
          await drive(page, "react", roomId, eventId, "☔");
          const answer = await drive(page, "sendReply", roomId, eventId, `from ${label}`);
          replies.set(answer.eventId, `from ${label}`);
        }
        const senders = readers.map(({ userId }) => userId);
        for (const { page } of readers) {
          await drive(page, "seeReactions", roomId, eventId, { "☔": senders });
          for (const [id, body] of replies) {
            assert.equal((await drive(page, "seeEvent", roomId, id, body)).replyTo, eventId);
          }
        }
        // Those without Mantle read the text and stay healthy.
        for (const [id, body] of replies) {
          assert.equal((await drive(dave.page, "seeEvent", roomId, id, body)).replyTo, null);
          await carol.receive(roomId, body);
        }
        // Whose crypto opens them as it opens any finds all inside that MSC4392 has there.
        const inside = (type: string): Plain[] =>
          (carol.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [])
            .filter((event) => event.getType() === type)
            .map((event) => (event.getClearContent()?.["m.relates_to"] ?? {}) as Plain);
        const reaction = { rel_type: "m.annotation", event_id: eventId, key: "☔" };
        for (const [type, relation] of [
          ["m.reaction", reaction],
          ["m.room.message", replyTo(eventId)],
        ] as const) {
          await until(
            async () =>
              inside(type).filter((one) => isDeepStrictEqual(one, relation)).length ===
              readers.length,
            `${type} of all of them, opened outside any browser`,
            LIMIT,
          );
        }
        assert.deepEqual(await drive(dave.page, "reactionsTo", roomId, eventId), {});
        assert.deepEqual(told(), NOTHING);
        assert.deepEqual(outside(), []);
        answeredId = eventId;
      });

      it("one's own can be taken back and given again, also after a reload", async () => {
        for (const one of [alice, erin]) {
          await one.restart({ reload: true });
          const others = readers.map(({ userId }) => userId).filter((id) => id !== one.userId);
          await drive(one.page, "seeReactions", roomId, answeredId, {
            "☔": [...others, one.userId],
          });
          const own = await drive(one.page, "ownReaction", roomId, answeredId, "☔");
          assert.match(own ?? "", /^\$/);
          await drive(one.page, "removeEvent", roomId, own ?? "");
          for (const { page } of readers) {
            await drive(page, "seeReactions", roomId, answeredId, { "☔": others });
          }
          assert.equal(await drive(one.page, "ownReaction", roomId, answeredId, "☔"), null);
          await until(
            async () => {
              const shown = await drive(one.page, "shownEvent", roomId, own ?? "");
              return shown?.isRemoved === true && !shown.isMessage;
            },
            "what was taken back leaves no line",
            LIMIT,
          );
          recorder.clear();
          await drive(one.page, "react", roomId, answeredId, "☔");
          for (const { page } of readers) {
            await drive(page, "seeReactions", roomId, answeredId, {
              "☔": [...others, one.userId],
            });
          }
          assert.deepEqual(told(), NOTHING);
        }
      });

      it("with what a homeserver needs for threads and edits outside", async () => {
        recorder.clear();
        for (const { rel_type, what } of withOuter) {
          await drive(alice.page, "sendEvent", roomId, "m.room.message", {
            msgtype: "m.text",
            body: `a new ${what}`,
            "m.new_content": { msgtype: "m.text", body: `a new ${what}` },
            "m.relates_to":
              rel_type === "m.thread"
                ? { rel_type, event_id: answeredId, ...replyTo(answeredId), is_falling_back: true }
                : { rel_type, event_id: answeredId },
          });
        }
        assert.deepEqual(
          outside(),
          withOuter.map(({ rel_type }) => ({ rel_type, event_id: answeredId })),
        );
        for (const { page } of [...readers, dave]) {
          await drive(page, "seeEvent", roomId, answeredId, "a new edit");
        }
      });

      it("and again, as they were, where the homeserver failed", async () => {
        const { eventId } = await drive(bob.page, "sendText", roomId, "Stormy");
        recorder.clear();
        for (const how of ["reaction", "reply"] as const) {
          const end = liar.fail(
            ({ method, path }) => method === "PUT" && path.includes("/send/m.room.encrypted/"),
            "502",
          );
          const failed =
            how === "reaction"
              ? tryToDrive(bob.page, "react", roomId, eventId, "⚡")
              : tryToDrive(bob.page, "sendReply", roomId, eventId, "Again");
          await until(
            () => recorder.exchanges.some(({ status }) => status === 502),
            "it failed",
            LIMIT,
          );
          assert.equal((await failed).ok, false);
          assert.ok(end() > 0);
          assert.equal(await drive(bob.page, "sendAgain", roomId), 1);
        }
        assert.deepEqual(told(), NOTHING);
        assert.deepEqual(outside(), []);
        for (const { page } of readers) {
          await drive(page, "seeReactions", roomId, eventId, { "⚡": [bob.userId] });
        }
      });

      it("in clear in a room without encryption", async () => {
        const { roomId: clear } = await drive(alice.page, "createRoom", {
          name: "Square",
          encrypted: false,
        });
        recorder.clear();
        const { eventId } = await drive(alice.page, "sendText", clear, "Hello");
        await drive(alice.page, "react", clear, eventId, "👋");
        await drive(alice.page, "sendReply", clear, eventId, "Hello");
        await drive(alice.page, "seeReactions", clear, eventId, { "👋": [alice.userId] });
        assert.deepEqual(told(), { reactions: 1, replies: 1, reactedInside: 1 });
      });

      it("after a question once a room, which says who will not see them", async () => {
        await set("ask");
        const { eventId } = await drive(alice.page, "sendText", roomId, "Ask");
        // What was shown before is known by what this page has read since it was loaded.
        await send("m.reaction", reactionTo(eventId, "🎤"));
        await drive(alice.page, "seeReactions", roomId, eventId, { "🎤": [carol.userId] });
        recorder.clear();
        const refused = tryToDrive(alice.page, "react", roomId, eventId, "❓");
        const question = await openQuestion(alice.page);
        assert.match(question.title, /Encrypt reactions and replies in this room/);
        assert.match(question.text.join(" "), new RegExp(dave.userId));
        assert.doesNotMatch(question.text.join(" "), new RegExp(carol.userId));
        await press(alice.page, "Do not send");
        assert.equal((await refused).ok, false);
        assert.deepEqual(told(), NOTHING);
        const sent = drive(alice.page, "sendReply", roomId, eventId, "Asked");
        await openQuestion(alice.page);
        await press(alice.page, "Encrypt them");
        await sent;
        await drive(alice.page, "react", roomId, eventId, "❗");
        assert.deepEqual(told(), NOTHING);
        await drive(alice.page, "allCameBack", roomId);
        await alice.restart({ reload: true });
        await drive(alice.page, "react", roomId, eventId, "💤");
        assert.deepEqual(told(), NOTHING);
        await drive(bob.page, "seeReactions", roomId, eventId, {
          "🎤": [carol.userId],
          "❗": [alice.userId],
          "💤": [alice.userId],
        });
        // Another room is another question.
        const { roomId: other } = await drive(alice.page, "createRoom", {
          name: "Cellar",
          encrypted: true,
        });
        const first = await drive(alice.page, "sendText", other, "Here");
        const plain = drive(alice.page, "react", other, first.eventId, "👀");
        await openQuestion(alice.page);
        await press(alice.page, "Leave them readable");
        await plain;
        await drive(alice.page, "react", other, first.eventId, "🙈");
        assert.equal(told().reactions, 2);
      });
    });

    it("no page had an error", async () => {
      for (const { page } of [...readers, dave]) assert.deepEqual(await unhandled(page), []);
    });

    // After that: a client whose line breaks has errors that nobody handles, with Mantle or without.
    describe("through a line that breaks", () => {
      /** Longer than what stands in ciphertext by chance. */
      const WORDS = [
        "From afar",
        "Back home",
        "Far Bay",
        "Harbour",
        "Robinson",
        "Crusoe",
        "Friday",
      ];
      let harbour: string;
      /** Which events of theirs the homeserver has had since `countFrom`. */
      const sent = async ({
        userId,
      }: Guarded): Promise<{ messages: number; redactions: number }> => {
        const path = `/_matrix/client/v3/rooms/${encodeURIComponent(harbour)}/messages?dir=b&limit=200`;
        const { chunk } = await world.synapse.call(carolAccount, "GET", path);
        const events = (chunk as WireEvent[]).filter(
          ({ sender, state_key: state }) => sender === userId && state === undefined,
        );
        const count = (type: string): number => events.filter((one) => one.type === type).length;
        return { messages: count("m.room.encrypted"), redactions: count("m.room.redaction") };
      };
      /** Nothing that was set or written was ever readable. */
      const nothingWasReadable = (): void => {
        const toServer = recorder.to(HOMESERVER);
        const readable = WORDS.filter((word) =>
          toServer.some(({ body, path }) => body.includes(word) || path.includes(encodeURI(word))),
        );
        const reactions = toServer.filter(({ path }) => path.includes("/send/m.reaction/"));
        const relations = toServer.filter(
          ({ method, body }) =>
            method === "PUT" && /m\.in_reply_to|m\.annotation/.test(body.toString()),
        );
        assert.deepEqual([readable, reactions.length, relations.length], [[], 0, 0]);
      };
      const siteOf = (one: Guarded): string => new URL(one.page.url()).origin;
      /** Breaks somebody's line; with `last`, by losing the answer to that. */
      const cutOff = (
        one: Guarded,
        last?: (request: { method: string; path: string }) => boolean,
      ) => liar.cut(({ headers }) => headers.origin === siteOf(one), last);
      const backInSync = (one: Guarded): Promise<void> =>
        until(() => drive(one.page, "isInSync"), `${one.label} is in sync again`, LIMIT);
      const seeBoth = async (
        reactions: Record<string, Guarded[]>,
        about: string,
        people = [alice, bob],
      ): Promise<void> => {
        const ids = Object.entries(reactions).map(([key, by]) => [
          key,
          by.map((one) => one.userId),
        ]);
        await everybodySees(
          people,
          Object.fromEntries(ids) as Record<string, string[]>,
          about,
          harbour,
        );
      };
      const seeReply = async (body: string, about: string): Promise<void> => {
        for (const { page, label } of [alice, bob]) {
          const shown = await drive(page, "seeText", harbour, body);
          assert.equal(shown.replyTo, about, label);
        }
      };
      const seeMember = async (of: Guarded, name: string): Promise<void> => {
        for (const { page } of [alice, bob]) {
          await drive(page, "seeMember", harbour, of.userId, name);
        }
      };
      const seeName = async (name: string): Promise<void> => {
        for (const one of [alice, bob]) await one.seeName(harbour, name);
      };
      const say = async (by: Guarded, body: string): Promise<string> => {
        const { eventId } = await drive(by.page, "sendText", harbour, body);
        for (const { page } of [alice, bob]) await drive(page, "seeEvent", harbour, eventId, body);
        return eventId;
      };

      before(async () => {
        await mixed.storeShields({ relations: "on", "room-nicknames": "on" });
        ({ roomId: harbour } = await drive(alice.page, "createRoom", {
          name: "Harbour",
          encrypted: true,
          invite: [bob.userId, carol.userId],
        }));
        await bob.join(harbour);
        await carol.join(harbour);
        await givePower(world, alice.credentials, harbour, bob.userId);
        await seeName("Harbour");
        for (const one of [alice, bob]) await say(one, `Hello from ${one.label}`);
      });

      afterEach(nothingWasReadable);

      for (const how of ["the homeserver cannot be reached", "the browser is offline"] as const) {
        it(`what both do meanwhile is there after it, once: ${how}`, async () => {
          const isOffline = how === "the browser is offline";
          const [away, home] = isOffline ? [bob, alice] : [alice, bob];
          const about = await say(home, how);
          recorder.clear();
          const [mine, theirs] = [await sent(away), await sent(home)];
          const cut = isOffline ? undefined : cutOff(away);
          if (isOffline) await setOffline(kind, away.page, true);
          // Whoever is cut off is told so, and keeps what they wrote.
          const tried = await Promise.all([
            tryToDrive(away.page, "react", harbour, about, "⛵"),
            tryToDrive(away.page, "sendReply", harbour, about, `From afar: ${how}`),
            tryToDrive(away.page, "setRoomName", harbour, `Far Bay: ${how}`),
            tryToDrive(away.page, "setRoomNickname", harbour, `Robinson: ${how}`),
          ]);
          assert.deepEqual(
            tried.map(({ ok }) => ok),
            [false, false, false, false],
          );
          await drive(home.page, "react", harbour, about, "⚓");
          await drive(home.page, "sendReply", harbour, about, `Back home: ${how}`);
          await drive(home.page, "setRoomName", harbour, `Harbour: ${how}`);
          await drive(home.page, "setRoomNickname", harbour, `Friday: ${how}`);
          assert.deepEqual(await drive(away.page, "unsent", harbour), ["⛵", `From afar: ${how}`]);

          cut?.mend();
          if (isOffline) await setOffline(kind, away.page, false);
          else await drive(away.page, "tryAtOnce");
          await backInSync(away);
          await seeName(`Harbour: ${how}`);
          await seeMember(home, `Friday: ${how}`);
          await seeBoth({ "⚓": [home] }, about, [home]);
          assert.equal(await drive(away.page, "sendAgain", harbour), 2);
          await drive(away.page, "setRoomName", harbour, `Far Bay: ${how}`);
          await drive(away.page, "setRoomNickname", harbour, `Robinson: ${how}`);
          await seeBoth({ "⛵": [away], "⚓": [home] }, about);
          await seeReply(`From afar: ${how}`, about);
          await seeReply(`Back home: ${how}`, about);
          await seeName(`Far Bay: ${how}`);
          await seeMember(away, `Robinson: ${how}`);
          await seeMember(home, `Friday: ${how}`);
          assert.equal((await sent(away)).messages, mine.messages + 2);
          assert.equal((await sent(home)).messages, theirs.messages + 2);

          for (const [one, key] of [
            [away, "⛵"],
            [home, "⚓"],
          ] as const) {
            const own = await drive(one.page, "ownReaction", harbour, about, key);
            await drive(one.page, "removeEvent", harbour, own ?? "");
          }
          await seeBoth({}, about);
        });
      }

      it("what arrived while its answer was lost is not there twice", async () => {
        const about = await say(bob, "Lost answers");
        recorder.clear();
        const before = await sent(alice);
        const isPut = ({ method, path }: { method: string; path: string }): boolean =>
          method === "PUT" && path.includes("/send/m.room.encrypted/");
        // Sent again before the client has heard that it was there.
        let cut = cutOff(alice, isPut);
        assert.equal((await tryToDrive(alice.page, "react", harbour, about, "🌊")).ok, false);
        assert.ok(cut.isCut());
        await seeBoth({ "🌊": [alice] }, about, [bob]);
        const syncs = liar.hold(
          (request) => isSync(request) && request.headers.origin === siteOf(alice),
        );
        cut.mend();
        try {
          assert.equal(await drive(alice.page, "sendAgain", harbour), 1);
        } finally {
          syncs.letGo();
        }
        await drive(alice.page, "tryAtOnce");
        await seeBoth({ "🌊": [alice] }, about);
        // Heard of before it is sent again.
        cut = cutOff(alice, isPut);
        assert.equal(
          (await tryToDrive(alice.page, "sendReply", harbour, about, "From afar")).ok,
          false,
        );
        assert.ok(cut.isCut());
        cut.mend();
        await drive(alice.page, "tryAtOnce");
        await drive(alice.page, "allCameBack", harbour);
        assert.equal(await drive(alice.page, "sendAgain", harbour), 0);
        await seeReply("From afar", about);
        assert.equal((await sent(alice)).messages, before.messages + 2);
        const own = await drive(alice.page, "ownReaction", harbour, about, "🌊");
        await drive(alice.page, "removeEvent", harbour, own ?? "");
        await seeBoth({}, about);
        // What is set in the room.
        const isState = ({ method, path }: { method: string; path: string }): boolean =>
          method === "PUT" && path.includes("/state/m.room.");
        for (const [set, see] of [
          [
            () => tryToDrive(alice.page, "setRoomName", harbour, "Far Bay"),
            () => seeName("Far Bay"),
          ],
          [
            () => tryToDrive(alice.page, "setRoomNickname", harbour, "Crusoe"),
            () => seeMember(alice, "Crusoe"),
          ],
        ] as const) {
          cut = cutOff(alice, isState);
          assert.equal((await set()).ok, false);
          assert.ok(cut.isCut());
          cut.mend();
          await drive(alice.page, "tryAtOnce");
          await see();
          // Told that it was not set, a person sets it again.
          assert.equal((await set()).ok, true);
          await see();
        }
      });

      it("what did not leave can be sent after it, also when the page was loaded again", async () => {
        const about = await say(bob, "Not sent");
        recorder.clear();
        await drive(alice.page, "react", harbour, about, "🐟");
        await seeBoth({ "🐟": [alice] }, about);
        const cut = cutOff(alice);
        const own = await drive(alice.page, "ownReaction", harbour, about, "🐟");
        assert.equal((await tryToDrive(alice.page, "removeEvent", harbour, own ?? "")).ok, false);
        cut.mend();
        await drive(alice.page, "tryAtOnce");
        assert.equal(await drive(alice.page, "sendAgain", harbour), 1);
        await seeBoth({}, about);
        // One each: what is written after something that did not leave is never encrypted, and matrix-js-sdk
        // keeps nothing else over a reload.
        const wrote = [
          { one: alice, kept: "🐙", send: "react" },
          { one: bob, kept: "From afar, and reloaded", send: "sendReply" },
        ] as const;
        await Promise.all(
          wrote.map(async ({ one, kept, send }) => {
            const { messages } = await sent(one);
            const line = cutOff(one);
            assert.equal((await tryToDrive(one.page, send, harbour, about, kept)).ok, false);
            line.mend();
            await one.restart({ reload: true });
            // matrix-js-sdk decrypts nothing that has no event's id yet, so it cannot say what it was.
            const unsent = async (): Promise<number> =>
              (await drive(one.page, "unsent", harbour)).length;
            await until(async () => (await unsent()) === 1, `${kept} is there`, LIMIT);
            assert.equal(await drive(one.page, "sendAgain", harbour), 1);
            await until(
              async () => (await sent(one)).messages === messages + 1,
              `${kept} has left`,
              LIMIT,
            );
          }),
        );
        await seeBoth({ "🐙": [alice] }, about, [bob]);
        const reply = await drive(alice.page, "seeText", harbour, "From afar, and reloaded");
        assert.equal(reply.replyTo, about);
      });

      it("what comes in a gap, with keys that come later still, is there in the end", async () => {
        const about = await say(alice, "Before the gap");
        /** Quickly: what it says is nobody's secret. */
        const fill = async (body: string): Promise<string> => {
          const path = `/_matrix/client/v3/rooms/${encodeURIComponent(harbour)}/send/m.room.message`;
          const content = { msgtype: "m.text", body };
          const sent = await world.synapse.call(
            carolAccount,
            "PUT",
            `${path}/${encodeURIComponent(body)}`,
            content,
          );
          return String(sent["event_id"]);
        };
        recorder.clear();
        const { lie, release, held } = holdToDevice();
        const end = liar.tell(toClient(alice.accessToken(), lie));
        const cut = cutOff(alice);
        try {
          await drive(bob.page, "discardSession", harbour);
          await drive(bob.page, "react", harbour, about, "🔑");
          await drive(bob.page, "sendReply", harbour, about, "Back home in the gap");
          await drive(bob.page, "setRoomName", harbour, "Harbour in the gap");
          await drive(bob.page, "setRoomNickname", harbour, "Friday in the gap");
          await Promise.all(Array.from({ length: MANY }, (_, at) => fill(`gap ${at}`)));
          const last = await fill("after the gap");
          cut.mend();
          await drive(alice.page, "tryAtOnce");
          await drive(alice.page, "seeEvent", harbour, last, "after the gap");
          const isGap = recorder.exchanges.some(
            (one) =>
              isSync(one) &&
              one.headers.origin === siteOf(alice) &&
              one.answer.includes('"limited":true'),
          );
          assert.ok(isGap, "there is a gap");
          assert.deepEqual(await drive(alice.page, "reactionsTo", harbour, about), {});
          await drive(alice.page, "loadAll", harbour);
          await until(
            async () => (await drive(alice.page, "undecryptable", harbour)) >= 2 && held() > 0,
            "both wait for their key",
            LIMIT,
          );
          release();
          // The next answer brings the keys.
          await fill("keys");
          await seeBoth({ "🔑": [bob] }, about);
          await seeReply("Back home in the gap", about);
          await seeName("Harbour in the gap");
          await seeMember(bob, "Friday in the gap");
        } finally {
          cut.mend();
          end();
        }
      });

      it("what waits for others to have its key leaves once, encrypted, when they can be reached", async () => {
        const about = await say(bob, "Keys on their way");
        recorder.clear();
        const before = await sent(alice);
        await drive(alice.page, "discardSession", harbour);
        const cut = cutOff(
          alice,
          ({ method, path }) => method === "PUT" && path.includes("/sendToDevice/"),
        );
        const tried = [
          tryToDrive(alice.page, "react", harbour, about, "🐚"),
          tryToDrive(alice.page, "sendReply", harbour, about, "From afar, with a new key"),
        ];
        await until(() => cut.isCut(), "its key is on the way", LIMIT);
        cut.mend();
        await drive(alice.page, "tryAtOnce");
        const isSent = (await Promise.all(tried)).map(({ ok }) => ok);
        await drive(alice.page, "sendAgain", harbour);
        await seeBoth({ "🐚": [alice] }, about);
        await seeReply("From afar, with a new key", about);
        assert.equal((await sent(alice)).messages, before.messages + 2, JSON.stringify(isSent));
      });
    });
  });
}
