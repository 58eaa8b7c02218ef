/** The settings half of the Rust core, for the background and the popup. */
import wasmBase64 from "mantle-core-wasm";
import {
  type OptionValue,
  type OptionView,
  type SettingChange,
  type SettingsView,
  type ShieldView,
  change,
  describe,
  initSync,
} from "./generated/mantle_core.js";
import type { SettingsTexts } from "./settings.ts";

export type { OptionValue, OptionView, SettingChange, SettingsView, ShieldView };

let loaded = false;

/** Everything about the settings in force. Unreadable settings come back as problems. */
export function describeSettings(texts: SettingsTexts): SettingsView {
  load();
  return describe(texts.stored, texts.managed);
}

/** The stored text with one change made. Throws one sentence when the change is not allowed. */
export function changedSettings(texts: SettingsTexts, setting: SettingChange): string {
  load();
  return change(texts.stored, texts.managed, setting);
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
