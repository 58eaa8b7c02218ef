/** What pages ask the extension for, whoever passes it on. */
import { isText, isCount } from "./shapes.ts";

/** Kinds of values that a page's handlers keep over reloads. */
export type StoreArea = "state" | "media" | "account-data" | "answers";

/** WASM that a page loads when it needs it. */
export type ModuleName = "state" | "media";

const AREAS: readonly string[] = ["state", "media", "account-data", "answers"];

const MODULES: readonly string[] = ["state", "media"];

/** Longest stored value, in UTF-16 units. */
export const LONGEST_VALUE = 1_000_000;

export const LONGEST_KEY = 500;

const MEDIA_URL =
  /^https?:\/\/[^/?#\\\s]+(?:\/[^?#\s]*)?\/_matrix\/media\/(?:r0|v1|v3)\/download\/[^/?#\s]+\/[^/?#\s]+$/;

export function isArea(value: unknown): value is StoreArea {
  return typeof value === "string" && AREAS.includes(value);
}

export function isModule(value: unknown): value is ModuleName {
  return typeof value === "string" && MODULES.includes(value);
}

/** Media that needs no signing in, and nothing else: pages must not fetch at will through us. */
export function areMediaUrls(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= 4 &&
    value.every((url) => isText(url, 2000) && MEDIA_URL.test(url))
  );
}

export function areStatuses(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 4 && value.every(isCount);
}
