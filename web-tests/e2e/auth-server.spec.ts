/**
 * Signing in at an authorisation server that names sessions itself, as the Matrix Authentication
 * Service does: Element's own interface, from the registration of the client to the sign-out.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { elementInstalled } from "../element/build.ts";
import { createRoom, elementPage, sendMessage, signInElsewhere } from "../element/page.ts";
import { signOut } from "../element/session.ts";
import { visitor } from "../element/visitor.ts";
import type { Visitor } from "../element/visitor.ts";
import { AUTH, startAuthServer } from "../support/auth-server.ts";
import type { AuthServer, AuthSession } from "../support/auth-server.ts";
import { bothBrowsers } from "../support/browsers.ts";
import type { BrowserKind } from "../support/browsers.ts";
import type { Exchange } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { until } from "./extension-pages.ts";

const PASSWORD = "correct horse battery staple";
const PLAIN = "Element";
const TELLING = /(Firefox|Chrome) on Linux$/;
const skip = elementInstalled() ? false : "run scripts/setup --with element";
if (skip !== false) console.log(`Element's interface is not installed: ${skip}`);

interface Person extends Visitor {
  readonly auth: AuthServer;
  readonly account: Account;
}

for (const kind of bothBrowsers) {
  describe(`an authorisation server in ${kind}`, { skip, timeout: 840_000 }, () => {
    let world: World;
    let without: Person;
    let withMantle: Person;
    let peer: Account;

    before(async () => {
      world = await startWorld({
        synapseConfig: {
          default_room_version: "11",
          refreshable_access_token_lifetime: "1h",
        },
      });
      without = await person(world, kind, false);
      withMantle = await person(world, kind, true);
      peer = await world.synapse.register("peer", PASSWORD);
    });

    after(async () => {
      await without?.close();
      await withMantle?.close();
      await world?.close();
    });

    it("registers the client, and the session works", async () => {
      for (const { page, auth } of [without, withMantle]) {
        await signInElsewhere(page);
        await createRoom(page, "Garden");
        await sendMessage(page, "Good morning");
        assert.equal(auth.sessions.length, 1);
      }
      assert.equal(session(without).clientName, "Example Org Chat");
      assert.equal(session(withMantle).clientName, PLAIN);
    });

    it("names the session after the browser, and Mantle gives it a plain name", async () => {
      for (const one of [without, withMantle]) assert.match(session(one).deviceName, TELLING);
      assert.match(await nameForPeers(without), TELLING);
      assert.equal(await nameForPeers(withMantle), PLAIN);
    });

    it("has the session renamed before anything else of it leaves", () => {
      const [first, ...rest] = asSession(withMantle);
      assert.equal(`${first?.method} ${first?.path}`, renaming(withMantle));
      assert.deepEqual(JSON.parse(String(first?.body)), { display_name: PLAIN });
      assert.equal(first?.status, 200);
      assert.ok(rest.length > 5);
      assert.match(asSession(without)[0]?.path ?? "", /\/account\/whoami$/);
    });

    it("renews its tokens, and the session is not renamed again", async () => {
      for (const { page, auth } of [without, withMantle]) {
        auth.expire();
        const isRenewed = (): boolean => (auth.sessions[0]?.refreshes ?? 0) > 0;
        await until(isRenewed, "The tokens were not renewed", 60_000);
        await sendMessage(page, "Still here");
      }
      const renamed = withMantle.recorder
        .to(HOMESERVER)
        .filter((one) => `${one.method} ${one.path}` === renaming(withMantle));
      assert.equal(renamed.length, 1);
    });

    it("gives both tokens back when the person signs out", async () => {
      for (const one of [without, withMantle]) {
        await signOut(one.page);
        assert.deepEqual([...session(one).revoked].sort(), ["access_token", "refresh_token"]);
      }
    });

    it("has the next session renamed as well", async () => {
      await signInElsewhere(withMantle.page);
      assert.equal(withMantle.auth.sessions.length, 2);
      assert.equal(await nameForPeers(withMantle), PLAIN);
    });

    /** What others see of a session, once it has uploaded its keys. */
    async function nameForPeers(one: Person): Promise<string> {
      const { deviceId } = session(one);
      let name: string | undefined;
      await until(
        async () => {
          const keys = await world.synapse.call(peer, "POST", "/_matrix/client/v3/keys/query", {
            device_keys: { [one.account.userId]: [deviceId] },
          });
          [, name] = /"device_display_name":"([^"]*)"/.exec(JSON.stringify(keys)) ?? [];
          return name !== undefined;
        },
        "The session uploaded no keys",
        30_000,
      );
      return name ?? "";
    }
  });
}

async function person(world: World, kind: BrowserKind, isWithMantle: boolean): Promise<Person> {
  const user = isWithMantle ? "with" : "without";
  const account = await world.synapse.register(user, PASSWORD);
  const auth = startAuthServer(world.synapse, user, PASSWORD);
  const features = { feature_oidc_native_flow: true };
  const one = await visitor(world, kind, isWithMantle, {
    "chat.example.org": await elementPage(undefined, { features }),
    [AUTH]: auth.handler,
    [HOMESERVER]: auth.homeserver,
  });
  return { ...one, auth, account };
}

/** The one that began last. */
function session({ auth }: Person): AuthSession {
  const last = auth.sessions.at(-1);
  assert.ok(last !== undefined, "nobody signed in");
  return last;
}

/** What left in the name of anybody who is signed in. */
function asSession({ recorder }: Visitor): Exchange[] {
  return recorder.exchanges.filter(
    ({ method, headers, path: at }) =>
      method !== "OPTIONS" && (headers.authorization !== undefined || at.includes("access_token=")),
  );
}

function renaming(one: Person): string {
  const { deviceId } = one.auth.sessions[0] ?? session(one);
  return `PUT /_matrix/client/v3/devices/${encodeURIComponent(deviceId)}`;
}
