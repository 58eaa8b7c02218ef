/**
 * What the build puts in place of method calls, loops, spreads and asynchronous functions of the
 * page's script (`scripts/unpatched.ts`). Each does what the language says, by the methods that there
 * were before any script of the page ran: what a page puts in their place neither sees nor changes
 * what Mantle does. Objects of the page's own classes are called as they are.
 */
import {
  type AnyFunction,
  apply,
  charCodeAt,
  create,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  isArray,
  iteratorKey,
  NativePromise,
  NativeRegExp,
  NativeTypeError,
  NativeUint8Array,
  page,
  pinned,
  push,
  result,
  setBytes,
  stringify,
  thenNative,
  uncurry,
  weakGet,
  weakSet,
} from "./primordials.ts";
import { GLOBALS, KINDS, METHODS, READS_IN_GLUE, STATICS } from "./unpatched-names.ts";

type Method = (self: unknown, ...rest: unknown[]) => unknown;
type Table = Record<string, AnyFunction | undefined>;
type Settle = (value: unknown) => void;
type Values = Record<string, unknown>;

const table = <Value>(): Record<string, Value> => create(null) as Record<string, Value>;
const valueOf = (of: object, name: PropertyKey): unknown =>
  getOwnPropertyDescriptor(of, name)?.value as unknown;
const objectPrototype: object = Object.prototype;
const arrayPrototype: object = Array.prototype;
const promisePrototype: object = Promise.prototype;
const regExpPrototype: object = RegExp.prototype;
const bytesPrototype: object = Uint8Array.prototype;
const defineOwn = Reflect.defineProperty;
const deleteOwn = Reflect.deleteProperty;

/* What there was. */

const methodsOf = new WeakMap<object, Table>();
const gettersOf = new WeakMap<object, Table>();

const wanted = table<true>();
for (const name of [...METHODS, ...READS_IN_GLUE]) wanted[name] = true;

function capture(prototype: unknown): Table {
  const methods = table<AnyFunction | undefined>();
  const getters = table<AnyFunction | undefined>();
  if (typeof prototype !== "object" && typeof prototype !== "function") return methods;
  for (
    let at = prototype as object | null;
    at !== null && at !== objectPrototype;
    at = getPrototypeOf(at) as object | null
  ) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (!(name in wanted)) continue;
      const own = getOwnPropertyDescriptor(at, name);
      if (own?.get !== undefined) getters[name] ??= own.get;
      const method = own?.value as unknown;
      if (typeof method === "function") methods[name] ??= method as AnyFunction;
    }
  }
  weakSet(methodsOf, prototype as object, methods);
  weakSet(gettersOf, prototype as object, getters);
  return methods;
}

const prototypeOf = (name: string): unknown =>
  (page as unknown as Record<string, { prototype?: unknown } | undefined>)[name]?.prototype ??
  (globalThis as unknown as Record<string, { prototype?: unknown } | undefined>)[name]?.prototype;
const ofLists = capture(arrayPrototype);
const ofTexts = capture(String.prototype);
const ofFunctions = capture(Function.prototype);
for (const name of KINDS) capture(prototypeOf(name));
if (typeof WebAssembly !== "undefined") {
  capture(WebAssembly.Memory.prototype);
  capture(WebAssembly.Table.prototype);
  capture(WebAssembly.Instance.prototype);
}

const iteratorsOf = new WeakMap<object, Method>();
for (const list of [[], "", new Map(), new Set()] as const) {
  const prototype = Object(list).constructor.prototype as object;
  const iterate = valueOf(prototype, iteratorKey) as AnyFunction;
  const iterator = getPrototypeOf(iterate.call(list as never) as object) as object;
  if (list !== "" && !isArray(list)) weakSet(iteratorsOf, prototype, uncurry(iterate) as Method);
  capture(iterator);
  weakSet(iteratorsOf, iterator, (self) => self);
}
const lettersOf = uncurry(valueOf(String.prototype, iteratorKey) as AnyFunction) as Method;

/* Calls and reads. */

function methodOf(self: unknown, name: string): AnyFunction | undefined {
  if (typeof self === "string") return ofTexts[name];
  if (typeof self === "function") return ofFunctions[name];
  if (typeof self !== "object" || self === null) return undefined;
  if (isArray(self)) return ofLists[name];
  return (weakGet(methodsOf, getPrototypeOf(self)) as Table | undefined)?.[name];
}

/** One that was not given is looked for on no prototype. */
const argument = (rest: readonly unknown[], index: number): unknown =>
  index < rest.length ? rest[index] : undefined;

