/** Identity servers are never contacted and never named to the homeserver. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bothBrowsers } from "../../support/browsers.ts";
import { drive, tryToDrive } from "../../support/client-page.ts";
import type { Exchange } from "../../support/recorder.ts";
import { HOMESERVER, identityServer, startWorld } from "../../support/world.ts";
import type { World } from "../../support/world.ts";
import {
  assertNone,
  assertWorks,
  countFetches,
  observe,
  onBoth,
  openSides,
  sent,
  to,
} from "./sides.ts";
import type { Sides } from "./sides.ts";

const SERVER = "https://vector.im";
const EMAIL = "someone@mail.example.org";
const PHONE = "07700900123";
const JSON_TYPE = "application/json";

/** Every path of the Identity Service API, version 2 and what was version 1, with its quiet answer. */
const PATHS: [method: string, path: string, status: number, body?: string][] = [
  ["GET", "/_matrix/identity/v2", 200, "{}"],
  ["GET", "/_matrix/identity/api/v1", 200, "{}"],
  ["GET", "/_matrix/identity/versions", 200],
  ["GET", "/_matrix/identity/v2/hash_details", 200],
  ["POST", "/_matrix/identity/v2/lookup", 200, '{"mappings":{}}'],
  ["GET", `/_matrix/identity/api/v1/lookup?medium=email&address=${EMAIL}`, 200, "{}"],
  ["POST", "/_matrix/identity/api/v1/bulk_lookup", 200, '{"threepids":[]}'],
  ["POST", "/_matrix/identity/v2/account/register", 403],
  ["GET", "/_matrix/identity/v2/account", 403],
  ["POST", "/_matrix/identity/v2/account/logout", 403],
  ["GET", "/_matrix/identity/v2/terms", 403],
  ["POST", "/_matrix/identity/v2/terms", 403],
  ["POST", "/_matrix/identity/v2/validate/email/requestToken", 403],
  ["POST", "/_matrix/identity/v2/validate/email/submitToken", 403],
  ["GET", "/_matrix/identity/v2/validate/email/submitToken?sid=1&token=2", 403],
  ["POST", "/_matrix/identity/v2/validate/msisdn/requestToken", 403],
  ["POST", "/_matrix/identity/v2/validate/msisdn/submitToken", 403],
  ["GET", "/_matrix/identity/v2/3pid/getValidated3pid?sid=1&client_secret=2", 403],
  ["POST", "/_matrix/identity/v2/3pid/bind", 403],
  ["POST", "/_matrix/identity/v2/3pid/unbind", 403],
  ["POST", "/_matrix/identity/v2/store-invite", 403],
  ["POST", "/_matrix/identity/v2/sign-ed25519", 403],
  ["GET", "/_matrix/identity/v2/pubkey/ed25519:0", 403],
  ["GET", "/_matrix/identity/v2/pubkey/isvalid?public_key=k", 403],
  ["POST", "/_matrix/identity/api/v1/validate/email/requestToken", 403],
  ["POST", "/_matrix/identity/api/v1/validate/msisdn/submitToken", 403],
  ["GET", "/_matrix/identity/api/v1/3pid/getValidated3pid?sid=1&client_secret=2", 403],
  ["POST", "/_matrix/identity/api/v1/3pid/bind", 403],
  ["POST", "/_matrix/identity/api/v1/store-invite", 403],
  ["POST", "/_matrix/identity/api/v1/sign-ed25519", 403],
  ["GET", "/_matrix/identity/api/v1/pubkey/ed25519:0", 403],
];
const HOSTS = [
  "https://vector.im",
  "https://matrix.org",
  "https://is.example.org",
  "https://is.example.org/behind/a/path",
];

/** Requests to the homeserver, each with the keys of its body. */
const bodies = (seen: Exchange[]): [string, string[]][] =>
  seen.map((exchange) => [
    exchange.path.replace("/_matrix/client/", ""),
    Object.keys(sent(exchange)).sort(),
  ]);

