/**
 * A page script that puts its own in place of the language's and the browser's methods, before the
 * client runs: it hears nothing of Mantle's own steps, and everything works.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../support/browsers.ts";
import { drive, openClient } from "../support/client-page.ts";
import { plainPicture } from "../support/pictures.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { launchMantle, storeSettings, until } from "./extension-pages.ts";
import type { ExtensionBrowser } from "./extension-pages.ts";

const PASSWORD = "correct horse battery staple";
/** Where Element keeps its client, which Mantle asks and the page may hear. */
const PEG = "page.mxMatrixClientPeg";
const INDEX = new URL("../client/index.html", import.meta.url);

/**
 * Members that the browser looks for in what it is given: requests, responses, events, listeners, keys.
 * One that is missing it finds on the prototype of all objects, where a page can put it.
 */
const MEMBERS = [
  ...["method", "headers", "body", "mode", "credentials", "cache", "redirect", "referrer"],
  ...["referrerPolicy", "integrity", "keepalive", "signal", "priority", "duplex", "window"],
  ...["status", "statusText", "endings", "once", "passive", "capture", "bubbles", "cancelable"],
  ...["composed", "lengthComputable", "loaded", "total", "detail", "stream", "fatal", "ignoreBOM"],
  ...[
    "mode",
    "ifAvailable",
    "steal",
    "delay",
    "childList",
    "attributes",
    "characterData",
    "subtree",
  ],
  ...["delegatesFocus", "serializable", "clonable", "slotAssignment", "start", "pull", "cancel"],
  ...["highWaterMark", "autoAllocateChunkSize", "transfer", "counter", "length", "hash", "iv"],
  ...["kty", "use", "key_ops", "alg", "ext", "crv", "n", "e", "k", "cause", "is", "mutable"],
];

/**
 * What the page runs first. Each method, accessor, constructor and rule tells who calls it; only
 * callers in a script of the extension are kept, with what of the browser's own lies in between.
 */
