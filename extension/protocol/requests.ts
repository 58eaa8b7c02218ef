/** What pages ask the extension for, whoever passes it on. */
import { isText, isCount } from "./shapes.ts";

/** Kinds of values that a page's handlers keep over reloads. */
export type StoreArea = "state" | "media" | "account-data" | "answers" | "check-up" | "relations";

/** WASM that a page loads when it needs it. */
export type ModuleName = "state" | "media";

const AREAS: readonly string[] = [
  ...["state", "media", "account-data", "answers", "check-up", "relations"],
];

const MODULES: readonly string[] = ["state", "media"];

/** Longest stored value, in UTF-16 units. */
export const MAX_VALUE_LENGTH = 1_000_000;

/** Longest name of a stored value, in UTF-16 units. */
export const MAX_KEY_LENGTH = 500;

const MAX_MEDIA_URLS = 4;
const MEDIA_URL =
  /^https?:\/\/[^/?#\\\s]+(?:\/[^?#\s]*)?\/_matrix\/media\/(?:r0|v1|v3)\/download\/[^/?#\s]+\/[^/?#\s]+$/;

/** Of a stored value. */
export function isKey(value: unknown): value is string {
  return isText(value, MAX_KEY_LENGTH) && value !== "";
}

export function isArea(value: unknown): value is StoreArea {
  return typeof value === "string" && AREAS.includes(value);
}

/** The name of a run of the browser. */
export function isRun(value: unknown): value is string {
  return isText(value, 64) && value !== "";
}

export function isModule(value: unknown): value is ModuleName {
  return typeof value === "string" && MODULES.includes(value);
}

/**
 * Media that needs no signing in, and nothing else: pages must not fetch at will through us. Judged
 * as the browser will ask for them; undefined: one is something else.
 */
export function readMediaUrls(value: unknown): string[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_MEDIA_URLS) return undefined;
  const urls = value.flatMap((url) => mediaUrl(url) ?? []);
  return urls.length === value.length ? urls : undefined;
}

function mediaUrl(text: unknown): string | undefined {
  if (!isText(text, 2000) || !URL.canParse(text)) return undefined;
  const { href, username, password } = new URL(text);
  return username === "" && password === "" && MEDIA_URL.test(href) ? href : undefined;
}

export function areStatuses(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MAX_MEDIA_URLS && value.every(isCount);
}
