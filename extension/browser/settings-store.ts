/** Where the settings are kept. Both are JSON texts; only the core knows what is in them. */
import { onStorageChanged, readManaged, readStorage, writeStorage } from "./api.ts";

export interface SettingsTexts {
  /** The person's own settings; `null` when nothing was ever changed. */
  stored: string | null;
  /** The organisation's policy; `null` when there is none. */
  managed: string | null;
}

const KEY = "settings";

export async function readSettings(): Promise<SettingsTexts> {
  const [stored, managed] = await Promise.all([readStored(), readPolicy()]);
  return { stored, managed };
}

export async function writeSettings(stored: string): Promise<void> {
  await writeStorage("local", { [KEY]: stored });
}

/** Also called when the browser hands the policy over late, as Chromium may after its start. */
export function watchSettings(listener: () => void): void {
  onStorageChanged((area, keys) => {
    if (area === "managed" || (area === "local" && keys.includes(KEY))) {
      listener();
    }
  });
}

/** Whatever is there goes to the core, which says in a sentence what is wrong with it. */
async function readStored(): Promise<string | null> {
  const value = await readStorage("local", KEY);
  if (value === undefined || value === null) {
    return null;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

async function readPolicy(): Promise<string | null> {
  try {
    const values = await readManaged();
    return Object.keys(values).length === 0 ? null : JSON.stringify(values);
  } catch {
    // Firefox rejects where the administrator installed no policy.
    return null;
  }
}
