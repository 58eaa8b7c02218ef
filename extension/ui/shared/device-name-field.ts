/** The name that new sessions carry. */
import type { SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { button, element } from "./dom.ts";
import type { ChangeSetting } from "./setting-change.ts";

export interface DeviceNameField {
  readonly root: HTMLElement;
  update(settings: SettingsView): void;
}

export function deviceNameField(change: ChangeSetting): DeviceNameField {
  const input = element("input", { id: "device-name", "aria-describedby": "device-name-hint" });
  input.type = "text";
  input.maxLength = 100;
  input.autocomplete = "off";
  const outcome = element("span", { role: "status", class: "outcome" });
  const store = (value: string | null): void => {
    outcome.textContent = "";
    change({ type: "deviceName", value }).then(
      () => (outcome.textContent = text("saved")),
      () => undefined,
    );
  };
  const save = button(text("save"), "secondary", () => store(input.value));
  const restore = button("", "quiet", () => store(null));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) {
      store(input.value);
    }
  });
  const label = element("label", { text: text("deviceName") });
  label.htmlFor = input.id;
  const root = element(
    "div",
    { class: "field" },
    label,
    input,
    element("p", { class: "hint", id: "device-name-hint", text: text("deviceNameHint") }),
    element("div", { class: "buttons" }, save, restore, outcome),
  );
  let shown: string | undefined;
  const update = ({ deviceName }: SettingsView): void => {
    // What the person is typing stays until the stored value itself changes.
    if (shown !== deviceName.value) {
      shown = deviceName.value;
      input.value = deviceName.value;
    }
    input.disabled = deviceName.locked;
    save.disabled = deviceName.locked;
    restore.textContent = text("useDefault", deviceName.default);
    restore.hidden = deviceName.locked || deviceName.source === "default";
  };
  return { root, update };
}
