/** Shields that ask: what becomes public, keywords, mail, positions; searches and new rooms' defaults. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import type { Calls } from "../../client/client.ts";
import type { Outcome } from "../../client/driver.ts";
import { bothBrowsers } from "../../support/browsers.ts";
import { makeCanaries } from "../../support/canaries.ts";
import { drive, tryToDrive } from "../../support/client-page.ts";
import { isAsked, noQuestion, openQuestion, press } from "../../support/question.ts";
import type { Exchange } from "../../support/recorder.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { assertWorks, openSides, sent } from "./sides.ts";
import type { Side, Sides } from "./sides.ts";

const HS = "hs.example.org";
const E2EE = { default: false, force_disable: true, secure_backup_required: false };
const PLACE = { latitude: 51.5, longitude: -0.125 };
const c = makeCanaries();

for (const kind of bothBrowsers) {
  describe(`shields that ask, in ${kind}`, { timeout: 300_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({ wellKnown: { "io.element.e2ee": E2EE } });
      sides = await openSides(kind, world);
      await Promise.all([sides.without.signIn(), sides.with.signIn()]);
    });
    after(async () => {
      await sides?.close();
      await world?.close();
    });

    /** What the homeserver saw of one side. */
    const seen = (side: Side, method: string, path: RegExp): Exchange[] =>
      side.recorder
        .to(HS)
        .filter((one) => method.split("|").includes(one.method))
        .filter((one) => path.test(decodeURIComponent(one.path)));

    /** Does something with Mantle, answers the question that comes, and gives both. */
    async function answered<Name extends keyof Calls>(
      answers: readonly string[],
      name: Name,
      ...args: Parameters<Calls[Name]>
    ): Promise<{ title: string; outcome: Outcome<Awaited<ReturnType<Calls[Name]>>> }> {
      const { page } = sides.with;
      const running = tryToDrive(page, name, ...args);
      const { title } = await openQuestion(page);
      for (const answer of answers) await press(page, answer);
      return { title, outcome: await running };
    }

    /** Without Mantle it leaves; with Mantle it is asked, stays when refused and leaves when not. */
    async function asks<Name extends keyof Calls>(
      what: { title: RegExp; send: string; method: string; path: RegExp },
      name: Name,
      ...args: Parameters<Calls[Name]>
    ): Promise<void> {
      const { method, path } = what;
      await drive(sides.without.page, name, ...args);
      assert.equal(seen(sides.without, method, path).length, 1, "not seen without Mantle");
      const refused = await answered(["Cancel"], name, ...args);
      assert.match(refused.title, what.title);
      assert.ok(!refused.outcome.ok, "refused, and Element took it for sent");
      assert.equal(refused.outcome.errcode, "M_FORBIDDEN");
      assert.match(refused.outcome.error, /You chose not to send this/);
      assert.equal(seen(sides.with, method, path).length, 0, "left although refused");
      const { outcome } = await answered([what.send], name, ...args);
      assert.ok(outcome.ok, JSON.stringify(outcome));
      assert.equal(seen(sides.with, method, path).length, 1, "did not leave although allowed");
    }

    it("asks before a name or picture is published, once for an account that wants it so", async () => {
      const path = /\/profile\/[^/]*\/displayname$/;
      const what = { title: /public profile/, send: "Publish", method: "PUT", path };
      await asks(what, "setDisplayName", c.displayName);
      const lasting = ["Do not ask again for this account", "Publish"];
      await answered(lasting, "setAvatar", "mxc://hs.example.org/avatar");
      // No question any more, not after a reload either: nobody answers one here.
      await drive(sides.with.page, "setDisplayName", `${c.displayName}2`);
      await sides.with.reopen();
      await sides.with.signIn();
      await drive(sides.with.page, "setDisplayName", `${c.displayName}3`);
      assert.equal(seen(sides.with, "PUT", path).length, 1);
      assert.equal(await isAsked(sides.with.page), false);
    });

    it("publishes no time zone and empties an old one", async () => {
      const zone = ["us.cloke.msc4175.tz", "Europe/Berlin"] as const;
      for (const side of [sides.without, sides.with]) {
        await drive(side.page, "setProfileField", ...zone);
      }
      const [clear] = seen(sides.without, "PUT", /\/profile\/.*msc4175\.tz$/);
      assert.deepEqual(sent(clear), { [zone[0]]: zone[1] });
      const [empty] = seen(sides.with, "PUT", /\/profile\/.*msc4175\.tz$/);
      assert.deepEqual(sent(empty), { [zone[0]]: "" });
      assert.equal(empty?.status, 200);
    });

    it("publishes a status when told to, and never that you are in a call", async () => {
      const call = "org.matrix.msc4426.call";
      for (const side of [sides.without, sides.with]) {
        await drive(side.page, "setProfileField", call, { call_joined_ts: 1 });
      }
      const calls = /\/profile\/.*msc4426\.call$/;
      assert.equal(seen(sides.without, "PUT", calls).length, 1);
      assert.equal(seen(sides.with, "PUT", calls).length, 0);

      const status = "org.matrix.msc4426.status";
      const text = { text: "ill", emoji: "x" };
      await drive(sides.without.page, "setProfileField", status, text);
      const path = /\/profile\/.*msc4426\.status$/;
      assert.deepEqual(sent(seen(sides.without, "PUT", path)[0]), { [status]: text });
      const refused = await answered(["Cancel"], "setProfileField", status, text);
      assert.match(refused.title, /in your profile/);
      assert.equal(refused.outcome.ok, false);
      assert.equal(seen(sides.with, "PUT", path).length, 0);
      const allowed = await answered(["Publish"], "setProfileField", status, text);
      assert.equal(allowed.outcome.ok, true);
      assert.deepEqual(sent(seen(sides.with, "PUT", path)[0]), { [status]: text });
    });

    it("asks before a name of your own for one room", async () => {
      const path = /\/state\/m\.room\.member\//;
      const call = async (
        side: Side,
      ): Promise<[string, string, string, Record<string, unknown>]> => {
        const { roomId } = await drive(side.page, "createRoom", { name: "a", encrypted: false });
        const content = { membership: "join", displayname: c.roomNickname };
        return [roomId, "m.room.member", side.account.userId, content];
      };
      await drive(sides.without.page, "sendState", ...(await call(sides.without)));
      assert.equal(seen(sides.without, "PUT", path).length, 1);
      const own = await call(sides.with);
      const refused = await answered(["Cancel"], "sendState", ...own);
      assert.match(refused.title, /in this room/);
      assert.equal(refused.outcome.ok, false);
      assert.equal(seen(sides.with, "PUT", path).length, 0);
      const allowed = await answered(
        ["Do not ask again for this room", "Change"],
        "sendState",
        ...own,
      );
      assert.equal(allowed.outcome.ok, true);
      await drive(sides.with.page, "sendState", ...own);
      assert.equal(seen(sides.with, "PUT", path).length, 2);
    });

    it("asks before a room gets a public address or is listed", async () => {
      const what = { title: /address public/, send: "Publish" };
      const create = { ...what, method: "POST", path: /\/createRoom$/ };
      for (const side of [sides.without, sides.with]) side.recorder.clear();
      const body = { room_alias_name: `${c.alias}${kind}`, preset: "public_chat" };
      const path = "/_matrix/client/v3/createRoom";
      await drive(sides.without.page, "homeserverCall", "POST", path, {
        ...body,
        room_alias_name: `${body.room_alias_name}-without`,
      });
      assert.equal(seen(sides.without, "POST", create.path).length, 1);
      const refused = await answered(["Cancel"], "homeserverCall", "POST", path, body);
      assert.match(refused.title, what.title);
      assert.equal(seen(sides.with, "POST", create.path).length, 0);
      const made = await answered(["Publish"], "homeserverCall", "POST", path, body);
      assert.ok(made.outcome.ok && made.outcome.value.status === 200, JSON.stringify(made));

      const list = "/_matrix/client/v3/directory/list/room/";
      const listed = async (side: Side): Promise<string> => {
        const { roomId } = await drive(side.page, "createRoom", { name: "b", encrypted: false });
        return list + encodeURIComponent(roomId);
      };
      const open = { visibility: "public" };
      await drive(sides.without.page, "homeserverCall", "PUT", await listed(sides.without), open);
      assert.equal(seen(sides.without, "PUT", /\/directory\/list\//).length, 1);
      const own = await listed(sides.with);
      await answered(["Cancel"], "homeserverCall", "PUT", own, open);
      assert.equal(seen(sides.with, "PUT", /\/directory\/list\//).length, 0);
      await drive(sides.with.page, "homeserverCall", "PUT", own, { visibility: "private" });
      assert.equal(seen(sides.with, "PUT", /\/directory\/list\//).length, 1);
    });

    it("asks before a keyword or mails are set up", async () => {
      const path = /\/pushrules\/global\/content\//;
      await asks(
        { title: /this keyword/, send: "Add keyword", method: "PUT", path },
        "addKeyword",
        c.keyword,
      );
      const mail = {
        ...{ kind: "email", app_id: "m.email", app_display_name: "Email", pushkey: c.ownEmail },
        ...{ device_display_name: c.ownEmail, lang: "de-CH", data: { brand: "Element" } },
      };
      const set = "/_matrix/client/v3/pushers/set";
      await drive(sides.without.page, "homeserverCall", "POST", set, mail);
      const [clear] = seen(sides.without, "POST", /\/pushers\/set$/);
      assert.equal(sent(clear)["device_display_name"], c.ownEmail);
      await answered(["Cancel"], "homeserverCall", "POST", set, mail);
      assert.equal(seen(sides.with, "POST", /\/pushers\/set$/).length, 0);
      await answered(["Send mails"], "homeserverCall", "POST", set, mail);
      const [reduced] = seen(sides.with, "POST", /\/pushers\/set$/);
      assert.deepEqual(sent(reduced), { ...mail, device_display_name: "Element", lang: "de" });
    });

    it("searches no encrypted rooms, and people from the third letter on", async () => {
      for (const side of [sides.without, sides.with]) {
        const { page } = side;
        const make = async (encrypted: boolean): Promise<string> =>
          (await drive(page, "createRoom", { name: "c", encrypted })).roomId;
        const [hidden, clear] = [await make(true), await make(false)];
        side.recorder.clear();
        const nothing = await drive(page, "searchMessages", c.searchTerm, [hidden]);
        assert.equal(nothing.search_categories.room_events.count, 0);
        await drive(page, "searchMessages", c.searchTerm, [hidden, clear]);
        await drive(page, "searchMessages", c.searchTerm);
        const asked = seen(side, "POST", /\/v3\/search$/).map((one) => {
          assert.equal(one.status, 200);
          const { room_events: events } = sent(one)["search_categories"] as {
            room_events: { search_term: string; filter?: { rooms: string[] } };
          };
          assert.equal(events.search_term, c.searchTerm);
          return events.filter?.rooms;
        });
        if (side.name === "without") {
          assert.deepEqual(asked, [[hidden], [hidden, clear], undefined]);
        } else {
          assert.deepEqual(asked[0], [clear]);
          assert.equal(asked.length, 2);
          assert.ok(asked[1]?.includes(clear) === true && !asked[1].includes(hidden));
        }
        const people = ["a", "ab", "abc"];
        for (const term of people) await drive(page, "searchUsers", term);
        const terms = seen(side, "POST", /\/user_directory\/search$/).map(
          (one) => sent(one)["search_term"],
        );
        assert.deepEqual(terms, side.name === "without" ? people : ["abc"]);
      }
    });

    it("makes rooms without guests and world-readable history, encrypted against orders", async () => {
      const path = "/_matrix/client/v3/createRoom";
      const initial = [
        { type: "m.room.guest_access", state_key: "", content: { guest_access: "can_join" } },
        {
          type: "m.room.history_visibility",
          state_key: "",
          content: { history_visibility: "world_readable" },
        },
      ];
      for (const side of [sides.without, sides.with]) {
        const isOpen = side.name === "without";
        side.recorder.clear();
        const { status, body } = await drive(side.page, "homeserverCall", "POST", path, {
          preset: "private_chat",
          initial_state: initial,
        });
        assert.equal(status, 200, body);
        const { room_id: roomId } = JSON.parse(body) as { room_id: string };
        const state = (await drive(side.page, "roomState", roomId)) as {
          type: string;
          content: Record<string, string>;
        }[];
        const member = (type: string, key: string): string | undefined =>
          state.find((event) => event.type === type)?.content[key];
        assert.equal(
          member("m.room.guest_access", "guest_access"),
          isOpen ? "can_join" : "forbidden",
        );
        assert.equal(
          member("m.room.history_visibility", "history_visibility"),
          isOpen ? "world_readable" : "shared",
        );
        const order = await side.page.evaluate(async () => {
          const answer = await fetch("https://hs.example.org/.well-known/matrix/client");
          return ((await answer.json()) as Record<string, unknown>)["io.element.e2ee"];
        });
        assert.deepEqual(order, isOpen ? E2EE : { default: true, secure_backup_required: false });
      }
    });

    /** Error code, or the latitude. */
    const position = (page: Page): Promise<number> =>
      page.evaluate(
        () =>
          new Promise<number>((resolve) => {
            navigator.geolocation.getCurrentPosition(
              ({ coords }) => resolve(coords.latitude),
              (error) => resolve(error.code === error.PERMISSION_DENIED ? error.code : -1),
              { timeout: 60_000 },
            );
          }),
      );

    it("asks before the position is read", async () => {
      for (const { page } of [sides.without, sides.with]) {
        const context = page.browserContext();
        await context.overridePermissions("https://chat.example.org", ["geolocation"]);
        await page.setGeolocation(PLACE);
      }
      assert.equal(await position(sides.without.page), PLACE.latitude);
      const { page } = sides.with;
      const read = async (answer: string): Promise<number> => {
        const running = position(page);
        assert.match((await openQuestion(page)).title, /where you are/);
        await press(page, answer);
        return running;
      };
      assert.equal(await read("Cancel"), 1);
      assert.equal(await read("Tell Element"), PLACE.latitude);

      // A watch that is taken back while it is asked about never starts; one that is granted runs.
      await page.evaluate(() => {
        const { geolocation } = navigator;
        geolocation.clearWatch(geolocation.watchPosition(() => document.body.append("watched")));
      });
      await press(page, "Tell Element");
      await noQuestion(page);
      const watched = page.evaluate(
        () =>
          new Promise<string>((resolve) => {
            const { geolocation } = navigator;
            const watch = geolocation.watchPosition(({ coords }) => {
              geolocation.clearWatch(watch);
              resolve(`${coords.latitude} ${document.body.textContent.includes("watched")}`);
            });
          }),
      );
      await press(page, "Tell Element");
      assert.equal(await watched, `${PLACE.latitude} false`);
    });

    it("asks before a place is opened on a map", async () => {
      const MAP = "https://www.openstreetmap.org/?mlat=51.5&mlon=-0.125#map=16/51.5/-0.125";
      const add = (page: Page): Promise<void> =>
        page.evaluate((href) => {
          const link = Object.assign(document.createElement("a"), { href, target: "_blank" });
          Object.assign(link, { id: "map", rel: "noreferrer noopener", textContent: "map" });
          document.body.append(link);
        }, MAP);
      const asked = (side: Side): number =>
        side.recorder.to("www.openstreetmap.org").filter(({ path }) => path.includes("mlat"))
          .length;
      for (const side of [sides.without, sides.with]) {
        await add(side.page);
        await side.page.bringToFront();
        await side.page.click("#map");
      }
      await arrives(() => asked(sides.without) > 0);
      const { page } = sides.with;
      await press(page, "Cancel");
      await noQuestion(page);
      assert.equal(asked(sides.with), 0);
      await page.click("#map");
      await press(page, "Open the map");
      await arrives(() => asked(sides.with) > 0);
      await page.bringToFront();
    });

    it("encrypts pictures, pins and places where their types are chosen", async () => {
      const types = ["m.room.avatar", "m.room.pinned_events", "org.matrix.msc3672.beacon_info"];
      await sides.settings({ version: 1, options: { "encrypted-state": { types } } });
      await sides.with.reopen();
      await sides.with.signIn();
      const avatar = `mxc://${HS}/${c.avatarContent}`;
      for (const side of [sides.without, sides.with]) {
        const { page } = side;
        side.recorder.clear();
        const { roomId } = await drive(page, "createRoom", { name: "d", encrypted: true, avatar });
        const pins = { pinned: [`$${c.pinned}`] };
        await drive(page, "sendState", roomId, "m.room.pinned_events", "", pins);
        const place = { description: c.pinned, timeout: 1, live: false };
        await drive(page, "sendState", roomId, types[2] ?? "", side.account.userId, place);
        const told = (canary: string): number =>
          seen(side, "POST|PUT", /./).filter(({ body }) => body.includes(canary)).length;
        const counts = [told(c.avatarContent), told(c.pinned)];
        assert.deepEqual(counts, side.name === "without" ? [1, 2] : [0, 0]);
        await page.waitForFunction(
          (id, picture, pinned) => {
            const room = window.mxMatrixClientPeg.get()?.getRoom(id);
            const event = room?.currentState.getStateEvents("m.room.pinned_events", "");
            return (
              room?.getMxcAvatarUrl() === picture &&
              JSON.stringify(event?.getContent()).includes(pinned)
            );
          },
          { timeout: 30_000 },
          roomId,
          avatar,
          c.pinned,
        );
      }
      await sides.settings(undefined);
    });

    it("still does everyday work", () => assertWorks(sides.with));

    it("asks nothing and changes nothing when switched off", async () => {
      const shields = {
        ...{ profile: "off", keywords: "off", location: "off" },
        ...{ search: "off", "room-defaults": "off" },
      };
      await sides.settings({ version: 1, shields });
      await sides.with.reopen();
      await sides.with.signIn();
      const { page } = sides.with;
      const path = "/_matrix/client/v3/createRoom";
      await drive(page, "homeserverCall", "POST", path, { preset: "private_chat" });
      const [made] = seen(sides.with, "POST", /\/createRoom$/);
      assert.equal(sent(made)["initial_state"], undefined);
      await drive(page, "addKeyword", `${c.keyword}off`);
      await drive(page, "searchUsers", "a");
      await drive(page, "searchMessages", c.searchTerm);
      assert.equal(seen(sides.with, "PUT", /\/pushrules\/global\/content\//).length, 1);
      assert.equal(seen(sides.with, "POST", /\/user_directory\/search$/).length, 1);
      const search = sent(seen(sides.with, "POST", /\/v3\/search$/)[0]);
      assert.doesNotMatch(JSON.stringify(search), /"rooms"/);
      await sides.settings(undefined);
    });
  });
}

/** Waits for something a server sees. */
async function arrives(condition: () => boolean): Promise<void> {
  const limit = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > limit) throw new Error("The server did not see it within 30 s.");
    await new Promise((resume) => setTimeout(resume, 50));
  }
}
