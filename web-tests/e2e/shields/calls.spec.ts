/** Calls tell nobody where you are, and call services neither who you are nor the room's name. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive } from "../../support/client-page.ts";
import { noticeTexts } from "../../support/question.ts";
import { startTurnServer } from "../../support/turn-server.ts";
import type { TurnServer } from "../../support/turn-server.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { pause, until } from "../extension-pages.ts";
import { assertNone, onBoth, openSides, sent, to } from "./sides.ts";
import type { Side, Sides } from "./sides.ts";

/** Runs in the pages: calls as a Matrix client makes them, told step by step. */
const PAGE_SCRIPT = `
window.calls = {
  connections: [],
  make(ways, configuration) {
    const blank = () => {
      const made = document.createElement("iframe");
      document.body.append(made);
      return made.contentWindow;
    };
    const make = {
      constructor: () => new RTCPeerConnection(configuration),
      alias: () => new (window.webkitRTCPeerConnection ?? RTCPeerConnection)(configuration),
      subclass: () => new (class Mine extends RTCPeerConnection {})(configuration),
      reflect: () => Reflect.construct(RTCPeerConnection, [configuration], RTCPeerConnection),
      "prototype's constructor": () => new RTCPeerConnection.prototype.constructor(configuration),
      "set afterwards": () => {
        const made = new RTCPeerConnection({ bundlePolicy: configuration.bundlePolicy });
        made.setConfiguration(configuration);
        return made;
      },
      "blank frame": () => new (blank().RTCPeerConnection)(configuration),
      "frame from text": () => new (calls.fromText.RTCPeerConnection)(configuration),
    };
    const connection = make[ways]();
    calls.connections.push(connection);
    return connection;
  },
  async ring(configuration, offer) {
    const connection = calls.make("constructor", configuration);
    await connection.setRemoteDescription(offer);
    calls.ringing = connection;
  },
  async openFromText() {
    const made = document.createElement("iframe");
    made.srcdoc = "<!doctype html><title>from text</title>";
    const loaded = new Promise((resolve) => { made.onload = resolve; });
    document.body.append(made);
    await loaded;
    calls.fromText = made.contentWindow;
  },
  async gather(way, configuration) {
    if (way === "frame from text") await calls.openFromText();
    const connection = calls.make(way, configuration);
    const lines = [];
    const add = (event) => { if (event.candidate?.candidate) lines.push(event.candidate.candidate); };
    connection.onicecandidate = add;
    connection.addEventListener("icecandidate", add);
    connection.createDataChannel("probe");
    await connection.setLocalDescription(await connection.createOffer());
    await calls.gathered(connection);
    const again = await connection.createOffer({ iceRestart: false });
    const statistics = [];
    (await connection.getStats()).forEach((entry) => {
      if (entry.type === "local-candidate") statistics.push(entry.candidateType);
    });
    const texts = [connection.localDescription.sdp, connection.currentLocalDescription?.sdp ?? "",
      connection.pendingLocalDescription?.sdp ?? "", again.sdp];
    for (const text of texts) lines.push(...text.split("\\r\\n").filter((line) => line.includes("candidate:")));
    connection.close();
    return { types: [...new Set([...lines.map((line) => / typ (\\w+)/.exec(line)[1]), ...statistics])].sort(),
      related: [...new Set(lines.map((line) => / raddr (\\S+) rport (\\d+)/.exec(line)?.[0] ?? ""))] };
  },
  gathered(connection) {
    return new Promise((resolve) => {
      const check = () => { if (connection.iceGatheringState === "complete") resolve(); };
      connection.addEventListener("icegatheringstatechange", check);
      setTimeout(resolve, 6000);
      check();
    });
  },
  async offer(configuration) {
    const connection = calls.make("constructor", configuration);
    calls.channel = connection.createDataChannel("talk");
    calls.listen(calls.channel);
    await connection.setLocalDescription(await connection.createOffer());
    await calls.gathered(connection);
    calls.current = connection;
    return connection.localDescription.toJSON();
  },
  async answer(configuration, offer) {
    const connection = calls.make("constructor", configuration);
    connection.ondatachannel = ({ channel }) => { calls.channel = channel; calls.listen(channel); };
    await connection.setRemoteDescription(offer);
    await connection.setLocalDescription(await connection.createAnswer());
    await calls.gathered(connection);
    calls.current = connection;
    return connection.localDescription.toJSON();
  },
  accept: (answer) => calls.current.setRemoteDescription(answer),
  listen(channel) {
    calls.heard = new Promise((resolve, reject) => {
      channel.onmessage = (event) => resolve(event.data);
      setTimeout(() => reject(new Error("no message came: " + calls.current?.iceConnectionState)), 12000);
    });
    calls.open = channel.readyState === "open" ? Promise.resolve() : new Promise((resolve, reject) => {
      channel.onopen = resolve;
      setTimeout(() => reject(new Error("never open: " + calls.current?.iceConnectionState)), 12000);
    });
    calls.heard.catch(() => undefined);
    calls.open.catch(() => undefined);
  },
  async say(text) {
    for (let turn = 0; calls.channel === undefined && turn < 100; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await calls.open;
 calls.channel.send(text); },
  hear: () => calls.heard,
  hangUp() { calls.channel = undefined; for (const connection of calls.connections.splice(0)) connection.close(); },
  async look() {
    const Peer = window.RTCPeerConnection;
    const error = (act) => { try { act(); return "none"; } catch (thrown) { return thrown.name + ": " + thrown.message; } };
    const made = new Peer();
    class Mine extends Peer { own() { return 7; } }
    const mine = new Mine({ iceServers: [] });
    const certificate = await Peer.generateCertificate({ name: "ECDSA", namedCurve: "P-256" });
    const frame = document.createElement("iframe");
    document.body.append(frame);
    const outer = frame.contentWindow.Function.prototype.toString;
    const all = {
      text: [Function.prototype.toString.call(Peer), Peer.toString(), String(Peer), outer.call(Peer)],
      setText: Function.prototype.toString.call(Peer.prototype.setConfiguration),
      names: [Peer.name, Peer.length, Object.getOwnPropertyNames(Peer).sort().join()],
      instance: [made instanceof Peer, made instanceof EventTarget, mine instanceof Mine, mine instanceof Peer, mine.own()],
      constructors: [made.constructor === Peer, Peer.prototype.constructor === Peer, mine.constructor === Mine,
        Object.getPrototypeOf(made) === Peer.prototype, Object.prototype.toString.call(made)],
      alias: "webkitRTCPeerConnection" in window ? window.webkitRTCPeerConnection === Peer : "none",
      descriptor: Object.entries(Object.getOwnPropertyDescriptor(window, "RTCPeerConnection"))
        .map(([key, value]) => key + "=" + typeof value + (key === "value" ? "" : value)).sort(),
      errors: [error(() => Peer()), error(() => new Peer(7)), error(() => new Peer({ iceTransportPolicy: "x" })),
        error(() => new Peer({ bundlePolicy: "x" })), error(() => new Peer({ certificates: 7 }))],
      certificate: [Object.prototype.toString.call(certificate), certificate.getFingerprints !== undefined],
      chosen: new Peer({ bundlePolicy: "max-bundle", certificates: [certificate] }).getConfiguration().bundlePolicy,
    };
    made.close(); mine.close(); frame.remove();
    return JSON.stringify(all, null, 1);
  },
};`;