for (const kind of bothBrowsers) {
  describe(`identity in ${kind}`, { timeout: 240_000 }, () => {
    let world: World;
    let sides: Sides;

    before(async () => {
      world = await startWorld({
        synapseConfig: { default_identity_server: "https://is.example.org" },
      });
      sides = await openSides(kind, world);
    });

    after(async () => {
      await sides?.close();
      await world?.close();
    });

    it("is not pinged at page load, before any login", async () => {
      const both = await onBoth(sides, (side) => side.reopen());
      // `reopen` empties the record first, so look at all of it.
      const pings = (name: "without" | "with"): string[] =>
        sides[name].recorder.to("vector.im").map(({ method, path }) => `${method} ${path}`);
      assert.deepEqual(pings("without"), ["GET /_matrix/identity/v2"]);
      assert.deepEqual(pings("with"), []);
      assertNone(both.with, "vector.im");
      const known = await onBoth(sides, (side) => drive(side.page, "identityServer"));
      assert.equal(known.without.value, SERVER);
      assert.equal(known.with.value, null);
      for (const side of [sides.without, sides.with]) {
        const { problems } = await drive(side.page, "loaded");
        assert.deepEqual(problems, []);
        await side.signIn();
      }
    });

    for (const host of HOSTS) {
      it(`is never asked anything: all ${PATHS.length} paths at ${host}`, async () => {
        const both = await onBoth(sides, async (side) => {
          const answers = [];
          for (const [method, path] of PATHS) {
            const body =
              method === "POST" ? { address: EMAIL, mxid: side.account.userId } : undefined;
            answers.push(await drive(side.page, "identityCall", host, method, path, body));
          }
          return answers;
        });
        assert.equal(to(both.without, new URL(host).host).length, PATHS.length);
        assertNone(both.with, new URL(host).host);
        for (const [index, [method, path, status, body]] of PATHS.entries()) {
          const answer = both.with.value[index];
          assert.equal(answer?.status, status, `${method} ${path}`);
          assert.ok(answer?.contentType?.startsWith(JSON_TYPE), `${method} ${path}`);
          const content = JSON.parse(answer?.body ?? "") as Record<string, unknown>;
          if (body !== undefined) assert.deepEqual(content, JSON.parse(body), `${method} ${path}`);
          if (status === 403) assert.equal(content["errcode"], "M_FORBIDDEN", `${method} ${path}`);
        }
      });
    }

    it("gets no account and no terms", async () => {
      const both = await onBoth(sides, (side) => tryToDrive(side.page, "identityAccount", SERVER));
      const paths = to(both.without, "vector.im").map(({ path }) => path.split("/v2")[1]);
      assert.deepEqual(paths, ["/account/register", "/account", "/terms", "/terms"]);
      assertNone(both.with, "vector.im");
      assert.equal(both.with.value.ok ? "" : both.with.value.errcode, "M_FORBIDDEN");
    });

    it("answers a search for people with: nobody found", async () => {
      const both = await onBoth(sides, (side) =>
        drive(
          side.page,
          "lookUp",
          SERVER,
          [
            [EMAIL, "email"],
            [PHONE, "msisdn"],
          ],
          "token",
        ),
      );
      assert.equal(to(both.without, "vector.im").length, 2);
      assertNone(both.with, "vector.im");
      assert.deepEqual(both.with.value, []);
    });

    it("is not even asked by a client whose server would take plain addresses", async () => {
      const plain = identityServer({ algorithms: ["none"] });
      for (const { recorder } of [sides.without, sides.with])
        recorder.route("plain.example.org", plain);
      const both = await onBoth(sides, (side) =>
        drive(side.page, "lookUp", "https://plain.example.org", [[EMAIL, "email"]], "token"),
      );
      assert.ok(to(both.without, "plain.example.org").some(({ body }) => body.includes(EMAIL)));
      assertNone(both.with, "plain.example.org");
    });

    it("is not told an own address", async () => {
      const both = await onBoth(sides, async (side) => {
        await tryToDrive(side.page, "lookUp", SERVER, [], "token");
        const email = await tryToDrive(side.page, "validateEmail", EMAIL, "token");
        const phone = await tryToDrive(side.page, "validatePhone", PHONE, "token");
        return [email, phone].map((outcome) => (outcome.ok ? "sent" : outcome.errcode));
      });
      assert.ok(to(both.without, "vector.im").some(({ body }) => body.includes(EMAIL)));
      assertNone(both.with, "vector.im");
      assert.deepEqual(both.with.value, ["M_FORBIDDEN", "M_FORBIDDEN"]);
    });

    it("is not bound to through the homeserver", async () => {
      const both = await onBoth(sides, (side) => tryToDrive(side.page, "bind", "sid", "token"));
      const path = /account\/3pid\/bind$/;
      assert.equal(
        to(both.without, HOMESERVER).filter((exchange) => path.test(exchange.path)).length,
        1,
      );
      assertNone(both.with, HOMESERVER);
      assert.equal(both.with.value.ok ? "" : both.with.value.errcode, "M_FORBIDDEN");
    });

    it("is not bound to by the old call, which still adds the address", async () => {
      for (const creds of ["three_pid_creds", "threePidCreds"]) {
        const both = await onBoth(sides, (side) =>
          drive(side.page, "homeserverCall", "POST", "/_matrix/client/r0/account/3pid", {
            [creds]: { sid: "1", client_secret: "s", id_server: "vector.im", id_access_token: "t" },
            bind: true,
          }),
        );
        const of = (side: typeof both.with): Record<string, unknown> =>
          sent(to(side, HOMESERVER)[0]);
        assert.deepEqual(of(both.without), {
          [creds]: { sid: "1", client_secret: "s", id_server: "vector.im", id_access_token: "t" },
          bind: true,
        });
        assert.deepEqual(of(both.with), { [creds]: { sid: "1", client_secret: "s" }, bind: false });
      }
    });

    it("may be told to forget", async () => {
      const both = await onBoth(sides, (side) => tryToDrive(side.page, "unbind", SERVER, EMAIL));
      for (const side of [both.without, both.with]) {
        assert.equal(sent(to(side, HOMESERVER)[0])["medium"], "email");
      }
    });

    it("is not named when addresses are verified; everything else arrives", async () => {
      const both = await onBoth(sides, async (side) => {
        await drive(side.page, "requestOwnEmail", EMAIL, "vector.im");
        await drive(side.page, "requestOwnPhone", PHONE, "vector.im");
      });
      const bare = bodies(to(both.without, HOMESERVER));
      const guarded = bodies(to(both.with, HOMESERVER));
      assert.equal(bare.length, 6);
      for (const [path, keys] of bare) {
        assert.ok(keys.includes("id_server") && keys.includes("id_access_token"), path);
      }
      assert.deepEqual(
        guarded,
        bare.map(([path, keys]) => [path, keys.filter((key) => !key.startsWith("id_"))]),
      );
    });

    it("is not named inside interactive authentication; everything else arrives", async () => {
      const both = await onBoth(sides, (side) =>
        drive(side.page, "authenticateByEmail", "vector.im"),
      );
      const of = (side: typeof both.with): Exchange[] => to(side, HOMESERVER);
      assert.equal(of(both.without).length, 5);
      for (const [index, bare] of of(both.without).entries()) {
        const guarded = of(both.with)[index];
        assert.equal(guarded?.path, bare.path);
        assert.equal(guarded?.status, bare.status, bare.path);
        assert.ok(bare.body.includes('"id_server"'), bare.path);
        assert.ok(!guarded?.body.includes("id_server"), bare.path);
        const auth = sent(guarded)["auth"] as { type: string; threepid_creds: object };
        assert.equal(auth.type, "m.login.email.identity");
        assert.deepEqual(Object.keys(auth.threepid_creds), ["sid", "client_secret"]);
        assert.deepEqual(Object.keys(sent(guarded)), Object.keys(sent(bare)));
      }
    });

    it("learns no invited address", async () => {
      const both = await onBoth(sides, async (side) => {
        const { roomId } = await drive(side.page, "createRoom", { name: "r", encrypted: false });
        return tryToDrive(side.page, "inviteByEmail", roomId, EMAIL);
      });
      const invitations = (side: typeof both.with): Exchange[] =>
        to(side, HOMESERVER).filter(({ path }) => path.endsWith("/invite"));
      assert.ok(invitations(both.without)[0]?.body.includes(EMAIL));
      assert.deepEqual(invitations(both.with).length, 0);
      // A sentence for the person, and no retries.
      assert.equal(both.with.value.ok ? "" : both.with.value.errcode, "M_FORBIDDEN");
      assert.match(both.with.value.ok ? "" : both.with.value.error, /Mantle/);
    });

    it("learns no address invited while a room is created", async () => {
      const both = await onBoth(sides, (side) =>
        drive(side.page, "homeserverCall", "POST", "/_matrix/client/v3/createRoom", {
          name: "with an invitation",
          invite_3pid: [
            { id_server: "vector.im", id_access_token: "t", medium: "email", address: EMAIL },
          ],
        }),
      );
      assert.ok(to(both.without, HOMESERVER)[0]?.body.includes(EMAIL));
      assertNone(both.with, HOMESERVER);
      assert.equal(both.with.value.status, 403);
      assert.match(both.with.value.body, /M_FORBIDDEN.*Mantle/);
      // An empty list is what Element sends for everybody else.
      const plain = await drive(
        sides.with.page,
        "homeserverCall",
        "POST",
        "/_matrix/client/v3/createRoom",
        { name: "without", invite_3pid: [] },
      );
      assert.equal(plain.status, 200);
    });

    it("signs no invitation", async () => {
      const both = await onBoth(sides, async (side) => {
        const { roomId } = await drive(side.page, "createRoom", { name: "r", encrypted: false });
        const link = `${SERVER}/_matrix/identity/api/v1/sign-ed25519?token=t&private_key=k`;
        await tryToDrive(side.page, "joinRoom", roomId, link);
        await tryToDrive(side.page, "signInvite", `${link}&direct=1`);
      });
      assert.ok(to(both.without, "vector.im").length >= 1);
      assertNone(both.with, "vector.im");
    });

    it("is not what a link says it is: the Matrix ID goes to no address a link names", async () => {
      const both = await onBoth(sides, (side) =>
        tryToDrive(side.page, "signInvite", "https://sign.example.org/any/path?token=t"),
      );
      const [signed] = to(both.without, "sign.example.org");
      assert.ok(decodeURIComponent(signed?.path ?? "").includes(sides.without.account.userId));
      assertNone(both.with, "sign.example.org");
    });

    it("is not saved to the account, and one saved elsewhere is not used", async () => {
      const both = await onBoth(sides, async (side) => {
        const outcome = await tryToDrive(side.page, "writeAccountData", "m.identity_server", {
          base_url: "https://is.example.org",
        });
        const path = `/_matrix/client/v3/user/${side.account.userId}/account_data/m.identity_server`;
        await world.synapse.call(side.account, "PUT", path, {
          base_url: "https://other.example.org",
        });
        const { body } = await drive(side.page, "homeserverCall", "GET", path);
        return { saved: outcome.ok, read: JSON.parse(body) as unknown };
      });
      assert.deepEqual(both.without.value, {
        saved: true,
        read: { base_url: "https://other.example.org" },
      });
      assert.deepEqual(both.with.value, { saved: false, read: { base_url: null } });
      // Taking the server away stays possible.
      await drive(sides.with.page, "writeAccountData", "m.identity_server", { base_url: null });
    });

    it("is quiet: one try each, nothing unhandled, and the session works", async () => {
      const fetched = await countFetches(sides.with.page);
      await tryToDrive(sides.with.page, "identityAccount", SERVER);
      await tryToDrive(sides.with.page, "validateEmail", EMAIL, "token");
      await drive(sides.with.page, "lookUp", SERVER, [[EMAIL, "email"]], "token");
      const tries = (await fetched()).filter((url) => url.startsWith(SERVER));
      assert.deepEqual(
        tries.map((url) => new URL(url).pathname.replace("/_matrix/identity/v2", "")),
        ["/account/register", "/validate/email/requestToken", "/hash_details", "/lookup"],
      );
      await assertWorks(sides.without);
      await assertWorks(sides.with);
    });

    it("works when its host is allowed", async () => {
      try {
        await sides.settings({ version: 1, allow: { identity: ["vector.im"] } });
        await sides.with.reopen();
        await sides.with.signIn();
        const allowed = await observe(sides.with, async ({ page }) => {
          const { token } = await drive(page, "identityAccount", SERVER);
          await drive(page, "lookUp", SERVER, [[EMAIL, "email"]], token);
          await tryToDrive(
            page,
            "identityCall",
            "https://matrix.org",
            "GET",
            "/_matrix/identity/v2",
          );
        });
        assert.equal(to(allowed, "vector.im").length, 6);
        assertNone(allowed, "matrix.org");
        assert.equal(sides.with.recorder.to("vector.im")[0]?.path, "/_matrix/identity/v2");
      } finally {
        await sides.settings(undefined);
      }
    });
  });
}
