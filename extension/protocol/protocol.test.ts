import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  readCallServerAnswer,
  readCallServerAsked,
  readCallServerCheck,
  readCallServerCommand,
  readCallServerVerdict,
  readCallServerWithdrawn,
} from "./call-server.ts";
import { isCommonBrowser } from "./common-browser.ts";
import { readPageMessage, readRelayAnswer, readSettingsMessage } from "./page-relay.ts";
import { isPageQuery, readPageState } from "./popup-relay.ts";
import {
  isReceipt,
  readBackgroundMessage,
  readBrowserRun,
  readPassedOn,
  readPrivateAnswer,
} from "./relay-background.ts";
import { effectsIn, readEffects } from "./reports.ts";
import { MAX_KEY_LENGTH, MAX_VALUE_LENGTH, readMediaUrls } from "./requests.ts";
import {
  MAX_ANSWER_LENGTH,
  readCheckUpAnswer,
  readCheckUpCommand,
  readCheckUpOutcome,
  readCheckUpQuery,
} from "./check-up.ts";
import {
  MAX_OWN_NAME,
  readOwnNameAnswer,
  readOwnNameCommand,
  readOwnNameOutcome,
  readOwnNameQuery,
} from "./own-name.ts";
import { readRoomsQuery, readRoomsSurvey, readRoomsCommand } from "./rooms.ts";
import { isHost } from "./shapes.ts";

/** What any page script could post: none of it may throw, or pass as a message. */
const JUNK: readonly unknown[] = [
  undefined,
  null,
  0,
  Number.NaN,
  "",
  "effects",
  [],
  [{}],
  {},
  { kind: null },
  { kind: "other" },
  Object.create(null),
  () => undefined,
  Symbol("kind"),
  1n,
  new Map([["kind", "effects"]]),
];

describe("every reader", () => {
  const readers = {
    readPageMessage,
    readRelayAnswer,
    readSettingsMessage,
    readBackgroundMessage,
    readPrivateAnswer,
    readBrowserRun,
    readPageState,
    readRoomsQuery,
    readRoomsSurvey,
    readRoomsCommand,
    readOwnNameAnswer,
    readOwnNameCommand,
    readOwnNameOutcome,
    readOwnNameQuery,
    readCheckUpAnswer,
    readCheckUpCommand,
    readCheckUpOutcome,
    readCheckUpQuery,
    readCallServerAnswer,
    readCallServerAsked,
    readCallServerCheck,
    readCallServerCommand,
    readCallServerVerdict,
    readCallServerWithdrawn,
    readPassedOn,
  };
  for (const [name, read] of Object.entries(readers)) {
    test(`${name} takes nothing for a message that is none`, () => {
      for (const value of JUNK) assert.equal(read(value), undefined);
    });
  }

  test("checks that answer with true or false do so", () => {
    for (const value of JUNK) {
      assert.equal(isPageQuery(value), false);
      assert.equal(isCommonBrowser(value), false);
      assert.equal(isReceipt(value, "r", 1), false);
    }
  });
});

describe("hosts", () => {
  test("are what the browser makes of them", () => {
    for (const host of [
      "",
      "a.example",
      "a.example:8443",
      "a.example:443",
      "localhost:8080",
      "127.0.0.1",
      "[::1]",
      "[2001:db8::1]:8448",
      "xn--bcher-kva.example",
      "under_score.example",
    ]) {
      assert.equal(isHost(host), true, host);
    }
  });

  test("and nothing else, whatever it would do to a rule or a pattern", () => {
    for (const host of [
      "a%b",
      "a b",
      "a\tb",
      "a\nb",
      "a/b",
      "a?b",
      "a#b",
      "u@a",
      "u:p@a",
      "a\\b",
      "A.example",
      "bücher.example",
      "*",
      "*.example",
      "a|b",
      "a^b",
      "a:99999",
      "a:b",
      "[::1",
      "0x7f.1",
      "1.2.3",
      "a".repeat(262),
      1,
      null,
      ["a.example"],
    ]) {
      assert.equal(isHost(host), false, String(host));
    }
  });
});

