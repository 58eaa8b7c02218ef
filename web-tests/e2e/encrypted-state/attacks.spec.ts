/**
 * Hostile members and a homeserver that lies, against encrypted state. An unmodified matrix-js-sdk 43
 * that speaks MSC4362 is a member of every room too: what fools it shows that the attack is one.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { Page } from "puppeteer-core";
import type { HeldState } from "../../client/encrypted-state.ts";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive, openClient } from "../../support/client-page.ts";
import { forge, putState, sendForgery } from "../../support/hostile-member.ts";
import type { Forgery } from "../../support/hostile-member.ts";
import { aboutRoom, homeserverFront, inject, lyingHomeserver } from "../../support/lies.ts";
import type { Lie, LyingHomeserver, Plain, WireEvent } from "../../support/lies.ts";
import { startPeer } from "../../support/peer.ts";
import type { Peer } from "../../support/peer.ts";
import type { Account } from "../../support/synapse.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { launchExtensionBrowser, pause, testBuild } from "../extension-pages.ts";
import type { ExtensionBrowser } from "../extension-pages.ts";

const FIRST = "the first name";
const TRUE = "the true name";
const FALSE = "the false name";
const FLAGGED = {
  algorithm: "m.megolm.v1.aes-sha2",
  "io.element.msc4362.encrypt_state_events": true,
};
const PASSWORD = "correct horse battery staple";

/** Somebody in the room whose view counts. */
interface Onlooker {
  readonly label: string;
  readonly account: Account;
  /** Loads the page anew; what was synced is fetched again, what Mantle knows is kept. */
  reload?(): Promise<void>;
  name(roomId: string): Promise<string | undefined>;
  topic(roomId: string): Promise<string | undefined>;
  held(roomId: string, type: string, stateKey?: string): Promise<HeldState | null>;
}

/** One room with one attack in it. */
interface Stage {
  readonly roomId: string;
  readonly world: World;
  readonly liar: LyingHomeserver;
  readonly owner: Peer;
  readonly ownerAccount: Account;
  readonly mallory: Peer;
  readonly malloryAccount: Account;
  /** Another encrypted room with the same people. */
  readonly otherRoomId: string;
  /** The wire form of the owner's encrypted names, oldest first. */
  readonly names: WireEvent[];
  forge(forgery: Forgery): Promise<string>;
}

interface Attack {
  readonly title: string;
  /** The same room will do for all attacks that leave its name alone. */
  readonly leavesName?: true;
  /** Power needed by type, beside what the room has anyway; the hostile member has 0. */
  readonly levels?: Record<string, number>;
  play(stage: Stage): Promise<unknown>;
  /** What somebody makes of the room. */
  look(onlooker: Onlooker, stage: Stage): Promise<unknown>;
  readonly honest: unknown;
  /** What js-sdk 43 alone makes of it. Equal to `honest`: it resists as well. */
  readonly alone: unknown;
  /** Judged once more after a reload; what the homeserver says from then on. */
  readonly afterReload?: (stage: Stage) => Lie | undefined;
}

const ANYBODY_RENAMES = { "m.room.name": 0, "m.room.topic": 50 };
const LONG_KEY = "k".repeat(300);
const showsName: Attack["look"] = (onlooker, { roomId }) => onlooker.name(roomId);
const content = (value: unknown): string => JSON.stringify(value);

