/** What pages keep on this device: one name per origin, area and key, in the extension's storage. */
import type { StoreArea } from "./messages.ts";
import { readStorageUnder, removeStorage, writeStorage } from "./platform.ts";

/** Throws a sentence when it is not on disk. */
export async function putForPage(
  origin: string,
  area: StoreArea,
  key: string,
  value: string | null,
): Promise<void> {
  const name = `${prefixOf(origin, area)}${key}`;
  if (value === null) {
    await removeStorage(name);
  } else {
    await writeStorage("local", { [name]: value });
  }
}

export async function loadForPage(
  origin: string,
  area: StoreArea,
): Promise<Record<string, string>> {
  const prefix = prefixOf(origin, area);
  const entries: Record<string, string> = {};
  for (const [name, value] of Object.entries(await readStorageUnder(prefix))) {
    if (typeof value === "string") {
      entries[name.slice(prefix.length)] = value;
    }
  }
  return entries;
}

/** Origins hold no slash after their scheme's, areas none at all: no page can name another's. */
function prefixOf(origin: string, area: StoreArea): string {
  if (!/^https?:\/\/[^/]+$/.test(origin)) {
    throw new Error("Mantle keeps nothing for pages without an address of their own.");
  }
  return `page/${origin}/${area}/`;
}
