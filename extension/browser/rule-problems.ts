/** How many of Mantle's rules the browser did not take, for the popup and the options page. */
import { onStorageChanged, readStorage, writeStorage } from "./api.ts";

const KEY = "refused-rules";

/** 0 when every rule is in force. */
export async function refusedRules(): Promise<number> {
  const count = await readStorage("session", KEY);
  return typeof count === "number" ? count : 0;
}

/** Writes only what is new. */
export async function noteRefusedRules(count: number): Promise<void> {
  if (((await readStorage("session", KEY)) ?? 0) !== count) {
    await writeStorage("session", { [KEY]: count });
  }
}

export function watchRuleProblems(listener: () => void): void {
  onStorageChanged((area, keys) => {
    if (area === "session" && keys.includes(KEY)) listener();
  });
}
