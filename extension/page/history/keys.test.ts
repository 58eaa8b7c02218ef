import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { connectShieldSettings } from "../core/shield-settings.ts";
import { page as frozen } from "../primordials/primordials.ts";
import type { Consent } from "../dialogs/consent.ts";
import type { RequestPolicy } from "../intercept/decision.ts";
import { watchClient } from "../room-state/element/client.ts";
import { installHistoryKeys } from "./keys.ts";

const page = frozen as unknown as Record<string, unknown>;

type Mode = "off" | "flag" | "ask" | "on";

let mode: Mode | undefined;
let isEncrypted: () => Promise<boolean>;
let isVerified: boolean;
/** What Element's own method was asked to do. */
let handedOver: unknown[][];
let noted: string[];
/** What the person answers, and what was asked. */
let answer: () => Promise<Consent>;
let questions: string[];
/** What the client holds of the room. */
let timeline: { getWireType(): string }[] = [];
let time = 1_000_000_000_000;

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
      getRoom: () => ({ getLiveTimeline: () => ({ getEvents: () => timeline }) }),
    }),
  };
  return crypto;
}

const beforeRequest = watchClient(
  installHistoryKeys(
    () => policy,
    ({ question }) => {
      questions.push(question?.text ?? "");
      return answer();
    },
    () => time,
  ),
);
const ROOM = "!r/1:hs.example.org";
const GUEST = "@guest:hs.example.org";
const NOTED =
  "POST https://hs.example.org/base/_matrix/client/v3/rooms/!r%2F1%3Ahs.example.org/invite";

async function invite(crypto = signedIn(), guest = GUEST, room = ROOM): Promise<unknown> {
  beforeRequest();
  return crypto.shareRoomHistoryWithUser?.(room, guest);
}

/** A crypto that has sessions of these rooms. */
function having(rooms: readonly string[], backup: string | null = null): object {
  return {
    getActiveSessionBackupVersion: () => Promise.resolve(backup),
    olmMachine: {
      exportRoomKeys: (isWanted: (session: object) => boolean) => {
        const found = rooms.map((roomId) => isWanted({ roomId, sessionId: "s" }));
        // Nothing leaves the crypto for the asking.
        assert.ok(!found.includes(true));
        return Promise.resolve("[]");
      },
    },
  };
}

describe("keys of older messages", () => {
  beforeEach(() => {
    mode = "on";
    isEncrypted = () => Promise.resolve(true);
    isVerified = true;
    handedOver = [];
    noted = [];
    answer = () => Promise.resolve(undefined);
    questions = [];
    timeline = [];
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

  describe("where the person is asked", () => {
    beforeEach(() => {
      mode = "ask";
    });

    test("go along after a yes, asked for each person", async () => {
      answer = () => Promise.resolve("asked");
      const crypto = signedIn();
      assert.equal(await invite(crypto), "handed over");
      assert.equal(await invite(crypto, "@other:hs.example.org"), "handed over");
      assert.equal(questions.length, 2);
      assert.match(questions[0] ?? "", /@guest:hs\.example\.org/);
      assert.deepEqual(noted, [`history-keys asked ${NOTED}`, `history-keys asked ${NOTED}`]);
      answer = () => Promise.resolve("remembered");
      assert.equal(await invite(crypto), "handed over");
      assert.equal(noted.at(-1), `history-keys flagged ${NOTED}`);
    });

    test("stay after a no, and thirty people invited after it ask no more", async () => {
      const crypto = signedIn();
      for (let guest = 0; guest < 30; guest += 1) {
        assert.equal(await invite(crypto, `@${String(guest)}:hs.example.org`), undefined);
      }
      assert.deepEqual([handedOver, questions.length], [[], 1]);
      assert.equal(noted[0], `history-keys asked ${NOTED}`);
      assert.deepEqual(noted.slice(1), Array(29).fill(`history-keys blocked ${NOTED}`));
    });

    test("a no is one for its room, its session and some minutes", async () => {
      const crypto = signedIn();
      await invite(crypto);
      await invite(crypto, GUEST, "!other:hs.example.org");
      assert.equal(questions.length, 2);
      await invite(signedIn());
      assert.equal(questions.length, 3);
      time += 4 * 60_000;
      await invite(crypto);
      assert.equal(questions.length, 3);
      time += 2 * 60_000;
      await invite(crypto);
      assert.equal(questions.length, 4);
      // A clock that was put back makes no answer last.
      time -= 24 * 60 * 60_000;
      await invite(crypto);
      assert.equal(questions.length, 5);
    });

    test("stay where asking fails, and the next person is asked about", async () => {
      answer = () => Promise.reject(new Error("no dialog"));
      const crypto = signedIn();
      assert.equal(await invite(crypto), undefined);
      answer = () => Promise.resolve("asked");
      assert.equal(await invite(crypto), "handed over");
      assert.equal(questions.length, 2);
    });

    test("two at once are asked about one after the other, and a no answers both", async () => {
      let say: (consent: Consent) => void = () => undefined;
      answer = () => new Promise((resolve) => (say = resolve));
      const crypto = signedIn();
      const settled = async (): Promise<void> => {
        for (let turn = 0; turn < 20; turn += 1) await new Promise((next) => setImmediate(next));
      };
      const both = [invite(crypto), invite(crypto, "@other:hs.example.org")];
      await settled();
      assert.equal(questions.length, 1);
      say("asked");
      await settled();
      assert.equal(questions.length, 2);
      say(undefined);
      assert.deepEqual(await Promise.all(both), ["handed over", undefined]);
      const [third, fourth] = [invite(crypto, "@third:x"), invite(crypto, "@fourth:x")];
      assert.deepEqual(await Promise.all([third, fourth]), [undefined, undefined]);
      assert.equal(questions.length, 2);
    });

    test("nobody is asked about a room of which there are none", async () => {
      const create = "m.room.create";
      const cases: [object, readonly string[], number][] = [
        [having([]), [], 0],
        [having(["!other:hs.example.org"]), [], 0],
        [having(["!other:hs.example.org", ROOM]), [create], 1],
        // Those in a backup are handed over too; none is there if nothing was ever encrypted.
        [having([], "1"), [], 1],
        [having([], "1"), ["m.room.member", "m.room.message"], 1],
        [having([], "1"), [create, "m.room.encryption", "m.room.encrypted"], 1],
        [having([], "1"), [create, "m.room.encryption", "m.room.member"], 0],
        [{ olmMachine: { exportRoomKeys: () => Promise.reject(new Error("busy")) } }, [create], 1],
        [{ olmMachine: {} }, [create], 1],
      ];
      for (const [crypto, types, asked] of cases) {
        questions = [];
        timeline = types.map((type) => ({ getWireType: () => type }));
        assert.equal(await invite(signedIn(crypto as Partial<Crypto>)), undefined);
        assert.equal(questions.length, asked);
      }
    });
  });
});