describe("what shields did", () => {
  const record = {
    type: "record",
    time: 1,
    shield: "identity",
    action: "answered",
    host: "a.example",
    endpoint: "/x",
    count: 1,
  };
  const learned = { type: "learned", shield: "identity", host: "m.example", pathPrefix: "/x" };
  const broken: readonly unknown[] = [
    ...JUNK,
    { ...record, host: "a b" },
    { ...record, host: "a%b" },
    { ...record, shield: "Identity" },
    { ...record, shield: "__proto__" },
    { ...record, shield: "a".repeat(65) },
    { ...record, action: "toString" },
    { ...record, count: -1 },
    { ...record, count: 0.5 },
    { ...record, count: 2 ** 53 },
    { ...record, time: "now" },
    { ...record, time: Number.POSITIVE_INFINITY },
    { ...record, endpoint: "x".repeat(201) },
    { ...learned, pathPrefix: "x" },
    { ...learned, pathPrefix: "/ä" },
    { ...learned, pathPrefix: "/a b" },
    { ...learned, pathPrefix: `/${"x".repeat(200)}` },
    { ...learned, host: "" },
  ];

  test("a malformed member costs itself alone where a page says it", () => {
    for (const bad of broken) {
      assert.deepEqual(effectsIn([record, bad, learned]), [record, learned]);
    }
  });

  test("and the whole list where a relay does, which sends none", () => {
    for (const bad of broken) assert.equal(readEffects([record, bad]), undefined);
    assert.deepEqual(readEffects([record, learned]), [record, learned]);
    assert.deepEqual(readEffects([]), []);
  });

  test("members carry nothing besides", () => {
    const more = { ...record, token: "secret", __proto__: { host: "b" } };
    assert.deepEqual(effectsIn([more]), [record]);
  });

  test("of a list that is too long the newest count", () => {
    const many = Array.from({ length: 1001 }, (_, time) => ({ ...record, time }));
    const taken = effectsIn(many);
    assert.equal(taken?.length, 1000);
    assert.equal((taken?.[0] as { time: number }).time, 1);
    assert.equal(readEffects(many), undefined);
    assert.equal(effectsIn({ length: 2 }), undefined);
  });
});

describe("what a page asks for", () => {
  const store = { kind: "store", id: 1, area: "state", key: "k", value: "v" };

  test("entries at the bounds of names and values", () => {
    const longest = {
      ...store,
      key: "k".repeat(MAX_KEY_LENGTH),
      value: "v".repeat(MAX_VALUE_LENGTH),
    };
    assert.deepEqual(readPageMessage(longest), longest);
    assert.deepEqual(readPageMessage({ ...store, value: null }), { ...store, value: null });
  });

  test("whoever waits for an answer gets one, whatever was asked", () => {
    for (const broken of [
      { ...store, key: "k".repeat(MAX_KEY_LENGTH + 1) },
      { ...store, key: "" },
      { ...store, key: 1 },
      { ...store, value: "v".repeat(MAX_VALUE_LENGTH + 1) },
      { ...store, value: undefined },
      { ...store, value: 1 },
      { ...store, area: "settings" },
      { ...store, area: "__proto__" },
      { kind: "load", id: 1, area: "other" },
      { kind: "module", id: 1, name: "core" },
      { kind: "runs", id: 1 },
      { kind: "probe", id: 1, urls: ["https://a.example/"] },
      { kind: "call-server", id: 1, host: "" },
      { kind: "call-server", id: 1, host: "a.example/x" },
      { kind: "something new", id: 1 },
      { id: 1 },
    ]) {
      assert.deepEqual(readPageMessage(broken), { kind: "unreadable", id: 1 });
    }
    for (const id of [-1, 0.5, Number.NaN, "1", null, 2 ** 53]) {
      assert.equal(readPageMessage({ ...store, id }), undefined, String(id));
    }
  });

  test("media of a homeserver, and no other address", () => {
    for (const url of [
      "https://hs.example/_matrix/media/v3/download/hs.example/abc",
      "https://hs.example:8448/base/_matrix/media/r0/download/hs.example/abc",
      "http://localhost:8008/_matrix/media/v1/download/localhost/abc",
    ]) {
      assert.deepEqual(readMediaUrls([url]), [url]);
    }
    for (const url of [
      "https://hs.example/_matrix/client/v1/media/download/hs.example/abc",
      "https://hs.example/_matrix/media/v3/download/hs.example/abc?token=1",
      "https://hs.example/_matrix/media/v3/download/hs.example/abc#x",
      "https://hs.example/_matrix/media/v3/download/hs.example/a/b",
      "https://hs.example/_matrix/media/v3/download/../../../../admin/x",
      "https://hs.example/_matrix/media/v3/download/%2e%2e/x",
      "https://user:word@hs.example/_matrix/media/v3/download/a/b",
      "ftp://hs.example/_matrix/media/v3/download/a/b",
    ]) {
      assert.equal(readMediaUrls([url]), undefined, url);
    }
    const odd = " HTTPS://HS.example:443/x/../_matrix/media/v3/download/a/b\n";
    assert.deepEqual(readMediaUrls([odd]), ["https://hs.example/_matrix/media/v3/download/a/b"]);
    assert.deepEqual(readMediaUrls([]), []);
    const many = Array(5).fill("https://h/_matrix/media/v3/download/a/b");
    assert.equal(readMediaUrls(many), undefined);
  });
});

