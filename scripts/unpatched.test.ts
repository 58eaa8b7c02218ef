import "../extension/testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import * as runtime from "../extension/page/primordials/unpatched.ts";
import { withoutPatches } from "./unpatched.ts";

const LOCAL = [
  "$calls",
  "$reads",
  "$globals",
  "$statics",
  "$each",
  "$eachAsList",
  "$made",
  "$maybe",
];

/** A source's function `run`, rewritten as the build does it. */
async function compiled(source: string): Promise<(...args: unknown[]) => unknown> {
  const code = (await withoutPatches(source, "a.ts")).replace(/^import .*$/m, "");
  const made = new Function(...LOCAL, "__async", `${code}\nreturn run;`) as (
    ...names: unknown[]
  ) => (...args: unknown[]) => unknown;
  const values = LOCAL.map(
    (name) => (runtime as unknown as Record<string, unknown>)[name.slice(1)],
  );
  return made(...values, runtime.asynchronous);
}

/** The same, as it stands. */
function plain(source: string, ...args: unknown[]): unknown {
  return (new Function(`${source}\nreturn run;`) as () => (...rest: unknown[]) => unknown)()(
    ...args,
  );
}

const SAME: Readonly<Record<string, string>> = {
  lists: `function run() {
    const list = [3, 1, 2];
    list.push(4, 5);
    const [first, , third = 9, ...rest] = list.slice(1).concat([6, [7]]);
    return [first, third, rest, list.map((x) => x * 2).filter((x) => x > 4), list.sort().join("-"),
      list.splice(1, 2), list, [...list, ..."äß😀"], Math.max(...list), list.indexOf(5), [[1], [2]].flat(),
      list.some((x) => x === 5), list.at(-1), [0].concat(1, [2, [3]], "4"), Array.from(list, (x, at) => x + at), Array.from({ length: 2 })];
  }`,
  "maps and sets": `function run() {
    const map = new Map([["a", 1], ["b", 2]]);
    const set = new Set([1, 2]);
    map.set("c", 3).delete("a");
    const seen = [];
    for (const [key, value] of map) seen.push(key, value);
    for (const one of set) seen.push(one);
    for (const [key] of map.entries()) seen.push(key);
    let left = "";
    for (const letter of "a😀b") left += letter + ".";
    return [seen, [...map.keys()], [...set.values()], map.get("b"), map.has("a"), map.size, set.size, left,
      Object.fromEntries(map), Object.entries({ a: 1 }), new Map(map).size];
  }`,
  texts: `function run() {
    return ["a-b".split("-"), "a1b2".replace(/[0-9]/g, (x) => "<" + x + ">"), /b(.)/.test("abc"),
      "x".padStart(3, "-"), "A".toLowerCase().repeat(2), "abc".includes("b"), "a,b".match(/(.),(.)/).slice(1),
      "a.b".replaceAll(".", "!"), "a.b".replaceAll(".", "[$&$$]"), "abc".replace("b", (x, at) => x + at),
      "abc".split(""), "a,b,c".split(",", 2), "abc".split(), "a1b".replace(1, "x"), "abc".match("b")[0],
      "x1y2".replaceAll(/[a-z]/g, "$&$&"), "abc".replace("z", "y"), "a1b2".match(/[0-9]/g), "abc".match("z"), "abc".charCodeAt(1), "abc".slice(-2), String(5), Number("6")];
  }`,
  "what may be missing": `function run() {
    const nothing = undefined;
    const has = { map: new Map([["a", new Map([["b", 1]])]]), size: 3 };
    return [nothing?.get("a") ?? "none", has?.map.get("a")?.get("b"), has.map.get("x")?.get("b") ?? 0,
      [...(nothing?.values() ?? [])], nothing?.size, has.size, has.map?.size];
  }`,
  "objects of the page": `function run() {
    class Odd { get(name) { return "odd " + name; } push(x) { return this.own + x; } own = "my "; }
    const all = { then: 7, size: 2, map: (x) => x + 1 };
    all.size += 1;
    const lacks = {};
    return [lacks.get?.(1), all.map?.(2), new Odd().get("x"), new Odd().push("y"), all.then, all.size, all.map(1)];
  }`,
  bytes: `function run() {
    const bytes = new Uint8Array(4);
    bytes.set([1, 2, 3, 4]);
    const part = bytes.subarray(1, -1);
    part.set([9]);
    return [[...bytes], [...part], [...bytes.slice(2)], [...bytes.subarray(3, 1)], [...bytes.slice()],
      new TextDecoder().decode(new TextEncoder().encode("äb")), part.byteOffset];
  }`,
};

