/** Whether somebody agreed to what Mantle does with what it sees. */
import type { SettingChange, SettingsView } from "./settings-core.ts";

type General = Pick<SettingsView, "general">;

/** A person did, or an organisation for its users. */
export function isAgreed({ general }: General): boolean {
  return general.some(({ key, value }) => key === "consent" && value === true);
}

/** The organisation said so or otherwise: nobody else can. */
export function isConsentLocked({ general }: General): boolean {
  return general.some(({ key, locked }) => key === "consent" && locked);
}

export const AGREED: SettingChange = {
  type: "option",
  shield: "general",
  key: "consent",
  value: true,
};
