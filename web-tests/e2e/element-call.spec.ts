/**
 * Element Call as Element Web ships it, in Element's own interface: a call goes on through the call
 * server of one's own homeserver, and one that only another member names is told nothing before the
 * person agrees, who is asked in the window around the call.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import { joinCall, leaveCall, openCall, toggleMicrophone } from "../element/call.ts";
import { callPageInstalled, withElementCall } from "../element/element-call.ts";
import { elementPage, signIn } from "../element/page.ts";
import { openRoom } from "../element/session.ts";
import { isAsked, openQuestion, press } from "../support/question.ts";
import { countLeaks } from "../report/rows.ts";
import { bothBrowsers, launch } from "../support/browsers.ts";
import { startCallServers } from "../support/call-server.ts";
import type { CallServer, CallServers, Heard } from "../support/call-server.ts";
import { makeCanaries } from "../support/canaries.ts";
import type { Exchange, Handler, Recorder } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { launchMantle, until } from "./extension-pages.ts";
import type { ExtensionBrowser } from "./extension-pages.ts";

const PASSWORD = "correct horse battery staple";
const SCREENSHOTS = fileURLToPath(new URL("../../build/screenshots", import.meta.url));
const OWN = { service: "rtc.example.org", liveKit: "sfu.example.org" };
/** Named by another member of the call, and by nobody else. */
const STRANGER = { service: "livekit.example.org", liveKit: "sfu.livekit.example.org" };
const MEMBER = "org.matrix.msc3401.call.member";
const skip = elementInstalled() && callPageInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

interface Caller {
  readonly recorder: Recorder;
  readonly page: Page;
  readonly account: Account;
  readonly own: CallServer;
  readonly stranger: CallServer;
  close(): Promise<void>;
}

