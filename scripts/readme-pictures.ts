/**
 * What the README's pictures show: their texts by name, and the styles they were drawn with, kept
 * beside each, so that a picture of an older interface is found without a browser.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { fingerprint } from "./fingerprint.ts";
import { root } from "./process.ts";

const folder = "docs/pictures";

interface Kept {
  readonly styles: string;
  readonly texts: Readonly<Record<string, string>>;
}

interface Picture {
  /** Where its styles stand. */
  readonly styles: readonly string[];
  /** All that it could show, as it is said today. */
  readonly texts: () => Record<string, string>;
  /** What makes it anew. */
  readonly command: string;
}

const read = <Value>(file: string): Value =>
  JSON.parse(readFileSync(path.join(root, file), "utf8")) as Value;

type Table = Record<string, { message: string }>;

export type ReadmePicture = "popup" | "leak-report";

/** How many leaks have a shield, which the report's head sums up. */
const LEAKS = "leaks with a shield";

export const readmePictures: Readonly<Record<ReadmePicture, Picture>> = {
  popup: {
    styles: ["extension/ui/popup/popup.css"],
    texts: () => {
      const own = read<Table>("extension/_locales/en/messages.json");
      const ofTables = read<Table>("extension/generated/texts.json");
      const all = Object.entries({ ...own, ...ofTables });
      return Object.fromEntries(all.map(([name, { message }]) => [name, message]));
    },
    command: "scripts/spec popup && scripts/pictures",
  },
  "leak-report": {
    styles: ["web-tests/report/page.ts"],
    texts: () => {
      const { leaks } = read<{ leaks: { id: string; what: string; shield: string | null }[] }>(
        "extension/generated/tables.json",
      );
      const closed = leaks.filter(({ shield }) => shield !== null).length;
      return {
        ...Object.fromEntries(leaks.map(({ id, what }) => [id, what])),
        [LEAKS]: String(closed),
      };
    },
    command: "scripts/demo && scripts/pictures",
  },
};

/** Keeps what a picture shows, which was just taken of a page that says these lines. */
export function keepShown(name: ReadmePicture, lines: readonly string[]): void {
  const { styles, texts } = readmePictures[name];
  const shown = Object.entries(texts()).filter(
    ([of, text]) => of === LEAKS || lines.some((line) => says(line, text)),
  );
  const kept: Kept = { styles: fingerprint(styles), texts: Object.fromEntries(shown) };
  writeFileSync(fileOf(name), `${JSON.stringify(kept, null, 2)}\n`);
}

/** What a picture shows otherwise than it would be shown today, in sentences. */
export function outdated(name: ReadmePicture): string[] {
  const { styles, texts, command } = readmePictures[name];
  const kept = JSON.parse(readFileSync(fileOf(name), "utf8")) as Kept;
  const today = texts();
  const other = Object.entries(kept.texts)
    .filter(([of, text]) => today[of] !== text)
    .map(([of, text]) => `it shows “${text}” (${of}), which is “${today[of] ?? ""}” today`);
  if (kept.styles !== fingerprint(styles)) other.push(`${styles.join(", ")} changed since`);
  return other.map(
    (what) => `${folder}/${name}.png is of an older interface: ${what}; run ${command}.`,
  );
}

const fileOf = (name: string): string => path.join(root, folder, `${name}.json`);

/** Whether a line is a text with whatever stands for `$1`, `$2` in it. */
export function says(line: string, text: string): boolean {
  // Of holes alone, each line would be one.
  if (!/\p{L}{2}/u.test(text)) return false;
  const parts = text.split(/\$[1-9]/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".+")}$`, "u").test(line);
}
