/**
 * Everything a person reads on Mantle's own pages: one table a language,
 * `_locales/<language>/messages.json`, in the form of browser extensions. English also has the texts
 * of the Rust tables (`extension/generated/texts.json`), which the build puts into its table.
 *
 * The browser's own reader of these tables is for the manifest only: it follows the browser's
 * language instead of the person's, and knows no plurals.
 */
import type english from "../_locales/en/messages.json";
import { packagedFile } from "./api.ts";

/** Languages there are tables for; English stands in for every other. */
export const LANGUAGES: readonly string[] = ["en", "de", "fr"];

export type MessageName = keyof typeof english;
/** A text with a number in it: `name_one`, `name_other` and whatever forms a language has besides. */
export type CountedName = MessageName extends infer Name
  ? Name extends `${infer Stem}_other`
    ? Stem
    : never
  : never;

type Table = Readonly<Record<string, { readonly message: string } | undefined>>;

let table: Table = {};
/** For what the Rust module says; read when it first says something. */
let sources: Promise<Table> | undefined;

/** Reads the table of the person's first language that has one; before anything is shown. */
export async function readMessages(): Promise<void> {
  // Names of texts are better than no page.
  table = await readTable(languageFor(navigator.languages)).catch(() => ({}));
  document.documentElement.lang = language();
  document.documentElement.dir = table["direction"]?.message === "rtl" ? "rtl" : "ltr";
}

async function readTable(name: string): Promise<Table> {
  const bytes = await packagedFile(`_locales/${name}/messages.json`);
  return JSON.parse(new TextDecoder().decode(bytes)) as Table;
}

/** What the Rust module says in English, in the person's language; English where nobody can tell. */
export async function translated(sentence: string): Promise<string> {
  if (language() === "en") return sentence;
  // A policy may have any number of problems.
  sources ??= readTable("en").catch(() => ({}));
  return translation(sentence, await sources, table);
}

/** As `translated`: found by the sentences of the English table whose names begin with `said_`. */
export function translation(sentence: string, source: Table, own: Table): string {
  for (const [name, said] of Object.entries(source)) {
    if (said === undefined || !name.startsWith("said_")) continue;
    const [before = "", after] = said.message.split("$1");
    const isIt =
      after === undefined
        ? sentence === before
        : sentence.length >= before.length + after.length &&
          sentence.startsWith(before) &&
          sentence.endsWith(after);
    const message = own[name]?.message;
    if (!isIt || message === undefined) continue;
    const value = sentence.slice(before.length, sentence.length - (after ?? "").length);
    return filled(message, [optionIn(value, source, own)]);
  }
  return sentence;
}

/** An option stands in a sentence by its English title; any other value is as somebody wrote it. */
function optionIn(value: string, source: Table, own: Table): string {
  const names = Object.keys(source).filter((name) => name.startsWith("option_"));
  const name = names.find((one) => source[one]?.message === value);
  return (name === undefined ? undefined : own[name]?.message) ?? value;
}

export function languageFor(wanted: readonly string[], known = LANGUAGES): string {
  const first = wanted.map((tag) => tag.toLowerCase().split("-")[0] ?? "");
  return first.find((name) => known.includes(name)) ?? "en";
}

/** Of the texts, as a BCP 47 tag. */
export function language(): string {
  return table["language"]?.message ?? "en";
}

/** A text with its values in place of `$1` to `$9`, or its name when it is missing. */
export function text(name: MessageName, ...values: string[]): string {
  return filled(table[name]?.message ?? name, values);
}

/**
 * The form of a text that a language has for this number, its `$1`; `values` are from `$2` on. `shown`
 * stands in place of the number, to set it apart.
 */
export function counted(
  name: CountedName,
  count: number,
  values: readonly string[] = [],
  shown = inDigits(count),
): string {
  const form = new Intl.PluralRules(language()).select(count);
  // A language without a text for this form has the general one.
  const found = table[`${name}_${form}`] ?? table[`${name}_other`];
  return filled(found?.message ?? name, [shown, ...values]);
}

/** A text of the Rust tables; `english` stands where a language has none. */
export function ofTables(name: string, english: string): string {
  return table[tableName(name)]?.message ?? english;
}

/** Names of texts hold letters, digits and low lines only. */
function tableName(name: string): string {
  return name.replace(/[^a-zA-Z0-9]/g, "_");
}

export function inDigits(count: number): string {
  return count.toLocaleString(language());
}

function filled(message: string, values: readonly string[]): string {
  return message.replace(/\$([1-9])/g, (_all, digit: string) => values[Number(digit) - 1] ?? "");
}