const ATTACKS: readonly Attack[] = [
  {
    title: "opens none of the types that may not be encrypted: power levels, join rules, …",
    leavesName: true,
    play: async ({ forge: send, mallory }) => {
      await send({
        type: "m.room.power_levels",
        content: content({ users: { [mallory.userId]: 100 } }),
      });
      await send({ type: "m.room.join_rules", content: content({ join_rule: "public" }) });
      await send({ type: "m.room.tombstone", content: content({ body: FALSE }) });
      await send({ type: "m.room.server_acl", content: content({ deny: [FALSE] }) });
      await send({ type: "m.room.canonical_alias", content: content({ alias: FALSE }) });
    },
    look: async (onlooker, { roomId, mallory }) => {
      const held = (type: string): Promise<HeldState | null> => onlooker.held(roomId, type);
      const levels = (await held("m.room.power_levels"))?.content["users"] as Plain | undefined;
      return {
        power: levels?.[mallory.userId] ?? 0,
        rule: (await held("m.room.join_rules"))?.content["join_rule"],
        tombstone: (await held("m.room.tombstone"))?.content["body"] ?? null,
        acl: (await held("m.room.server_acl"))?.content["deny"] ?? null,
        alias: (await held("m.room.canonical_alias"))?.content["alias"] ?? null,
      };
    },
    honest: { power: 0, rule: "invite", tombstone: null, acl: null, alias: null },
    alone: { power: 100, rule: "public", tombstone: FALSE, acl: [FALSE], alias: FALSE },
  },
  {
    title: "asks for the power to send the type inside, not only the one outside",
    play: ({ forge: send }) => send({ type: "m.room.name", content: content({ name: FALSE }) }),
    look: showsName,
    honest: TRUE,
    alone: FALSE,
  },
  {
    title: "refuses the owner's event under another sender's name",
    levels: ANYBODY_RENAMES,
    play: async ({ liar, roomId, owner, mallory, names }) => {
      const known = new Set(names.map((event) => event.event_id));
      liar.tell(
        aboutRoom(roomId, (room) => {
          const renamed = [...room.state, ...room.timeline].filter(
            (event) => event.state_key === "m.room.name:" && !known.has(event.event_id),
          );
          for (const event of renamed) event.sender = mallory.userId;
          return renamed.length > 0;
        }),
      );
      await owner.client.setRoomName(roomId, FALSE);
    },
    look: showsName,
    honest: TRUE,
    alone: FALSE,
  },
  {
    title: "refuses the owner's ciphertext sent again by another member",
    levels: ANYBODY_RENAMES,
    play: ({ world, roomId, malloryAccount, names }) =>
      putState(
        world.synapse,
        malloryAccount,
        roomId,
        "m.room.encrypted",
        "m.room.name:",
        names[0]?.content,
      ),
    look: showsName,
    honest: TRUE,
    alone: FIRST,
  },
  {
    title: "refuses a replay: the same ciphertext under another event id",
    play: ({ world, roomId, ownerAccount, names }) =>
      putState(
        world.synapse,
        ownerAccount,
        roomId,
        "m.room.encrypted",
        "m.room.name:",
        names[0]?.content,
      ),
    look: showsName,
    honest: TRUE,
    alone: FIRST,
  },
  {
    title: "keeps what it knows when the homeserver rolls a name back to an older event",
    play: async ({ liar, roomId, names }) => {
      liar.tell(inject(roomId, "state", names.slice(0, 1)).lie);
    },
    look: showsName,
    honest: TRUE,
    alone: FIRST,
    afterReload: ({ roomId, names: [first, second] }) =>
      aboutRoom(roomId, (room) => {
        const newer = [...room.state, ...room.timeline].filter(
          (event) => event.event_id === second?.event_id,
        );
        for (const event of newer) Object.assign(event, structuredClone(first));
        return newer.length > 0;
      }),
  },
  {
    title: "lets the encrypted name win over a newer clear one",
    play: ({ world, roomId, ownerAccount }) =>
      putState(world.synapse, ownerAccount, roomId, "m.room.name", "", { name: FALSE }),
    look: showsName,
    honest: TRUE,
    alone: FALSE,
    afterReload: () => undefined,
  },
  {
    title: "keeps the flag when an event takes it away",
    play: ({ world, roomId, ownerAccount }) => {
      const { algorithm } = FLAGGED;
      return putState(world.synapse, ownerAccount, roomId, "m.room.encryption", "", { algorithm });
    },
    look: async (onlooker, { roomId }) => {
      const held = await onlooker.held(roomId, "m.room.encryption");
      return held?.content["io.element.msc4362.encrypt_state_events"] ?? false;
    },
    honest: true,
    alone: false,
    afterReload: () => undefined,
  },
  {
    title: "refuses a packed key that is not that of the event inside",
    levels: { ...ANYBODY_RENAMES, "m.room.topic": 0, "org.example.state": 0 },
    play: async ({ forge: send }) => {
      const named = content({ name: FALSE, topic: FALSE });
      // Right type and wrong key, both ways; wrong type.
      await send({ type: "m.room.name", packed: "m.room.name:x", content: named });
      await send({ type: "m.room.name", stateKey: "x", packed: "m.room.name:", content: named });
      await send({ type: "m.room.topic", packed: "m.room.name:", content: named });
      await send({ type: "org.example.state", packed: "m.room.name:", content: named });
    },
    look: async (onlooker, { roomId }) => ({
      name: await onlooker.name(roomId),
      other: (await onlooker.held(roomId, "m.room.name", "x"))?.content ?? null,
    }),
    honest: { name: TRUE, other: null },
    alone: { name: TRUE, other: null },
  },
  {
    title: "refuses a message sent as state",
    levels: ANYBODY_RENAMES,
    play: ({ forge: send }) =>
      send({ type: "m.room.name", content: content({ name: FALSE }), asMessage: true }),
    look: showsName,
    honest: TRUE,
    alone: TRUE,
  },
  ...["[]", "null"].map((text): Attack => ({
    title: `refuses content that is no object: ${text}`,
    levels: ANYBODY_RENAMES,
    play: ({ forge: send }) => send({ type: "m.room.name", content: text }),
    look: async (onlooker, { roomId }) => ((await onlooker.name(roomId)) === TRUE ? TRUE : "lost"),
    honest: TRUE,
    alone: "lost",
  })),
  {
    title: "refuses an event that was encrypted for another room",
    levels: ANYBODY_RENAMES,
    play: ({ forge: send, otherRoomId }) =>
      send({ type: "m.room.name", content: content({ name: FALSE }), madeFor: otherRoomId }),
    look: showsName,
    honest: TRUE,
    alone: TRUE,
  },
  {
    title: "refuses state that belongs to another user",
    leavesName: true,
    levels: { "org.example.badge": 0 },
    play: ({ forge: send, owner }) =>
      send({
        type: "org.example.badge",
        stateKey: owner.userId,
        content: content({ badge: FALSE }),
      }),
    look: (onlooker, { roomId, owner }) => onlooker.held(roomId, "org.example.badge", owner.userId),
    honest: null,
    alone: "held",
  },
  {
    title: "opens no packed key beyond 255 bytes",
    leavesName: true,
    levels: { "org.example.state": 0 },
    play: async ({ mallory, roomId, liar }) => {
      const inside = await forge(mallory, roomId, {
        type: "org.example.state",
        stateKey: LONG_KEY,
        content: content({ text: FALSE }),
      });
      const event = wireEvent(mallory.userId, `org.example.state:${LONG_KEY}`, inside);
      liar.tell(inject(roomId, "timeline", [event]).lie);
    },
    look: (onlooker, { roomId }) => onlooker.held(roomId, "org.example.state", LONG_KEY),
    honest: null,
    alone: "held",
  },
  {
    title: "opens no content beyond what an event may have",
    levels: ANYBODY_RENAMES,
    play: async ({ mallory, roomId, liar }) => {
      const inside = await forge(mallory, roomId, {
        type: "m.room.name",
        content: content({ name: FALSE, filler: "x".repeat(400_000) }),
      });
      const event = wireEvent(mallory.userId, "m.room.name:", inside);
      liar.tell(inject(roomId, "timeline", [event]).lie);
    },
    look: showsName,
    honest: TRUE,
    alone: FALSE,
  },
  {
    title: "survives malformed events of all kinds beside good ones",
    levels: ANYBODY_RENAMES,
    play: async ({ mallory, roomId, liar }) => {
      const good = await forge(mallory, roomId, {
        type: "m.room.name",
        content: content({ name: FALSE }),
      });
      const broken: unknown[] = [
        {},
        { ...good, ciphertext: 7 },
        { ...good, ciphertext: "" },
        { ...good, ciphertext: "not base64 at all %%%" },
        { ...good, ciphertext: "A".repeat(1_000_000) },
        { ...good, ciphertext: { key: { type: 0, body: "olm" } } },
        { ...good, session_id: undefined },
        { ...good, session_id: "no such session" },
        { ...good, session_id: ["a"] },
        { ...good, algorithm: "m.megolm.v9" },
        { ...good, algorithm: null },
        { ...good, ciphertext: "", deep: nested(2_000) },
      ];
      const keys = ["m.room.name:", "m.room.name", ":", "", "::", "m.room.encrypted:x", "a:\u{0}"];
      const events = broken.flatMap((inside) =>
        keys.map((key) => wireEvent(mallory.userId, key, inside)),
      );
      liar.tell(inject(roomId, "timeline", events).lie);
    },
    look: showsName,
    honest: TRUE,
    alone: TRUE,
  },
];

