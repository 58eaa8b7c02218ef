/**
 * What the page's scripts see of browser and language where servers see a common one (the shield
 * `request-headers`): the same. Nothing is replaced before that is so.
 */
import type { CommonBrowser } from "../../protocol/common-browser.ts";
import {
  apply,
  execute,
  freeze,
  isArray,
  NativeRegExp,
  page,
  slice,
  then,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import { replaceAccessor, replaceMethod } from "./wrap.ts";

/** What the two browsers derive from the system. */
interface System {
  /** `navigator.platform`. */
  readonly platform: string;
  /** `navigator.oscpu`, which only Firefox has. */
  readonly cpu: string;
  /** In Firefox's `navigator.appVersion`. */
  readonly name: string;
}

const SYSTEMS: Readonly<Record<CommonBrowser["system"], System>> = {
  Windows: { platform: "Win32", cpu: "Windows NT 10.0; Win64; x64", name: "Windows" },
  macOS: { platform: "MacIntel", cpu: "Intel Mac OS X 10.15", name: "Macintosh" },
  Android: { platform: "Linux armv81", cpu: "Linux armv81", name: "Android 10" },
};

/** Hints that servers are not sent either. */
const SYSTEM_HINTS = new NativeRegExp("^(?:architecture|bitness|model|platformVersion)$");
const MAJOR = new NativeRegExp("^[0-9]+");
const FIREFOX = new NativeRegExp("Firefox/");

interface Told extends CommonBrowser, System {
  readonly appVersion: string;
}

let told: Told | undefined;
let isInstalled = false;

/** Shows the page this browser from now on; `null`: its own. */
export function showBrowser(common: CommonBrowser | null): void {
  told = common === null ? undefined : toldOf(common);
  if (told === undefined || isInstalled) return;
  isInstalled = true;
  const prototype = page.Navigator.prototype;
  show(prototype, "userAgent", (seen) => seen.userAgent);
  show(prototype, "appVersion", (seen) => seen.appVersion);
  show(prototype, "platform", (seen) => seen.platform);
  show(prototype, "oscpu", (seen) => seen.cpu);
  show(prototype, "language", (seen) => seen.languages[0]);
  show(prototype, "languages", (seen) => seen.languages);
  const hints = (page as unknown as { NavigatorUAData?: { prototype: object } }).NavigatorUAData;
  if (hints !== undefined) installHints(hints.prototype);
}

function installHints(prototype: object): void {
  show(prototype, "platform", (seen) => seen.system);
  replaceMethod(prototype, "toJSON", (native, self, args) => {
    const values = apply(native, self, args) as Record<string, unknown>;
    if (told !== undefined) values["platform"] = told.system;
    return values;
  });
  replaceMethod(prototype, "getHighEntropyValues", (native, self, args) =>
    then(apply(native, self, args) as Promise<Record<string, unknown>>, (values) => {
      if (told === undefined) return values;
      for (const name in values) {
        if (name === "platform") values[name] = told.system;
        else if (execute(SYSTEM_HINTS, name) !== null) values[name] = "";
        else if (name === "uaFullVersion") values[name] = reduced(values[name]);
        else if (name === "fullVersionList") generalise(values[name]);
      }
      return values;
    }),
  );
}

/** Still fails as the browser's own getter does on what is no navigator. */
function show(prototype: object, name: string, value: (seen: Told) => unknown): void {
  const get = (native: AnyFunction, self: unknown): unknown => {
    const own = apply(native, self, []);
    return told === undefined ? own : value(told);
  };
  replaceAccessor(prototype, name, { get });
}

function toldOf(common: CommonBrowser): Told {
  const { userAgent, languages } = common;
  const system = SYSTEMS[common.system];
  const isFirefox = execute(FIREFOX, userAgent) !== null;
  return {
    ...common,
    ...system,
    languages: freeze(languages) as string[],
    appVersion: isFirefox ? `5.0 (${system.name})` : slice(userAgent, "Mozilla/".length),
  };
}

function generalise(list: unknown): void {
  if (!isArray(list)) return;
  for (let index = 0; index < list.length; index += 1) {
    const entry = list[index] as { version: unknown };
    entry.version = reduced(entry.version);
  }
}

/** As in `User-Agent`, where only the first number of a version is true. */
function reduced(version: unknown): string {
  return `${execute(MAJOR, version as string)?.[0] ?? "0"}.0.0.0`;
}