/** Of an object that is none of the language's or the browser's, its own. */
const called = (self: unknown, name: string, rest: readonly unknown[]): unknown =>
  apply(
    methodOf(self, name) ?? ((self as Record<string, AnyFunction>)[name] as AnyFunction),
    self,
    rest,
  );

/** By name, each as `(self, ...arguments)`. */
export const calls: Record<string, Method> = table();
for (const name of METHODS) calls[name] = (self, ...rest) => called(self, name, rest);

/** By name, each as `(self)`. */
export const reads: Record<string, (self: unknown) => unknown> = table();
for (const name of READS_IN_GLUE) {
  reads[name] = (self) => {
    const isPlain = typeof self !== "object" || self === null || isArray(self);
    const getter = isPlain
      ? undefined
      : (weakGet(gettersOf, getPrototypeOf(self)) as Table | undefined)?.[name];
    return getter === undefined ? (self as Values)[name] : apply(getter, self, []);
  };
}

/** A call behind `?.`: nothing happens where there is nothing. */
export const maybe = <Self, Result>(
  self: Self | null | undefined,
  call: (self: Self) => Result,
): Result | undefined => (self === null || self === undefined ? undefined : call(self));

// Letter by letter over long texts: without a list of arguments.
calls["charCodeAt"] = (self, at) =>
  typeof self === "string" ? charCodeAt(self, at as number) : called(self, "charCodeAt", [at]);

/** A setter that the page may have put on all lists hears nothing. */
calls["push"] = (self, ...items) => {
  if (!isArray(self)) return called(self, "push", items);
  for (let index = 0; index < items.length; index += 1) push(self, items[index]);
  return self.length;
};

const noConstructor = {
  __proto__: null,
  value: undefined,
  configurable: true,
} as PropertyDescriptor;
/** The new list is of no other kind: nobody's constructor is asked for. */
for (const name of ["filter", "flat", "flatMap", "map", "slice", "splice"]) {
  calls[name] = (self, ...rest) => {
    if (isBytes(self)) return partOf(self, name, rest);
    if (!isArray(self) || getOwnPropertyDescriptor(self, "constructor") !== undefined) {
      return called(self, name, rest);
    }
    const isPinned = defineOwn(self, "constructor", noConstructor);
    try {
      return apply(ofLists[name] as AnyFunction, self, rest);
    } finally {
      if (isPinned) deleteOwn(self, "constructor");
    }
  };
}

const isBytes = (value: unknown): value is Uint8Array<ArrayBuffer> =>
  typeof value === "object" && value !== null && getPrototypeOf(value) === bytesPrototype;
const readBytes = (bytes: Uint8Array, name: string): unknown =>
  (reads[name] as (self: unknown) => unknown)(bytes);

/** `slice` and `subarray` of bytes. */
function partOf(bytes: Uint8Array, name: string, rest: readonly unknown[]): unknown {
  if (name !== "slice" && name !== "subarray") return called(bytes, name, rest);
  const length = readBytes(bytes, "length") as number;
  const place = (at: unknown, otherwise: number): number => {
    if (at === undefined) return otherwise;
    const from = (at as number) < 0 ? length + (at as number) : (at as number);
    return from < 0 ? 0 : from > length ? length : from;
  };
  const from = place(argument(rest, 0), 0);
  const count = place(argument(rest, 1), length) - from;
  const part = new NativeUint8Array(
    readBytes(bytes, "buffer") as ArrayBuffer,
    (readBytes(bytes, "byteOffset") as number) + from,
    count < 0 ? 0 : count,
  );
  if (name === "subarray") return part;
  const copy = new NativeUint8Array(count < 0 ? 0 : count);
  setBytes(copy, part, 0);
  return copy;
}
calls["subarray"] = (self, ...rest) =>
  isBytes(self) ? partOf(self, "subarray", rest) : called(self, "subarray", rest);

/** No list is asked whether it is to be spread. */
calls["concat"] = (self, ...rest) => {
  if (!isArray(self)) return called(self, "concat", rest);
  const made: unknown[] = [];
  for (let index = 0; index < self.length; index += 1) push(made, self[index]);
  for (let index = 0; index < rest.length; index += 1) {
    const item = rest[index];
    if (!isArray(item)) push(made, item);
    else for (let inner = 0; inner < item.length; inner += 1) push(made, item[inner]);
  }
  return made;
};

/* Expressions: the engine asks them for their own parts. */

