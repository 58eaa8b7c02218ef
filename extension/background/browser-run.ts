/**
 * Which run of the browser this is. The name lies in memory alone and ends with the browser, so that
 * no copy of a profile has it, and no disk that lost its last writes: what was made under another
 * name may have gone on elsewhere (docs/adr/0009-a-run-of-the-browser.md).
 */
import { readStorage, writeStorage } from "../browser/api.ts";
import { isRun } from "../protocol/requests.ts";

const KEY = "run";

let finding: Promise<string> | undefined;

/** Rejects where it cannot be kept: then nobody may take it for known. */
export function browserRun(): Promise<string> {
  // Two who ask at once must not make two of it.
  const found = finding ?? findOrMake();
  finding = found;
  return found.finally(() => {
    finding = undefined;
  });
}

async function findOrMake(): Promise<string> {
  const known = await readStorage("session", KEY);
  if (isRun(known)) return known;
  const made = crypto.randomUUID();
  await writeStorage("session", { [KEY]: made });
  return made;
}
