/**
 * Every way a room's name and topic take to the homeserver. Without Mantle each canary is found in
 * what the homeserver received and in its database; with Mantle in neither, and the room works.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { randomBytes } from "node:crypto";
import type { Page } from "puppeteer-core";
import { bothBrowsers, launch } from "../../support/browsers.ts";
import type { BrowserKind } from "../../support/browsers.ts";
import {
  clockAndLocks,
  drive,
  openClient,
  runBeforeMantle,
  setClockAhead,
  tryToDrive,
} from "../../support/client-page.ts";
import { noticeTexts, progressText } from "../../support/question.ts";
import { lyingHomeserver } from "../../support/lies.ts";
import type { Failure, LyingHomeserver } from "../../support/lies.ts";
import type { Exchange, RecordedRequest, Recorder } from "../../support/recorder.ts";
import type { Account } from "../../support/synapse.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { callApi, launchExtensionBrowser, testBuild, until } from "../extension-pages.ts";
import { FULL_DISK } from "./people.ts";

const PASSWORD = "correct horse battery staple";
const SITE = "https://chat.example.org/";
/** Longest wait for something that must happen. */
const LIMIT = 45_000;
const MEGOLM = { algorithm: "m.megolm.v1.aes-sha2" };
const FLAG = "io.element.msc4362.encrypt_state_events";
const ENCRYPTION = { type: "m.room.encryption", state_key: "", content: MEGOLM };

/** What Mantle says at the foot of the page. */
const SENDING = "Mantle is encrypting the room's name and topic…";
const LATER = /^Mantle could not send the room's encrypted name yet, .* it goes on trying\.$/;

const NOT_NAMED = /^Mantle could not keep the upgraded room's name and topic, /;

/** Answers to a creation that leave open whether there is a room; there is. */
const UNSEEN: readonly { how: Failure; title: string }[] = [
  { how: "lost", title: "was never answered" },
  { how: "cut", title: "was answered in part" },
  { how: "empty", title: "was answered without a room" },
];

const isCreation = ({ method, path }: RecordedRequest): boolean =>
  method === "POST" && path.endsWith("/createRoom");

/** One browser with one person in it. */
interface Side {
  readonly kind: BrowserKind;
  readonly withMantle: boolean;
  readonly recorder: Recorder;
  readonly liar: LyingHomeserver;
  readonly page: Page;
  readonly userId: string;
  /** Another session of the same person. */
  readonly account: Account;
  /** Another tab of the same session; the first one's client must be stopped. */
  openTab(): Promise<Page>;
  /** Goes on in the first tab, without loading it anew. */
  goOn(): Promise<void>;
  /** Loads the page anew and goes on with the session the browser kept. */
  reload(): Promise<void>;
  /** What Mantle has still to send, by the names of its entries. */
  waiting(): Promise<string[]>;
  close(): Promise<void>;
}

/** A way by which a name or topic leaves the page. */
interface Way {
  readonly title: string;
  /** Uses each given secret; gives the room that must be named by the first of them. */
  go(page: Page, name: string, topic: string): Promise<string>;
  /** The ways without a topic. */
  readonly nameOnly?: true;
}

type Options = Parameters<typeof createRoom>[1];

async function createRoom(
  page: Page,
  options: Record<string, unknown>,
): Promise<{ roomId: string }> {
  return drive(page, "createRoomAs", options as never);
}

/** A room as Element's dialog makes it. */
const privateRoom = (more: Options): Options => ({
  preset: "private_chat",
  initial_state: [ENCRYPTION],
  ...more,
});

const statePath = (roomId: string, type: string): string =>
  `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/${type}`;

/** An encrypted room with a name of no interest. */
async function plainRoom(page: Page): Promise<string> {
  const { roomId } = await createRoom(page, privateRoom({}));
  return roomId;
}