const { match: matchKey, replace: replaceKey, split: splitKey, toPrimitive: primitiveKey } = Symbol;
const RULES = ["exec", matchKey, replaceKey] as const;
const rules = [
  ...RULES.map((name) => [name, { __proto__: null, value: valueOf(regExpPrototype, name) }]),
  ["constructor", { __proto__: null, value: undefined }],
] as [PropertyKey, PropertyDescriptor][];
/** `flags` last: it asks for the others. */
const FLAGS = [
  ...["hasIndices", "global", "ignoreCase", "multiline", "dotAll", "unicode", "unicodeSets"],
  ...["sticky", "flags"],
];
const flags = FLAGS.map((name) => [name, getOwnPropertyDescriptor(regExpPrototype, name)?.get]) as [
  string,
  AnyFunction | undefined,
][];

const isExpression = (value: unknown): value is object =>
  typeof value === "object" && value !== null && getPrototypeOf(value) === regExpPrototype;

/** Its parts are its own from here on, so that none of the page's are asked. */
function ownRules(expression: unknown): void {
  if (!isExpression(expression)) return;
  if (getOwnPropertyDescriptor(expression, "flags") !== undefined) return;
  for (let index = 0; index < flags.length; index += 1) {
    const flag = flags[index] as (typeof flags)[number];
    if (flag[1] === undefined) continue;
    const value = apply(flag[1], expression, []);
    defineOwn(expression, flag[0], { __proto__: null, value } as PropertyDescriptor);
  }
  for (let index = 0; index < rules.length; index += 1) {
    const rule = rules[index] as [PropertyKey, PropertyDescriptor];
    defineOwn(expression, rule[0], rule[1]);
  }
}

/**
 * A text as what it is to be looked for by: a browser asks a text for rules that it follows instead,
 * which a page can put on all texts and then hears both. This one says that it has none.
 */
function withoutRules(text: unknown): unknown {
  const isText = typeof text === "string" || typeof text === "number" || typeof text === "boolean";
  if (!isText) return text;
  const pattern = table<unknown>() as Record<PropertyKey, unknown>;
  pattern[matchKey] = undefined;
  pattern[replaceKey] = undefined;
  pattern[splitKey] = undefined;
  pattern[primitiveKey] = () => text;
  return pattern;
}
for (const name of ["replace", "replaceAll", "split"]) {
  calls[name] = (self, ...rest) => {
    if (typeof self !== "string") return called(self, name, rest);
    const first = argument(rest, 0);
    // The expression that the browser makes of it would ask for parts of the page's.
    if (name === "split" && isExpression(first)) {
      throw new NativeTypeError("a text is split by no expression here");
    }
    ownRules(first);
    if (rest.length > 0) rest[0] = withoutRules(first);
    return called(self, name, rest);
  };
}
calls["match"] = (self, ...rest) => {
  if (typeof self !== "string") return called(self, "match", rest);
  const first = argument(rest, 0);
  const expression = typeof first === "string" ? new NativeRegExp(first) : first;
  ownRules(expression);
  return called(self, "match", [expression]);
};
calls["test"] = (self, ...rest) => {
  ownRules(self);
  return called(self, "test", rest);
};

/* Loops, spreads and destructuring. */

interface Steps {
  next(): IteratorResult<unknown>;
  return?(): unknown;
}

const stepsBy = (next: () => IteratorResult<unknown>, end?: () => unknown): Iterable<unknown> => {
  const steps = { __proto__: null, next, return: end } as unknown as Steps & Iterable<unknown>;
  defineProperty(steps, iteratorKey, { __proto__: null, value: () => steps } as PropertyDescriptor);
  return steps;
};
const done = { __proto__: null, done: true, value: undefined } as IteratorResult<unknown>;
const given = (value: unknown): IteratorResult<unknown> =>
  ({ __proto__: null, done: false, value }) as IteratorResult<unknown>;

/** What is looped over, by the iterators there were. */
export function each(values: unknown): Iterable<unknown> {
  if (isArray(values)) {
    let index = 0;
    return stepsBy(() => {
      if (index >= values.length) return done;
      index += 1;
      return given(values[index - 1]);
    });
  }
  if (typeof values === "string") return each(lettersOf(values));
  if (typeof values !== "object" || values === null) return values as Iterable<unknown>;
  if (isBytes(values)) {
    let index = 0;
    const length = readBytes(values, "length") as number;
    return stepsBy(() => {
      if (index >= length) return done;
      index += 1;
      return given(values[index - 1]);
    });
  }
  const iterate = weakGet(iteratorsOf, getPrototypeOf(values)) as Method | undefined;
  if (iterate === undefined) return values as Iterable<unknown>;
  const iterator = iterate(values);
  const next = methodOf(iterator, "next") as AnyFunction;
  return stepsBy(() => apply(next, iterator, []) as IteratorResult<unknown>);
}

