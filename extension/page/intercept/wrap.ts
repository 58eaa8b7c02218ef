import {
  apply,
  construct,
  create,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  indexOf,
  NativeProxy,
  NativeWeakMap,
  slice,
  weakGet,
  weakSet,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";

const replacedNames = create(null) as Record<string, true>;
const anonymous = apply(Function.prototype.toString, new NativeProxy(() => undefined, {}), []);
const sample = apply(Function.prototype.toString, Function.prototype.bind, []) as string;
/** How this browser shows a native function. */
const nativeText = (name: string): string =>
  slice(sample, 0, indexOf(sample, "bind")) + name + slice(sample, indexOf(sample, "bind") + 4);

const originals = new NativeWeakMap<object, AnyFunction>();

/**
 * A function that behaves as told and is otherwise the native one: a proxy keeps its name, length,
 * properties and lack of a constructor, and reads as native code in other frames too.
 */
function wrapped(
  native: AnyFunction,
  behave: (self: unknown, args: unknown[]) => unknown,
): AnyFunction {
  // No prototype, or a page could add traps through Object.prototype.
  const handler = create(null) as ProxyHandler<AnyFunction>;
  handler.apply = (_target, self: unknown, args: unknown[]) => behave(self, args);
  const proxy = new NativeProxy(native, handler);
  weakSet(originals, proxy, native);
  replacedNames[native.name] = true;
  return proxy;
}

/** Replaces a method where it is defined; does nothing where the browser has none. */
export function replaceMethod(
  object: object,
  name: string,
  behave: (native: AnyFunction, self: unknown, args: unknown[]) => unknown,
): void {
  const owner = ownerOf(object, name);
  const descriptor = owner && getOwnPropertyDescriptor(owner, name);
  if (owner === undefined || typeof descriptor?.value !== "function") return;
  const native = descriptor.value as AnyFunction;
  descriptor.value = wrapped(native, (self, args) => behave(native, self, args));
  defineProperty(owner, name, descriptor);
}

/**
 * Replaces a constructor under every name it has on `object`. `construct` makes the native object,
 * for a page's subclass too.
 */
export function replaceConstructor(
  object: object,
  names: readonly string[],
  behave: (construct: (args: unknown[]) => object, args: unknown[]) => object,
): void {
  const native = getOwnPropertyDescriptor(object, names[0] as string)?.value as unknown;
  if (typeof native !== "function") return;
  const handler = create(null) as ProxyHandler<AnyFunction>;
  handler.construct = (_target, args: unknown[], newTarget) =>
    behave(
      (changed) =>
        construct(native as AnyFunction, changed, newTarget === proxy ? native : newTarget),
      args,
    );
  const proxy: AnyFunction = new NativeProxy(native as AnyFunction, handler);
  weakSet(originals, proxy, native as AnyFunction);
  for (let index = 0; index < names.length; index += 1) {
    const name = names[index] as string;
    const descriptor = getOwnPropertyDescriptor(object, name);
    if (descriptor === undefined || descriptor.value !== native) continue;
    replacedNames[native.name] = true;
    defineProperty(object, name, { ...descriptor, value: proxy });
  }
  const { prototype } = native as unknown as { prototype: object };
  const own = getOwnPropertyDescriptor(prototype, "constructor");
  if (own !== undefined) defineProperty(prototype, "constructor", { ...own, value: proxy });
}

/** Replaces getter, setter or both of an accessor property of a prototype. */
export function replaceAccessor(
  prototype: object,
  name: string,
  behave: {
    get?: (native: AnyFunction, self: unknown) => unknown;
    set?: (native: AnyFunction, self: unknown, args: unknown[]) => unknown;
  },
): void {
  const descriptor = getOwnPropertyDescriptor(prototype, name);
  if (descriptor === undefined) return;
  const { get: nativeGet, set: nativeSet } = descriptor;
  const { get, set } = behave;
  if (get !== undefined && nativeGet !== undefined) {
    descriptor.get = wrapped(nativeGet, (self) => get(nativeGet, self)) as () => unknown;
  }
  if (set !== undefined && nativeSet !== undefined) {
    descriptor.set = wrapped(nativeSet, (self, args) => set(nativeSet, self, args)) as (
      value: unknown,
    ) => void;
  }
  defineProperty(prototype, name, descriptor);
}

/** Makes replaced functions read as the native ones they stand for. */
export function maskAsNative(): void {
  replaceMethod(Function.prototype, "toString", (native, self, args) => {
    const original = weakGet(originals, self);
    if (original !== undefined) return apply(native, original, args);
    const text = apply(native, self, args) as string;
    if (text !== anonymous) return text;
    // Another frame's replaced function: a proxy is native code, but its name is not shown.
    const { name } = self as { name: unknown };
    return typeof name === "string" && replacedNames[name] === true ? nativeText(name) : text;
  });
}

function ownerOf(object: object, name: string): object | undefined {
  let candidate: object | null = object;
  while (candidate !== null) {
    if (getOwnPropertyDescriptor(candidate, name) !== undefined) return candidate;
    candidate = getPrototypeOf(candidate) as object | null;
  }
  return undefined;
}
