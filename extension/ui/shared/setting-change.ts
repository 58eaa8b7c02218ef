/** What a person changes on Mantle's own pages. */
import { type SettingChange, changedSettings } from "../../browser/settings-core.ts";
import { readSettings, writeSettings } from "../../browser/settings-store.ts";
import { storedSites } from "../../browser/sites.ts";

/** Stores one change; rejects with a sentence for the person. */
export type ChangeSetting = (change: SettingChange) => Promise<void>;

/** Settings are read, changed and written as one step, also with a second page open. */
export async function changeSetting(setting: SettingChange): Promise<void> {
  await navigator.locks.request("change-setting", async () => {
    await writeSettings(await changedSettings(await readSettings(), setting));
  });
}

/** Changes the list of the person's own sites. */
export async function changeSites(change: (sites: string[]) => string[]): Promise<void> {
  const { stored } = await readSettings();
  const sites = change(storedSites(stored).map((site) => site.url));
  await changeSetting({ type: "sites", sites: [...new Set(sites)] });
}