// No error is thrown: node looks into sources for its stack, by the very methods that are listened to.
const ASYNC = `
  class Box {
    #inside = 1;
    async add(by = 2) { this.#inside += await by; return this.#inside; }
    both = async () => [await this.add(), await this.add(3)];
  }
  async function fails() { await null; throw { message: "as it should" }; }
  async function caught() {
    try { return await fails(); } catch (error) { return error.message; } finally { order.push("finally"); }
  }
  const order = [];
  async function run(thenable) {
    const box = new Box();
    const all = await Promise.all([1, Promise.resolve(2), box.add(), thenable]);
    const settled = await Promise.allSettled([fails(), 3]);
    const first = await Promise.race([new Promise(() => {}), Promise.resolve("first")]);
    const kept = await fails().catch(() => "kept").then((x) => x + "!").finally(() => order.push("last"));
    for (const x of await Promise.resolve([1, 2])) order.push(await x);
    return [all, settled.map((one) => one.status + (one.reason?.message ?? one.value)), first, kept,
      await caught(), await box.both(), await new Promise((resolve) => resolve(box.add())), order];
  }`;

describe("sources without the page's patches", () => {
  for (const [what, source] of Object.entries(SAME)) {
    test(`do the same as written: ${what}`, async () => {
      assert.deepEqual((await compiled(source))(), plain(source));
    });
  }

  test("do the same as written: asynchronous functions", async () => {
    const thenable = (): object => ({ then: (resolve: (x: string) => void) => resolve("then") });
    const rewritten = await (await compiled(ASYNC))(thenable());
    assert.deepEqual(rewritten, await (plain(ASYNC, thenable()) as Promise<unknown>));
  });

  test("are refused where they cannot be rewritten", async () => {
    for (const source of [
      "const f = ([a]: string[]) => a;",
      "async function f(a?: Map<string, string>) { return a?.get(await 1); }",
      "const f = (a?: Map<string, Error>) => a?.get('k')!.name;",
      "const f = (a?: Map<string, Error>) => a?.get('k').name;",
      "const f = (a?: Map<string, Error>) => a?.size.name;",
      "const f = (a: string) => a.split(/,/);",
      "const by = /,/g; const f = (a: string) => a.split(by);",
      "const f = (a: string) => a.search('x');",
      "const f = (a: SubtleCrypto, key: CryptoKey) => a.wrapKey('raw', key, key, 'x');",
      "const f = (a: DataView) => a.getBigUint64(0);",
      "const f = () => page.btoa('x');",
      "function* f() { yield 1; }",
      "const f = { *a() { yield 1; } };",
    ]) {
      await assert.rejects(withoutPatches(source, "a.ts"), /a\.ts:1: /, source);
    }
  });

  test("keep pictures' keys and bytes from what a page puts in place", async () => {
    const run = await compiled(`async function run(subtle, view) {
      const key = await subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt"]);
      const { kty } = await subtle.exportKey("jwk", key);
      return [kty, view.getUint8(0), view.getUint16(0), crypto.randomUUID().length];
    }`);
    const heard: string[] = [];
    const patched: (readonly [object, string, PropertyDescriptor])[] = [];
    for (const [of, name] of [
      [SubtleCrypto.prototype, "generateKey"],
      [SubtleCrypto.prototype, "exportKey"],
      [DataView.prototype, "getUint8"],
      [DataView.prototype, "getUint16"],
      [Crypto.prototype, "randomUUID"],
    ] as const) {
      const was = Object.getOwnPropertyDescriptor(of, name) as PropertyDescriptor;
      patched.push([of, name, was]);
      Object.defineProperty(of, name, {
        configurable: true,
        get() {
          heard.push(name);
          return was.value as unknown;
        },
      });
    }
    try {
      const view = new DataView(new Uint8Array([1, 2]).buffer);
      assert.deepEqual(await run(crypto.subtle, view), ["oct", 1, 258, 36]);
    } finally {
      for (const [of, name, was] of patched) Object.defineProperty(of, name, was);
    }
    assert.deepEqual(heard, []);
  });

  test("give the browser what they say, and nothing that a page put on all objects", async () => {
    const code = await withoutPatches(
      `import { nativeFetch, NativeBlob, push } from "../primordials/primordials.ts";
      export function run(subtle, decoder, list, held) {
        nativeFetch(page, "/", { method: "PUT", ...(held ? { body: "{}" } : {}) });
        new NativeBlob(list, { type: "a/b" });
        subtle.importKey("jwk", { kty: "oct" }, { name: "x" }, false, ["encrypt"]);
        decoder.decode(list, { stream: true });
        push(list, { kept: 1 });
        return { own: 2 };
      }`,
      "a.ts",
    );
    const bare = (members: string): RegExp => new RegExp(`\\{ __proto__: null, ${members} \\}`);
    for (const members of [
      "method: .*",
      'body: "\\{\\}"',
      'type: "a/b"',
      'kty: "oct"',
      "stream: true",
    ]) {
      assert.match(code, bare(members));
    }
    assert.match(code, /NativeBlob\(\$each\(list\),/);
    assert.match(code, /\$each\(\["encrypt"\]\)/);
    // What is kept or given to the page stays what it was.
    assert.match(code, /push\(list, \{ kept: 1 \}\)/);
    assert.match(code, /return \{ own: 2 \}/);
  });

  test("read what a sign stands before, and end a loop that is left", async () => {
    const heard: string[] = [];
    const was = Object.getOwnPropertyDescriptor(Map.prototype, "size") as PropertyDescriptor;
    const run = await compiled("function run(map) { return [!map.size, -map.size]; }");
    Object.defineProperty(Map.prototype, "size", {
      configurable: true,
      get() {
        heard.push("size");
        return 7;
      },
    });
    let got: unknown;
    try {
      got = run(new Map([[1, 2]]));
    } finally {
      Object.defineProperty(Map.prototype, "size", was);
    }
    assert.deepEqual([got, heard], [[false, -1], []]);
    const ended: string[] = [];
    const pairs = function* (): Generator<[number, number]> {
      try {
        yield [1, 2];
        yield [3, 4];
      } finally {
        ended.push("ended");
      }
    };
    const leave = await compiled(
      "function run(pairs) { for (const [a, b] of pairs) return a + b; }",
    );
    assert.equal(leave(pairs()), 3);
    assert.deepEqual(ended, ["ended"]);
  });

  test("leave a promise of the page as it was", async () => {
    const run = await compiled("async function run(given) { return (await given) + 1; }");
    const bare = Promise.resolve(1);
    assert.equal(await run(bare), 2);
    assert.equal(Object.hasOwn(bare, "constructor"), false);
    class Of extends Promise<number> {}
    const marked = Object.defineProperty(Promise.resolve(1), "constructor", {
      value: Of,
      configurable: true,
    });
    assert.equal(await run(marked), 2);
    assert.equal(marked.constructor, Of);
  });

  test("leave types, members and names that a file declares as they are", async () => {
    const code = await withoutPatches(
      `import type { A } from "./a.ts";
      interface Map2 { get(x: Map<string, Error>): Promise<void>; }
      const Map = (x: A): A => x;
      export const made = { Error: 1, get: Map };
      export type Of = Promise<Map2>;
      class Own extends Error {}
      export const one = (x: unknown): x is Own => x instanceof Own && made.Error === 1 && Map(x as A) !== null;`,
      "a.ts",
    );
    assert.match(code, /extends \$globals\.Error/);
    assert.match(code, /Error: 1/);
    assert.match(code, /made\.Error === 1/);
    assert.equal(code.match(/\$\w+\./g)?.length, 1);
  });
});

describe("a page that changed the language's own objects", () => {
  test("sees nothing of what runs without its patches, and changes nothing", async () => {
    const sources = { ...SAME, async: ASYNC };
    const functions: (() => unknown)[] = [];
    for (const source of Object.values(sources)) functions.push(await compiled(source));
    const outcomes: unknown[] = functions.map(() => undefined);

    // What the test itself does while the patches are there must not be heard.
    const heard = new Set<string>();
    const note = heard.add.bind(heard);
    const forget = heard.clear.bind(heard);
    const patches: (readonly [object, PropertyKey, string])[] = [
      ...[[], "", new Map(), new Set()].map(
        (list) =>
          [Object.getPrototypeOf(list[Symbol.iterator]()) as object, "next", "next"] as const,
      ),
      ...[Array, String, Map, Set, RegExp, Promise, TextDecoder, TextEncoder].flatMap((of) =>
        Reflect.ownKeys(of.prototype)
          .filter((name) => {
            const own = Object.getOwnPropertyDescriptor(of.prototype, name);
            return (
              own?.configurable === true && own.get === undefined && name !== Symbol.toStringTag
            );
          })
          .map((name) => [of.prototype as object, name, `${of.name}.${String(name)}`] as const),
      ),
      ...["set", "subarray", "slice", "constructor", Symbol.iterator].map((name) => {
        const isOwn = Object.hasOwn(Uint8Array.prototype, name);
        const all = Object.getPrototypeOf(Uint8Array.prototype) as object;
        return [isOwn ? Uint8Array.prototype : all, name, `bytes ${String(name)}`] as const;
      }),
      ...[Symbol.match, Symbol.replace, Symbol.split].map(
        (name) => [String.prototype, name, `text ${String(name)}`] as const,
      ),
      [Array.prototype, Symbol.isConcatSpreadable, "list spreadable"],
      ...["flags", "global", "unicode", "sticky"].map(
        (name) => [RegExp.prototype, name, `RegExp.${name}`] as const,
      ),
      [Promise, Symbol.species, "Promise species"],
      [Object.prototype, "then", "Object.then"],
      [Object.prototype, "toJSON", "Object.toJSON"],
      ...["0", "1", "2"].map((name) => [Array.prototype, name, `list ${name}`] as const),
    ];
    const before = patches.map(([of, name]) => Object.getOwnPropertyDescriptor(of, name));
    const { defineProperty } = Object;
    const remove = Reflect.deleteProperty;
    const { apply } = Reflect;
    for (let index = 0; index < patches.length; index += 1) {
      const [of, name, label] = patches[index] as (typeof patches)[number];
      const value: unknown = before[index]?.value;
      const accessor = before[index]?.get;
      defineProperty(of, name, {
        configurable: true,
        get() {
          note(label);
          return accessor === undefined ? value : apply(accessor, this, []);
        },
        set: () => void note(`${label} set`),
      });
    }
    forget();
    for (let index = 0; index < functions.length; index += 1) {
      outcomes[index] = (functions[index] as () => unknown)();
    }
    const until = Date.now() + 300;
    const nothing = { __proto__: null };
    while (Date.now() < until) await nothing;
    for (let index = patches.length - 1; index >= 0; index -= 1) {
      const patch = patches[index] as (typeof patches)[number];
      const was = before[index];
      if (was === undefined) remove(patch[0], patch[1]);
      else defineProperty(patch[0], patch[1], was);
    }
    // By node's own hooks of promises.
    for (const label of ["Array.pop", "list 0 set"]) heard.delete(label);
    assert.deepEqual([...heard], []);
    for (const [index, source] of Object.values(sources).entries()) {
      assert.deepEqual(await outcomes[index], await plain(source));
    }
  });
});
