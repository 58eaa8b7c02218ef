/** Which defaults hold where the person chose nothing. */
import type { Profile, SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { element } from "../shared/dom.ts";
import type { OptionField } from "../shared/option-field.ts";
import type { ChangeSetting } from "../shared/setting-change.ts";

const PROFILES: readonly Profile[] = ["recommended", "strict"];

export function profileField(change: ChangeSetting): OptionField {
  const input = element("select", { id: "profile-choice" });
  for (const profile of PROFILES) {
    const option = element("option", { text: text(`profile_${profile}`) });
    option.value = profile;
    input.append(option);
  }
  const trouble = element("p", { class: "trouble", role: "alert" });
  const lock = element("span", { class: "lock", text: text("lockedByOrganisation") });
  input.addEventListener("change", () => {
    const chosen = PROFILES.find((profile) => profile === input.value) ?? null;
    change({ type: "profile", profile: chosen }).then(
      () => (trouble.textContent = ""),
      (error: unknown) => {
        trouble.textContent = error instanceof Error ? error.message : String(error);
      },
    );
  });
  const label = element("label", { text: text("profile") });
  label.htmlFor = input.id;
  return {
    root: element("div", { class: "field" }, label, input, lock, trouble),
    update: ({ profile }: SettingsView) => {
      input.value = profile.value;
      input.disabled = profile.locked;
      lock.hidden = !profile.locked;
    },
  };
}