let made = 0;

/** An event as only a lying homeserver can make it. */
function wireEvent(sender: string, stateKey: string, inside: unknown): WireEvent {
  made += 1;
  return {
    type: "m.room.encrypted",
    state_key: stateKey,
    sender,
    event_id: `$made-up-${made}-${Date.now()}`,
    origin_server_ts: Date.now(),
    content: inside,
    unsigned: { age: 1 },
  };
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

function peerOnlooker(label: string, peer: Peer, account: Account): Onlooker {
  const state = (roomId: string, type: string, key = ""): HeldState | null => {
    const event = peer.client.getRoom(roomId)?.currentState.getStateEvents(type, key);
    if (event === undefined || event === null) return null;
    return {
      eventId: event.getId() ?? null,
      sender: event.getSender() ?? null,
      content: event.getContent() as Plain,
    };
  };
  return {
    label,
    account,
    name: async (roomId) => peer.client.getRoom(roomId)?.name,
    topic: async (roomId) => state(roomId, "m.room.topic")?.content["topic"] as string | undefined,
    held: async (roomId, type, key) => state(roomId, type, key),
  };
}

function pageOnlooker(label: string, page: Page, account: Account): Onlooker {
  return {
    label,
    account,
    name: async (roomId) => (await drive(page, "shownRooms"))[roomId]?.name,
    topic: async (roomId) => (await drive(page, "shownRooms"))[roomId]?.topic ?? undefined,
    held: (roomId, type, key) => drive(page, "heldState", roomId, type, key ?? ""),
  };
}

/** Waits until it holds for a room; false when it does not in time. */
async function eventually(condition: () => Promise<boolean>, limitMs = 60_000): Promise<boolean> {
  const limit = Date.now() + limitMs;
  while (Date.now() < limit) {
    if (await condition()) return true;
    await pause(100);
  }
  return false;
}

describe("attacks on encrypted state", { timeout: 420_000 }, () => {
  let world: World;
  let liar: LyingHomeserver;
  let owner: Peer;
  let mallory: Peer;
  let alone: Onlooker;
  const browsers: ExtensionBrowser[] = [];
  const peers: Peer[] = [];
  const guarded: Onlooker[] = [];
  const stages = new Map<Attack, Stage>();
  /** By onlooker and title, why the attack could not be judged. */
  const notStaged = new Map<string, string>();

  const newPeer = async (user: string, baseUrl?: string): Promise<[Peer, Account]> => {
    const account = await world.synapse.register(user, PASSWORD);
    const peer = await startPeer(world.synapse, account, {
      encryptedState: true,
      ...(baseUrl === undefined ? {} : { baseUrl }),
    });
    peers.push(peer);
    return [peer, account];
  };

  const newRoom = async (levels: Record<string, number>): Promise<string> => {
    const { room_id: roomId } = await owner.client.createRoom({
      preset: "private_chat" as never,
      invite: [mallory.userId, alone.account.userId, ...guarded.map((one) => one.account.userId)],
      power_level_content_override: { events: { "m.room.encrypted": 0, ...levels } } as never,
      initial_state: [{ type: "m.room.encryption", state_key: "", content: FLAGGED }],
    });
    const join = `/_matrix/client/v3/join/${encodeURIComponent(roomId)}`;
    await Promise.all(
      [alone, ...guarded].map(({ account }) => world.synapse.call(account, "POST", join, {})),
    );
    await mallory.join(roomId);
    await owner.join(roomId);
    return roomId;
  };

  before(async () => {
    world = await startWorld();
    liar = lyingHomeserver(world.synapse.baseUrl);
    const front = homeserverFront(world.recorder, liar.route);
    let ownerAccount: Account;
    let malloryAccount: Account;
    let alonePeer: Peer;
    let aloneAccount: Account;
    [[owner, ownerAccount], [mallory, malloryAccount], [alonePeer, aloneAccount]] =
      await Promise.all([newPeer("owner"), newPeer("mallory"), newPeer("alone", front)]);
    alone = peerOnlooker("js-sdk 43 alone", alonePeer, aloneAccount);
    await Promise.all(
      bothBrowsers.map(async (kind) => {
        const recorder = await world.openRecorder();
        recorder.route(HOMESERVER, liar.route);
        const options = { extension: testBuild(kind), proxyPort: recorder.port };
        const browser = await launchExtensionBrowser(kind, options);
        browsers.push(browser);
        for (const encryptedState of [false, true]) {
          const user = `guarded-${kind}-${encryptedState ? "on" : "off"}`;
          const account = await world.synapse.register(user, PASSWORD);
          const page = await browser.newPage();
          // Two pages of one browser, each with storage of its own.
          const site = encryptedState ? "app.element.io" : "chat.example.org";
          await openClient(page, `https://${site}/`);
          const credentials = await drive(page, "login", user, PASSWORD);
          const start = async (): Promise<void> => {
            await drive(page, "start", credentials, { storage: "indexeddb", encryptedState });
          };
          await start();
          const label = `Mantle in ${kind}, js-sdk's own ${encryptedState ? "on" : "off"}`;
          const reload = async (): Promise<void> => {
            await drive(page, "clearSyncCache");
            await openClient(page, `https://${site}/`);
            await start();
          };
          guarded.push({ ...pageOnlooker(label, page, account), reload });
        }
      }),
    );
    const everybody = [alone, ...guarded];
    const seen = (what: string, sees: (one: Onlooker, stage: Stage) => Promise<boolean>) =>
      Promise.all(
        everybody.flatMap((one) =>
          [...stages].map(async ([attack, stage]) => {
            const key = `${one.label}: ${attack.title}`;
            if (notStaged.has(key) || (await eventually(() => sees(one, stage)))) return;
            notStaged.set(key, what);
          }),
        ),
      );
    const shared = ATTACKS.filter((attack) => attack.leavesName === true);
    const otherRoomId = await newRoom(Object.assign({}, ...shared.map(({ levels }) => levels)));
    await Promise.all(
      ATTACKS.map(async (attack) => {
        const isShared = attack.leavesName === true;
        const roomId = isShared ? otherRoomId : await newRoom(attack.levels ?? {});
        stages.set(attack, {
          roomId,
          otherRoomId,
          world,
          liar,
          owner,
          ownerAccount,
          mallory,
          malloryAccount,
          names: [],
          forge: (forgery) => sendForgery(world.synapse, malloryAccount, mallory, roomId, forgery),
        });
      }),
    );
    for (const name of [FIRST, TRUE]) {
      await Promise.all(
        [...stages.values()].map(async ({ roomId, names }) => {
          await owner.client.setRoomName(roomId, name);
          const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`;
          const state = (await world.synapse.call(ownerAccount, "GET", `${path}/state`)) as unknown;
          const found = (state as WireEvent[]).find(({ state_key: key }) => key === "m.room.name:");
          if (found !== undefined) names.push(found);
        }),
      );
      await seen(
        `never saw "${name}"`,
        async (one, { roomId }) => (await one.name(roomId)) === name,
      );
    }
    await Promise.all(
      [...stages].map(([attack, stage]) => {
        assert.equal(stage.names.length, 2, "The owner's names are encrypted");
        return attack.play(stage);
      }),
    );
    // By the time the second of them is shown, everything before it was dealt with.
    for (const topic of ["after the attack", "well after the attack"]) {
      await Promise.all(
        [...stages.values()].map(({ roomId }) => owner.client.setRoomTopic(roomId, topic)),
      );
      await seen(`never saw the topic "${topic}"`, async (one, { roomId }) => {
        return (await one.topic(roomId)) === topic;
      });
    }
  });

  after(async () => {
    for (const peer of peers) peer.stop();
    await Promise.all(browsers.map((browser) => browser.close()));
    await world?.close();
  });

  const look = async (one: Onlooker, attack: Attack): Promise<unknown> => {
    const stage = stages.get(attack);
    assert.ok(stage !== undefined, "The attack was not staged");
    const problem = notStaged.get(`${one.label}: ${attack.title}`);
    assert.equal(problem, undefined, `${one.label} ${problem}`);
    const found = await attack.look(one, stage);
    return attack.alone === "held" && found !== null ? "held" : found;
  };

  for (const attack of ATTACKS) {
    const resists = JSON.stringify(attack.alone) === JSON.stringify(attack.honest);
    it(`${attack.title} (js-sdk 43 alone ${resists ? "resists too" : "is fooled"})`, async () => {
      assert.deepEqual(await look(alone, attack), attack.alone, "js-sdk 43 alone");
      for (const one of guarded) {
        assert.deepEqual(await look(one, attack), attack.honest, one.label);
      }
    });
  }

  describe("after a reload", () => {
    const again = ATTACKS.filter((attack) => attack.afterReload !== undefined);

    before(async () => {
      for (const attack of again) {
        const stage = stages.get(attack);
        const lie = stage && attack.afterReload?.(stage);
        if (lie !== undefined) liar.tell(lie);
      }
      await Promise.all(guarded.map((one) => one.reload?.()));
      await Promise.all(
        guarded.flatMap((one) =>
          again.map(async (attack) => {
            const { roomId } = stages.get(attack) as Stage;
            const isShown = async (): Promise<boolean> =>
              (await one.topic(roomId)) === "well after the attack";
            assert.ok(await eventually(isShown), `${one.label} never saw the room again`);
          }),
        ),
      );
    });

    for (const attack of again) {
      it(attack.title, async () => {
        for (const one of guarded) {
          // A slow page shows nothing before it shows what it knows; never what it was told instead.
          const shown: unknown[] = [];
          await eventually(async () => {
            const found = await look(one, attack);
            shown.push(found);
            return isDeepStrictEqual(found, attack.honest);
          });
          assert.deepEqual(shown.at(-1), attack.honest, one.label);
          assert.ok(!shown.some((found) => isDeepStrictEqual(found, attack.alone)), one.label);
        }
      });
    }
  });
});
