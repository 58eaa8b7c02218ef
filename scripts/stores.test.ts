import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

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
