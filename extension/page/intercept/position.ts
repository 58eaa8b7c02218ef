/**
 * `navigator.geolocation`: a browser finds the position by asking its vendor. The person is asked
 * first; a no reaches the page as the browser's own refusal would.
 */
import {
  apply,
  create,
  defineProperty,
  NativeString,
  page,
  setTimer,
  then,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import type { RequestPolicy } from "./decision.ts";
import { permissionFor } from "./permission.ts";
import type { AskPerson } from "./permission.ts";
import { replaceMethod } from "./wrap.ts";

const POSITION = "position:";
/** Numbers of watches the page was given, apart from the browser's own small ones. */
const FIRST_WATCH = 1_000_000_000;
const PERMISSION_DENIED = 1;

const NativeGeolocation = page.Geolocation as typeof Geolocation | undefined;
const NativeRefusal = page.GeolocationPositionError as typeof GeolocationPositionError | undefined;

/** Does nothing where the browser has no geolocation. */
export function installPositionHook(gate: RequestPolicy, askPerson: AskPerson): void {
  const prototype = NativeGeolocation?.prototype;
  if (prototype === undefined) return;
  /** By the page's number: the browser's, or undefined while the person is asked. */
  const watches = create(null) as Record<string, number | undefined>;
  let next = FIRST_WATCH;

  replaceMethod(prototype, "getCurrentPosition", (native, self, args) => {
    const permission = permissionFor(gate, POSITION, askPerson);
    if (permission === undefined || typeof args[0] !== "function") return apply(native, self, args);
    void then(permission, (isGranted) => {
      if (isGranted) apply(native, self, args);
      else refuse(args[1]);
    });
    return undefined;
  });
  replaceMethod(prototype, "watchPosition", (native, self, args) => {
    const permission = permissionFor(gate, POSITION, askPerson);
    if (permission === undefined || typeof args[0] !== "function") return apply(native, self, args);
    const watch = (next += 1);
    watches[NativeString(watch)] = undefined;
    void then(permission, (isGranted) => {
      // Taken back while the person was asked.
      if (!(NativeString(watch) in watches)) return;
      if (isGranted) watches[NativeString(watch)] = apply(native, self, args) as number;
      else refuse(args[1]);
    });
    return watch;
  });
  replaceMethod(prototype, "clearWatch", (native, self, args) => {
    const key = NativeString(args[0]);
    if (!(key in watches)) return apply(native, self, args);
    const own = watches[key];
    delete watches[key];
    return own === undefined ? undefined : apply(native, self, [own]);
  });
}

function refuse(callback: unknown): void {
  if (typeof callback !== "function") return;
  const refusal = create(NativeRefusal?.prototype ?? null) as object;
  const own = (name: string, value: unknown): void => {
    defineProperty(refusal, name, { value, enumerable: true });
  };
  own("code", PERMISSION_DENIED);
  own("message", "User denied Geolocation");
  // Never before the call has returned, as with the browser's own.
  setTimer(() => apply(callback as AnyFunction, undefined, [refusal]), 0);
}