describe("what comes back to a page", () => {
  test("answers of each kind, and nothing besides", () => {
    const answers = [
      { kind: "stored", id: 1 },
      { kind: "loaded", id: 1, entries: { a: "b" } },
      { kind: "module-bytes", id: 1, base64: "AA==" },
      { kind: "probed", id: 1, statuses: [200, 0] },
      { kind: "call-server-allowed", id: 1, isAllowed: false },
      { kind: "refused", id: 1, why: "No." },
    ];
    for (const answer of answers) {
      assert.deepEqual(readRelayAnswer({ ...answer, more: true }), answer);
    }
    for (const broken of [
      { kind: "loaded", id: 1, entries: { a: 1 } },
      { kind: "loaded", id: 1, entries: ["a"] },
      { kind: "probed", id: 1, statuses: [-1] },
      { kind: "call-server-allowed", id: 1, isAllowed: "yes" },
      { kind: "probed", id: 1, statuses: [1, 2, 3, 4, 5] },
      { kind: "refused", id: 1, why: "x".repeat(1001) },
      { kind: "stored" },
    ]) {
      assert.equal(readRelayAnswer(broken), undefined);
    }
  });

  test("settings without a browser to show are settings all the same", () => {
    const settings = { kind: "settings", stored: null, managed: "{}", kept: {} };
    for (const browser of [null, undefined, {}, { system: "Plan 9" }]) {
      assert.deepEqual(readSettingsMessage({ ...settings, browser }), {
        ...settings,
        browser: null,
        texts: null,
      });
    }
    const texts = '{"cancel":"Abbrechen"}';
    assert.equal(readSettingsMessage({ ...settings, texts })?.texts, texts);
    assert.equal(readSettingsMessage({ ...settings, texts: { cancel: "x" } })?.texts, null);
    for (const broken of [{ stored: 1 }, { managed: {} }, { kept: { a: 1 } }, { kept: null }]) {
      assert.equal(readSettingsMessage({ ...settings, ...broken }), undefined);
    }
  });
});

describe("a question about a call server, from its frame to the window and back", () => {
  const host = "sfu.example.net:8443";
  const asked = { kind: "call-server-asked", relay: "r", wish: 1, host, frame: 7, origin: "o" };
  const verdict = { kind: "call-server-verdict", relay: "r", wish: 1, frame: 7, isAllowed: true };
  const check = { kind: "call-server-check", relay: "r", wish: 1, frame: 7 };
  test("is passed on as it is, and holds nothing besides", () => {
    const more = { more: true };
    const query = { kind: "call-server-query", relay: "r", wish: 1, host };
    assert.deepEqual(readBackgroundMessage({ ...query, ...more }), query);
    assert.deepEqual(readBackgroundMessage({ ...verdict, ...more }), verdict);
    assert.deepEqual(readCallServerAsked({ ...asked, ...more }), asked);
    assert.deepEqual(readCallServerVerdict({ ...verdict, ...more }), verdict);
    assert.deepEqual(readBackgroundMessage({ ...check, ...more }), check);
    assert.deepEqual(readCallServerCheck({ ...check, ...more }), check);
    const command = { kind: "call-server", wish: 1, host };
    assert.deepEqual(readCallServerCommand({ ...command, ...more }), command);
    const withdrawn = { kind: "call-server-withdrawn", wish: 1 };
    assert.deepEqual(readCallServerWithdrawn({ ...withdrawn, ...more }), withdrawn);
    const answer = { kind: "call-server-answer", wish: 1, isAllowed: false };
    assert.deepEqual(readCallServerAnswer({ ...answer, ...more }), answer);
    assert.deepEqual(readPageMessage({ ...answer, ...more }), answer);
  });

  test("is none with another server, frame or answer than there can be", () => {
    for (const odd of ["", "a/b", "*", "A.example", "a".repeat(262), 1, null]) {
      assert.equal(readCallServerAsked({ ...asked, host: odd }), undefined);
      const query = { kind: "call-server-query", relay: "r", wish: 1, host: odd };
      assert.equal(readBackgroundMessage(query), undefined);
    }
    for (const odd of [-1, 0.5, "1", null]) {
      assert.equal(readCallServerAsked({ ...asked, frame: odd }), undefined);
      assert.equal(readCallServerAsked({ ...asked, wish: odd }), undefined);
      const withdrawn = { kind: "call-server-withdrawn", wish: odd };
      assert.equal(readCallServerWithdrawn(withdrawn), undefined);
      assert.equal(readCallServerVerdict({ ...verdict, frame: odd }), undefined);
      assert.equal(readCallServerCheck({ ...check, frame: odd }), undefined);
      assert.equal(readCallServerVerdict({ ...verdict, isAllowed: odd }), undefined);
    }
  });
});