/** A list of lists, as the browser goes through one that it is given. */
export const eachOfLists = (values: readonly (readonly unknown[])[]): Iterator<unknown> =>
  eachAsList(values)[iteratorKey]();

/** The same where each of them is taken apart as a list. */
export function eachAsList(values: unknown): Iterable<unknown> {
  const outer = each(values)[iteratorKey]();
  const next = (): IteratorResult<unknown> => {
    const step = outer.next();
    return step.done === true ? done : given(each(step.value));
  };
  // Asked for when a loop is left, as the language does.
  const end = (): unknown => outer.return?.() ?? done;
  return stepsBy(next, end);
}

/* Promises. */

const withoutThen = new WeakMap<object, true>();
for (const name of [
  ...["Object", "Array", "Uint8Array", "ArrayBuffer", "Map", "Set", "Error", "Function"],
  ...["Response", "Blob", "WeakMap"],
]) {
  const prototype = prototypeOf(name);
  if (typeof prototype === "object" && prototype !== null) weakSet(withoutThen, prototype, true);
}
const typedPrototype = getPrototypeOf(bytesPrototype) as object;
weakSet(withoutThen, typedPrototype, true);

/** Whether a `then` that it has is one that the page put on all objects of a kind that has none. */
function hasForeignThen(value: object): boolean {
  for (let at: object | null = value; at !== null; at = getPrototypeOf(at) as object | null) {
    if (getOwnPropertyDescriptor(at, "then") === undefined) continue;
    return at !== value && weakGet(withoutThen, at) === true;
  }
  return false;
}

/** Ends a promise of Mantle's with what may be another promise. */
function finish(value: unknown, resolve: Settle, fail: Settle): void {
  if (typeof value === "object" && value !== null) {
    if (getPrototypeOf(value) === promisePrototype) {
      thenNative(value as Promise<unknown>, resolve, fail);
      return;
    }
    if (hasForeignThen(value)) result(value);
  }
  resolve(value);
}

const promiseOf = (value: unknown): Promise<unknown> =>
  new NativePromise((resolve, fail) => finish(value, resolve, fail));

/** Calls one of these later, as `await` and `then` do. */
function whenSettled(value: unknown, fulfilled: Settle, rejected: Settle): void {
  const isNative =
    typeof value === "object" && value !== null && getPrototypeOf(value) === promisePrototype;
  const promise = isNative ? (value as Promise<unknown>) : promiseOf(value);
  thenNative(promise, fulfilled, rejected);
}

function chained(earlier: unknown, fulfilled: unknown, rejected: unknown): Promise<unknown> {
  const promise = new NativePromise<unknown>((resolve, fail) => {
    const by = (handler: unknown, otherwise: Settle): Settle =>
      typeof handler !== "function"
        ? otherwise
        : (value) => {
            try {
              finish((handler as Settle)(value), resolve, fail);
            } catch (error) {
              fail(error);
            }
          };
    whenSettled(earlier, by(fulfilled, resolve), by(rejected, fail));
  });
  return pinned(promise);
}

const isPromise = (value: unknown): boolean =>
  typeof value === "object" && value !== null && getPrototypeOf(value) === promisePrototype;
calls["then"] = (self, ...rest) =>
  isPromise(self)
    ? chained(self, argument(rest, 0), argument(rest, 1))
    : called(self, "then", rest);
calls["catch"] = (self, ...rest) =>
  isPromise(self) ? chained(self, undefined, argument(rest, 0)) : called(self, "catch", rest);
calls["finally"] = (self, ...rest) => {
  if (!isPromise(self)) return called(self, "finally", rest);
  const last = argument(rest, 0) as () => unknown;
  return chained(
    self,
    (value: unknown) => chained(promiseOf(last()), () => value, undefined),
    (error: unknown) =>
      chained(
        promiseOf(last()),
        () => {
          throw error;
        },
        undefined,
      ),
  );
};

const steps = getPrototypeOf(getPrototypeOf((function* () {})()) as object) as object;
const nextStep = uncurry(valueOf(steps, "next") as AnyFunction) as Method;
const throwStep = uncurry(valueOf(steps, "throw") as AnyFunction) as Method;

/** An asynchronous function, as a generator that yields what it awaits. */
export function asynchronous(
  self: unknown,
  args: ArrayLike<unknown> | null,
  body: AnyFunction,
): Promise<unknown> {
  const promise = new NativePromise<unknown>((resolve, fail) => {
    const generator = apply(body, self, args ?? []);
    const go = (step: Method, value: unknown): void => {
      let at: IteratorResult<unknown>;
      try {
        at = step(generator, value) as IteratorResult<unknown>;
      } catch (error) {
        fail(error);
        return;
      }
      if (at.done === true) finish(at.value, resolve, fail);
      else whenSettled(at.value, onward, thrown);
    };
    const onward = (value: unknown): void => go(nextStep, value);
    const thrown = (error: unknown): void => go(throwStep, error);
    go(nextStep, undefined);
  });
  return pinned(promise);
}

