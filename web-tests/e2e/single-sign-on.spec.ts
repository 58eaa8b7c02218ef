/** Which room somebody was about to open is not told where the homeserver signs people in. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { elementInstalled } from "../element/build.ts";
import { ELEMENT, elementPage, signInBySso, waitForText } from "../element/page.ts";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import type { Recorder } from "../support/recorder.ts";
import { LOGIN_TOKENS, withSingleSignOn } from "../support/single-sign-on.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";

const root = path.resolve(import.meta.dirname, "../..");
const PASSWORD = "correct horse battery staple";
const skip = elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

interface Visitor {
  readonly recorder: Recorder;
  readonly page: Page;
  readonly roomId: string;
  close(): Promise<void>;
}

for (const kind of bothBrowsers) {
  describe(`a homeserver's sign-in page in ${kind}`, { skip, timeout: 240_000 }, () => {
    let world: World;
    let without: Visitor;
    let withMantle: Visitor;

    before(async () => {
      world = await startWorld({
        synapseConfig: { default_room_version: "11", ...LOGIN_TOKENS },
      });
      without = await visitor(world, kind);
      withMantle = await visitor(world, kind, path.join(root, "build/test", kind));
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
      const told = (one: Visitor): string => {
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
        await waitForText(one.page, ".mx_RoomHeader_heading", "Garden");
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

async function visitor(world: World, kind: BrowserKind, extension?: string): Promise<Visitor> {
  const user = extension === undefined ? "without" : "with";
  const account = await world.synapse.register(user, PASSWORD);
  const { room_id: roomId } = await world.synapse.call(
    account,
    "POST",
    "/_matrix/client/v3/createRoom",
    { name: "Garden" },
  );
  const recorder = await world.openRecorder();
  recorder.route("chat.example.org", await elementPage());
  recorder.route(HOMESERVER, withSingleSignOn(world.synapse, account));
  const browser = await launch(kind, {
    proxyPort: recorder.port,
    ...(extension === undefined ? {} : { extension }),
  });
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 800 });
  return { recorder, page, roomId: String(roomId), close: () => browser.close() };
}
