/** Which room somebody was about to open is not told where the homeserver signs people in. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { elementInstalled } from "../element/build.ts";
import { ELEMENT, elementPage, signInBySso, waitForText } from "../element/page.ts";
import { UI } from "../element/selectors.ts";
import { visitor } from "../element/visitor.ts";
import type { Visitor } from "../element/visitor.ts";
import { bothBrowsers } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { LOGIN_TOKENS, withSingleSignOn } from "../support/single-sign-on.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";

const PASSWORD = "correct horse battery staple";
const skip = elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

interface Invited extends Visitor {
  readonly roomId: string;
}

for (const kind of bothBrowsers) {
  describe(`a homeserver's sign-in page in ${kind}`, { skip, timeout: 840_000 }, () => {
    let world: World;
    let without: Invited;
    let withMantle: Invited;

    before(async () => {
      world = await startWorld({
        synapseConfig: { default_room_version: "11", ...LOGIN_TOKENS },
      });
      without = await invited(world, kind, false);
      withMantle = await invited(world, kind, true);
    });

    after(async () => {
      await without?.close();
      await withMantle?.close();
      await world?.close();
    });

    it("is told the room without Mantle, and only where Element is with it", async () => {
      for (const one of [without, withMantle]) {
        await signInBySso(one.page, `#/room/${one.roomId}`);
      }
      const told = (one: Invited): string => {
        const [asked] = one.recorder
          .to(HOMESERVER)
          .filter(({ path: at }) => at.includes("/login/sso/redirect"));
        const { searchParams } = new URL(asked?.path ?? "", "https://hs");
        return searchParams.get("redirectUrl") ?? "";
      };
      assert.equal(told(without), `${ELEMENT}#/room/${without.roomId}`);
      assert.equal(told(withMantle), ELEMENT);
    });

    it("leads back to the room", async () => {
      for (const one of [without, withMantle]) {
        await waitForText(one.page, UI.roomName, "Garden");
        assert.equal(new URL(one.page.url()).hash, `#/room/${one.roomId}`);
      }
    });

    it("leaves nothing of it behind in the tab", async () => {
      const left = await withMantle.page.evaluate(() => Object.keys(sessionStorage));
      assert.deepEqual(
        left.filter((name) => name.includes("mantle")),
        [],
      );
    });
  });
}

async function invited(world: World, kind: BrowserKind, isWithMantle: boolean): Promise<Invited> {
  const user = isWithMantle ? "with" : "without";
  const account = await world.synapse.register(user, PASSWORD);
  const { room_id: roomId } = await world.synapse.call(
    account,
    "POST",
    "/_matrix/client/v3/createRoom",
    { name: "Garden" },
  );
  const one = await visitor(world, kind, isWithMantle, {
    "chat.example.org": await elementPage(),
    [HOMESERVER]: withSingleSignOn(world.synapse, account),
  });
  return { ...one, roomId: String(roomId) };
}
