import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { isArea } from "../extension/protocol/requests.ts";
import type { StoreArea } from "../extension/protocol/requests.ts";
import { root } from "./process.ts";

/** What the Chrome Web Store takes of a summary, in characters. */
const MAX_SUMMARY = 132;

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const languages = readdirSync(path.join(root, "extension/_locales"));
const { permissions } = JSON.parse(read("manifest.json")) as { permissions: string[] };

for (const language of languages) {
  test(`the stores' texts in ${language} are those of the package, with a reason for each permission`, () => {
    const table = JSON.parse(read(`extension/_locales/${language}/messages.json`)) as Record<
      string,
      { message: string }
    >;
    const listing = read(`docs/stores/listing.${language}.md`);
    const [title = "", , summary = ""] = listing.split("\n");
    assert.equal(title, `# ${table["extensionName"]?.message}`);
    const short = table["extensionDescription"]?.message ?? "";
    assert.ok(summary.endsWith(`: ${short}`), summary);
    assert.ok(short.length <= MAX_SUMMARY, String(short.length));
    const justified = [...listing.matchAll(/^\| `(\w+)` +\| \S/gm)].map(([, name = ""]) => name);
    assert.deepEqual(justified.sort(), [...permissions].sort());
  });
}

test("the privacy policy says the same in every language", () => {
  const points = languages.map(
    (language) => read(`docs/stores/privacy.${language}.md`).match(/^- \*\*/gm)?.length,
  );
  assert.deepEqual(
    points,
    languages.map(() => 4),
  );
});

/** What the policy says of each kind of value that is kept, in each language. */
const KEPT: Record<StoreArea, Record<string, RegExp>> = {
  state: {
    en: /encrypted room names need/,
    de: /verschlüsselte Raumnamen brauchen/,
    fr: /il faut aux noms de salon chiffrés/,
  },
  media: {
    en: /answers about files/,
    de: /Antworten zu Dateien/,
    fr: /réponses sur des fichiers/,
  },
  "account-data": {
    en: /habits .*recent rooms, searches, emoji, sections of the room list.* in clear/,
    de: /Gewohnheiten, .*letzte Räume, Suchen, Emojis, Abschnitte der Raumliste.* im Klartext/,
    fr: /habitudes .*salons récents, recherches, émojis, sections de la liste des salons.* en clair/,
  },
  answers: {
    en: /Your settings and answers/,
    de: /Deine Einstellungen und Antworten/,
    fr: /Vos paramètres et vos réponses/,
  },
  "check-up": {
    en: /the result of the last check-up/,
    de: /das Ergebnis des letzten Check-ups/,
    fr: /le résultat du dernier bilan/,
  },
  relations: {
    en: /ids of removed reactions/,
    de: /Kennungen entfernter Reaktionen/,
    fr: /identifiants des réactions supprimées/,
  },
};
/** What goes to the homeserver by itself or for the person, and what lasts as long as the browser. */
const FURTHER: Record<string, RegExp[]> = {
  en: [/until the browser ends, .*services/, /downloads? .*encrypted picture/, /new names? of /],
  de: [/bis der Browser endet, .*Diensten?/, /verschlüsselte.* Bild/, /neuen? Namen? /],
  fr: [/jusqu’à la fin du navigateur, .*services/, /image chiffrée/, /nouveaux? noms? /],
};

for (const language of languages) {
  test(`the privacy policy in ${language} says all that is kept and sent`, () => {
    const policy = read(`docs/stores/privacy.${language}.md`);
    const kept = policy.split("\n").filter((line) => line.startsWith("- **"))[1] ?? "";
    for (const [area, sentences] of Object.entries(KEPT)) {
      assert.ok(isArea(area));
      assert.match(kept, sentences[language] ?? /^$/, area);
    }
    for (const sentence of FURTHER[language] ?? [/^$/]) assert.match(policy, sentence);
  });
}
