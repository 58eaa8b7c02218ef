import "../../testing/page.ts";

import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";

import type { RequestPolicy } from "./decision.ts";

const page = globalThis.window as unknown as Record<string, unknown>;
const CALL = "https://call.example.net/room#?userId=%40a";

interface Loader {
  src: unknown;
  setAttribute(...args: unknown[]): void;
}

let set: string[] = [];
let asked: string[] = [];

/** As the browser's, as far as the hook goes. */
class Element {
  readonly kind: string = "";

  get nodeName(): string {
    return this.kind;
  }

  setAttribute(_name: string, value: unknown): void {
    set.push(String(value));
  }
}

const made: readonly [string, new () => Loader][] = ["IFRAME", "SCRIPT"].map((kind) => [
  kind,
  class extends Element {
    override readonly kind = kind;

    get src(): string {
      return "";
    }

    set src(value: unknown) {
      set.push(String(value));
    }
  } as unknown as new () => Loader,
]);

describe("the address of a frame or a script", () => {
  before(async () => {
    Object.assign(page, { Node: Element, Element });
    [page["HTMLIFrameElement"], page["HTMLScriptElement"]] = made.map(([, loader]) => loader);
    const { installFrameHook } = await import("./frames.ts");
    const gate = {
      frame: (url: string) => {
        asked.push(url);
        return { url: "about:blank", sentence: null };
      },
    };
    const nobody = async (): Promise<boolean> => false;
    installFrameHook(gate as unknown as RequestPolicy, () => undefined, nobody);
  });

  beforeEach(() => {
    [set, asked] = [[], []];
  });

  for (const [kind, loader] of made) {
    test(`is looked at whatever kind of value it is: ${kind}`, () => {
      const values = [CALL, new URL(CALL), { toString: () => CALL }, [CALL]];
      for (const value of values) {
        new loader().src = value;
        new loader().setAttribute("SRC", value);
      }
      assert.deepEqual(asked, Array(values.length * 2).fill(CALL));
      assert.deepEqual(set, Array(values.length * 2).fill("about:blank"));
    });

    test(`is no shield's where it leads nowhere else: ${kind}`, () => {
      const values = ["about:blank", "/usercontent/", "blob:https://x/1", "data:,x", "", null];
      for (const value of values) new loader().src = value;
      assert.deepEqual(asked, []);
      assert.deepEqual(set, values.map(String));
    });
  }
});