interface PageCalls {
  ring(configuration: RTCConfiguration, offer: RTCSessionDescriptionInit): Promise<void>;
  gather(way: string, configuration: RTCConfiguration): Promise<Gathered>;
  offer(configuration: RTCConfiguration): Promise<RTCSessionDescriptionInit>;
  answer(
    configuration: RTCConfiguration,
    offer: RTCSessionDescriptionInit,
  ): Promise<RTCSessionDescriptionInit>;
  accept(answer: RTCSessionDescriptionInit): Promise<void>;
  say(text: string): Promise<void>;
  hear(): Promise<string>;
  hangUp(): void;
  look(): Promise<string>;
}
interface Gathered {
  readonly types: string[];
  readonly related: string[];
}

/** Calls one of the functions above in the page. */
function call<Name extends keyof PageCalls>(
  page: Page,
  name: Name,
  ...args: Parameters<PageCalls[Name]>
): Promise<Awaited<ReturnType<PageCalls[Name]>>> {
  return page.evaluate(
    (called: string, given: unknown[]) =>
      (window as unknown as { calls: Record<string, (...args: unknown[]) => unknown> }).calls[
        called
      ]?.(...given),
    name as string,
    args as unknown[],
  ) as Promise<Awaited<ReturnType<PageCalls[Name]>>>;
}