describe("what a relay tells the background", () => {
  const relay = "r";
  test("which page's storage it is about, where it has one", () => {
    const batch = { kind: "effect-batch", relay, batch: 1, effects: [] };
    const part = "0".repeat(32);
    assert.deepEqual(readBackgroundMessage({ ...batch, part }), { ...batch, inUse: [], part });
    for (const odd of ["", "x", "../", `${part}/`, 1, null]) {
      assert.deepEqual(readBackgroundMessage({ ...batch, part: odd }), { ...batch, inUse: [] });
      assert.equal(readBackgroundMessage({ kind: "signed-out", relay, part: odd }), undefined);
    }
    assert.equal(readBackgroundMessage({ ...batch, inUse: ["a b"] }), undefined);
    assert.equal(readBackgroundMessage({ ...batch, inUse: Array(11).fill("a") }), undefined);
  });

  test("entries of private windows have the same bounds", () => {
    const store = { kind: "private-store", relay, area: "state", key: "k", value: "v" };
    assert.deepEqual(readBackgroundMessage(store), store);
    for (const broken of [
      { key: "k".repeat(MAX_KEY_LENGTH + 1) },
      { key: "" },
      { value: "v".repeat(MAX_VALUE_LENGTH + 1) },
      { value: undefined },
      { area: "ledger" },
      { relay: "" },
      { relay: "r".repeat(65) },
    ]) {
      assert.equal(readBackgroundMessage({ ...store, ...broken }), undefined);
    }
  });
});

describe("the check-up", () => {
  const user = "@alice:hs.example.org";
  const request = { method: "GET", path: "/_matrix/client/v3/devices", body: null, signed: true };
  const query = (task: unknown): unknown => readCheckUpQuery({ kind: "check-up-query", task });

  test("asks the client-server API and nothing else", () => {
    for (const path of [
      "/_matrix/client/v3/sync?filter=%7B%7D&timeout=0",
      "/_matrix/client/v3/user/%40a%3Ab/account_data/m.widgets",
      "/_matrix/media/v3/download/hs.example/abc",
    ]) {
      assert.deepEqual(query({ do: "ask", user, request: { ...request, path } }), {
        kind: "check-up-query",
        task: { do: "ask", user, request: { ...request, path } },
      });
    }
    for (const broken of [
      { ...request, path: "/_synapse/admin/v1/users" },
      { ...request, path: "https://evil.example/_matrix/client/v3/devices" },
      { ...request, path: "//evil.example/_matrix/client/v3/devices" },
      { ...request, path: "/_matrix/client/../../_synapse/admin/v1/users" },
      { ...request, path: "/_matrix/client/v3/devices#x" },
      { ...request, path: `/_matrix/client/${"x".repeat(8000)}` },
      { ...request, method: "POST" },
      { ...request, body: 5 },
      { ...request, body: "x".repeat(MAX_VALUE_LENGTH + 1) },
      { ...request, signed: undefined },
    ]) {
      assert.equal(query({ do: "ask", user, request: broken }), undefined);
    }
  });

  test("keeps what is for the relay from the page", () => {
    const task = { do: "keep", user, key: "repair keywords", value: "{}" };
    assert.deepEqual(query(task), { kind: "check-up-query", task });
    assert.equal(query({ ...task, value: "x".repeat(MAX_VALUE_LENGTH + 1) }), undefined);
    assert.equal(query({ ...task, key: "x".repeat(MAX_KEY_LENGTH + 1) }), undefined);
    assert.equal(readCheckUpCommand({ kind: "check-up", wish: 1, task }), undefined);
    const account = { do: "account" };
    assert.deepEqual(readCheckUpCommand({ kind: "check-up", wish: 1, task: account, more: 1 }), {
      kind: "check-up",
      wish: 1,
      task: account,
    });
  });

  test("does nothing without saying for whom", () => {
    for (const task of [
      { do: "ask", user, request },
      { do: "preview", user, rooms: ["!a"] },
      { do: "convert", user, room: "!a" },
      { do: "judge", user, backup: "{}" },
      { do: "keep", user, key: "found", value: null },
    ]) {
      assert.deepEqual(query(task), { kind: "check-up-query", task });
      for (const wrong of [undefined, 5, "x".repeat(301)]) {
        assert.equal(query({ ...task, user: wrong }), undefined, task.do);
      }
    }
  });

  test("has no backup judged that is too long to be one", () => {
    for (const backup of [undefined, {}, "x".repeat(MAX_VALUE_LENGTH + 1)]) {
      assert.equal(query({ do: "judge", user, backup }), undefined);
    }
  });

  test("takes the longest line of a preview, and says at once what cannot be read", () => {
    // Eight people with the longest Matrix IDs, and the sentence about them.
    const preview = { is: "preview", lines: ["x".repeat(8 * 255 + 300)] };
    assert.deepEqual(readCheckUpOutcome(preview), preview);
    const failed = { is: "failed", why: "Mantle read something unexpected." };
    for (const outcome of [
      undefined,
      { is: "preview", lines: ["x".repeat(4_001)] },
      { is: "answer", status: 200, headers: "", body: 5 },
      { is: "later" },
    ]) {
      const answer = { kind: "check-up-answer", wish: 1, outcome };
      assert.deepEqual(readCheckUpAnswer(answer), { ...answer, outcome: failed });
    }
    assert.equal(readCheckUpAnswer({ kind: "check-up-answer", wish: -1 }), undefined);
  });

  test("takes answers up to their bound, and nothing besides", () => {
    const answer = { is: "answer", status: 200, headers: "", body: "{}" };
    assert.deepEqual(readCheckUpOutcome({ ...answer, token: "secret" }), answer);
    const longest = { ...answer, body: "x".repeat(MAX_ANSWER_LENGTH) };
    assert.deepEqual(readCheckUpOutcome(longest), longest);
    assert.equal(readCheckUpOutcome({ ...longest, body: `${longest.body}x` }), undefined);
    assert.equal(readCheckUpOutcome({ ...answer, status: -1 }), undefined);
    assert.equal(readCheckUpOutcome({ is: "kept", entries: { a: 1 } }), undefined);
    assert.equal(readCheckUpOutcome({ is: "preview", lines: Array(21).fill("x") }), undefined);
    assert.deepEqual(readCheckUpAnswer({ kind: "check-up-answer", wish: 1, outcome: answer }), {
      kind: "check-up-answer",
      wish: 1,
      outcome: answer,
    });
  });
});

