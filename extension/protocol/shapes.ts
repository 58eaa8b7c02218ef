/** Checks of plain values, which every validator is made of. */

export type Plain = Record<string, unknown>;

export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isText(value: unknown, longest: number): value is string {
  return typeof value === "string" && value.length <= longest;
}

export function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

export function isName(value: unknown): value is string {
  return isText(value, 64) && /^[a-z][a-z0-9-]*$/.test(value);
}

/** A host as the browser writes it, with its port at most; empty: of no host. */
export function isHost(value: unknown): value is string {
  if (value === "") return true;
  // Rules and match patterns read `*` as anything.
  if (!isText(value, 261) || value.includes("*")) return false;
  const url = `https://${value}/`;
  return URL.canParse(url) && [new URL(url).host, `${new URL(url).host}:443`].includes(value);
}

export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function isTexts(value: unknown): value is Record<string, string> {
  return isPlain(value) && keysOf(value).every((key) => typeof value[key] === "string");
}

/** What an error says, no longer than answers may say it. */
export function whyOf(error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return why.slice(0, 1000);
}

const keysOf = Object.keys;
