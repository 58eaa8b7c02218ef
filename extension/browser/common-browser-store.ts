/** Whether requests are changed now, and to what: written with the rule, read for pages. */
import { type CommonBrowser, isCommonBrowser } from "../protocol/common-browser.ts";
import { onStorageChanged, readStorage, writeStorage } from "./api.ts";

const KEY = "common-browser";

/** `null`: they go as the browser makes them. */
export async function readCommonBrowser(): Promise<CommonBrowser | null> {
  const value = await readStorage("local", KEY);
  return isCommonBrowser(value) ? value : null;
}

/** Writes only what is new, since every page is told of it. */
export async function writeCommonBrowser(browser: CommonBrowser | null): Promise<void> {
  const present = await readCommonBrowser();
  if (JSON.stringify(present) !== JSON.stringify(browser)) {
    await writeStorage("local", { [KEY]: browser });
  }
}

export function watchCommonBrowser(listener: () => void): void {
  onStorageChanged((area, keys) => {
    if (area === "local" && keys.includes(KEY)) {
      listener();
    }
  });
}
