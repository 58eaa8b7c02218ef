/** Names on devices that come after the room: of the only person in it, and of somebody without any. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { testBuild } from "../../report/run.ts";
import { bothBrowsers, launch } from "../../support/browsers.ts";
import { clientPage, drive } from "../../support/client-page.ts";
import { lyingHomeserver } from "../../support/lies.ts";
import type { LyingHomeserver } from "../../support/lies.ts";
import { HOMESERVER, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import { pause, until } from "../extension-pages.ts";
import { openGuarded } from "./people.ts";
import type { Guarded } from "./people.ts";

const PASSWORD = "correct horse battery staple";
/** Each has a storage of its own, as on a device of its own. */
const [FIRST, SECOND, THIRD, FOURTH] = [
  "chat.example.org",
  "app.element.io",
  "develop.element.io",
  "staging.element.io",
];
/** Longer than a new device is waited for. */
const LATE = 8_000;

for (const kind of bothBrowsers) {
  describe(`devices after the room in ${kind}`, { timeout: 300_000 }, () => {
    let world: World;
    let browser: Awaited<ReturnType<typeof launch>>;
    let liar: LyingHomeserver;
    let alice: Guarded;
    let roomId: string;

    const device = (site: string, user: string): Promise<Guarded> =>
      openGuarded(browser, {
        label: `${user} at ${site}`,
        site,
        user,
        password: PASSWORD,
        encryptedState: false,
      });

    before(async () => {
      world = await startWorld();
      liar = lyingHomeserver(world.synapse.baseUrl);
      world.recorder.route(HOMESERVER, liar.route);
      for (const site of [THIRD, FOURTH]) world.recorder.route(site, await clientPage());
      await world.synapse.register("alice", PASSWORD);
      browser = await launch(kind, { proxyPort: world.recorder.port, extension: testBuild(kind) });
      alice = await device(FIRST, "alice");
    });
    after(async () => {
      await browser?.close();
      await world?.close();
    });

    it("brings the name to one's own second device, and to a person whose first device it is", async () => {
      const bob = await world.synapse.register("bob", PASSWORD);
      ({ roomId } = await drive(alice.page, "createRoom", {
        name: "Orchard canary",
        topic: "Apples canary",
        encrypted: true,
        invite: [bob.userId],
      }));
      await alice.seeName(roomId, "Orchard canary");
      const join = `/_matrix/client/v3/join/${encodeURIComponent(roomId)}`;
      await world.synapse.call(bob, "POST", join, {});

      const second = await device(SECOND, "alice");
      await second.seeName(roomId, "Orchard canary");
      await second.seeTopic(roomId, "Apples canary");
      const bobs = await device(THIRD, "bob");
      await bobs.seeName(roomId, "Orchard canary");
      await bobs.seeTopic(roomId, "Apples canary");
      const told = world.recorder
        .to(HOMESERVER)
        .filter(({ body, answer }) => /(Orchard|Apples) canary/.test(`${body} ${answer}`));
      assert.deepEqual(
        told.map(({ method, path }) => `${method} ${path}`),
        [],
      );
    });

    it("brings it to a device of which a slow homeserver tells late", async () => {
      const token = `Bearer ${alice.accessToken()}`;
      const { held, letGo } = liar.hold(
        ({ path, headers }) => path.includes("/keys/query") && headers.authorization === token,
      );
      const another = await device(FOURTH, "bob");
      await until(() => held() > 0, "her Element asks for his devices");
      await pause(LATE);
      letGo();
      await another.seeName(roomId, "Orchard canary");
    });
  });
}