const WAYS = [
  "constructor",
  "alias",
  "subclass",
  "reflect",
  "prototype's constructor",
  "set afterwards",
  "blank frame",
  "frame from text",
];

for (const kind of bothBrowsers) {
  describe(`calls in ${kind}`, { timeout: 240_000 }, () => {
    let world: World;
    let sides: Sides;
    /** Named by the homeserver. */
    let own: TurnServer;
    /** Named by the page alone, as Element names `turn.matrix.org`. */
    let foreign: TurnServer;
    let configuration: RTCConfiguration;

    before(async () => {
      [own, foreign] = await Promise.all([startTurnServer(), startTurnServer()]);
      const turn = `turn:127.0.0.1:${own.port}?transport=udp`;
      world = await startWorld({
        synapseConfig: {
          turn_uris: [`stun:127.0.0.1:${own.port}`, turn],
          turn_username: own.username,
          turn_password: own.credential,
        },
      });
      sides = await openSides(kind, world);
      for (const side of [sides.without, sides.with]) {
        await side.signIn();
        await side.page.evaluate(PAGE_SCRIPT);
      }
      configuration = {
        iceServers: [
          { urls: [turn], username: own.username, credential: own.credential },
          { urls: `stun:127.0.0.1:${foreign.port}` },
          {
            urls: [`turn:127.0.0.1:${foreign.port}?transport=udp`],
            username: foreign.username,
            credential: foreign.credential,
          },
        ],
        // As Element sets it.
        iceCandidatePoolSize: 20,
        bundlePolicy: "max-bundle",
      };
    });

    after(async () => {
      await sides?.close();
      await world?.close();
      own?.close();
      foreign?.close();
    });

    /** Stores settings and waits until a connection made in the page shows that they are there. */
    async function inForce(
      settings: Record<string, unknown> | undefined,
      policy: RTCIceTransportPolicy,
      hasForeign: boolean,
    ): Promise<void> {
      await sides.settings(settings === undefined ? undefined : { version: 1, ...settings });
      const shown = (): Promise<string> =>
        sides.with.page.evaluate((given) => {
          // Without a pool it contacts nobody yet.
          const made = new RTCPeerConnection({ ...given, iceCandidatePoolSize: 0 });
          const { iceServers, iceTransportPolicy } = made.getConfiguration();
          made.close();
          return `${iceTransportPolicy} ${JSON.stringify(iceServers)}`;
        }, configuration);
      await until(
        async () => {
          const text = await shown();
          return (
            text.startsWith(policy) &&
            text.includes(`turn:127.0.0.1:${foreign.port}`) === hasForeign
          );
        },
        `${policy} with ${hasForeign ? "foreign" : "own"} servers`,
        30_000,
      );
    }

    it("says so when there is no relay to call through", async () => {
      const notices = async (page: Page): Promise<number> => (await noticeTexts(page)).length;
      const before = await notices(sides.with.page);
      await call(sides.with.page, "gather", "constructor", {
        iceServers: [{ urls: "stun:127.0.0.1:9" }],
      });
      assert.equal(await notices(sides.with.page), before + 1);
      await call(sides.with.page, "gather", "constructor", {});
      assert.equal(await notices(sides.with.page), before + 1, "the same notice twice");
    });

    it("hands on the homeserver's relays and not its STUN servers", async () => {
      const both = await onBoth(sides, (side) =>
        drive(side.page, "homeserverCall", "GET", "/_matrix/client/v3/voip/turnServer"),
      );
      const uris = (text: string): unknown => (JSON.parse(text) as { uris: string[] }).uris;
      const turn = `turn:127.0.0.1:${own.port}?transport=udp`;
      assert.deepEqual(uris(both.without.value.body), [`stun:127.0.0.1:${own.port}`, turn]);
      assert.deepEqual(uris(both.with.value.body), [turn]);
    });

    it("contacts nobody while a call rings", async () => {
      const offer = await call(sides.without.page, "offer", {});
      const contacted = async (side: Side): Promise<number> => {
        // Both sides have the same servers: what the other one sends late must not count here.
        await silence(own, foreign);
        await call(side.page, "ring", configuration, offer);
        const heard = (): number => own.packets.length + foreign.packets.length;
        // What must not come is waited for in vain; what must come is waited for long enough.
        if (side.name === "without" && kind === "chromium") {
          await until(() => heard() > 0, "a packet without Mantle", 30_000);
        } else {
          await pause(1_000);
        }
        const packets = heard();
        await call(side.page, "hangUp");
        return packets;
      };
      // Firefox knows no candidate pool, so there it gathers only once the call is answered.
      const bare = await contacted(sides.without);
      assert.equal(bare > 0, kind === "chromium", `${bare} packets without Mantle`);
      assert.equal(await contacted(sides.with), 0);
    });

    for (const way of WAYS) {
      it(`shows peers relays only, by way of ${way}`, async () => {
        const gather = async (side: Side): Promise<Gathered & { foreign: number }> => {
          own.clear();
          foreign.clear();
          const found = await call(side.page, "gather", way, configuration);
          await pause(100);
          return { ...found, foreign: foreign.packets.length };
        };
        if (way === "constructor") {
          const bare = await gather(sides.without);
          assert.ok(bare.types.includes("host") && bare.types.includes("relay"), `${bare.types}`);
          assert.ok(bare.foreign > 0);
        }
        const guarded = await gather(sides.with);
        assert.equal(guarded.foreign, 0, "packets to servers the homeserver does not name");
        // A frame has not heard of the homeserver's relay, so it contacts nobody at all.
        assert.deepEqual(guarded.types, way.includes("frame") ? [] : ["relay"]);
        assert.equal(own.packets.includes("allocate"), !way.includes("frame"));
        // Chromium hides it under this policy; Firefox repeats the relay's own address.
        if (kind === "chromium" && !way.includes("frame")) {
          assert.deepEqual(guarded.related, [" raddr 0.0.0.0 rport 0"]);
        }
      });
    }

    it("looks and fails like the browser's own", async () => {
      const [bare, guarded] = await Promise.all([
        call(sides.without.page, "look"),
        call(sides.with.page, "look"),
      ]);
      assert.equal(guarded, bare);
    });

    /** A call between a page without Mantle and one with it; resolves when both heard each other. */
    async function talk(callee: RTCConfiguration, caller: RTCConfiguration): Promise<void> {
      own.clear();
      foreign.clear();
      const offer = await call(sides.without.page, "offer", caller);
      const answer = await call(sides.with.page, "answer", callee, offer);
      await call(sides.without.page, "accept", answer);
      await Promise.all([
        call(sides.without.page, "say", "hello"),
        call(sides.with.page, "say", "and hello to you"),
      ]);
      assert.equal(await call(sides.with.page, "hear"), "hello");
      assert.equal(await call(sides.without.page, "hear"), "and hello to you");
      for (const side of [sides.without, sides.with]) await call(side.page, "hangUp");
    }

    it("a call to a peer works through the relay", async () => {
      await talk(configuration, { iceServers: configuration.iceServers?.slice(0, 1) ?? [] });
      assert.ok(own.relayed() > 0, "nothing went through the relay");
      assert.equal(foreign.packets.length, 0);
    });

    it("connects directly when that is chosen, and still asks no foreign server", async () => {
      await inForce({ options: { calls: { direct: true } } }, "all", false);
      await talk({ iceServers: configuration.iceServers?.slice(1) ?? [] }, {});
      assert.equal(own.relayed() + foreign.packets.length, 0);
      const { types } = await call(sides.with.page, "gather", "constructor", configuration);
      assert.ok(types.includes("host"), `${types}`);
      await inForce(undefined, "relay", false);
    });

    it("uses servers on the list, and everything when it is off", async () => {
      await inForce({ allow: { calls: [`127.0.0.1:${foreign.port}`] } }, "relay", true);
      foreign.clear();
      const listed = await call(sides.with.page, "gather", "constructor", configuration);
      assert.deepEqual(listed.types, ["relay"]);
      assert.ok(foreign.packets.includes("allocate"));
      await inForce({ shields: { calls: "off" } }, "all", true);
      foreign.clear();
      const off = await call(sides.with.page, "gather", "constructor", configuration);
      assert.ok(off.types.includes("host") && foreign.packets.length > 0, `${off.types}`);
      await inForce(undefined, "relay", false);
      const { types } = await call(sides.with.page, "gather", "constructor", configuration);
      assert.deepEqual(types, ["relay"]);
    });

    it("writes neither room name nor site into the Jitsi widget, nor tells them to frames", async () => {
      const both = await onBoth(sides, async (side) => {
        const { roomId } = await drive(side.page, "createRoom", {
          name: "jitsi room name",
          encrypted: false,
        });
        await drive(side.page, "roomName", roomId, "jitsi room name");
        const addresses = frameAddresses(side.page);
        await drive(side.page, "startJitsiCall", roomId);
        await drive(side.page, "openElementCall", roomId);
        return addresses("https://meet.element.io/");
      });
      const widget = (observed: typeof both.with): string => {
        const found = observed.seen.find(({ path }) =>
          path.includes("/state/im.vector.modular.widgets/"),
        );
        return JSON.stringify(sent(found));
      };
      assert.match(widget(both.without), /jitsi room name/);
      assert.match(widget(both.without), /chat\.example\.org/);
      assert.doesNotMatch(widget(both.with), /jitsi room name|chat\.example\.org/);
      assert.match(widget(both.with), /meet\.element\.io/);

      assert.ok(to(both.without, "meet.element.io").some(({ path }) => /well-known/.test(path)));
      assert.ok(!to(both.with, "meet.element.io").some(({ path }) => /well-known/.test(path)));
      assert.ok(to(both.without, "call.element.io").length > 0);
      assertNone(both.with, "call.element.io");

      const user = /userInfo\.email=%22(%40|%2540)|config\.subject=%22j/;
      assert.ok(both.without.value.some((url) => url.startsWith("https://meet.element.io/")));
      assert.ok(
        both.without.value.some((url) => user.test(url)),
        both.without.value.join(" "),
      );
      assert.ok(both.with.value.some((url) => url.startsWith("https://meet.element.io/")));
      assert.ok(!both.with.value.some((url) => user.test(url)), both.with.value.join(" "));
    });

    it("tells a Jitsi page no more where the call has a window of its own", async () => {
      // As Element opens it: its wrapper, on its own site, with everything behind the #.
      const call = new URLSearchParams({
        conferenceDomain: "meet.element.io",
        conferenceId: "garden",
        displayName: "Robin",
        userId: "@robin:hs.example.org",
        roomName: "jitsi room name",
      });
      const both = await onBoth(sides, async ({ page }) => {
        const own = await page.browser().newPage();
        const addresses = frameAddresses(own);
        await own.goto(`https://chat.example.org/jitsi.html#${call.toString()}`);
        const told = await addresses("https://meet.element.io/");
        await own.close();
        return told.filter((url) => url.startsWith("https://meet.element.io/"));
      });
      for (const { value } of [both.without, both.with]) assert.notEqual(value.length, 0);
      const who = /robin(:|%3A|%253A)hs|jitsi(\+|%20|%2520)room/i;
      assert.ok(both.without.value.every((url) => who.test(url)));
      assert.ok(
        both.with.value.every((url) => !who.test(url)),
        both.with.value.join(" "),
      );
    });

    it("tells the call page that Element brings along no IDs for statistics", async () => {
      const given = "https://chat.example.org/widgets/element-call/index.html#?userId=a&lang=de";
      const both = await onBoth(sides, ({ page }) =>
        page.evaluate((url) => {
          const frame = document.createElement("iframe");
          frame.src = `${url}&posthogUserId=7&sentryDsn=x&rageshakeSubmitUrl=y&analyticsID=z`;
          return frame.src;
        }, given),
      );
      assert.match(both.without.value, /posthogUserId=7.*analyticsID=z/);
      assert.equal(both.with.value, given);
    });

    it("sends no address in the call events of a clear room, and looks no number up", async () => {
      const both = await onBoth(sides, async (side) => {
        const { roomId } = await drive(side.page, "createRoom", {
          name: "clear",
          encrypted: false,
        });
        await drive(side.page, "sendEvent", roomId, "m.call.invite", {
          call_id: "1",
          version: "1",
          lifetime: 60_000,
          offer: { type: "offer", sdp: "v=0\r\na=candidate:1 1 udp 1 192.0.2.7 5 typ host\r\n" },
        });
        await drive(side.page, "sendEvent", roomId, "m.call.candidates", {
          call_id: "1",
          version: "1",
          candidates: [
            { candidate: "candidate:1 1 udp 1 192.0.2.7 5 typ host", sdpMLineIndex: 0 },
            { candidate: "candidate:2 1 udp 1 192.0.2.9 5 typ relay raddr 192.0.2.7 rport 5" },
          ],
        });
        const sdp = "v=0\r\na=candidate:1 1 udp 1 192.0.2.7 5 typ srflx raddr 10.0.0.1 rport 5\r\n";
        const answer = { call_id: "1", version: "1", answer: { type: "answer", sdp } };
        await drive(side.page, "sendEvent", roomId, "m.call.answer", answer);
        await drive(side.page, "dial", "+441632960000");
      });
      const bodies = (observed: typeof both.with): string[] =>
        ["invite", "candidates", "answer"].map((type) =>
          JSON.stringify(sent(observed.seen.find(({ path }) => path.includes(`m.call.${type}`)))),
        );
      for (const body of bodies(both.without)) assert.match(body, /192\.0\.2\.7/);
      for (const body of bodies(both.with)) assert.doesNotMatch(body, /192\.0\.2\.7|10\.0\.0\.1/);
      // The relay's address is what the call goes by.
      assert.match(bodies(both.with)[1] ?? "", /192\.0\.2\.9/);
      const dialled = (observed: typeof both.with): number =>
        observed.seen.filter(({ path }) => path.includes("/thirdparty/user/")).length;
      assert.ok(dialled(both.without) > 0);
      assert.equal(dialled(both.with), 0);
    });
  });
}

/** Waits until the servers hear nothing any more, and begins anew. */
async function silence(...servers: readonly TurnServer[]): Promise<void> {
  const limit = Date.now() + 20_000;
  do {
    assert.ok(Date.now() < limit, "the calls before never fell silent");
    for (const server of servers) server.clear();
    await pause(700);
  } while (servers.some(({ packets }) => packets.length > 0));
}

/**
 * Addresses of frames that load in the page from now on, with what stands behind the `#`; waits a
 * while for one that begins like this, since the browser tells of frames when it comes to it.
 */
function frameAddresses(page: Page): (wanted: string) => Promise<string[]> {
  const addresses: string[] = [];
  const add = (frame: { url(): string }): void => {
    addresses.push(frame.url());
  };
  page.on("framenavigated", add);
  return async (wanted) => {
    const limit = Date.now() + 10_000;
    while (!addresses.some((one) => one.startsWith(wanted)) && Date.now() < limit) await pause(50);
    page.off("framenavigated", add);
    return addresses;
  };
}