describe("the person's own name in a room", () => {
  const name = "n".repeat(MAX_OWN_NAME);
  const set = { do: "set", room: "!r:hs", name };
  const offered = { is: "offered", room: "!r:hs", name, hasPicture: true };
  const pick = { do: "pick-picture", room: "!r:hs" };
  const take = { do: "public-picture", room: "!r:hs" };

  test("goes to the page, and nothing besides", () => {
    for (const task of [{ do: "look" }, set, pick, take]) {
      const query = { kind: "own-name-query", task };
      assert.deepEqual(readOwnNameQuery({ ...query, task: { ...task, more: 1 }, more: 1 }), query);
      const command = { kind: "own-name", wish: 1, task };
      assert.deepEqual(readOwnNameCommand({ ...command, more: 1 }), command);
      assert.equal(readOwnNameCommand({ ...command, wish: -1 }), undefined);
    }
    for (const task of [
      { ...set, name: `${name}n` },
      { ...set, name: null },
      { ...set, room: "x".repeat(301) },
      { ...set, room: undefined },
      { ...pick, room: undefined },
      { ...take, room: 1 },
      { do: "other" },
      "set",
      undefined,
    ]) {
      assert.equal(readOwnNameQuery({ kind: "own-name-query", task }), undefined);
      assert.equal(readOwnNameCommand({ kind: "own-name", wish: 1, task }), undefined);
    }
  });

  test("comes back with what the popup shows, and nothing besides", () => {
    const failed = { is: "failed", why: "No." };
    for (const outcome of [{ is: "none" }, { is: "set" }, { is: "asked" }, offered, failed]) {
      assert.deepEqual(readOwnNameOutcome({ ...outcome, more: 1 }), outcome);
      const answer = { kind: "own-name-answer", wish: 1, outcome };
      assert.deepEqual(readOwnNameAnswer({ ...answer, more: 1 }), answer);
      assert.deepEqual(readPageMessage(answer), answer);
      assert.equal(readOwnNameAnswer({ ...answer, wish: "1" }), undefined);
    }
    for (const outcome of [
      { ...offered, name: `${name}n` },
      { ...offered, room: 1 },
      { ...offered, hasPicture: undefined },
      { is: "failed", why: "x".repeat(1_001) },
      { is: "failed" },
      { is: "later" },
    ]) {
      assert.equal(readOwnNameOutcome(outcome), undefined);
    }
  });
});
