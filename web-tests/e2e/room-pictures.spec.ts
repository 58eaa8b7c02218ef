/**
 * Pictures of rooms that encrypt their state, as somebody with Mantle is shown them; and those that
 * nobody is shown. Each step goes on where the one before ended.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../support/browsers.ts";
import { drive, unhandled } from "../support/client-page.ts";
import { putState, sendForgery } from "../support/hostile-member.ts";
import { startPeer } from "../support/peer.ts";
import type { Peer } from "../support/peer.ts";
import { avatarContent, plainPicture, sealFile, upload, withSize } from "../support/pictures.ts";
import type { Colour, SealedFile } from "../support/pictures.ts";
import { corsHeaders, forward } from "../support/recorder.ts";
import type { Exchange, Recorder } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { givePower, PASSWORD, startMixedWorld, WITHOUT_MANTLE } from "./encrypted-state/people.ts";
import type { Guarded, MixedWorld } from "./encrypted-state/people.ts";
import { until } from "./extension-pages.ts";

/** Longest wait for something that must happen. */
const LIMIT = 45_000;
const RED: Colour = [220, 30, 40];
const GREEN: Colour = [20, 160, 60];
const BLUE: Colour = [30, 60, 200];

for (const kind of bothBrowsers) {
  describe(`encrypted pictures of rooms in ${kind}`, { timeout: 600_000 }, () => {
    let mixed: MixedWorld;
    let world: World;
    let recorder: Recorder;
    let alice: Guarded;
    /** Without Mantle. */
    let dave: Guarded;
    let carol: Peer;
    let carolAccount: Account;
    let roomId: string;
    /** A room whose state is readable. */
    let readableId: string;

    before(async () => {
      mixed = await startMixedWorld(kind);
      ({ world, recorder } = mixed);
      alice = await mixed.open("alice", "chat.example.org");
      dave = await mixed.open("dave", WITHOUT_MANTLE);
      carolAccount = await world.synapse.register("carol", PASSWORD);
      carol = await startPeer(world.synapse, carolAccount);
      ({ roomId } = await drive(alice.page, "createRoom", {
        name: "Garden",
        encrypted: true,
        invite: [dave.userId, carol.userId],
      }));
      ({ room_id: readableId } = (await world.synapse.call(
        carolAccount,
        "POST",
        "/_matrix/client/v3/createRoom",
        { invite: [alice.userId], preset: "private_chat" },
      )) as { room_id: string });
      await dave.join(roomId);
      await carol.join(roomId);
      await alice.join(readableId);
      // Her client knows by then who is to have her keys.
      await carol.send(roomId, "Hello");
      await alice.receive(roomId, "Hello");
      await givePower(world, alice.credentials, roomId, carol.userId);
    });

    after(async () => {
      carol?.stop();
      await mixed?.close();
    });

    const set = (content: unknown): Promise<string> =>
      sendForgery(world.synapse, carolAccount, carol, roomId, {
        type: "m.room.avatar",
        content: JSON.stringify(content),
      });
    const uploaded = (sealed: SealedFile): Promise<string> =>
      upload(world.synapse, carolAccount, sealed.ciphertext);
    /** Sets a picture; gives its address. */
    const setPicture = async (bytes: Buffer): Promise<string> => {
      const sealed = sealFile(bytes);
      const uri = await uploaded(sealed);
      await set(avatarContent(uri, sealed));
      return uri;
    };
    const downloads = (uri: string, { credentials }: Guarded): Exchange[] =>
      recorder
        .to(HOMESERVER)
        .filter(({ path }) => path.includes(uri.slice("mxc://".length)))
        .filter(({ headers }) => headers.authorization === `Bearer ${credentials.accessToken}`);
    const isHeld = async (uri: string): Promise<boolean> => {
      const held = await drive(alice.page, "heldState", roomId, "m.room.avatar");
      return (held?.content["file"] as { url?: string } | undefined)?.url === uri;
    };
    /**
     * A picture that must not be shown: it was asked for under its name, and another one that came
     * after it is shown already.
     */
    const isRefused = async (content: Record<string, unknown>, isFetched: boolean) => {
      const uri = String((content["file"] as { url: string }).url);
      await set(content);
      await until(() => isHeld(uri), "the event is there", LIMIT);
      const held = await drive(alice.page, "heldState", roomId, "m.room.avatar");
      const name = held?.content["url"];
      if (typeof name === "string") {
        assert.equal(await drive(alice.page, "pictureAddress", name), null);
      }
      if (isFetched) {
        const isDone = (): boolean => downloads(uri, alice).some(({ status }) => status === 200);
        await until(async () => isDone(), "it was fetched", LIMIT);
      }
      const colour: Colour = [Math.floor(Math.random() * 200), 100, 50];
      await setPicture(plainPicture(colour, 40));
      await drive(alice.page, "seeRoomPicture", roomId, colour);
      if (typeof name === "string") {
        assert.equal(await drive(alice.page, "pictureAddress", name), null);
      }
      assert.equal(downloads(uri, alice).length, isFetched ? 1 : 0);
    };

    it("a picture is shown, made small here, and Element is told when it is", async () => {
      await drive(alice.page, "watchRoomPicture", roomId);
      const uri = await setPicture(plainPicture(RED, 600, 300));
      const shown = await drive(alice.page, "seeRoomPicture", roomId, RED);
      assert.match(shown.url ?? "", /^blob:https:\/\/chat\.example\.org\//);
      assert.deepEqual([shown.width, shown.height], [384, 192]);
      // Nothing to show as it came; the same event once more when there was.
      await until(
        async () => (await drive(alice.page, "pictureChanges")).some(({ url }) => url !== null),
        "the event is another object",
        LIMIT,
      );
      const changes = await drive(alice.page, "pictureChanges");
      assert.equal(changes[0]?.url, null);
      assert.equal(changes.at(-1)?.url, shown.url);
      assert.equal(new Set(changes.map(({ eventId }) => eventId)).size, 1);
      // The whole of it once, no thumbnail of the homeserver's.
      assert.deepEqual(
        downloads(uri, alice).map(({ method, path }) => `${method} ${path.split("?")[0] ?? ""}`),
        [`GET /_matrix/client/v1/media/download/${uri.slice("mxc://".length)}`],
      );
    });

    it("without Mantle there is none, and nothing is fetched", async () => {
      const held = await drive(alice.page, "heldState", roomId, "m.room.avatar");
      const { url: uri } = held?.content["file"] as { url: string };
      assert.equal(downloads(uri, alice).length, 1);
      await carol.send(roomId, "The picture is set");
      await dave.receive(roomId, "The picture is set");
      const shown = await drive(dave.page, "roomPicture", roomId);
      assert.equal(shown.url, null);
      assert.deepEqual(downloads(uri, dave), []);
      assert.deepEqual(await unhandled(dave.page), []);
    });

    it("another one takes its place, and the earlier keeps its own", async () => {
      const before = await drive(alice.page, "roomPicture", roomId);
      await setPicture(plainPicture(GREEN, 96));
      const shown = await drive(alice.page, "seeRoomPicture", roomId, GREEN);
      assert.deepEqual([shown.width, shown.height], [96, 96]);
      assert.notEqual(shown.url, before.url);
    });

    it("it is there after a reload, and from an empty cache", async () => {
      await alice.restart({ reload: true });
      await drive(alice.page, "seeRoomPicture", roomId, GREEN);
      await alice.restart({ reload: true, clearCache: true });
      await drive(alice.page, "seeRoomPicture", roomId, GREEN);
    });

    it("a readable picture is shown as ever", async () => {
      const uri = await upload(world.synapse, carolAccount, plainPicture(BLUE, 30));
      await putState(world.synapse, carolAccount, readableId, "m.room.avatar", "", { url: uri });
      await until(
        async () => (await drive(alice.page, "roomPicture", readableId)).url !== null,
        "it has an address",
        LIMIT,
      );
      const { url } = await drive(alice.page, "roomPicture", readableId);
      assert.match(url ?? "", /^https:\/\/hs\.example\.org\/_matrix\/.*\/thumbnail\//);
    });

    it("an encrypted one in a room whose state is readable is none", async () => {
      const sealed = sealFile(plainPicture(BLUE, 30));
      const uri = await uploaded(sealed);
      const content = avatarContent(uri, sealed);
      await putState(world.synapse, carolAccount, readableId, "m.room.avatar", "", content);
      const isThere = async (): Promise<boolean> =>
        (await drive(alice.page, "heldState", readableId, "m.room.avatar"))?.content["file"] !==
        undefined;
      await until(isThere, "the event is there", LIMIT);
      assert.equal((await drive(alice.page, "roomPicture", readableId)).url, null);
      await setPicture(plainPicture(RED, 30));
      await drive(alice.page, "seeRoomPicture", roomId, RED);
      assert.equal((await drive(alice.page, "roomPicture", readableId)).url, null);
      assert.equal(downloads(uri, alice).length, 0);
    });

    it("bytes with another hash are not shown", async () => {
      const [mine, other] = [sealFile(plainPicture(BLUE, 30)), sealFile(plainPicture(RED, 31))];
      await isRefused(avatarContent(await uploaded(mine), { ...mine, sha256: other.sha256 }), true);
    });

    it("nor another's ciphertext in the place of the picture's", async () => {
      const [mine, other] = [sealFile(plainPicture(BLUE, 30)), sealFile(plainPicture(RED, 31))];
      await isRefused(avatarContent(await uploaded(other), mine), true);
    });

    it("nor an SVG, whatever it is said to be", async () => {
      const text = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>`;
      const sealed = sealFile(Buffer.from(text));
      await isRefused(avatarContent(await uploaded(sealed), sealed), true);
    });

    it("nor a picture that becomes gigabytes when it is decoded", async () => {
      const sealed = sealFile(withSize(plainPicture(BLUE, 30), 60_000));
      await isRefused(avatarContent(await uploaded(sealed), sealed), true);
    });

    it("nor one of 50 MB, of which no more is read than a picture has", async () => {
      const sealed = sealFile(plainPicture(BLUE, 30));
      const uri = await uploaded(sealed);
      let isGivenUp = false;
      // The rest never comes: whoever waits for it waits in vain.
      recorder.route(HOMESERVER, (request, response) => {
        const isIt = request.path.includes(uri.slice("mxc://".length));
        if (request.method === "OPTIONS" || !isIt) {
          return forward(world.synapse.baseUrl, request, response);
        }
        response.once("close", () => (isGivenUp = true));
        response.writeHead(200, { ...corsHeaders(request.headers), "Content-Length": 50_000_000 });
        response.write(Buffer.alloc(11_000_000));
        return undefined;
      });
      await isRefused(avatarContent(uri, sealed), true);
      await until(async () => isGivenUp, "it is given up", LIMIT);
      assert.equal(downloads(uri, alice).length, 1);
      // One that says so itself is not even asked for.
      const info = { mimetype: "image/png", size: 50_000_000 };
      await isRefused(avatarContent(await uploaded(sealed), sealed, info), false);
    });

    it("a wrong key for the same file takes nothing from the right one", async () => {
      const sealed = sealFile(plainPicture(GREEN, 50));
      const uri = await uploaded(sealed);
      const wrong = { ...sealed, key: sealFile(Buffer.alloc(1)).key };
      await set(avatarContent(uri, wrong));
      await until(() => isHeld(uri), "the event is there", LIMIT);
      assert.equal((await drive(alice.page, "roomPicture", roomId)).url, null);
      await set(avatarContent(uri, sealed));
      await drive(alice.page, "seeRoomPicture", roomId, GREEN);
      assert.deepEqual(await unhandled(alice.page), []);
    });
  });
}
