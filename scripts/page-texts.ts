/** The files from which pages get what they say in another language than English. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { root } from "./process.ts";

export type Texts = Readonly<Record<string, string>>;

const folder = "extension/page/texts";

/** The tables as they are written: by name. `sentences` are the modules' own, in English. */
export function pageTable(name: string): Texts {
  return JSON.parse(readFileSync(path.join(root, folder, `${name}.json`), "utf8")) as Texts;
}

/** Those with a table beside the English one. */
export function pageLanguages(): string[] {
  return readdirSync(path.join(root, folder))
    .flatMap((file) => /^([a-z]{2,3})\.json$/.exec(file)?.[1] ?? [])
    .filter((language) => language !== "en")
    .sort();
}

/** As pages read them: what modules say by its English sentence, the rest by name. */
export function pageTexts(language: string): Texts {
  const sentences = pageTable("sentences");
  return Object.fromEntries(
    Object.entries(pageTable(language)).map(([name, text]) => [sentences[name] ?? name, text]),
  );
}
