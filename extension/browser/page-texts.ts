/**
 * What Mantle says inside Element, in the person's language: a file of the package, put into storage
 * by the background, which alone may read it, for the relay to send to pages with their settings.
 */
import { onStorageChanged, packagedFile, readStorage, writeStorage } from "./api.ts";
import { languageFor } from "./messages.ts";

const KEY = "page-texts";

/** JSON; `null`: pages have the English texts themselves. */
export async function readPageTexts(): Promise<string | null> {
  const value = await readStorage("local", KEY);
  return typeof value === "string" ? value : null;
}

/** For the first language of the browser that has a table; only what is new is written. */
export async function writePageTexts(): Promise<void> {
  const language = languageFor(navigator.languages);
  const texts =
    language === "en"
      ? null
      : new TextDecoder().decode(await packagedFile(`page-texts/${language}.json`));
  if ((await readPageTexts()) !== texts) await writeStorage("local", { [KEY]: texts });
}

export function watchPageTexts(listener: () => void): void {
  onStorageChanged((area, keys) => {
    if (area === "local" && keys.includes(KEY)) listener();
  });
}
