import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { connectShieldSettings } from "../core/shield-settings.ts";
import { page as frozen } from "../primordials/primordials.ts";
import type { RequestPolicy } from "../intercept/decision.ts";
import { installHistoryKeys } from "./keys.ts";

const page = frozen as unknown as Record<string, unknown>;

type Mode = "off" | "flag" | "on";

let mode: Mode | undefined;
let isEncrypted: () => Promise<boolean>;
let isVerified: boolean;
/** What Element's own method was asked to do. */
let handedOver: unknown[][];
let noted: string[];

connectShieldSettings(() => (mode === undefined ? undefined : { mode, options: {}, allow: [] }));

const policy = {
  whenReady: () => Promise.resolve(),
  note: (shield: string, action: string, method: string, url: string) => {
    noted.push(`${shield} ${action} ${method} ${url}`);
  },
} as unknown as RequestPolicy;

interface Crypto {
  shareRoomHistoryWithUser?(roomId: string, userId: string): Promise<unknown>;
}

/** A client that signs in anew has a crypto of its own. */
function signedIn(more: Partial<Crypto> = {}): Crypto {
  const crypto = {
    isEncryptionEnabledInRoom: () => isEncrypted(),
    getUserVerificationStatus: () => Promise.resolve({ isCrossSigningVerified: () => isVerified }),
    shareRoomHistoryWithUser: (...args: unknown[]) => {
      handedOver.push(args);
      return Promise.resolve("handed over");
    },
    ...more,
  };
  page["mxMatrixClientPeg"] = {
    get: () => ({
      baseUrl: "https://hs.example.org/base",
      getUserId: () => "@me:hs.example.org",
      getCrypto: () => crypto,
    }),
  };
  return crypto;
}

const beforeRequest = installHistoryKeys(() => policy);
const ROOM = "!r/1:hs.example.org";
const GUEST = "@guest:hs.example.org";
const NOTED =
  "POST https://hs.example.org/base/_matrix/client/v3/rooms/!r%2F1%3Ahs.example.org/invite";

async function invite(crypto = signedIn()): Promise<unknown> {
  beforeRequest();
  return crypto.shareRoomHistoryWithUser?.(ROOM, GUEST);
}

describe("keys of older messages", () => {
  beforeEach(() => {
    mode = "on";
    isEncrypted = () => Promise.resolve(true);
    isVerified = true;
    handedOver = [];
    noted = [];
  });

  test("stay where the shield is on, and the invitation goes on", async () => {
    assert.equal(await invite(), undefined);
    assert.deepEqual(handedOver, []);
    assert.deepEqual(noted, [`history-keys blocked ${NOTED}`]);
  });

  test("stay where nobody can say what the shield is set to", async () => {
    mode = undefined;
    assert.equal(await invite(), undefined);
    assert.deepEqual(handedOver, []);
  });

  test("go along, counted, where it only watches, and uncounted where it is off", async () => {
    for (const [set, lines] of [
      ["flag", [`history-keys flagged ${NOTED}`]],
      ["off", []],
    ] as const) {
      [mode, handedOver, noted] = [set, [], []];
      assert.equal(await invite(), "handed over");
      assert.deepEqual(handedOver, [[ROOM, GUEST]]);
      assert.deepEqual(noted, lines);
    }
  });

  test("nothing is counted where there are none", async () => {
    isEncrypted = () => Promise.resolve(false);
    assert.equal(await invite(), undefined);
    isEncrypted = () => Promise.resolve(true);
    isVerified = false;
    assert.equal(await invite(), undefined);
    assert.deepEqual([handedOver, noted], [[], []]);
  });

  test("a crypto that cannot say whether there are any counts as one that has some", async () => {
    isEncrypted = () => Promise.reject(new Error("not now"));
    assert.equal(await invite(), undefined);
    assert.deepEqual([handedOver, noted.length], [[], 1]);
  });

  test("one crypto is changed once, the next one of the page too", async () => {
    const first = signedIn();
    beforeRequest();
    const changed = first.shareRoomHistoryWithUser;
    beforeRequest();
    assert.equal(first.shareRoomHistoryWithUser, changed);
    assert.equal(await invite(signedIn()), undefined);
    assert.deepEqual(handedOver, []);
  });

  test("an Element without that method is left as it is", () => {
    const crypto = { getUserVerificationStatus: () => undefined };
    page["mxMatrixClientPeg"] = { get: () => ({ getCrypto: () => crypto }) };
    beforeRequest();
    assert.deepEqual(Object.keys(crypto), ["getUserVerificationStatus"]);
  });
});
