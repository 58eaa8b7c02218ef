/** Shields for what surrounds messages: whereabouts, look-ups, reports, maps, push, previews. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive } from "../../support/client-page.ts";
import { openQuestion, press } from "../../support/question.ts";
import type { Exchange } from "../../support/recorder.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { until } from "../extension-pages.ts";
import { assertNone, assertWorks, observe, onBoth, openSides, sent, to } from "./sides.ts";
import type { Side, Sides } from "./sides.ts";

const HS = "hs.example.org";
const OFF = {
  ...{ presence: "off", typing: "off", receipts: "off", telemetry: "off", previews: "off" },
  ...{ maps: "off", directory: "off", push: "off", "welcome-bot": "off" },
};

for (const kind of bothBrowsers) {
  describe(`metadata in ${kind}`, { timeout: 300_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({});
      sides = await openSides(kind, world);
      await Promise.all([sides.without.signIn(), sides.with.signIn()]);
    });
    after(async () => {
      await sides?.close();
      await world?.close();
    });

    const syncs = (side: Side): (string | null)[] =>
      side.recorder.exchanges
        .filter(({ host, path }) => host === HS && /\/v3\/sync\?/.test(path))
        .map(({ path }) => new URL(path, "https://x").searchParams.get("set_presence"));
    const at = (exchanges: Exchange[], method: string, pattern: RegExp): Exchange[] =>
      exchanges.filter(
        (seen) => seen.method === method && pattern.test(decodeURIComponent(seen.path)),
      );

    it("tells nobody when you are there, what you read or that you write", async () => {
      const both = await onBoth(sides, async (side) => {
        const { roomId } = await drive(side.page, "createRoom", { name: "a", encrypted: false });
        const { eventId } = await drive(side.page, "sendText", roomId, "hello");
        await drive(side.page, "receive", roomId, "hello");
        await drive(side.page, "presence", "unavailable");
        await drive(side.page, "typing", roomId);
        await drive(side.page, "readUpTo", roomId, eventId);
        // The next sync says how things stand.
        await drive(side.page, "sendText", roomId, "again");
        await drive(side.page, "receive", roomId, "again");
      });
      const bare = to(both.without, HS);
      const guarded = to(both.with, HS);
      assert.equal(at(bare, "PUT", /\/presence\//).length, 1);
      assert.equal(at(guarded, "PUT", /\/presence\//).length, 0);
      assert.ok(syncs(sides.without).some((presence) => presence !== "offline"));
      assert.deepEqual([...new Set(syncs(sides.with))], ["offline"]);

      assert.equal(at(bare, "PUT", /\/typing\//).length, 1);
      assert.equal(at(guarded, "PUT", /\/typing\//).length, 0);

      assert.equal(at(bare, "POST", /\/receipt\/m\.read\//).length, 1);
      assert.equal(at(guarded, "POST", /\/receipt\/m\.read\//).length, 0);
      const [receipt] = at(guarded, "POST", /\/receipt\/m\.read\.private\//);
      assert.equal(receipt?.status, 200);
      const [clear] = at(bare, "POST", /\/read_markers$/);
      const [hidden] = at(guarded, "POST", /\/read_markers$/);
      assert.equal(typeof sent(clear)["m.read"], "string");
      assert.deepEqual(Object.keys(sent(hidden)).sort(), ["m.fully_read", "m.read.private"]);
      assert.equal(hidden?.status, 200);
    });

    it("shows the page the address it asked for", async () => {
      const both = await onBoth(sides, ({ page }) =>
        page.evaluate(async () => {
          const url = "https://hs.example.org/_matrix/client/v3/sync?timeout=0";
          const response = await fetch(url);
          return { isSame: response.url === url, redirected: response.redirected };
        }),
      );
      assert.deepEqual(both.with.value, both.without.value);
      assert.equal(both.with.value.isSame, true);
    });

    const report = (side: Side): Promise<void> =>
      drive(side.page, "sendBugReport", { text: "broken", user_id: side.account.userId });

    it("sends neither usage nor errors nor logs, and no trace of them to the homeserver", async () => {
      const both = await onBoth(sides, async (side) => {
        const { page } = side;
        await drive(page, "captureUsage", { event: "$pageview", distinct_id: "0123" });
        await drive(page, "captureError", { user: { id: side.account.userId } });
        const reported = report(side);
        if (side.name === "with") {
          assert.match((await openQuestion(page)).title, /Send this report/);
          await press(page, "Cancel");
        }
        await reported;
        // As Element asks the sender of a message that it cannot read.
        const request = "/_matrix/client/v3/sendToDevice/im.vector.auto_rs_request/report1";
        const { status } = await drive(page, "homeserverCall", "PUT", request, {
          messages: { [side.account.userId]: { "*": { event_id: "$event" } } },
        });
        assert.equal(status, 200);
        const { roomId } = await drive(page, "createRoom", { name: "b", encrypted: false });
        await drive(page, "sendEvent", roomId, "io.element.performance_metric", { ms: 1 });
        await drive(page, "writeAccountData", "im.vector.analytics", {
          id: "0123",
          pseudonymousAnalyticsOptIn: false,
        });
      });
      for (const host of ["posthog.element.io", "sentry.tools.element.io", "element.io"]) {
        assert.ok(to(both.without, host).length > 0, host);
        assertNone(both.with, host);
      }
      const analytics = /account_data\/im\.vector\.analytics$/;
      assert.equal(sent(at(to(both.without, HS), "PUT", analytics)[0])["id"], "0123");
      assert.deepEqual(sent(at(to(both.with, HS), "PUT", analytics)[0]), {
        pseudonymousAnalyticsOptIn: false,
      });
      for (const quiet of [
        /\/send\/io\.element\.performance_metric\//,
        /\/sendToDevice\/im\.vector\.auto_rs_request\//,
      ]) {
        assert.equal(at(to(both.without, HS), "PUT", quiet).length, 1, quiet.source);
        assert.equal(at(to(both.with, HS), "PUT", quiet).length, 0, quiet.source);
      }
    });

    it("sends a report that the person agrees to", async () => {
      const seen = sides.with.recorder.to("element.io").length;
      const reported = report(sides.with);
      await press(sides.with.page, "Send report");
      await reported;
      const [sentNow] = sides.with.recorder.to("element.io").slice(seen);
      assert.ok(sentNow?.body.includes("logs-0000.log.gz"));
    });

    it("loads no maps, not from a worker either", async () => {
      const both = await onBoth(sides, ({ page }) => drive(page, "showLocation", "14/8186/5448"));
      assert.ok(to(both.without, "api.maptiler.com").length >= 2);
      assertNone(both.with, "api.maptiler.com");
    });

    it("asks for no previews and looks nobody up", async () => {
      const both = await onBoth(sides, async (side) => {
        const { page, account } = side;
        // Synapse has no previews in this world; that it is asked is the leak.
        await drive(page, "previewLink", "https://link.example.org/secret").catch(() => undefined);
        const link = `url=${encodeURIComponent("https://link.example.org/secret")}`;
        const previewed = await drive(
          page,
          "homeserverCall",
          "GET",
          `/_matrix/client/v1/media/preview_url?${link}`,
        );
        await drive(page, "searchDirectory", "secret", "matrix.org").catch(() => undefined);
        await drive(page, "isAdministrator").catch(() => undefined);
        const { status } = await drive(
          page,
          "homeserverCall",
          "GET",
          "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=" +
            encodeURIComponent(account.userId),
        );
        const own = await drive(page, "searchDirectory", "public");
        const { errcode } = JSON.parse(previewed.body) as { errcode?: string };
        const preview = side.name === "with" ? `${previewed.status} ${errcode}` : undefined;
        return { status, own: Array.isArray(own.chunk), preview };
      });
      const quiet = [
        /\/preview_url\?/,
        /\/publicRooms\?server=/,
        /\/_synapse\/admin\//,
        /mutual_rooms/,
      ];
      for (const pattern of quiet) {
        const asked = (side: typeof both.with): number =>
          to(side, HS).filter(({ path }) => pattern.test(path)).length;
        assert.ok(asked(both.without) > 0, pattern.source);
        assert.equal(asked(both.with), 0, pattern.source);
      }
      // Of an empty answer Element would draw an empty card.
      const preview = "404 M_NOT_FOUND";
      assert.deepEqual(both.with.value, { status: 200, own: true, preview });
    });

    it("lets gateways have event IDs only, and invites no bot", async () => {
      const both = await onBoth(sides, async ({ page }) => {
        await drive(page, "homeserverCall", "POST", "/_matrix/client/v3/pushers/set", {
          ...{ kind: "http", app_id: "org.example.app", app_display_name: "Example" },
          ...{ device_display_name: "phone", lang: "en", pushkey: "key" },
          data: { url: "https://push.example.org/_matrix/push/v1/notify" },
        });
        return drive(page, "homeserverCall", "POST", "/_matrix/client/v3/createRoom", {
          invite: ["@riot-bot:matrix.org"],
          is_direct: true,
        });
      });
      const format = (side: typeof both.with): unknown => {
        const pushers = at(to(side, HS), "POST", /\/pushers\/set$/).map(sent);
        const http = pushers.find((pusher) => pusher["kind"] === "http");
        return (http?.["data"] as Record<string, unknown> | undefined)?.["format"];
      };
      assert.equal(format(both.without), undefined);
      assert.equal(format(both.with), "event_id_only");
      assert.equal(at(to(both.without, HS), "POST", /\/createRoom$/).length, 1);
      assert.equal(at(to(both.with, HS), "POST", /\/createRoom$/).length, 0);
      assert.match(both.with.value.body, /welcome bot/);
    });

    it("keeps habits on this device, echoed and over a reload, until their session ends", async () => {
      const emoji = { recent_emoji: [["👍", 3]] };
      const rooms = { recent_rooms: ["!secret:hs.example.org"] };
      const tag = "element.io.section.6f0c7f9a";
      const named = (name: string): Record<string, unknown> => ({ [tag]: { tag, name } });
      const sections = "RoomList.CustomSectionData";
      const settings = {
        kept: true,
        "SpotlightSearch.recentSearches": ["!secret:hs.example.org"],
        [sections]: named("Doctor"),
      };
      const types = {
        emoji: "m.recent_emoji",
        oldEmoji: "io.element.recent_emoji",
        rooms: "im.vector.setting.breadcrumbs",
        settings: "im.vector.web.settings",
      };
      const both = await onBoth(sides, async ({ page }) => {
        // Each waits for the echo in sync, as Element does.
        await drive(page, "writeAccountData", types.emoji, emoji);
        await drive(page, "writeAccountData", types.oldEmoji, emoji);
        await drive(page, "writeAccountData", types.rooms, rooms);
        await drive(page, "writeAccountData", types.settings, settings);
      });
      const searches = "SpotlightSearch.recentSearches";
      const written = (side: typeof both.with, type: string): Record<string, unknown> =>
        sent(at(to(side, HS), "PUT", new RegExp(`/account_data/${type}$`))[0]);
      assert.deepEqual(written(both.without, types.emoji), emoji);
      assert.deepEqual(written(both.without, types.rooms), rooms);
      for (const type of [types.emoji, types.oldEmoji, types.rooms]) {
        // As clients leave what they delete: nothing says that Mantle keeps it.
        assert.deepEqual(written(both.with, type), {});
      }
      assert.deepEqual(written(both.without, types.settings), settings);
      const told = written(both.with, types.settings);
      assert.equal(told["kept"], true);
      assert.deepEqual(told[searches], []);
      assert.deepEqual(told[sections], named("Section"));

      const known = ({ page }: Side): Promise<unknown[]> =>
        page.evaluate((wanted) => {
          const client = window.mxMatrixClientPeg?.get();
          return wanted.map((type) => client?.getAccountData(type as never)?.getContent());
        }, Object.values(types));
      assert.deepEqual(await known(sides.with), [emoji, emoji, rooms, settings]);
      // Signed in again, as another device of the same browser: everything comes by sync.
      await sides.with.reopen();
      await sides.with.signIn();
      assert.deepEqual(await known(sides.with), [emoji, emoji, rooms, settings]);
      // Signed out, with all that the site itself keeps thrown away, as Element does.
      await drive(sides.with.page, "homeserverCall", "POST", "/_matrix/client/v3/logout");
      await sides.with.page.evaluate(async () => {
        localStorage.clear();
        for (const { name } of await indexedDB.databases()) indexedDB.deleteDatabase(name ?? "");
      });
      await sides.with.reopen();
      await sides.with.signIn();
      // They went with the session: whoever signs in next is not given them.
      assert.deepEqual(await known(sides.with), [
        {},
        {},
        {},
        { ...settings, [searches]: [], [sections]: named("Section") },
      ]);
      const path = `/_matrix/client/v3/user/${encodeURIComponent(sides.with.account.userId)}`;
      const asked = await drive(
        sides.with.page,
        "homeserverCall",
        "GET",
        `${path}/account_data/${types.emoji}`,
      );
      assert.deepEqual(JSON.parse(asked.body), {});
    });

    it("has pictures wait for a click, unless the person set something else", async () => {
      const type = "m.media_preview_config";
      const earlier = "io.element.msc4278.media_preview_config";
      const known = ({ page }: Side, name = type): Promise<unknown> =>
        page.evaluate(
          (wanted) =>
            window.mxMatrixClientPeg
              ?.get()
              ?.getAccountData(wanted as never)
              ?.getContent() ?? null,
          name,
        );
      assert.equal(await known(sides.without), null);
      const careful = { media_previews: "private", invite_avatars: "off" };
      assert.deepEqual(await known(sides.with), careful);
      assert.deepEqual(await known(sides.with, earlier), careful);
      // The homeserver was told nothing of it, and what the person sets stays.
      const written = sides.with.recorder.exchanges.filter(
        ({ method, path }) => method === "PUT" && path.includes("media_preview_config"),
      );
      assert.deepEqual(written, []);
      const own = { media_previews: "on", invite_avatars: "on" };
      await drive(sides.with.page, "writeAccountData", type, own);
      assert.deepEqual(await known(sides.with), own);
      await sides.with.reopen();
      await sides.with.signIn();
      assert.deepEqual(await known(sides.with), own);
      // An Element that reads the earlier name finds it unset, as the person left it.
      assert.equal(await known(sides.with, earlier), null);
    });

    it("still does everyday work", () => assertWorks(sides.with));

    /** Until a map's tile comes, which the browser's rules let pass when they have the settings too. */
    const mapped = async (side: Side, tile: string): Promise<void> => {
      const isSeen = (): boolean =>
        side.recorder.to("api.maptiler.com").some(({ path }) => path.startsWith(`/tiles/${tile}`));
      await until(
        async () => {
          await drive(side.page, "showLocation", tile);
          return isSeen();
        },
        `the tile ${tile}`,
        30_000,
      );
    };

    it("is as without Mantle when switched off, without a reload", async () => {
      // The open page heard of it once the report's service is reached unasked.
      const heard = (): number => sides.with.recorder.to("posthog.element.io").length;
      const from = heard();
      await sides.settings({ version: 1, shields: OFF });
      await until(
        async () => {
          await drive(sides.with.page, "captureUsage", { event: "probe" });
          return heard() > from;
        },
        "the settings in the page",
        30_000,
      );
      const both = await onBoth(sides, async (side) => {
        const { roomId } = await drive(side.page, "createRoom", { name: "c", encrypted: false });
        const { eventId } = await drive(side.page, "sendText", roomId, "hello");
        await drive(side.page, "receive", roomId, "hello");
        await drive(side.page, "typing", roomId);
        await drive(side.page, "presence", "online");
        await drive(side.page, "readUpTo", roomId, eventId);
        await drive(side.page, "previewLink", "https://link.example.org/other").catch(
          () => undefined,
        );
        await drive(side.page, "captureUsage", { event: "x" });
        await report(side);
        await mapped(side, "14/8186/5450");
      });
      const seen = to(both.with, HS);
      for (const pattern of [/\/typing\//, /\/presence\//, /\/receipt\/m\.read\//]) {
        assert.equal(seen.filter(({ path }) => pattern.test(path)).length, 1, pattern.source);
      }
      for (const host of ["posthog.element.io", "element.io", "api.maptiler.com"]) {
        assert.ok(to(both.with, host).length > 0, host);
      }
      // On again, without a reload either; a map service and a report service of one's own pass.
      const allow = { maps: ["api.maptiler.com"], telemetry: ["element.io"] };
      await sides.settings({ version: 1, allow });
      await until(
        async () => {
          const told = heard();
          await drive(sides.with.page, "captureUsage", { event: "probe" });
          return heard() === told;
        },
        "the settings in the page",
        30_000,
      );
      const again = await observe(sides.with, async (side) => {
        await mapped(side, "14/8186/5449");
        await report(side);
        await drive(side.page, "presence", "online");
        await drive(side.page, "previewLink", "https://link.example.org/third").catch(
          () => undefined,
        );
      });
      assert.ok(to(again, "element.io").length > 0);
      assert.deepEqual(
        to(again, HS).filter(({ path }) => /\/presence\/|\/preview_url/.test(path)),
        [],
      );
      await sides.settings(undefined);
    });
  });
}