for (const kind of bothBrowsers) {
  describe(`Element Call in ${kind}`, { skip, timeout: 840_000 }, () => {
    let world: World;
    let servers: CallServers;
    let without: Caller;
    let withMantle: Caller;
    let mantle: ExtensionBrowser;

    before(async () => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      const service = { type: "livekit", livekit_service_url: `https://${OWN.service}` };
      world = await startWorld({
        synapseConfig: {
          default_room_version: "11",
          max_event_delay_duration: "24h",
          matrix_rtc: { transports: [service] },
          experimental_features: { msc4143_enabled: true },
        },
      });
      servers = await startCallServers(world.synapse.baseUrl);
      const element = withElementCall(
        await elementPage(undefined, {
          features: { feature_group_calls: true },
          element_call: { url: "https://chat.example.org", use_exclusively: true },
        }),
      );
      without = await caller(world, servers, element, async (proxyPort) =>
        launch(kind, { proxyPort, fakeMedia: true }),
      );
      withMantle = await caller(world, servers, element, async (proxyPort) => {
        mantle = await launchMantle(kind, proxyPort, { fakeMedia: true });
        return mantle;
      });
    });

    after(async () => {
      await without?.close();
      await withMantle?.close();
      await servers?.close();
      await world?.close();
    });

    it("joins, is heard, mutes and leaves through one's own homeserver's call server", async () => {
      assert.deepEqual(await wholeCall(world, without), SAID);
      const { page } = withMantle;
      const said = await wholeCall(world, withMantle, async () => {
        // One is in the call already, and heard there.
        const { title, text } = await openQuestion(page, 60_000);
        assert.match(title, /another call server/);
        assert.ok(text[0]?.includes(` ${STRANGER.service},`), text[0]);
        await forgeAnswers(page);
        assertStrangerKnowsNothing(withMantle);
        await press(page, "Cancel");
      });
      assert.deepEqual(said, SAID);
      assert.equal(await isAsked(page), false, "asked again after a no");
    });

    it("tells a call server that another member names nothing, and who it is without Mantle", async () => {
      const leaks = (one: Caller): Record<string, number | null> =>
        countLeaks({
          exchanges: one.recorder.exchanges.filter(({ method }) => method !== "OPTIONS"),
          canaries: makeCanaries(),
          userId: one.account.userId,
          peerUserId: "@sam:hs.example.org",
          elsewhere: {},
        });
      const [open, closed] = [leaks(without), leaks(withMantle)];
      assert.ok(Number(open["livekit-token"]) > 0);
      assert.equal(closed["livekit-token"], 0);
      for (const counts of [open, closed]) {
        // No call without them.
        assert.ok(Number(counts["call-membership"]) > 0);
        assert.ok(Number(counts["call-transports"]) > 0);
        assert.equal(counts["element-call-frame"], 0);
      }
      assert.ok(without.stranger.heard.some(({ what }) => what === "join"));
      for (const host of Object.values(STRANGER)) assert.notDeepEqual(told(without, host), []);
      assertStrangerKnowsNothing(withMantle);
    });

    it("tells one's own call server who it is, for the call, and nothing else", () => {
      for (const one of [without, withMantle]) {
        const bodies = one.recorder
          .to(OWN.service)
          .filter(({ path }) => path === "/sfu/get")
          .map(({ body }) => JSON.parse(body.toString("utf8")) as Record<string, unknown>);
        assert.notEqual(bodies.length, 0);
        for (const body of bodies) {
          assert.deepEqual(Object.keys(body).sort(), ["device_id", "openid_token", "room"]);
        }
      }
    });

    it("connects to it once the person agrees, and asks no more where they want it so", async () => {
      const { page, stranger } = withMantle;
      const joined = (): Promise<void> =>
        until(
          () => stranger.heard.some(({ what }) => what === "join"),
          "the stranger's call server to be joined",
          60_000,
        );
      await page.reload({ waitUntil: "load", timeout: 60_000 });
      const said = await wholeCall(world, withMantle, async () => {
        await openQuestion(page, 60_000);
        await page.screenshot({ path: join(SCREENSHOTS, `call-server-${kind}.png`) });
        assertStrangerKnowsNothing(withMantle);
        // A person takes longer to answer than a browser lets an idle background live.
        await mantle.stopBackground();
        await press(page, "Do not ask again for this call server");
        await press(page, "Connect");
        await joined();
      });
      assert.deepEqual(said, SAID);

      stranger.heard.length = 0;
      await page.reload({ waitUntil: "load", timeout: 60_000 });
      assert.deepEqual(await wholeCall(world, withMantle, joined), SAID);
      assert.equal(await isAsked(page), false);
    });

    it("lists that answer among those that can be taken back", async () => {
      const options = await mantle.openExtensionPage("options.html");
      const line = await options.waitForSelector("#answers li span", { timeout: 15_000 });
      const said = String(await line?.evaluate((one) => one.textContent));
      assert.ok(said.includes(`Call server ${STRANGER.service},`), said);
      await options.close();
    });
  });
}

/** What a server hears of somebody who does all of `wholeCall`. */
const SAID = ["join", "leave", "mute audio true", "publish audio"];

/** Somebody in a room with another person who is in a call there. */
async function caller(
  world: World,
  servers: CallServers,
  element: Handler,
  start: (proxyPort: number) => Promise<{ newPage(): Promise<Page>; close(): Promise<void> }>,
): Promise<Caller> {
  const recorder = await world.openRecorder();
  recorder.route("chat.example.org", element);
  const [own, stranger] = [OWN, STRANGER].map(({ service, liveKit }) => {
    const server = servers.add(liveKit);
    recorder.route(service, server.handler);
    recorder.routeSocket(liveKit, server.socket);
    return server;
  }) as [CallServer, CallServer];
  const suffix = Math.random().toString(36).slice(2, 8);
  const account = await world.synapse.register(`robin-${suffix}`, PASSWORD);
  const sam = await world.synapse.register(`sam-${suffix}`, PASSWORD);
  const made = await world.synapse.call(account, "POST", "/_matrix/client/v3/createRoom", {
    name: "Garden",
    preset: "public_chat",
    power_level_content_override: { events: { [MEMBER]: 0 } },
  });
  const room = encodeURIComponent(String(made["room_id"]));
  await world.synapse.call(sam, "POST", `/_matrix/client/v3/join/${room}`, {});
  const key = encodeURIComponent(`_${sam.userId}_${sam.deviceId}_m.call`);
  const path = `/_matrix/client/v3/rooms/${room}/state/${MEMBER}/${key}`;
  await world.synapse.call(sam, "PUT", path, {
    application: "m.call",
    call_id: "",
    scope: "m.room",
    device_id: sam.deviceId,
    membershipID: `${sam.userId}:${sam.deviceId}`,
    expires: 14_400_000,
    focus_active: { type: "livekit", focus_selection: "multi_sfu" },
    foci_preferred: [
      {
        type: "livekit",
        livekit_alias: String(made["room_id"]),
        livekit_service_url: `https://${STRANGER.service}`,
      },
    ],
  });
  const browser = await start(recorder.port);
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 800 });
  await signIn(page, `robin-${suffix}`, PASSWORD);
  return { recorder, page, account, own, stranger, close: () => browser.close() };
}