const WAYS: readonly Way[] = [
  {
    title: "name and topic of createRoom",
    go: async (page, name, topic) => {
      const { roomId } = await createRoom(page, privateRoom({ name, topic }));
      return roomId;
    },
  },
  {
    title: "initial_state, with the topic's other forms",
    go: async (page, name, topic) => {
      const texts = [
        { mimetype: "text/html", body: `<b>${topic}</b>` },
        { mimetype: "text/plain", body: topic },
      ];
      const { roomId } = await createRoom(page, {
        preset: "private_chat",
        initial_state: [
          { type: "m.room.name", state_key: "", content: { name } },
          ENCRYPTION,
          { type: "m.room.topic", content: { topic, "m.topic": { "m.text": texts } } },
        ],
      });
      return roomId;
    },
  },
  {
    title: "a direct chat with a name",
    go: async (page, name, topic) => {
      const { roomId } = await createRoom(page, {
        ...privateRoom({ name, topic }),
        preset: "trusted_private_chat",
        is_direct: true,
      });
      return roomId;
    },
  },
  {
    title: "a room to knock at",
    go: async (page, name, topic) => {
      const join = { type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } };
      const options = { ...privateRoom({ name, topic }), initial_state: [ENCRYPTION, join] };
      const { roomId } = await createRoom(page, options);
      return roomId;
    },
  },
  {
    title: "a room in a space, for the space's members",
    go: async (page, name, topic) => {
      const space = await createRoom(page, {
        preset: "private_chat",
        creation_content: { type: "m.space" },
      });
      const { roomId } = await createRoom(page, {
        ...privateRoom({ name, topic }),
        initial_state: [
          ENCRYPTION,
          {
            type: "m.space.parent",
            state_key: space.roomId,
            content: { via: ["hs.example.org"], canonical: true },
          },
          {
            type: "m.room.join_rules",
            state_key: "",
            content: {
              join_rule: "restricted",
              allow: [{ type: "m.room_membership", room_id: space.roomId }],
            },
          },
        ],
      });
      return roomId;
    },
  },
  {
    title: "a rename and a new topic",
    go: async (page, name, topic) => {
      const roomId = await plainRoom(page);
      await drive(page, "setRoomName", roomId, name);
      await drive(page, "setRoomTopic", roomId, topic);
      // Jitsi's widget repeats the name.
      const widget = { type: "jitsi", url: "https://x/", data: { roomName: name, domain: "x" } };
      await drive(page, "sendState", roomId, "im.vector.modular.widgets", "jitsi", widget);
      return roomId;
    },
  },
  {
    title: "a room as Element makes it with its own encrypted state on",
    go: async (page, name, topic) => {
      const encryption = { ...ENCRYPTION, content: { ...MEGOLM, [FLAG]: true } };
      const { roomId } = await createRoom(page, {
        preset: "private_chat",
        initial_state: [encryption],
      });
      await drive(page, "setRoomName", roomId, name);
      await drive(page, "setRoomTopic", roomId, topic);
      return roomId;
    },
  },
  {
    title: "the bare endpoint: fetch, old version, no state key, a query",
    go: async (page, name, topic) => {
      const roomId = await plainRoom(page);
      const old = statePath(roomId, "m.room.name").replace("/v3/", "/r0/");
      const named = await drive(page, "homeserverCall", "PUT", `${old}?x=1`, { name });
      const path = `${statePath(roomId, "m.room.topic")}/`;
      const told = await drive(page, "homeserverCall", "PUT", path, { topic });
      assert.deepEqual([named.status, told.status], [200, 200]);
      return roomId;
    },
  },
  {
    title: "the bare endpoint: XMLHttpRequest, escaped letters",
    go: async (page, name, topic) => {
      const roomId = await plainRoom(page);
      const path = statePath(roomId, "m.room%2Ename");
      const named = await drive(page, "requestByXhr", "PUT", path, { name });
      const other = statePath(roomId, "m.room.topic");
      const told = await drive(page, "requestByXhr", "PUT", other, { topic });
      assert.deepEqual([named.status, told.status], [200, 200]);
      return roomId;
    },
  },
  {
    title: "a room that somebody flagged later",
    go: async (page, name, topic) => {
      const { roomId } = await createRoom(page, { preset: "private_chat" });
      const content = { ...MEGOLM, [FLAG]: true };
      await drive(page, "sendState", roomId, "m.room.encryption", "", content);
      await drive(page, "setRoomName", roomId, name);
      await drive(page, "setRoomTopic", roomId, topic);
      return roomId;
    },
  },
  {
    title: "an upgrade, which takes the name along",
    nameOnly: true,
    go: async (page, name) => {
      // From version 12 on the creator would have no power in an older version.
      const { roomId } = await createRoom(page, { ...privateRoom({ name }), room_version: "10" });
      await drive(page, "roomName", roomId, name);
      const answer = await drive(page, "upgradeRoom", roomId, "11");
      const replacement = answer.replacement_room;
      await drive(page, "joined", replacement);
      return replacement;
    },
  },
];