/* Names of the language and the browser. */

export const globals: Values = table();
for (const name of GLOBALS) {
  globals[name] = (globalThis as unknown as Values)[name] ?? (page as unknown as Values)[name];
}

export const statics: Record<string, Values> = table();
for (const name of STATICS) {
  const from = (globalThis as unknown as Record<string, object | undefined>)[name];
  const copy = table<unknown>();
  for (const key of from === undefined ? [] : Object.getOwnPropertyNames(from)) {
    if (typeof from === "function" && (key === "arguments" || key === "caller")) continue;
    copy[key] = valueOf(from as object, key);
  }
  statics[name] = copy;
}

/** By name, each as `(first argument)`: they ask nobody how they are filled or ended. */
export const made = table<(first: never) => unknown>();
const mapSet = uncurry(Map.prototype.set);
const setAdd = uncurry(Set.prototype.add);
const NativeMap = Map;
const NativeSet = Set;
made["Map"] = (entries: unknown) => {
  const map = new NativeMap<unknown, unknown>();
  for (const entry of each(entries ?? [])) {
    const [key, value] = each(entry);
    mapSet(map, key, value);
  }
  return map;
};
made["Set"] = (values: unknown) => {
  const set = new NativeSet<unknown>();
  for (const value of each(values ?? [])) setAdd(set, value);
  return set;
};
made["Promise"] = (run: (resolve: Settle, fail: Settle) => void) =>
  pinned(
    new NativePromise<unknown>((resolve, fail) =>
      run((value) => finish(value, resolve, fail), fail),
    ),
  );

const listOf = (values: unknown): unknown[] => {
  const list: unknown[] = [];
  for (const value of each(values)) push(list, value);
  return list;
};

/** One promise of many. */
function gathered(values: unknown, take: (promise: unknown, put: Settle, fail: Settle) => void) {
  return new NativePromise<unknown>((resolve, fail) => {
    const all = listOf(values);
    const taken: unknown[] = [];
    for (let index = 0; index < all.length; index += 1) push(taken, undefined);
    let left = all.length;
    const end = (): void => finish(taken, resolve, fail);
    if (left === 0) end();
    for (let index = 0; index < all.length; index += 1) {
      const put = (value: unknown): void => {
        taken[index] = value;
        left -= 1;
        if (left === 0) end();
      };
      take(all[index], put, fail);
    }
  });
}

Object.assign(statics["Promise"] as Values, {
  resolve: (value: unknown) => (isPromise(value) ? value : promiseOf(value)),
  reject: (reason: unknown) => new NativePromise((_, fail) => fail(reason)),
  all: (values: unknown) => gathered(values, whenSettled),
  allSettled: (values: unknown) =>
    gathered(values, (promise, put) =>
      whenSettled(
        promise,
        (value) => put({ status: "fulfilled", value }),
        (reason) => put({ status: "rejected", reason }),
      ),
    ),
  race: (values: unknown) =>
    new NativePromise((resolve, fail) => {
      const all = listOf(values);
      for (let index = 0; index < all.length; index += 1) whenSettled(all[index], resolve, fail);
    }),
});
Object.assign(statics["JSON"] as Values, { stringify });
Object.assign(statics["Array"] as Values, {
  from: (values: unknown, map?: (value: unknown, index: number) => unknown) => {
    const list: unknown[] = [];
    if (isIterable(values)) {
      let index = 0;
      for (const value of each(values)) {
        push(list, map === undefined ? value : map(value, index));
        index += 1;
      }
      return list;
    }
    const { length } = values as ArrayLike<unknown>;
    for (let index = 0; index < length; index += 1) {
      const value = (values as ArrayLike<unknown>)[index];
      push(list, map === undefined ? value : map(value, index));
    }
    return list;
  },
});
Object.assign(statics["Object"] as Values, {
  fromEntries: (entries: unknown) => {
    const made: Values = {};
    for (const entry of each(entries)) {
      const [key, value] = each(entry);
      const member = { __proto__: null, value } as PropertyDescriptor;
      member.configurable = member.enumerable = member.writable = true;
      defineProperty(made, key as PropertyKey, member);
    }
    return made;
  },
});

function isIterable(values: unknown): boolean {
  return (
    typeof values === "string" ||
    (typeof values === "object" && values !== null && iteratorKey in values)
  );
}
