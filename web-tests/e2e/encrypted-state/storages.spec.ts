/**
 * What is kept of encrypted state where one site has several storages, and where a disk fails: a
 * container beside, and a second tab that goes on while the first cannot store.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { BrowserContext, Page } from "puppeteer-core";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive, runBeforeMantle, tryToDrive } from "../../support/client-page.ts";
import { startPeer } from "../../support/peer.ts";
import type { Peer } from "../../support/peer.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { callApi, launchMantle } from "../extension-pages.ts";
import type { ExtensionBrowser } from "../extension-pages.ts";
import { FULL_DISK, PASSWORD, openNew } from "./people.ts";
import type { Guarded } from "./people.ts";

const SITE = "chat.example.org";

interface Sent {
  readonly sessionId: string;
  readonly index: number;
}

/** The place of a Megolm message: a version, then fields of which the first is the index. */
function indexOf(ciphertext: string): number {
  const [version, field, ...rest] = Buffer.from(ciphertext, "base64");
  assert.deepEqual([version, field], [3, 0x08]);
  let index = 0;
  for (const [at, byte] of rest.entries()) {
    index += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return index;
  }
  throw new Error("The message has no index");
}

/** Every encrypted state event of a room, newest first, as the homeserver has them. */
async function sentIn({ synapse }: World, by: Guarded, roomId: string): Promise<Sent[]> {
  const account = { ...by.credentials, accessToken: by.accessToken() };
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=500`;
  const { chunk } = await synapse.call(account, "GET", path);
  const found: Sent[] = [];
  for (const event of chunk as Record<string, unknown>[]) {
    if (event["type"] !== "m.room.encrypted" || event["state_key"] === undefined) continue;
    const content = event["content"] as { session_id: string; ciphertext: string };
    found.push({ sessionId: content.session_id, index: indexOf(content.ciphertext) });
  }
  return found;
}

for (const kind of bothBrowsers) {
  describe(`storages of one site in ${kind}`, { timeout: 420_000 }, () => {
    let world: World;
    let browser: ExtensionBrowser;

    before(async () => {
      world = await startWorld();
      browser = await launchMantle(kind, world.recorder.port);
    });
    after(async () => {
      await browser?.close();
      await world?.close();
    });

    /** What the extension keeps: names of entries of encrypted state, by where they lie. */
    const kept = async (): Promise<{ disk: string[]; memory: string[] }> => {
      const page = await browser.openExtensionPage("popup.html");
      const names = async (area: string): Promise<string[]> =>
        Object.keys(await callApi<Record<string, unknown>>(page, `storage.${area}.get`, null));
      const found = { disk: await names("local"), memory: await names("session") };
      await page.close();
      const isState = (name: string): boolean => /^page\/.*\/state\//.test(name);
      return { disk: found.disk.filter(isState), memory: found.memory.filter(isState) };
    };

    const inFirefox = { skip: kind !== "firefox" && "Only Firefox has containers" };
    it(
      "goes on with its own keys whatever a container at the same site does",
      inFirefox,
      async () => {
        const alice = await openNew(world, browser, "alice", SITE);
        const { roomId } = await drive(alice.page, "createRoom", {
          name: "Home canary",
          encrypted: true,
        });
        await alice.seeName(roomId, "Home canary");
        const onDisk = (await kept()).disk.length;
        assert.ok(onDisk > 0, "Mantle keeps Alice's sessions");
        const context: BrowserContext = await browser.browser.createBrowserContext();
        const bob = await openNew(world, context, "bob", SITE);
        const { roomId: bobs } = await drive(bob.page, "createRoom", {
          name: "Shop canary",
          encrypted: true,
        });
        await bob.seeName(bobs, "Shop canary");
        assert.equal((await sentIn(world, bob, bobs)).length, 1, "Mantle works there");
        // Each starts anew from what it kept, the other being there.
        await alice.restart({ reload: true, clearCache: true });
        await alice.seeName(roomId, "Home canary");
        await bob.restart({ reload: true, clearCache: true });
        await bob.seeName(bobs, "Shop canary");
        await alice.rename(roomId, "House canary");
        await bob.rename(bobs, "Market canary");
        await context.close();
        await alice.restart({ reload: true, clearCache: true });
        await alice.seeName(roomId, "House canary");
        await alice.rename(roomId, "Hearth canary");
        await alice.seeName(roomId, "Hearth canary");
        const sent = await sentIn(world, alice, roomId);
        assert.deepEqual(
          sent.map(({ index }) => index),
          [2, 1, 0],
        );
        assert.equal(new Set(sent.map(({ sessionId }) => sessionId)).size, 1, "one key throughout");
      },
    );

    describe("two tabs on a disk that fails", () => {
      let peer: Peer;

      after(() => peer?.stop());

      it("use no place of a key twice, and everyone sees what was sent", async () => {
        const account = await world.synapse.register("reader", PASSWORD);
        peer = await startPeer(world.synapse, account, { encryptedState: true });
        const tabs: { newPage(): Promise<Page> } = {
          newPage: async () => {
            const page = await browser.newPage();
            await runBeforeMantle(page, FULL_DISK);
            return page;
          },
        };
        const first = await openNew(world, tabs, "carol", "app.element.io");
        const { roomId } = await drive(first.page, "createRoom", {
          name: "Well canary",
          encrypted: true,
          invite: [peer.userId],
        });
        await first.seeName(roomId, "Well canary");
        await peer.join(roomId);
        await peer.seeName(roomId, "Well canary");
        await first.rename(roomId, "Spring canary");
        await peer.seeName(roomId, "Spring canary");

        for (const round of ["once", "again"]) {
          await first.page.evaluate("window.diskFull = true");
          const lost = await tryToDrive(first.page, "setRoomName", roomId, `Lost ${round} canary`);
          assert.ok(!lost.ok);
          assert.match(lost.error, /could not store the room's key, so nothing was sent/);
          await drive(first.page, "stop");
          const second = await first.secondTab();
          await second.rename(roomId, `Brook ${round} canary`);
          await peer.seeName(roomId, `Brook ${round} canary`);
          await drive(second.page, "stop");
          // What the first tab could not store may be stored now, beside what the second did.
          await first.page.evaluate("window.diskFull = false");
          await first.restart();
          await first.rename(roomId, `River ${round} canary`);
          await peer.seeName(roomId, `River ${round} canary`);
          await second.page.close();
        }
        const sent = await sentIn(world, first, roomId);
        const places = sent.map(({ sessionId, index }) => `${sessionId} ${index}`);
        assert.ok(places.length >= 6, places.join("\n"));
        assert.equal(new Set(places).size, places.length, places.join("\n"));
      });
    });
  });
}