const PATCHES = `{
  const heard = (window.heard = Object.create(null));
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Object;
  const { apply, construct, ownKeys } = Reflect;
  const NativeError = Error;
  const nameOf = String;
  const { call } = Function.prototype;
  const split = call.bind(String.prototype.split);
  const includes = call.bind(String.prototype.includes);
  const hasGiven = call.bind(WeakSet.prototype.has);
  const addGiven = call.bind(WeakSet.prototype.add);
  Error.stackTraceLimit = 8;
  /** What Firefox calls a script that an extension runs in the page's own world, and no other. */
  const UNNAMED = "<anonymous code>";
  /** What the page itself hands to a function that Mantle hooks: the browser reads it there. */
  const given = new WeakSet();
  let isBusy = false;
  const hear = (what, self) => {
    if (isBusy) return;
    isBusy = true;
    try {
      if (typeof self === "object" && self !== null && hasGiven(given, self)) return;
      // The first line that is neither this function nor the patch is the caller's.
      const lines = split(new NativeError().stack, "\\n");
      let at = 0;
      while (at < lines.length && !includes(lines[at], "patches.js")) at += 1;
      while (at < lines.length && includes(lines[at], "patches.js")) at += 1;
      let between = "";
      while (at < lines.length && !includes(lines[at], "://") && !includes(lines[at], UNNAMED)) {
        between += lines[at] + " < ";
        at += 1;
      }
      // Firefox tells behind a star what a task was begun by, where nobody calls any more: the browser
      // asks what a promise of the page's is given.
      if (includes(split(lines[at] ?? "", "@")[0], "*")) return;
      if (includes(lines[at] ?? "", "-extension://") || includes(lines[at] ?? "", UNNAMED)) {
        heard[what] ??= between + lines[at] + " < " + (lines[at + 1] ?? "");
      }
    } finally {
      isBusy = false;
    }
  };
  const patch = (of, name, what) => {
    const own = getOwnPropertyDescriptor(of, name);
    if (own === undefined || !own.configurable) return;
    if (own.get !== undefined) {
      const { get } = own;
      defineProperty(of, name, { ...own, get() { hear(what, this); return apply(get, this, []); } });
      return;
    }
    // Whoever only looks it up is heard as well; who sets it of its own object has it.
    let value = own.value;
    defineProperty(of, name, {
      configurable: true,
      enumerable: own.enumerable,
      get() { hear(what, this); return value; },
      set(set) {
        if (this === of) value = set;
        else defineProperty(this, name, { value: set, writable: true, enumerable: true, configurable: true });
      },
    });
  };
  const LEFT = new Set(["constructor", "toString", "valueOf", "toLocaleString"]);
  const patchAll = (of, kind) => {
    for (const name of ownKeys(of)) {
      if (LEFT.has(name) || name === "prototype" || name === Symbol.toStringTag) continue;
      if (name === Symbol.hasInstance || name === "length" || name === "name") continue;
      // How long a stack is told here, which the recorder goes by.
      if (name === "stackTraceLimit") continue;
      patch(of, name, kind + "." + nameOf(name));
    }
  };
  const iterators = [[], "", new Map(), new Set(), "".matchAll(/x/g)].map((x) => getPrototypeOf(x[Symbol.iterator]()));
  const asynchronous = getPrototypeOf(async function () {});
  const kinds = {
    bytes: getPrototypeOf(Uint8Array.prototype), bytesStatics: getPrototypeOf(Uint8Array),
    generator: getPrototypeOf(getPrototypeOf((function* () {})())), asynchronous,
    iterator0: iterators[0], iterator1: iterators[1], iterator2: iterators[2], iterator3: iterators[3],
    iterator4: iterators[4],
  };
  const names = ownKeys(window).filter((name) => typeof name === "string");
  for (const name of names) {
    const own = getOwnPropertyDescriptor(window, name);
    const value = own.value;
    const isNamespace = typeof value === "object" && value !== null && typeof value[Symbol.toStringTag] === "string";
    if (isNamespace && getPrototypeOf(value) === Object.prototype) kinds[name] = value;
    if (typeof value !== "function" || value === Object) continue;
    if (typeof value.prototype === "object" && value.prototype !== null) {
      kinds[name] = value.prototype;
      kinds[name + "Statics"] = value;
    }
  }
  for (const inside of ["Table", "Instance", "Memory", "Module"]) {
    kinds["WebAssembly" + inside] = WebAssembly[inside].prototype;
  }
  kinds.PluralRules = Intl.PluralRules.prototype;
  kinds.Object = Object.prototype;
  kinds.ObjectStatics = Object;
  const constructors = Object.entries({ Array: Array.prototype, bytes: Uint8Array.prototype, Promise: Promise.prototype });
  const all = Object.entries(kinds);
  const rules = ["match", "matchAll", "replace", "search", "split", "toPrimitive", "isConcatSpreadable"];
  const none = (of, name, what) => {
    defineProperty(of, name, {
      __proto__: null,
      configurable: true,
      get() { hear(what, this); return undefined; },
      set(set) {
        defineProperty(this, name, { __proto__: null, value: set, writable: true, enumerable: true, configurable: true });
      },
    });
  };
  const { String: Texts, Number: Numbers, Boolean: Booleans, Array: Lists, Promise: Promises, Symbol: Rules } = window;
  const isOf = [Response, ArrayBuffer, CryptoKey, ImageBitmap].map((kind) =>
    call.bind(kind.prototype.isPrototypeOf, kind.prototype));
  for (const [kind, of] of all) patchAll(of, kind);
  for (const [kind, of] of constructors) patch(of, "constructor", kind + ".constructor");
  for (const name of names) patch(window, name, "window." + name);
  for (const rule of rules) {
    for (const [kind, of] of [["String", Texts], ["Number", Numbers], ["Boolean", Booleans]]) {
      if (getOwnPropertyDescriptor(of.prototype, Rules[rule]) === undefined) {
        none(of.prototype, Rules[rule], kind + ".Symbol." + rule);
      }
    }
    none(kinds.Object, Rules[rule], "Object.Symbol." + rule);
  }
  none(kinds.Object, Rules.iterator, "Object.Symbol.iterator");
  none(kinds.Object, Rules.asyncIterator, "Object.Symbol.asyncIterator");
  none(Lists.prototype, Rules.isConcatSpreadable, "Array.Symbol.isConcatSpreadable");
  for (const name of ["then", "toJSON", ...MEMBERS]) {
    defineProperty(kinds.Object, name, {
      __proto__: null,
      configurable: true,
      get() {
        // The browser itself asks a response, what is read of it, a key that it was given and a picture
        // that it has decoded, when it hands them out.
        const isBrowsers = name === "then" &&
          (isOf[0](this) || isOf[1](this) || isOf[2](this) || isOf[3](this) || ("done" in this && "value" in this));
        if (!isBrowsers) hear("Object." + name, this);
        return undefined;
      },
      set(set) {
        defineProperty(this, name, { __proto__: null, value: set, writable: true, enumerable: true, configurable: true });
      },
    });
  }
  const { fetch: hooked } = window;
  window.fetch = function (input, init) {
    for (const one of [input, init, init?.headers, init?.body]) {
      if (typeof one === "object" && one !== null) addGiven(given, one);
    }
    return apply(hooked, this, arguments);
  };
  // A call of Mantle's that is the page's to hear: that the recorder hears Mantle at all.
  let peg;
  defineProperty(window, "mxMatrixClientPeg", {
    __proto__: null,
    configurable: true,
    get() { hear("page.mxMatrixClientPeg", this); return peg; },
    set(set) { peg = set; },
  });
}`.replace("...MEMBERS", JSON.stringify(MEMBERS).slice(1, -1));

