/** What a person changes on Mantle's own pages. */
import { type SettingChange, changedSettings } from "../../browser/settings-core.ts";
import { translated } from "../../browser/messages.ts";
import { readSettings, writeSettings } from "../../browser/settings-store.ts";
import { storedSites } from "../../browser/sites.ts";
import { reasonOf } from "./reason.ts";

/** Stores one change; rejects with a sentence for the person. */
export type ChangeSetting = (change: SettingChange) => Promise<void>;

/** As `change` does it; `tell` is given why it was not done, and nothing where it was. */
export async function changeTelling(
  change: ChangeSetting,
  setting: SettingChange,
  tell: (trouble: string) => void,
): Promise<void> {
  try {
    await change(setting);
    tell("");
  } catch (error) {
    tell(reasonOf(error));
    throw error;
  }
}

/** Settings are read, changed and written as one step, also with a second page open. */
export async function changeSetting(setting: SettingChange): Promise<void> {
  await changeSettings([setting]);
}

/** All of them or, where one is refused, none. */
export async function changeSettings(settings: readonly SettingChange[]): Promise<void> {
  await navigator.locks.request("change-setting", async () => {
    const { stored, managed } = await readSettings();
    let changed = stored;
    for (const setting of settings) {
      changed = await changedSettings({ stored: changed, managed }, setting).catch(inOwnWords);
    }
    if (changed !== null) await writeSettings(changed);
  });
}

async function inOwnWords(error: unknown): Promise<never> {
  throw new Error(await translated(reasonOf(error)));
}

/** Changes the list of the person's own sites. */
export async function changeSites(change: (sites: string[]) => string[]): Promise<void> {
  const { stored } = await readSettings();
  const sites = change(storedSites(stored).map((site) => site.url));
  await changeSetting({ type: "sites", sites: [...new Set(sites)] });
}
