/** One option of a shield: a choice, a switch, a text, a number or a list. */
import type { OptionValue, OptionView, SettingsView } from "../../browser/settings-core.ts";
import { ofTables, text } from "../../browser/messages.ts";
import { button, element } from "./dom.ts";
import type { ChangeSetting } from "./setting-change.ts";

export interface OptionField {
  readonly root: HTMLElement;
  update(settings: SettingsView): void;
}

/** The control itself; `read` gives undefined for what is no value yet. */
interface Control {
  readonly input: HTMLElement & { disabled: boolean };
  /** Applied at once, or by a button. */
  readonly isImmediate: boolean;
  read(): OptionValue;
  show(value: OptionValue): void;
}

/** `shield` is "general" for what belongs to none. */
export function optionField(shield: string, first: OptionView, change: ChangeSetting): OptionField {
  const id = `option-${shield}-${first.key}`;
  const control = controlFor(first, shield, id);
  const outcome = element("span", { role: "status", class: "outcome" });
  const set = (value: OptionValue | null): void => {
    change({ type: "option", shield, key: first.key, value }).then(
      () => {
        control.input.setAttribute("aria-invalid", "false");
        outcome.textContent = text("saved");
      },
      () => control.input.setAttribute("aria-invalid", "true"),
    );
  };
  const label = element("label", { text: ofTables(`option_${shield}_${first.key}`, first.title) });
  label.htmlFor = id;
  const save = button(text("save"), "secondary", () => set(control.read()));
  save.hidden = control.isImmediate;
  if (control.isImmediate) control.input.addEventListener("change", () => set(control.read()));
  const root = element(
    "div",
    { class: "field" },
    label,
    control.input,
    element("div", { class: "buttons" }, save, outcome),
  );
  let shown: string | undefined;
  const update = ({ shields, general }: SettingsView): void => {
    const owner = shields.find((view) => view.id === shield);
    const option = (owner?.options ?? general).find((view) => view.key === first.key);
    if (option === undefined) return;
    // What a person is typing stays until the stored value changes.
    const stored = JSON.stringify(option.value);
    if (stored !== shown) control.show(option.value);
    shown = stored;
    control.input.disabled = option.locked;
    save.disabled = option.locked;
  };
  return { root, update };
}

function controlFor({ key, kind }: OptionView, shield: string, id: string): Control {
  if (kind === "flag") {
    const input = element("input", { id });
    input.type = "checkbox";
    return {
      input,
      isImmediate: true,
      read: () => input.checked,
      show: (value) => {
        input.checked = value === true;
      },
    };
  }
  if ("choice" in kind) {
    const options = kind.choice.map(([value, label]) => {
      const option = element("option", {
        text: ofTables(`choice_${shield}_${key}_${value}`, label),
      });
      option.value = value;
      return option;
    });
    const input = element("select", { id }, ...options);
    return {
      input,
      isImmediate: true,
      read: () => input.value,
      show: (value) => {
        input.value = String(value);
      },
    };
  }
  if ("list" in kind) {
    const input = element("textarea", { id });
    input.rows = 2;
    input.spellcheck = false;
    return {
      input,
      isImmediate: false,
      read: () => input.value.split(/[\s,]+/).filter((entry) => entry !== ""),
      show: (value) => {
        input.value = Array.isArray(value) ? value.join("\n") : "";
      },
    };
  }
  const isNumber = "number" in kind;
  const input = element("input", { id });
  input.type = isNumber ? "number" : "text";
  if ("number" in kind) {
    input.min = String(kind.number.min);
    input.max = String(kind.number.max);
  } else {
    input.maxLength = kind.text.max;
  }
  return {
    input,
    isImmediate: false,
    read: () => (isNumber ? input.valueAsNumber : input.value),
    show: (value) => {
      input.value = String(value);
    },
  };
}
