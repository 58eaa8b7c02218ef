import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";

import { LANGUAGES, languageFor, translation } from "./messages.ts";

type Table = Record<string, { message: string; description?: string }>;

const EXTENSION = new URL("../", import.meta.url);
const read = (path: string): Table =>
  JSON.parse(readFileSync(new URL(path, EXTENSION), "utf8")) as Table;
const tableOf = (language: string): Table => read(`_locales/${language}/messages.json`);

/** With the texts of the Rust tables, as the build puts them together. */
const english: Table = { ...tableOf("en"), ...read("generated/texts.json") };
const FORM = /_(?:zero|one|two|few|many|other)$/;
/** A text in each plural form: by its name without the form. */
const isCounted = (name: string): boolean => `${name.replace(FORM, "")}_other` in english;
const nameOf = (name: string): string =>
  FORM.test(name) && isCounted(name) ? name.replace(FORM, "") : name;
const placeholders = (message: string): string[] => [
  ...new Set([...message.matchAll(/\$[1-9]/g)].map(String)),
];

describe("texts", () => {
  test("are of the first language that a person wants and that has a table", () => {
    for (const [wanted, chosen] of [
      [["de-AT", "en"], "de"],
      [["fr"], "fr"],
      [["FR-ca"], "fr"],
      [["tlh", "de"], "de"],
      [["tlh"], "en"],
      [[], "en"],
      [["deu"], "en"],
    ] as const) {
      assert.equal(languageFor(wanted, ["en", "de", "fr"]), chosen, wanted.join());
    }
  });

  test("lie in one table for each language that is offered, and in no other place", () => {
    const folders = readdirSync(new URL("_locales", EXTENSION)).sort();
    assert.deepEqual(folders, [...LANGUAGES].sort());
  });

  for (const language of LANGUAGES) {
    test(`in ${language} are whole: every text, every plural form, every value`, () => {
      const table = language === "en" ? english : tableOf(language);
      assert.equal(table["language"]?.message, language);
      assert.match(table["direction"]?.message ?? "", /^(?:ltr|rtl)$/);
      const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
      const wanted = Object.keys(english).flatMap((name) => {
        const stem = nameOf(name);
        return stem === name ? [name] : forms.map((form) => `${stem}_${form}`);
      });
      assert.deepEqual(Object.keys(table).sort(), [...new Set(wanted)].sort());
      for (const [name, { message }] of Object.entries(table)) {
        assert.equal(message.trim(), message, name);
        assert.notEqual(message, "", name);
        assert.match(name, /^[A-Za-z0-9_]+$/);
        const source = english[name] ?? english[`${nameOf(name)}_other`];
        const given = placeholders(message).sort();
        const known = placeholders(source?.message ?? "").sort();
        assert.deepEqual(given, known, `${name}: ${message}`);
        // The browser reads the tables too, for which a lone sign would be a fault.
        assert.doesNotMatch(message, /\$(?![1-9])/, name);
      }
    });
  }

  test("in French break no line at a space that belongs to a sign", () => {
    // A no-break space, U+00A0, stands before : ; ? ! » and after «.
    const inPage = JSON.parse(
      readFileSync(new URL("page/texts/fr.json", EXTENSION), "utf8"),
    ) as Record<string, string>;
    const own = Object.entries(tableOf("fr")).map(
      ([name, { message }]) => [name, message] as const,
    );
    const breaking = [...own, ...Object.entries(inPage)]
      .filter(([, message]) => / [:;?!»]|« /.test(message))
      .map(([name]) => name);
    assert.deepEqual(breaking, []);
  });

  test("of the Rust module are found by what it says in English, with what is put in", () => {
    const german = tableOf("de");
    const say = (sentence: string): string => translation(sentence, english, german);
    assert.equal(
      say("Your organisation has set this; ask your administrator to change it."),
      "Das hat deine Organisation festgelegt; bitte deine Administration, es zu ändern.",
    );
    assert.equal(
      say("“a $1 b” is not a host name; write it like scalar.example.org."),
      "„a $1 b“ ist kein Hostname; schreibe ihn wie scalar.example.org.",
    );
    const title = english["option_general_ledgerDays"]?.message ?? "";
    const own = german["option_general_ledgerDays"]?.message ?? "";
    assert.notEqual(title, own);
    assert.equal(
      say(`Mantle cannot set “${title}” to this; choose another value.`),
      `Mantle kann „${own}“ nicht darauf setzen; wähle einen anderen Wert.`,
    );
    for (const foreign of ["", "Something else.", "Mantle cannot set “", "“” is not a host name"]) {
      assert.equal(say(foreign), foreign);
    }
  });
});
