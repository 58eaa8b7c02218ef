/** One shield: name, purpose, switch, counts, and what a person loses by it. */
import type { SettingsView, ShieldView } from "../../browser/settings-core.ts";
import { inDigits, ofTables, text } from "../../browser/messages.ts";
import { allowList } from "./allow-list.ts";
import { deviceNameField } from "./device-name-field.ts";
import { button, element } from "./dom.ts";
import { headersPermission } from "./headers-permission.ts";
import { optionField } from "./option-field.ts";
import type { ChangeSetting } from "./setting-change.ts";

type Mode = ShieldView["mode"];

/** Stopped and changed requests, on this page and in all. `here` is absent off Element's pages. */
export interface ShieldCounts {
  here: number | undefined;
  total: number;
}

export interface ShieldRow {
  readonly root: HTMLElement;
  update(shield: ShieldView, settings: SettingsView): void;
  count(counts: ShieldCounts): void;
}

/**
 * Made once and updated in place, so that focus and open details stay where they are. `isBrief`: one
 * line and the switch, all else in the details.
 */
export function shieldRow(
  first: ShieldView,
  changeSetting: ChangeSetting,
  isBrief: boolean,
): ShieldRow {
  const { id } = first;
  const trouble = element("p", { class: "trouble", role: "alert" });
  const change: ChangeSetting = async (setting) => {
    try {
      await changeSetting(setting);
      trouble.textContent = "";
    } catch (error) {
      trouble.textContent = error instanceof Error ? error.message : String(error);
      throw error;
    }
  };
  const title = nameOf(first);
  const name = element("h3", { id: `name-${id}`, text: title });
  const lock = element("span", { class: "lock", text: text("lockedByOrganisation") });
  const tally = element("p", { class: "tally", id: `tally-${id}` });
  const purpose = element("p", {
    id: `purpose-${id}`,
    class: "purpose",
    text: ofTables(`shield_${id}_purpose`, first.purpose),
  });
  const loses = element("p", { class: "loses" });
  const source = element("p", { class: "hint" });
  const modes = modeSwitch(first, (mode) => change({ type: "mode", shield: id, mode }));
  const restore = button("", "quiet", () => {
    change({ type: "mode", shield: id, mode: null }).catch(() => undefined);
  });
  const fields = fieldsFor(first, change);
  const permission = first.everywhere === true ? [headersPermission(id)] : [];
  const summary = element("summary", { "aria-label": text("detailsOf", title) });
  const about = [purpose, tally];
  const deep = [loses, source, restore, ...fields.map((field) => field.root)];
  const root = element("article", {
    class: isBrief ? "shield brief" : "shield",
    "data-shield": id,
    "aria-labelledby": `name-${id}`,
  });
  const rest = [...permission.map((field) => field.root), trouble];
  if (isBrief) {
    summary.append(name);
    const details = element("details", {}, summary, ...about, ...deep);
    root.append(modes.root, details, lock, ...rest);
  } else {
    summary.textContent = text("details");
    const line = element("div", { class: "line" }, name, modes.root);
    root.append(line, lock, ...about, ...rest, element("details", {}, summary, ...deep));
  }
  const update = (shield: ShieldView, settings: SettingsView): void => {
    trouble.textContent = "";
    lock.hidden = !shield.locked;
    loses.textContent = text("youLose", ofTables(`shield_${id}_loses`, shield.loses));
    modes.root.title = loses.textContent;
    source.textContent =
      shield.source === "policy"
        ? text("lockedByOrganisation")
        : shield.source === "user"
          ? text("sourceUser")
          : text("sourceDefault");
    modes.update(shield);
    restore.textContent = text("restoreMode", text(`mode_${shield.default}`));
    restore.hidden = shield.source !== "user";
    for (const field of [...permission, ...fields]) {
      field.update(settings);
    }
  };
  const count = ({ here, total }: ShieldCounts): void => {
    tally.textContent =
      total === 0
        ? text("countNothing")
        : here === undefined
          ? text("countTotal", inDigits(total))
          : text("countHere", inDigits(here), inDigits(total));
  };
  return { root, update, count };
}

/** In the person's language. */
function nameOf({ id, name }: ShieldView): string {
  return ofTables(`shield_${id}_name`, name);
}

interface Field {
  readonly root: HTMLElement;
  update(settings: SettingsView): void;
}

function fieldsFor({ id, allow, options }: ShieldView, change: ChangeSetting): Field[] {
  return [
    ...(id === "device-name" ? [deviceNameField(change)] : []),
    ...options.map((option) => optionField(id, option, change)),
    ...(allow === null ? [] : [allowList(id, ofTables(`shield_${id}_allow`, allow), change)]),
  ];
}

interface ModeSwitch {
  readonly root: HTMLElement;
  update(shield: ShieldView): void;
}

/** A switch for off and on; a group of radio buttons where there are more modes. */
function modeSwitch(shield: ShieldView, choose: (mode: Mode) => Promise<void>): ModeSwitch {
  const simple = shield.modes.length === 2 && shield.modes.every((m) => m === "on" || m === "off");
  return simple ? onOffSwitch(shield, choose) : modeGroup(shield, choose);
}

function onOffSwitch(shield: ShieldView, choose: (mode: Mode) => Promise<void>): ModeSwitch {
  const root = element("button", {
    class: "switch",
    role: "switch",
    "aria-labelledby": `name-${shield.id}`,
    "aria-describedby": `purpose-${shield.id}`,
  });
  root.type = "button";
  const show = (on: boolean): void => {
    root.setAttribute("aria-checked", String(on));
    root.textContent = text(on ? "mode_on" : "mode_off");
  };
  root.addEventListener("click", () => {
    const wasOn = root.getAttribute("aria-checked") === "true";
    show(!wasOn);
    choose(wasOn ? "off" : "on").catch(() => show(wasOn));
  });
  return {
    root,
    update: (view) => {
      root.disabled = view.locked;
      show(view.mode === "on");
    },
  };
}

function modeGroup(shield: ShieldView, choose: (mode: Mode) => Promise<void>): ModeSwitch {
  const root = element("fieldset", { class: "modes", "aria-describedby": `purpose-${shield.id}` });
  root.append(element("legend", { text: text("modeOf", nameOf(shield)) }));
  let current = shield.mode;
  const radios = shield.modes.map((mode) => {
    const radio = element("input", { title: text(`modeText_${mode}`) });
    radio.type = "radio";
    radio.name = `mode-${shield.id}`;
    radio.value = mode;
    radio.addEventListener("change", () => {
      choose(mode).catch(() => show(current));
    });
    const label = element("span", { text: text(`mode_${mode}`) });
    root.append(element("label", { title: text(`modeText_${mode}`) }, radio, label));
    return radio;
  });
  const show = (mode: Mode): void => {
    for (const radio of radios) {
      radio.checked = radio.value === mode;
    }
  };
  return {
    root,
    update: (view) => {
      current = view.mode;
      root.disabled = view.locked;
      show(view.mode);
    },
  };
}
