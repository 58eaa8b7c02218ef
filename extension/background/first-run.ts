/** Whether somebody who has just installed Mantle is asked how to begin. */
import { isAgreed } from "../browser/consent.ts";
import type { SettingsView } from "../browser/settings-core.ts";

/**
 * Not where an organisation agreed for its users or locked the profile, nor where settings of an
 * earlier installation say that it was asked. `undefined`: nobody knows, so it is asked.
 */
export function isFirstRunWanted(
  settings: Pick<SettingsView, "general" | "profile"> | undefined,
): boolean {
  if (settings === undefined) return true;
  return !isAgreed(settings) && !settings.profile.locked;
}
