/** Keys of older messages: they go along with an invitation only if the person says so. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive } from "../../support/client-page.ts";
import { startPeer } from "../../support/peer.ts";
import type { Peer } from "../../support/peer.ts";
import { isAsked, openQuestion, press } from "../../support/question.ts";
import type { SeenQuestion } from "../../support/question.ts";
import type { Exchange } from "../../support/recorder.ts";
import { startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { openSides } from "./sides.ts";
import type { Side, Sides } from "./sides.ts";

const HS = "hs.example.org";
const OLD = "written before the invitation";
const NEW = "written after it";
const WITHOUT = "Invite without them";
const ALONG = "Hand the keys over";

for (const kind of bothBrowsers) {
  describe(`keys of older messages in ${kind}`, { timeout: 600_000 }, () => {
    let world: World;
    let sides: Sides;
    let people = 0;
    const peers: Peer[] = [];

    before(async () => {
      world = await startWorld();
      sides = await openSides(kind, world);
      await Promise.all([sides.without.signIn(), sides.with.signIn()]);
    });
    after(async () => {
      for (const peer of peers) peer.stop();
      await sides?.close();
      await world?.close();
    });

    /** Somebody whose client takes such keys. */
    async function someone(): Promise<{ userId: string; peer: Peer }> {
      people += 1;
      const account = await world.synapse.register(`guest-${kind}-${people}`, "a long password");
      const peer = await startPeer(world.synapse, account);
      peers.push(peer);
      // Keys are only given to devices that their owner has signed.
      await peer.client.getCrypto()?.bootstrapCrossSigning({
        authUploadDeviceSigningKeys: async (upload) => {
          await upload(null);
        },
      });
      return { userId: account.userId, peer };
    }

    /** A room in which something was written, and nobody else is. */
    async function roomOf(side: Side, encrypted: boolean): Promise<string> {
      const { roomId } = await drive(side.page, "createRoom", { name: "Garden", encrypted });
      if (encrypted) await drive(side.page, "sendText", roomId, OLD);
      side.recorder.clear();
      return roomId;
    }

    const uploads = ({ recorder }: Side): Exchange[] =>
      recorder
        .to(HS)
        .filter(({ method, path }) => method === "POST" && path.includes("/media/v3/upload"));
    const invitations = ({ recorder }: Side): Exchange[] =>
      recorder.to(HS).filter(({ method, path }) => method === "POST" && path.endsWith("/invite"));

    /** Invites with Mantle and answers the question. */
    async function inviteAnswering(
      roomId: string,
      userId: string,
      answers: readonly string[],
    ): Promise<void> {
      const { page } = sides.with;
      const running = drive(page, "inviteUser", roomId, userId);
      const { title } = await questionAbout(page, userId);
      assert.match(title, /keys of older messages/);
      assert.equal(invitations(sides.with).length, 0, "invited before the answer");
      for (const answer of answers) await press(page, answer);
      await running;
      assert.equal(invitations(sides.with).length, 1);
    }

    it("a session that its owner has not verified has none to give, and nobody is asked", async () => {
      const roomId = await roomOf(sides.with, true);
      await drive(sides.with.page, "inviteUser", roomId, (await someone()).userId);
      assert.equal(uploads(sides.with).length, 0);
    });

    it("without Mantle they go along, and the invited person reads what was written before", async () => {
      await drive(sides.without.page, "signOwnDevice");
      const roomId = await roomOf(sides.without, true);
      const { userId, peer } = await someone();
      await drive(sides.without.page, "inviteUser", roomId, userId);
      assert.equal(uploads(sides.without).length, 1);
      await accept(peer, roomId);
      await peer.receive(roomId, OLD);
    });

    it("with Mantle they stay, and the invitation goes out", async () => {
      await drive(sides.with.page, "signOwnDevice");
      const roomId = await roomOf(sides.with, true);
      const { userId, peer } = await someone();
      await inviteAnswering(roomId, userId, [WITHOUT]);
      assert.equal(uploads(sides.with).length, 0);
      await accept(peer, roomId);
      await drive(sides.with.page, "sendText", roomId, NEW);
      await peer.receive(roomId, NEW);
      assert.deepEqual(await texts(peer, roomId), [NEW]);
    });

    it("they go along when told to, without a further question where the person wants none", async () => {
      const roomId = await roomOf(sides.with, true);
      const guest = await someone();
      await inviteAnswering(roomId, guest.userId, ["Do not ask again for this room", ALONG]);
      assert.equal(uploads(sides.with).length, 1);
      await accept(guest.peer, roomId);
      await guest.peer.receive(roomId, OLD);
      sides.with.recorder.clear();
      // Nobody answers a question here.
      await drive(sides.with.page, "inviteUser", roomId, (await someone()).userId);
      assert.equal(uploads(sides.with).length, 1);
    });

    it("two invitations at once are asked about one after the other, and a no answers further ones", async () => {
      const roomId = await roomOf(sides.with, true);
      const [first, second, third] = [await someone(), await someone(), await someone()];
      const { page } = sides.with;
      const running = [first, second].map(({ userId }) =>
        drive(page, "inviteUser", roomId, userId),
      );
      await questionAbout(page, first.userId);
      await press(page, ALONG);
      await questionAbout(page, second.userId);
      await press(page, WITHOUT);
      await Promise.all(running);
      assert.equal(uploads(sides.with).length, 1);
      // Nobody answers a question here.
      await drive(page, "inviteUser", roomId, third.userId);
      assert.equal(invitations(sides.with).length, 3);
      assert.equal(uploads(sides.with).length, 1);
    });

    it("nobody is asked about a room without encryption", async () => {
      const roomId = await roomOf(sides.with, false);
      await drive(sides.with.page, "inviteUser", roomId, (await someone()).userId);
      assert.equal(invitations(sides.with).length, 1);
      assert.equal(await isAsked(sides.with.page), false);
    });

    it("with the switch off they go along, and nobody is asked", async () => {
      await sides.settings({ version: 1, shields: { "history-keys": "off" } });
      const { page } = sides.with;
      // The open page takes the switch when it is told; until then it asks.
      for (;;) {
        const roomId = await roomOf(sides.with, true);
        let isOver = false;
        const over = (): boolean => (isOver = true);
        const running = drive(page, "inviteUser", roomId, (await someone()).userId);
        running.then(over, over);
        while (!isOver && !(await isAsked(page))) {
          await new Promise((resume) => setTimeout(resume, 50));
        }
        if (!isOver) await press(page, WITHOUT);
        await running;
        if (uploads(sides.with).length === 1) break;
      }
      await sides.settings(undefined);
    });
  });
}

/** Waits for the question that names this person; the one before it may still be closing. */
async function questionAbout(page: Page, userId: string): Promise<SeenQuestion> {
  const limit = Date.now() + 60_000;
  for (;;) {
    const question = await openQuestion(page, 60_000).catch(() => undefined);
    if (question?.text.join(" ").includes(userId) === true) return question;
    if (Date.now() > limit) throw new Error(`Nobody is asked about ${userId}.`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

/** Keys are only taken of whom the invitation is known to be from. */
async function accept(peer: Peer, roomId: string): Promise<void> {
  const isInvited = (): boolean => peer.client.getRoom(roomId)?.getMyMembership() === "invite";
  const limit = Date.now() + 60_000;
  while (!isInvited()) {
    if (Date.now() > limit) throw new Error("The invitation did not arrive.");
    await new Promise((resume) => setTimeout(resume, 100));
  }
  await peer.join(roomId);
}

/** What somebody can read in a room. */
async function texts(peer: Peer, roomId: string): Promise<string[]> {
  const events = peer.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
  return events
    .filter((event) => !event.isDecryptionFailure() && event.getType() === "m.room.message")
    .map((event) => String(event.getContent()["body"]));
}