/** Of an answer of `/sync`. */
interface Sync {
  rooms?: { join?: Record<string, { timeline?: { events?: { type: string }[] } }> };
}

/** What one side gave away. */
interface Used {
  readonly way: Way;
  readonly name: string;
  readonly topic: string;
  roomId?: string;
  error?: unknown;
}

function secret(what: string): string {
  return `${what}${randomBytes(8).toString("hex")}`;
}

/** Everything the homeserver got of an exchange. */
function received({ path, headers, body }: Exchange): string {
  return `${path}\n${JSON.stringify(headers)}\n${body.toString("utf8")}`;
}

async function openSide(world: World, kind: BrowserKind, withMantle: boolean): Promise<Side> {
  const recorder = await world.openRecorder();
  const liar = lyingHomeserver(world.synapse.baseUrl);
  recorder.route(HOMESERVER, liar.route);
  const proxyPort = recorder.port;
  const extended = withMantle
    ? await launchExtensionBrowser(kind, { extension: testBuild(kind), proxyPort })
    : undefined;
  const browser = extended ?? (await launch(kind, { proxyPort }));
  const user = `${withMantle ? "with" : "without"}-${kind}`;
  const account = await world.synapse.register(user, PASSWORD);
  const page = await browser.newPage();
  await runBeforeMantle(page, FULL_DISK);
  await openClient(page, SITE);
  const credentials = await drive(page, "login", user, PASSWORD);
  const start = async (tab: Page): Promise<void> => {
    await drive(tab, "start", credentials, { storage: "indexeddb" });
  };
  await start(page);
  return {
    kind,
    withMantle,
    recorder,
    liar,
    page,
    userId: account.userId,
    account,
    openTab: async () => {
      const tab = await browser.newPage();
      await openClient(tab, SITE);
      await start(tab);
      return tab;
    },
    goOn: () => start(page),
    reload: async () => {
      await openClient(page, SITE);
      await start(page);
    },
    waiting: async () => {
      assert.ok(extended !== undefined);
      const popup = await extended.openExtensionPage("popup.html");
      const stored = await callApi<Record<string, unknown>>(popup, "storage.local.get", null);
      await popup.close();
      return Object.keys(stored).filter((key) => key.includes("/state/pending/"));
    },
    close: () => browser.close(),
  };
}

