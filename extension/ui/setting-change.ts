/** What a person changes on Mantle's own pages. */
import { type SettingChange, changedSettings } from "../core.ts";
import { readSettings, writeSettings } from "../settings.ts";
import { storedSites } from "../sites.ts";

/** Settings are read, changed and written as one step, also with a second page open. */
export async function changeSetting(setting: SettingChange): Promise<void> {
  await navigator.locks.request("change-setting", async () => {
    await writeSettings(changedSettings(await readSettings(), setting));
  });
}

/** Changes the list of the person's own sites. */
export async function changeSites(change: (sites: string[]) => string[]): Promise<void> {
  const { stored } = await readSettings();
  const sites = change(storedSites(stored).map((site) => site.url));
  await changeSetting({ type: "sites", sites: [...new Set(sites)] });
}
