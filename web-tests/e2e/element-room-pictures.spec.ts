/** Encrypted pictures of rooms where Element's own interface shows them. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { elementInstalled } from "../element/build.ts";
import { elementPage, LIMIT, ready, signIn } from "../element/page.ts";
import { UI } from "../element/selectors.ts";
import { openRoom } from "../element/session.ts";
import { visitor } from "../element/visitor.ts";
import type { Visitor } from "../element/visitor.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { sendForgery } from "../support/hostile-member.ts";
import { startPeer } from "../support/peer.ts";
import type { Peer } from "../support/peer.ts";
import { avatarContent, plainPicture, sealFile, upload } from "../support/pictures.ts";
import type { Account } from "../support/synapse.ts";
import { startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";

const PASSWORD = "correct horse battery staple";
const NAME = "Garden";
const FLAGGED = {
  algorithm: "m.megolm.v1.aes-sha2",
  "io.element.msc4362.encrypt_state_events": true,
};
const skip = elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

for (const kind of bothBrowsers) {
  describe(`Element's pictures of rooms in ${kind}`, { skip, timeout: 480_000 }, () => {
    let world: World;
    let alice: Visitor;
    let carol: Peer;
    let carolAccount: Account;
    let roomId: string;

    before(async () => {
      // Version 12 gives creators no power in this version of the SDK.
      world = await startWorld({ synapseConfig: { default_room_version: "11" } });
      const account = await world.synapse.register("alice", PASSWORD);
      carolAccount = await world.synapse.register("carol", PASSWORD);
      carol = await startPeer(world.synapse, carolAccount);
      alice = await visitor(world, kind, true, { "chat.example.org": await elementPage() });
      await signIn(alice.page, "alice", PASSWORD);
      const encryption = { type: "m.room.encryption", state_key: "", content: FLAGGED };
      const options = {
        preset: "private_chat",
        name: NAME,
        invite: [account.userId],
        initial_state: [encryption],
      };
      const path = "/_matrix/client/v3/createRoom";
      const made = await world.synapse.call(carolAccount, "POST", path, options);
      roomId = String(made["room_id"]);
      const join = `/_matrix/client/v3/join/${encodeURIComponent(roomId)}`;
      await world.synapse.call(account, "POST", join, {});
      await openRoom(alice.page, NAME);
      // Her client knows by then who is to have her keys.
      await carol.send(roomId, "Hello");
    });

    after(async () => {
      carol?.stop();
      await alice?.close();
      await world?.close();
    });

    /** Waits until the list and the head of the room show a picture of so many pixels. */
    const seePicture = (width: number): Promise<unknown> =>
      alice.page.waitForFunction(
        (wanted: number, places: string[]) =>
          places.every((place) => {
            const picture = document.querySelector<HTMLImageElement>(`${place} img`);
            return picture?.src.startsWith("blob:") === true && picture.naturalWidth === wanted;
          }),
        LIMIT,
        width,
        [UI.roomTile, UI.roomHeader],
      );
    const set = async (width: number): Promise<void> => {
      const sealed = sealFile(plainPicture([200, 40, 40], width));
      const uri = await upload(world.synapse, carolAccount, sealed.ciphertext);
      await sendForgery(world.synapse, carolAccount, carol, roomId, {
        type: "m.room.avatar",
        content: JSON.stringify(avatarContent(uri, sealed)),
      });
    };

    it("one is in the list and at the head of the room, and so is the next", async () => {
      await set(100);
      await seePicture(100);
      await set(120);
      await seePicture(120);
    });

    it("it is there after a reload", async () => {
      await alice.page.reload({ waitUntil: "load", ...LIMIT });
      await ready(alice.page);
      await openRoom(alice.page, NAME);
      await seePicture(120);
    });

    it("one that is taken away is gone", async () => {
      await sendForgery(world.synapse, carolAccount, carol, roomId, {
        type: "m.room.avatar",
        content: "{}",
      });
      await alice.page.waitForFunction(
        (picture) => document.querySelector(picture) === null,
        LIMIT,
        `${UI.roomTile} img, ${UI.roomHeader} img`,
      );
      // The letter in its place.
      const letter = await alice.page.$eval(UI.roomLetter, (avatar) => avatar.textContent);
      assert.equal(letter, NAME[0]);
    });
  });
}
