/**
 * What Mantle says inside Element, in the person's language. The page's script has its English texts;
 * those of another language come with the settings (`extension/browser/page-texts.ts`), and with them
 * what the modules say, by their English sentence: no module has a second language to carry.
 */
import english from "./en.json" with { type: "json" };
import {
  execute,
  getOwnPropertyDescriptor,
  indexOf,
  keysOf,
  NativeNumber,
  NativeRegExp,
  parseJson,
  push,
  slice,
  startsWith,
  stringify,
  uncurry,
} from "../primordials/primordials.ts";

export type PageText = keyof typeof english;
/** A text with a number in it: `name_one`, `name_other` and whatever forms a language has besides. */
export type CountedText = PageText extends infer Name
  ? Name extends `${infer Stem}_other`
    ? Stem
    : never
  : never;

type Table = Readonly<Record<string, unknown>>;

const NativePluralRules = Intl.PluralRules;
const selectForm = uncurry(
  NativePluralRules.prototype.select as (this: Intl.PluralRules, count: number) => string,
);
const HOLE = new NativeRegExp("[$]([1-9])");
/** Sentences inside sentences, inside sentences. */
const MAX_DEPTH = 6;

const own: Table = english;
let table: Table | undefined;
/** English sentences with holes, of a table in another language. */
let patterns: string[] | undefined;

/** Puts a table in force, JSON; `null`: English. What cannot be read is as if it were not there. */
export function useTexts(json: string | null): void {
  table = undefined;
  patterns = undefined;
  try {
    const read: unknown = json === null ? undefined : parseJson(json);
    if (typeof read === "object" && read !== null) table = read as Table;
  } catch {
    // English, then.
  }
}

/** Of the texts, as a BCP 47 tag. */
export function language(): string {
  return entry(table, "language") ?? "en";
}

export function direction(): "ltr" | "rtl" {
  return entry(table, "direction") === "rtl" ? "rtl" : "ltr";
}

/** A text with its values in place of `$1` to `$9`. */
export function text(name: PageText, ...values: readonly string[]): string {
  return filled(entry(table, name) ?? entry(own, name) ?? name, values);
}

/** The form of a text that a language has for this number, its `$1`; `values` are from `$2` on. */
export function counted(name: CountedText, count: number, ...values: readonly string[]): string {
  const isTranslated = entry(table, `${name}_other`) !== undefined;
  const from = isTranslated ? table : own;
  const form = formOf(count, isTranslated ? language() : "en");
  const message = entry(from, `${name}_${form}`) ?? entry(from, `${name}_other`) ?? name;
  const all = [`${count}`];
  for (let index = 0; index < values.length; index += 1) push(all, values[index]);
  return filled(message, all);
}

/**
 * What a module says in English, in the person's language: whole sentences, and such with something
 * put in, which may be another sentence. English where the table has none.
 */
export function translated(sentence: string): string {
  return table === undefined ? sentence : (translation(sentence, 0) ?? sentence);
}

/** The body of a Matrix error with its sentence translated; any other body as it is. */
export function translatedError(body: string): string {
  if (table === undefined || !startsWith(body, '{"errcode"')) return body;
  try {
    const { errcode, error, ...others } = parseJson(body) as Record<string, unknown>;
    if (typeof error !== "string" || keysOf(others).length > 0) return body;
    return stringify({ errcode, error: translated(error) });
  } catch {
    return body;
  }
}

function translation(sentence: string, depth: number): string | undefined {
  const whole = entry(table, sentence);
  if (whole !== undefined || depth > MAX_DEPTH || sentence.length > 4000) return whole;
  const known = knownPatterns();
  for (let index = 0; index < known.length; index += 1) {
    const pattern = known[index] ?? "";
    // One that begins with a hole fits nearly everything: lists, which stand inside sentences only.
    const isPart = pattern === "$1 and $2" || pattern === "$1, $2";
    if (isPart && depth === 0) continue;
    const values = match(pattern, sentence);
    if (values === undefined) continue;
    for (let at = 0; at < values.length; at += 1) {
      const value = values[at] ?? "";
      values[at] = translation(value, depth + 1) ?? value;
    }
    return filled(entry(table, pattern) ?? sentence, values);
  }
  return undefined;
}

/** The longest first, since they say most of what they fit. */
function knownPatterns(): readonly string[] {
  if (patterns !== undefined) return patterns;
  const found: string[] = [];
  const names = keysOf(table ?? {});
  for (let index = 0; index < names.length; index += 1) {
    const name = names[index] ?? "";
    if (execute(HOLE, name) === null) continue;
    let at = found.length;
    push(found, name);
    for (; at > 0 && (found[at - 1]?.length ?? 0) < name.length; at -= 1) {
      found[at] = found[at - 1] ?? "";
    }
    found[at] = name;
  }
  return (patterns = found);
}

/** What stands in the holes `$1`, `$2`, … of a pattern, in this order; undefined where it differs. */
function match(pattern: string, sentence: string): string[] | undefined {
  const values: string[] = [];
  let rest = sentence;
  let left = pattern;
  for (let first = true; ; first = false) {
    const hole = execute(HOLE, left);
    const before = hole === null ? left : slice(left, 0, hole.index);
    if (first) {
      if (!startsWith(rest, before)) return undefined;
      rest = slice(rest, before.length);
    } else if (hole === null) {
      // The end of the pattern is the end of the sentence.
      const end = rest.length - before.length;
      if (end < 1 || slice(rest, end) !== before) return undefined;
      push(values, slice(rest, 0, end));
      return values;
    } else {
      const at = indexOf(rest, before);
      if (at < 1) return undefined;
      push(values, slice(rest, 0, at));
      rest = slice(rest, at + before.length);
    }
    if (hole === null) return rest === "" ? values : undefined;
    left = slice(left, hole.index + 2);
  }
}

function entry(from: Table | undefined, name: string): string | undefined {
  if (from === undefined) return undefined;
  // Own ones only: others are what the page put into the prototype.
  const value: unknown = getOwnPropertyDescriptor(from, name)?.value;
  return typeof value === "string" ? value : undefined;
}

function formOf(count: number, tag: string): string {
  try {
    return selectForm(new NativePluralRules(tag), count);
  } catch {
    return "other";
  }
}

/** A message with values in its holes. */
export function filled(message: string, values: readonly string[]): string {
  let done = "";
  let left = message;
  for (;;) {
    const hole = execute(HOLE, left);
    if (hole === null) return done + left;
    const at = NativeNumber(hole[1]) - 1;
    // Past the end would be what the page put into all lists.
    const value = at < values.length ? values[at] : undefined;
    done += slice(left, 0, hole.index) + (value ?? "");
    left = slice(left, hole.index + 2);
  }
}
