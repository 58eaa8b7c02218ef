/** What stays on this device for the core: JSON texts by key. */
import { create, keysOf, parseJson, quoteJson } from "../primordials/primordials.ts";

export type KeptEntries = Readonly<Record<string, string>>;

/** With an entry changed; `null` takes it out. */
export function withEntry(
  entries: KeptEntries | undefined,
  key: string,
  value: string | null,
): KeptEntries {
  const next = copyOf(entries);
  if (value === null) delete next[key];
  else next[key] = value;
  return next;
}

/** One JSON object of all; an entry that is no JSON is left out alone. */
export function textOfEntries(entries: KeptEntries): string {
  let text = "";
  const keys = keysOf(entries);
  for (let index = 0; index < keys.length; index += 1) {
    const key = keys[index] as string;
    const value = entries[key] ?? "";
    if (isJson(value)) text += `${text === "" ? "" : ","}${quoteJson(key)}:${value}`;
  }
  return `{${text}}`;
}

/** Without a prototype: a key may have any name. */
function copyOf(entries: KeptEntries | undefined): Record<string, string> {
  const copy = create(null) as Record<string, string>;
  const keys = entries === undefined ? [] : keysOf(entries);
  for (let index = 0; index < keys.length; index += 1) {
    const key = keys[index] as string;
    copy[key] = entries?.[key] ?? "";
  }
  return copy;
}

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}