describe("what the homeserver learns of names and topics", { timeout: 600_000 }, () => {
  let world: World;
  let without: Side;
  const guarded: Side[] = [];
  const used = new Map<Side, Used[]>();

  const side = (kind: BrowserKind): Side => {
    const found = guarded.find((one) => one.kind === kind);
    assert.ok(found !== undefined, `${kind} did not start`);
    return found;
  };
  const isEncryptedPut = ({ method, path }: { method: string; path: string }): boolean =>
    method === "PUT" && path.includes("/state/m.room.encrypted/");
  const assertUnseen = async (one: Side, secrets: string[]): Promise<void> => {
    const told = one.recorder.exchanges
      .filter((exchange) => secrets.some((text) => received(exchange).includes(text)))
      .map(({ host, method, path }) => `${host} ${method} ${path}`);
    assert.deepEqual(told, []);
    assert.deepEqual(await world.synapse.searchDatabase(secrets), []);
  };

  before(async () => {
    world = await startWorld();
    [without] = await Promise.all([
      openSide(world, bothBrowsers[0] ?? "chromium", false),
      ...bothBrowsers.map(async (kind) => guarded.push(await openSide(world, kind, true))),
    ]);
    // Each person goes all ways, one after the other; the people do so at the same time.
    await Promise.all(
      [without, ...guarded].map(async (one) => {
        const list: Used[] = [];
        used.set(one, list);
        for (const way of WAYS) {
          const use: Used = { way, name: secret("name"), topic: secret("topic") };
          list.push(use);
          try {
            use.roomId = await way.go(one.page, use.name, use.topic);
            await drive(one.page, "roomName", use.roomId, use.name);
            if (way.nameOnly !== true) await drive(one.page, "seeTopic", use.roomId, use.topic);
          } catch (error) {
            use.error = error;
          }
        }
      }),
    );
  });

  after(async () => {
    await Promise.all([without, ...guarded].map((one) => one?.close()));
    await world?.close();
  });

  for (const [index, way] of WAYS.entries()) {
    const secrets = (one: Side): string[] => {
      const use = used.get(one)?.[index];
      assert.ok(use !== undefined);
      if (use.error !== undefined) throw use.error;
      return way.nameOnly === true ? [use.name] : [use.name, use.topic];
    };

    it(`${way.title}: told without Mantle`, async () => {
      const told = without.recorder.to(HOMESERVER).map(received).join("\n");
      const stored = await world.synapse.searchDatabase(secrets(without));
      for (const text of secrets(without)) {
        assert.ok(told.includes(text), "The homeserver did not receive it");
        const places = stored.filter(({ needle }) => needle === text).map(({ place }) => place);
        assert.ok(places.includes("the table event_json"), "The homeserver did not store it");
      }
    });

    for (const kind of bothBrowsers) {
      it(`${way.title}: not told with Mantle in ${kind}, and shown`, async () => {
        await assertUnseen(side(kind), secrets(side(kind)));
      });
    }
  }

  describe("with Mantle", { concurrency: 2 }, () => {
    for (const kind of bothBrowsers) {
      describe(`in ${kind}`, { concurrency: 1 }, () => {
        it("leaves public rooms and rooms without encryption as they are", async () => {
          const { page } = side(kind);
          const name = secret("name");
          const { roomId } = await createRoom(page, { preset: "public_chat", name });
          await drive(page, "roomName", roomId, name);
          const bare = await createRoom(page, { preset: "private_chat", name });
          await drive(page, "roomName", bare.roomId, name);
          const found = await world.synapse.searchDatabase([name]);
          assert.ok(found.length > 0);
        });

        for (const { how, title } of UNSEEN) {
          it(`names a room whose creation ${title}`, async () => {
            const { page, liar, reload, userId } = side(kind);
            const name = secret("name");
            const before = await drive(page, "shownRooms");
            const end = liar.fail(isCreation, how);
            const path = "/_matrix/client/v3/createRoom";
            const body = privateRoom({ name }) as Record<string, unknown>;
            const outcome = await tryToDrive(page, "homeserverCall", "POST", path, body);
            assert.deepEqual([outcome.ok, end()], [how === "empty", 1]);
            // It is looked for when two minutes have gone by.
            const setBack = await setClockAhead(page, 150_000);
            await reload();
            const isThere = async (): Promise<boolean> =>
              Object.keys(await drive(page, "shownRooms")).some((id) => !(id in before));
            await until(isThere, "the room is known", LIMIT);
            // With the next answer of `/sync`, which this brings about.
            const data = `/_matrix/client/v3/user/${encodeURIComponent(userId)}/account_data`;
            const wake = (): Promise<unknown> =>
              drive(page, "homeserverCall", "PUT", `${data}/org.example.wake`, { up: Date.now() });
            let wokenAt = 0;
            const isNamed = async (): Promise<boolean> => {
              // Another answer comes half a minute later only, where one of the first was too early.
              if (Date.now() - wokenAt > 3_000) {
                await wake();
                wokenAt = Date.now();
              }
              return Object.values(await drive(page, "shownRooms")).some(
                (room) => room.name === name,
              );
            };
            await until(isNamed, "the room has its name", LIMIT).catch(async (error: unknown) => {
              const said = [...(await noticeTexts(page)), await progressText(page)].join("; ");
              throw new Error(`${String(error)} ${said} ${await clockAndLocks(page, wake)}`);
            });
            await assertUnseen(side(kind), [name]);
            await setBack();
            await reload();
          });
        }

        it("gives the name of a room that was not made to no other one", async () => {
          const { page, liar, recorder, reload, userId, account } = side(kind);
          const name = secret("name");
          const end = liar.fail(isCreation, "network");
          const outcome = await tryToDrive(page, "createRoomAs", privateRoom({ name }));
          assert.equal(outcome.ok, false);
          assert.ok(end() > 0);
          // Made in the same minutes, without a name, as a direct chat is.
          const others = [await plainRoom(page)];
          // And direct chats that another session made. Who was invited to them has joined since, and
          // the second chat is direct by the person's own list only.
          const partner = await world.synapse.register(`partner-of-${kind}`, PASSWORD);
          const { call } = world.synapse;
          for (const isListed of [false, true]) {
            const { room_id: chat } = (await call(
              account,
              "POST",
              "/_matrix/client/v3/createRoom",
              {
                preset: "trusted_private_chat",
                invite: [partner.userId],
                is_direct: !isListed,
                initial_state: [{ ...ENCRYPTION, content: { ...MEGOLM, [FLAG]: true } }],
              },
            )) as { room_id: string };
            await call(partner, "POST", `/_matrix/client/v3/join/${encodeURIComponent(chat)}`, {});
            if (isListed) {
              const list = `/_matrix/client/v3/user/${encodeURIComponent(userId)}/account_data/m.direct`;
              await call(account, "PUT", list, { [partner.userId]: [chat] });
            }
            others.push(chat);
          }
          const setBack = await setClockAhead(page, 150_000);
          await reload();
          const areThere = async (): Promise<boolean> => {
            const shown = await drive(page, "shownRooms");
            return others.every((other) => other in shown);
          };
          await until(areThere, "the other rooms are known", LIMIT);
          const data = `/_matrix/client/v3/user/${encodeURIComponent(userId)}/account_data`;
          await drive(page, "homeserverCall", "PUT", `${data}/org.example.wake`, { up: 1 });
          // What was to be written before goes before this.
          const later = secret("name");
          const { roomId } = await createRoom(page, privateRoom({ name: later }));
          await drive(page, "roomName", roomId, later);
          const told = recorder.exchanges.filter(
            (request) =>
              isEncryptedPut(request) &&
              others.some((other) => decodeURIComponent(request.path).includes(other)),
          );
          assert.deepEqual(told, []);
          await assertUnseen(side(kind), [name, later]);
          await setBack();
          await reload();
        });

        it("asks once only for a room that the homeserver fails to make, and keeps its name", async () => {
          const { page, liar, waiting } = side(kind);
          const [name, topic] = [secret("name"), secret("topic")];
          const before = await waiting();
          const end = liar.fail(isCreation, "502");
          const failed = await tryToDrive(page, "createRoomAs", privateRoom({ name, topic }));
          // What was sent before may be taken out only now.
          const more = (await waiting()).filter((entry) => !before.includes(entry));
          assert.deepEqual([failed.ok, end(), more.length], [false, 1, 1]);
          // The person tries again.
          const again = await createRoom(page, privateRoom({ name, topic }));
          await drive(page, "roomName", again.roomId, name);
          await drive(page, "seeTopic", again.roomId, topic);
          const shown = Object.values(await drive(page, "shownRooms"));
          assert.equal(shown.filter((room) => room.name === name).length, 1);
          await assertUnseen(side(kind), [name, topic]);
        });

        it("makes no room while its name cannot be stored, and names one made just then", async () => {
          const { page, liar, recorder, waiting } = side(kind);
          const name = secret("name");
          const asked = (): number => recorder.to(HOMESERVER).filter(isCreation).length;
          const [askedBefore, waitingBefore] = [asked(), await waiting()];
          await page.evaluate("window.diskFull = true");
          const refused = await tryToDrive(page, "createRoomAs", privateRoom({ name }));
          assert.ok(!refused.ok);
          assert.match(refused.error, /could not store the room's name, so the room was not made/);
          await page.evaluate("window.diskFull = false");
          const hold = liar.hold(isCreation);
          const creation = tryToDrive(page, "createRoomAs", privateRoom({ name }));
          await until(() => hold.held() > 0, "it is asked for a room", LIMIT);
          // What was refused does not wait to be sent.
          const more = (await waiting()).filter((entry) => !waitingBefore.includes(entry));
          assert.equal(more.length, 1);
          await page.evaluate("window.diskFull = true");
          hold.letGo();
          const made = await creation;
          assert.ok(made.ok);
          const isTold = async (): Promise<boolean> => LATER.test((await progressText(page)) ?? "");
          await until(isTold, "it is said that the name is missing", LIMIT);
          await page.evaluate("window.diskFull = false");
          await drive(page, "roomName", made.value.roomId, name);
          assert.equal(asked(), askedBefore + 1);
          await until(async () => (await progressText(page)) === undefined, "it is done", LIMIT);
          await assertUnseen(side(kind), [name]);
        });

        it("says when an upgraded room's name cannot be stored, and keeps the one set then", async () => {
          const { page, liar } = side(kind);
          const [name, later] = [secret("name"), secret("later")];
          const options = { ...privateRoom({ name }), room_version: "10" };
          const { roomId } = await createRoom(page, options);
          await drive(page, "roomName", roomId, name);
          await until(async () => (await progressText(page)) === undefined, "it is done", LIMIT);
          const hold = liar.hold(({ path }) => path.endsWith("/upgrade"));
          const upgrade = tryToDrive(page, "upgradeRoom", roomId, "11");
          await until(() => hold.held() > 0, "it is asked for an upgrade", LIMIT);
          await page.evaluate("window.diskFull = true");
          hold.letGo();
          const upgraded = await upgrade;
          assert.ok(upgraded.ok);
          const isTold = async (): Promise<boolean> =>
            (await noticeTexts(page)).some((text) => NOT_NAMED.test(text));
          await until(isTold, "it is said that the name is missing", LIMIT);
          await page.evaluate("window.diskFull = false");
          const replacement = upgraded.value.replacement_room;
          await drive(page, "joined", replacement);
          await drive(page, "setRoomName", replacement, later);
          await drive(page, "roomName", replacement, later);
          // Whatever else was to be written goes before this.
          await drive(page, "setRoomTopic", roomId, secret("topic"));
          await until(async () => (await progressText(page)) === undefined, "it is done", LIMIT);
          await drive(page, "roomName", replacement, later);
          await assertUnseen(side(kind), [name, later]);
        });

        it("tells no name of a room whose flag was set and only the answer to that was lost", async () => {
          const { page, liar } = side(kind);
          const name = secret("name");
          const { roomId } = await createRoom(page, { preset: "private_chat" });
          // Nor does a sync tell of it yet.
          const endLie = liar.tell((answer, { path }) => {
            if (!path.includes("/sync")) return false;
            const joined = (answer as Sync).rooms?.join?.[roomId];
            const events = joined?.timeline?.events ?? [];
            const left = events.filter(({ type }) => type !== "m.room.encryption");
            if (joined?.timeline === undefined || left.length === events.length) return false;
            joined.timeline.events = left;
            return true;
          });
          const isFlag = ({ method, path }: RecordedRequest): boolean =>
            method === "PUT" && path.includes("m.room.encryption");
          const end = liar.fail(isFlag, "lost");
          const content = { ...MEGOLM, [FLAG]: true };
          const flag = await tryToDrive(
            page,
            "sendState",
            roomId,
            "m.room.encryption",
            "",
            content,
          );
          assert.deepEqual([flag.ok, end()], [false, 1]);
          await tryToDrive(page, "setRoomName", roomId, name);
          await assertUnseen(side(kind), [name]);
          endLie();
          // Where it was never set, the room's name is as readable as before.
          const plain = (await createRoom(page, { preset: "private_chat" })).roomId;
          const unset = liar.fail(isFlag, "network");
          await tryToDrive(page, "sendState", plain, "m.room.encryption", "", content);
          assert.ok(unset() > 0);
          const readable = `readable ${kind}`;
          await drive(page, "setRoomName", plain, readable);
          assert.ok((await world.synapse.searchDatabase([readable])).length > 0);
        });

        it("says that it is sending the name of a new room, as long as it does", async () => {
          const { page, liar } = side(kind);
          const [name, topic] = [secret("name"), secret("topic")];
          const hold = liar.hold(isEncryptedPut);
          const { roomId } = await createRoom(page, privateRoom({ name, topic }));
          await until(async () => (await progressText(page)) === SENDING, "it is said", LIMIT);
          await until(() => hold.held() > 0, "a write is on its way", LIMIT);
          assert.equal(await progressText(page), SENDING);
          hold.letGo();
          await drive(page, "roomName", roomId, name);
          await drive(page, "seeTopic", roomId, topic);
          await until(async () => (await progressText(page)) === undefined, "it is done", LIMIT);
        });

        it("tries again after failures until the name is there, and after a reload too", async () => {
          const { page, liar, reload } = side(kind);
          const name = secret("name");
          const topic = secret("topic");
          let tries = 0;
          const fails = (request: RecordedRequest): boolean => {
            if (!isEncryptedPut(request)) return false;
            tries += 1;
            return true;
          };
          const end = liar.fail(fails, "network");
          const { roomId } = await createRoom(page, privateRoom({ name, topic }));
          const isTold = async (): Promise<boolean> => LATER.test((await progressText(page)) ?? "");
          await until(() => tries > 0, "a write failed", LIMIT);
          await until(isTold, "that is said", LIMIT);
          await reload();
          const before = tries;
          await until(() => tries > before, "a write failed after the reload", LIMIT);
          await until(isTold, "that is said", LIMIT);
          end();
          await drive(page, "roomName", roomId, name);
          await drive(page, "seeTopic", roomId, topic);
          await until(async () => (await progressText(page)) === undefined, "it is done", LIMIT);
          await assertUnseen(side(kind), [name, topic]);
        });

        it("names a room while another one's name cannot be sent, and forgets that with its room", async () => {
          const { page, liar, userId } = side(kind);
          let tries = 0;
          let failing: string | undefined;
          const end = liar.fail((request) => {
            const path = decodeURIComponent(request.path);
            if (!isEncryptedPut(request) || !path.includes(failing ?? "")) return false;
            tries += 1;
            return true;
          }, "502");
          const unsent = secret("name");
          const { roomId } = await createRoom(page, privateRoom({ name: unsent }));
          failing = `/${roomId}/`;
          await until(() => tries > 0, "a write failed", LIMIT);
          const names = [secret("name"), secret("name")];
          for (const name of names) {
            const made = await createRoom(page, privateRoom({ name }));
            await drive(page, "roomName", made.roomId, name);
            if (name === names[0]) {
              const isTold = async (): Promise<boolean> =>
                LATER.test((await progressText(page)) ?? "");
              await until(isTold, "it is said that a name is missing", LIMIT);
              await drive(page, "leaveRoom", roomId);
              const hasLeft = async (): Promise<boolean> => {
                const member = await drive(page, "heldState", roomId, "m.room.member", userId);
                return member?.content["membership"] === "leave";
              };
              await until(hasLeft, "the page knows that the room was left", LIMIT);
            }
          }
          await until(async () => (await progressText(page)) === undefined, "it is over", LIMIT);
          end();
          await assertUnseen(side(kind), [unsent, ...names]);
        });

        it("is finished by another tab when the one that made the room is closed", async () => {
          const { page, liar, openTab, goOn } = side(kind);
          const other = await plainRoom(page);
          await drive(page, "stop");
          const tab = await openTab();
          const name = secret("name");
          let tries = 0;
          const fails = (request: RecordedRequest): boolean => {
            if (!isEncryptedPut(request)) return false;
            tries += 1;
            return true;
          };
          const end = liar.fail(fails, "network");
          const { roomId } = await createRoom(tab, privateRoom({ name }));
          await until(() => tries > 0, "a write failed", LIMIT);
          await drive(tab, "stop");
          await tab.close();
          end();
          await goOn();
          // It looks when the other tab has been quiet for long, or when it has something to write.
          const later = secret("name");
          await drive(page, "setRoomName", other, later);
          await drive(page, "roomName", roomId, name);
          await assertUnseen(side(kind), [name, later]);
        });

        it("tells the page when the homeserver refuses, and sends nothing in clear", async () => {
          const { page, liar } = side(kind);
          const roomId = await plainRoom(page);
          const name = secret("name");
          const end = liar.fail(isEncryptedPut, "502");
          const outcome = await tryToDrive(page, "setRoomName", roomId, name);
          end();
          assert.equal(outcome.ok, false);
          await assertUnseen(side(kind), [name]);
          await drive(page, "setRoomName", roomId, name);
          await drive(page, "roomName", roomId, name);
          await assertUnseen(side(kind), [name]);
          // Perhaps it was done and only the answer was lost, so this is no refusal.
          const lost = liar.fail(({ path }) => path.endsWith("/upgrade"), "network");
          const upgrade = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/upgrade`;
          const version = { new_version: "11" };
          const gone = await tryToDrive(page, "homeserverCall", "POST", upgrade, version);
          assert.ok(lost() > 0);
          assert.equal(gone.ok, false);
        });

        it("refuses in words when the page's keys cannot be reached, and sends nothing", async () => {
          const { page, reload } = side(kind);
          const roomId = await plainRoom(page);
          const name = secret("name");
          // As a page without end-to-end encryption, or one too old to share keys.
          await page.evaluate("window.mxMatrixClientPeg = { get: () => null }");
          const answer = await drive(
            page,
            "homeserverCall",
            "PUT",
            statePath(roomId, "m.room.name"),
            {
              name,
            },
          );
          assert.equal(answer.status, 403);
          const { errcode, error } = JSON.parse(answer.body) as Record<string, string>;
          assert.equal(errcode, "M_FORBIDDEN");
          assert.match(error ?? "", /^[A-Z].*\.$/);
          await assertUnseen(side(kind), [name]);
          await reload();
        });
      });
    }
  });
});
