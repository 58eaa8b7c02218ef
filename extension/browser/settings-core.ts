/** The settings in force and how they change; only the Rust module knows what the texts hold. */
import type { ImportError, SettingChange, SettingsView } from "../generated/types.ts";
import { withPages } from "./pages-module.ts";
import type { SettingsTexts } from "./settings-store.ts";

export type {
  ImportError,
  OptionValue,
  OptionView,
  Profile,
  SettingChange,
  SettingsView,
  ShieldView,
} from "../generated/types.ts";

/** Everything about the settings in force. Unreadable settings come back as problems. */
export async function describeSettings({ stored, managed }: SettingsTexts): Promise<SettingsView> {
  return withPages(({ describe }) => describe(stored, managed));
}

/** The stored text with one change made. Rejects with one sentence when it is not allowed. */
export async function changedSettings(
  { stored, managed }: SettingsTexts,
  setting: SettingChange,
): Promise<string> {
  return withPages(({ change }) => change(stored, managed, setting));
}

/** The stored text that a file stands for, or what is wrong with the file. */
export async function importedSettings(
  { stored }: SettingsTexts,
  file: string,
): Promise<string | ImportError> {
  return withPages(({ importSettings }) => importSettings(stored, file));
}
