/** The settings half of the Rust core, for the background and the popup. */
import wasmBase64 from "mantle-core-wasm";
import {
  type OptionValue,
  type OptionView,
  type Profile,
  type SettingChange,
  type SettingsView,
  type ShieldView,
  change,
  describe,
  initSync,
} from "../generated/mantle_core.js";
import texts from "../generated/texts.json";
import type { SettingsTexts } from "./settings-store.ts";

export type { OptionValue, OptionView, Profile, SettingChange, SettingsView, ShieldView };

let loaded = false;

/** Everything about the settings in force. Unreadable settings come back as problems. */
export function describeSettings({ stored, managed }: SettingsTexts): SettingsView {
  load();
  const view = describe(stored, managed);
  // The core has no long texts: each page start would parse them.
  const told: Readonly<Record<string, Partial<ShieldView> | undefined>> = texts;
  const shields = view.shields.map((shield) => ({ ...shield, ...told[shield.id] }));
  return { ...view, shields };
}

/** The stored text with one change made. Throws one sentence when the change is not allowed. */
export function changedSettings(given: SettingsTexts, setting: SettingChange): string {
  load();
  return change(given.stored, given.managed, setting);
}

function load(): void {
  if (!loaded) {
    initSync({ module: bytesOf(wasmBase64) });
    loaded = true;
  }
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const { fromBase64 } = Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> };
  return fromBase64 === undefined
    ? Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    : fromBase64.call(Uint8Array, base64);
}