/** Joins the call of the room, speaks, mutes and leaves; gives what one's own server heard. */
async function wholeCall(
  world: World,
  { page, own, account }: Caller,
  inTheCall?: () => Promise<void>,
): Promise<string[]> {
  own.heard.length = 0;
  const hears = (what: Heard["what"]): Promise<void> =>
    until(
      () => own.heard.some((one) => one.what === what),
      `the call server to hear: ${what}`,
      60_000,
    );
  await page.bringToFront();
  await openRoom(page, "Garden");
  const frame = await openCall(page);
  await joinCall(frame);
  await hears("publish");
  await until(async () => (await own.packets()) > 0, "sound at the call server", 60_000);
  await inTheCall?.();
  await toggleMicrophone(frame);
  await hears("mute");
  await leaveCall(frame);
  await hears("leave");
  await until(async () => (await memberships(world, account)) === 0, "nobody in the call", 60_000);
  // A connection that is slow to come about is made twice, so each counts once.
  const lines = own.heard.map((one) =>
    [one.what, "kind" in one && one.kind, "isMuted" in one && String(one.isMuted)]
      .filter((part) => part !== false)
      .join(" "),
  );
  return [...new Set(lines)].filter((line) => !line.includes("video")).sort();
}

/** How many of this account's devices the homeserver holds for being in the call. */
async function memberships(world: World, account: Account): Promise<number> {
  const joined = await world.synapse.call(account, "GET", "/_matrix/client/v3/joined_rooms");
  const rooms = joined["joined_rooms"] as string[];
  let count = 0;
  for (const room of rooms) {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/state`;
    const state = (await world.synapse.call(account, "GET", path)) as unknown as {
      type: string;
      sender: string;
      content: Record<string, unknown>;
    }[];
    count += state.filter(
      ({ type, sender, content }) =>
        type === MEMBER && sender === account.userId && Object.keys(content).length > 0,
    ).length;
  }
  return count;
}

/** Says yes as a script of the page can: to each window, in every form that Mantle's messages have. */
async function forgeAnswers(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const windows = [window, ...Array.from({ length: frames.length }, (_, at) => frames[at])];
    for (const target of windows) {
      for (let number = 0; number < 50; number += 1) {
        const yes = { id: number, wish: number, frame: 0, isAllowed: true, choice: "send" };
        for (const kind of ["allowed", "answer", "verdict"]) {
          target?.postMessage({ kind: `call-server-${kind}`, ...yes }, "*");
        }
      }
    }
    await new Promise((resume) => setTimeout(resume, 500));
  });
}

/** No token, no request and no connection. */
function assertStrangerKnowsNothing(one: Caller): void {
  assert.deepEqual(one.stranger.heard, []);
  for (const host of Object.values(STRANGER)) {
    assert.deepEqual(told(one, host), []);
    const opened = one.recorder.connections.filter((connection) => connection.host === host);
    assert.deepEqual(opened, []);
  }
}

function told({ recorder }: Caller, host: string): string[] {
  return recorder.exchanges
    .filter((exchange: Exchange) => exchange.host === host)
    .map(({ method, path }) => `${method} ${path.replace(/\?.*/, "")}`);
}
