/**
 * A page script that puts its own in place of the language's and the browser's methods, before the
 * client runs: it hears nothing of Mantle's own steps, and everything works.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers, launch } from "../support/browsers.ts";
import type { LaunchedBrowser } from "../support/browsers.ts";
import { drive, openClient } from "../support/client-page.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER, startWorld } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { testBuild, until } from "./extension-pages.ts";

const PASSWORD = "correct horse battery staple";
const INDEX = new URL("../client/index.html", import.meta.url);

/**
 * What the page runs first. Each method, accessor and constructor tells who calls it; only callers in
 * a script of the extension are kept.
 */
const PATCHES = `{
  const heard = (window.heard = Object.create(null));
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  const { apply, construct, ownKeys } = Reflect;
  const NativeError = Error;
  const split = Function.prototype.call.bind(String.prototype.split);
  const includes = Function.prototype.call.bind(String.prototype.includes);
  Error.stackTraceLimit = 6;
  let isBusy = false;
  const hear = (what) => {
    if (isBusy) return;
    isBusy = true;
    try {
      // The first line that is neither this function nor the patch is the caller's.
      const lines = split(new NativeError().stack, "\\n");
      let at = 0;
      while (at < lines.length && !includes(lines[at], "://")) at += 1;
      while (at < lines.length && includes(lines[at], "patches.js")) at += 1;
      if (includes(lines[at] ?? "", "-extension://")) {
        heard[what] ??= lines[at] + " < " + (lines[at + 1] ?? "");
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
      defineProperty(of, name, { ...own, get() { hear(what); return apply(get, this, []); } });
      return;
    }
    // Whoever only looks it up is heard as well; who sets it of its own object has it.
    let value = own.value;
    defineProperty(of, name, {
      configurable: true,
      enumerable: own.enumerable,
      get() { hear(what); return value; },
      set(given) {
        if (this === of) value = given;
        else defineProperty(this, name, { value: given, writable: true, enumerable: true, configurable: true });
      },
    });
  };
  const LEFT = new Set(["constructor", "toString", "valueOf", "toLocaleString"]);
  const iterators = [[], "", new Map(), new Set()].map((x) => Object.getPrototypeOf(x[Symbol.iterator]()));
  const typed = Object.getPrototypeOf(Uint8Array.prototype);
  const kinds = {
    Array: Array.prototype, String: String.prototype, Map: Map.prototype, Set: Set.prototype,
    WeakMap: WeakMap.prototype, RegExp: RegExp.prototype, bytes: typed, DataView: DataView.prototype,
    TextDecoder: TextDecoder.prototype, TextEncoder: TextEncoder.prototype,
    Table: WebAssembly.Table.prototype, Instance: WebAssembly.Instance.prototype,
    JSON, Reflect, Math, Object, ArrayStatics: Array, PromiseStatics: Promise, StringStatics: String,
    Crypto: Crypto.prototype, Locks: LockManager.prototype, Storage: Storage.prototype,
    Response: Response.prototype, generator: Object.getPrototypeOf(Object.getPrototypeOf((function* () {})())),
    iterator0: iterators[0], iterator1: iterators[1], iterator2: iterators[2], iterator3: iterators[3],
  };
  for (const [kind, of] of Object.entries(kinds)) {
    for (const name of ownKeys(of)) {
      if (LEFT.has(name) || name === "prototype" || name === Symbol.toStringTag) continue;
      if (name === Symbol.hasInstance || name === "length" || name === "name") continue;
      patch(of, name, kind + "." + String(name));
    }
  }
  for (const name of ["then", "catch", "finally", "constructor"]) patch(Promise.prototype, name, "Promise." + name);
  for (const [name, of] of Object.entries({ Array: Array.prototype, bytes: Uint8Array.prototype })) {
    patch(of, "constructor", name + ".constructor");
  }
  for (const name of ["Map", "Set", "Error", "Uint8Array", "TextDecoder", "Promise", "JSON", "Object", "Reflect"]) {
    patch(window, name, "window." + name);
  }
  for (const name of ["then", "toJSON"]) {
    defineProperty(Object.prototype, name, {
      configurable: true,
      get() {
        // The browser itself asks a response, and what is read of it, when it hands them out.
        const isBrowsers = this instanceof Response || this instanceof ArrayBuffer || ("done" in this && "value" in this);
        if (!isBrowsers) hear("Object." + name);
        return undefined;
      },
      set(given) { defineProperty(this, name, { value: given, writable: true, enumerable: true, configurable: true }); },
    });
  }
}`;

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
      let browser: LaunchedBrowser;
      let page: Page;
      /** Who called what, and from where; empty afterwards. */
      const takeHeard = (): Promise<Record<string, string>> =>
        page.evaluate(() => {
          const { heard } = window as unknown as { heard: Record<string, string> };
          const taken = { ...heard };
          for (const what in heard) delete heard[what];
          return taken;
        });

      before(async () => {
        browser = await launch(kind, {
          proxyPort: world.recorder.port,
          extension: testBuild(kind),
        });
        page = await browser.newPage();
        await openClient(page);
      });
      after(() => browser.close());

      it("hears whatever a script of an extension calls", async () => {
        const script =
          "[1, 2].map((x) => x + 1).length\n//# sourceURL=test-extension://one/page.js";
        assert.equal(await page.evaluate(script), 2);
        assert.match(Object.keys(await takeHeard()).join(), /Array\.map/);
      });

      it("hears nothing while an encrypted room is made, named and read", async () => {
        const user = `patched-${kind}`;
        await drive(page, "register", user, PASSWORD);
        const credentials = await drive(page, "login", user, PASSWORD);
        await drive(page, "start", credentials, { storage: "indexeddb" });
        const name = `canary-${kind}`;
        const { roomId } = await drive(page, "createRoom", {
          name,
          topic: "a topic",
          encrypted: true,
          invite: [bob.userId],
        });
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
        assert.deepEqual(await takeHeard(), {});
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
        assert.deepEqual(await takeHeard(), {});
      });
    });
  }
});
