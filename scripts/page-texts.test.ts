import "../extension/testing/page.ts";

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { pageLanguages, pageTable, pageTexts } from "./page-texts.ts";
import {
  counted,
  direction,
  language,
  text,
  translated,
  translatedError,
  useTexts,
} from "../extension/page/texts/texts.ts";

const own = pageTable("en");
const sentences = pageTable("sentences");
const FORM = /_(?:zero|one|two|few|many|other)$/;
const english = { ...own, ...sentences };
const isCounted = (name: string): boolean => `${name.replace(FORM, "")}_other` in english;
const stemOf = (name: string): string =>
  FORM.test(name) && isCounted(name) ? name.replace(FORM, "") : name;
const holes = (message: string): string[] => [
  ...new Set([...message.matchAll(/\$[1-9]/g)].map(String)),
];

describe("texts of Element's page", () => {
  afterEach(() => useTexts(null));

  test("have two other languages than English", () => {
    assert.deepEqual(pageLanguages(), ["de", "fr"]);
  });

  for (const name of pageLanguages()) {
    test(`in ${name} are whole: every text, every plural form, every value`, () => {
      const table = pageTable(name);
      const forms = new Intl.PluralRules(name).resolvedOptions().pluralCategories;
      const wanted = Object.keys(english).flatMap((key) => {
        const stem = stemOf(key);
        return stem === key ? [key] : forms.map((form) => `${stem}_${form}`);
      });
      assert.deepEqual(Object.keys(table).sort(), [...new Set(wanted)].sort());
      for (const [key, message] of Object.entries(table)) {
        const source =
          (english as Record<string, string>)[key] ??
          (english as Record<string, string>)[`${stemOf(key)}_other`] ??
          "";
        assert.equal(message.trim(), message, key);
        assert.deepEqual(holes(message).sort(), holes(source).sort(), `${key}: ${message}`);
      }
      // Two sentences that are one in English have one translation.
      assert.equal(Object.keys(pageTexts(name)).length, Object.keys(table).length);
    });
  }

  test("are English where no table came, or none that can be read", () => {
    for (const json of [null, "", "{", "[]", "1", '"x"', '{"cancel":1}']) {
      useTexts(json);
      assert.equal(text("cancel"), "Cancel", String(json));
      assert.equal(counted("encryptRooms", 1), "Encrypt the names and topics of 1 room?");
      assert.equal(language(), "en");
      assert.equal(direction(), "ltr");
      assert.equal(translated("Publish"), "Publish");
    }
  });

  test("are the person's, with each form their language has", () => {
    useTexts(JSON.stringify(pageTexts("de")));
    assert.equal(language(), "de");
    assert.equal(text("cancel"), "Abbrechen");
    assert.equal(counted("encryptRooms", 1), "Namen und Thema von 1 Raum verschlüsseln?");
    assert.equal(counted("encryptRooms", 2), "Namen und Themen von 2 Räumen verschlüsseln?");
    assert.equal(
      counted("roomsFailed", 2, "9", "$1 und $3"),
      "2 von 9 Räumen bleiben, wie sie waren, oder sind halb fertig; der letzte Grund: $1 und $3",
    );
    useTexts('{"language":"he","direction":"rtl"}');
    assert.equal(direction(), "rtl");
    assert.equal(text("cancel"), "Cancel");
  });

  test("of the modules are found by their English sentence", () => {
    useTexts(JSON.stringify(pageTexts("de")));
    assert.equal(translated("Publish"), "Veröffentlichen");
    assert.equal(
      translated(
        "This picture says where it was made, when it was made and who made or changed it.",
      ),
      "Diese Datei (Bild) verrät, wo sie entstand, wann sie entstand und wer sie gemacht oder geändert hat.",
    );
    assert.equal(
      translated(
        "Mantle did not send this film. hs.example gives uploaded files to anyone with the link, " +
          "without signing in (tried GET /_matrix/media/v3/download). Change “Media” in Mantle's " +
          "settings to be asked instead.",
      ),
      "Mantle hat diese Datei (Film) nicht gesendet. hs.example gibt hochgeladene Dateien jedem mit dem Link, ohne Anmeldung (GET /_matrix/media/v3/download versucht). Ändere „Medien“ in Mantles Einstellungen, um stattdessen gefragt zu werden.",
    );
    // A notice that was put together of others.
    assert.equal(
      translated(
        "This document says where a picture in it was made and which device or program made it. " +
          "It holds titles or comments, a cover or preview picture and names of folders on a computer. " +
          "Mantle sent it as it is. Delete the message if others should not know.",
      ),
      "Diese Datei (Dokument) verrät, wo ein Bild darin entstand und mit welchem Gerät oder Programm sie entstand. Sie enthält Titel oder Kommentare, ein Titel- oder Vorschaubild und Namen von Ordnern eines Computers. Mantle hat sie gesendet, wie sie ist. Lösche die Nachricht, wenn andere es nicht wissen sollen.",
    );
    for (const other of ["", "x", "a and b", "a, b", "constructor", "Somebody wrote this.", "$1"]) {
      assert.equal(translated(other), other);
    }
  });

  test("of errors stay what Element reads", () => {
    useTexts(JSON.stringify(pageTexts("de")));
    const error = sentences["core_previews"] ?? "";
    const body = JSON.stringify({ errcode: "M_NOT_FOUND", error });
    assert.deepEqual(JSON.parse(translatedError(body)), {
      errcode: "M_NOT_FOUND",
      error: pageTable("de")["core_previews"],
    });
    for (const other of [
      "",
      "{}",
      '{"errcode":',
      '{"errcode":"M_X","error":1}',
      JSON.stringify({ errcode: "M_LIMIT_EXCEEDED", error, retry_after_ms: 1 }),
      JSON.stringify({ joined: [error] }),
    ]) {
      assert.equal(translatedError(other), other);
    }
  });

  test("cannot be put in by the page", () => {
    const prototype = Object.prototype as unknown as Record<string, unknown>;
    useTexts("{}");
    prototype["cancel"] = "Send";
    try {
      assert.equal(text("cancel"), "Cancel");
    } finally {
      delete prototype["cancel"];
    }
  });

  test("that are very long are looked through once", () => {
    useTexts(JSON.stringify(pageTexts("fr")));
    const long = `This picture says ${"a, ".repeat(100_000)}`;
    const start = performance.now();
    assert.equal(translated(long), long);
    translated(`This picture says ${"a, b and ".repeat(400)}.`);
    assert.ok(performance.now() - start < 1000);
  });
});