describe("a page that patches what it can", { timeout: 600_000 }, () => {
  let world: World;
  let bob: Account;

  before(async () => {
    const index = await readFile(INDEX, "utf8");
    world = await startWorld({
      client: {
        answers: {
          "/": (_request, response) => {
            response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
            response.end(index.replace("<head>", '<head><script src="patches.js"></script>'));
          },
          "/patches.js": (_request, response) => {
            response.writeHead(200, { "Content-Type": "text/javascript" }).end(PATCHES);
          },
        },
      },
    });
    bob = await world.synapse.register("bob", PASSWORD);
  });
  after(() => world.close());

  for (const kind of bothBrowsers) {
    describe(kind, () => {
      let browser: ExtensionBrowser;
      let page: Page;
      let roomId: string;
      /** Who called what, and from where; empty afterwards. */
      const takeHeard = (): Promise<Record<string, string>> =>
        page.evaluate(() => {
          const { heard } = window as unknown as { heard: Record<string, string> };
          const taken = { ...heard };
          for (const what in heard) delete heard[what];
          return taken;
        });

      before(async () => {
        browser = await launchMantle(kind, world.recorder.port);
        const options = await browser.openExtensionPage("options.html");
        await storeSettings(options, { version: 1, shields: { "room-pictures": "on" } });
        await options.close();
        page = await browser.newPage();
        await openClient(page);
      });
      after(() => browser.close());

      it("hears whatever a script of an extension calls, of each kind", async () => {
        const script = `
          [1, 2].map((x) => x + 1);
          new Headers().get("x");
          new Event("x").isTrusted;
          new Event("y").type;
          Intl.DateTimeFormat;
          "a-b".split("-");
          "a-b".split(Object("-"));
          new Blob([]);
          new Request("/x", { headers: { a: "b" } });
          for (const part of new Map([["a", 1]])) void part;
          Math.max(...new Set([1, 2]));
          //# sourceURL=test-extension://one/page.js`;
        await page.evaluate(script);
        const heard = Object.keys(await takeHeard());
        const wanted = [
          ...["Array.map", "Headers.get", "Event.type", "window.Intl", "Intl.DateTimeFormat"],
          ...["String.split", "String.Symbol.split", "Object.method", "Object.Symbol.iterator"],
          ...["Map.Symbol(Symbol.iterator)", "Set.Symbol(Symbol.iterator)", "iterator2.next"],
          ...["window.Blob", "Array.Symbol(Symbol.iterator)", "window.Math", "Math.max"],
        ];
        assert.deepEqual(
          wanted.filter((what) => !heard.includes(what)),
          [],
          heard.join(),
        );
      });

      it("tells what of the browser's own lies between a script of an extension and the patch", async () => {
        const script = `
          JSON.stringify({ a: { toJSON() { return [].at(0); } } });
          Array.from({ length: 1 }, () => "a".at(0));
          //# sourceURL=test-extension://one/page.js`;
        await page.evaluate(script);
        await page.evaluate("[3, 1].sort((a, b) => a - b)");
        const heard = await takeHeard();
        assert.match(heard["String.at"] ?? "", /^[^<]*extension/);
        assert.ok(!("Array.sort" in heard), "a call of the page's own");
      });

      it("does not take what the page hands over for Mantle's", async () => {
        const status = await page.evaluate(async (homeserver) => {
          const init = { method: "POST", body: "{}" };
          const response = await fetch(`${homeserver}/_matrix/client/v3/login`, init);
          return response.status;
        }, `https://${HOMESERVER}`);
        assert.ok(status >= 400, String(status));
        const { [PEG]: _, ...others } = await takeHeard();
        assert.deepEqual(others, {});
      });

      it("hears nothing while an encrypted room is made, named and read", async () => {
        const user = `patched-${kind}`;
        await drive(page, "register", user, PASSWORD);
        const credentials = await drive(page, "login", user, PASSWORD);
        await drive(page, "start", credentials, { storage: "indexeddb" });
        const name = `canary-${kind}`;
        ({ roomId } = await drive(page, "createRoom", {
          name,
          topic: "a topic",
          encrypted: true,
          invite: [bob.userId],
        }));
        await drive(page, "roomName", roomId, name);
        await drive(page, "sendText", roomId, "a message");
        await drive(page, "setRoomName", roomId, `${name}-2`);
        await drive(page, "roomName", roomId, `${name}-2`);
        const isSent = (): boolean =>
          world.recorder
            .to(HOMESERVER)
            .some(
              ({ method, path }) =>
                method === "PUT" &&
                path.includes(encodeURIComponent(roomId)) &&
                path.includes("/state/m.room.encrypted/"),
            );
        await until(isSent, "the name encrypted at the homeserver", 60_000);
        const { [PEG]: client, ...others } = await takeHeard();
        const own = kind === "chromium" ? /-extension:\/\// : /<anonymous code>/;
        assert.match(client ?? "", own, "Mantle is not heard");
        assert.deepEqual(others, {});
      });

      it("hears nothing while the room's picture is encrypted, read and shown", async () => {
        const green = [20, 160, 60] as const;
        const bytes = plainPicture([...green], 300).toString("base64");
        const { uri } = await drive(page, "uploadPicture", "room.png", "image/png", bytes);
        await drive(page, "setRoomAvatar", roomId, uri);
        await drive(page, "seeRoomPicture", roomId, green);
        const { [PEG]: _, ...others } = await takeHeard();
        assert.deepEqual(others, {});
      });

      it("hears nothing while files, account data and questions pass", async () => {
        await drive(
          page,
          "uploadFile",
          "a.txt",
          "text/plain",
          Buffer.from("text").toString("base64"),
        );
        await drive(page, "writeAccountData", "io.element.recent_emoji", {
          recent_emoji: [["👍", 3]],
        });
        const { [PEG]: _, ...others } = await takeHeard();
        assert.deepEqual(others, {});
      });
    });
  }
});
