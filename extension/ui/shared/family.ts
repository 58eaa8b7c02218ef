/** Shields by what they are about: a fold with a heading for each family. */
import type { SettingsView, ShieldView } from "../../browser/settings-core.ts";
import { shields } from "../../generated/tables.json";
import { type MessageName, inDigits, text } from "../../browser/messages.ts";
import { element } from "./dom.ts";
import type { ChangeSetting } from "./setting-change.ts";
import { type ShieldRow, shieldRow } from "./shield-row.ts";

/** Sections of the catalogue, from 1; a shield belongs where most of its leaks are. */
const FAMILIES: readonly { readonly name: MessageName; readonly sections: readonly number[] }[] = [
  { name: "familyServices", sections: [1, 3, 14] },
  { name: "familyRooms", sections: [6, 7, 8, 9] },
  { name: "familyDevice", sections: [2, 4, 5] },
  { name: "familyActivity", sections: [10, 12, 13] },
  { name: "familyPeople", sections: [11] },
];
/** Of shields that close no leak by themselves. */
const REST: MessageName = "familyElement";

const sections = new Map(shields.map(({ id, section }) => [id, section]));

export interface Families {
  readonly rows: ReadonlyMap<string, ShieldRow>;
  update(settings: SettingsView): void;
}

export interface FamilyLook {
  /** How each fold begins. */
  isOpen(index: number): boolean;
  /** See `shieldRow`. */
  readonly isBrief: boolean;
}

/** Adds every shield's row to `parent`, with its family's fold. */
export function showFamilies(
  parent: HTMLElement,
  settings: SettingsView,
  change: ChangeSetting,
  { isOpen, isBrief }: FamilyLook,
): Families {
  const rows = new Map<string, ShieldRow>();
  const folds = [...FAMILIES.map(({ name }) => name), REST].flatMap((name) => {
    const members = settings.shields.filter((shield) => familyOf(shield) === name);
    return members.length === 0 ? [] : [{ name, members: members.map(({ id }) => id) }];
  });
  const updates = folds.map(({ name, members }, index) => {
    const tally = element("span", { class: "tally" });
    const lock = element("span", { class: "lock", text: text("lockedByOrganisation") });
    const heading = element("h2", { text: text(name) });
    const fold = element(
      "details",
      { class: "family", "data-family": name },
      element("summary", {}, heading, tally, lock),
    );
    fold.open = isOpen(index);
    for (const shield of settings.shields.filter(({ id }) => members.includes(id))) {
      const row = shieldRow(shield, change, isBrief);
      rows.set(shield.id, row);
      fold.append(row.root);
    }
    parent.append(fold);
    return (all: readonly ShieldView[]): void => {
      const own = all.filter(({ id }) => members.includes(id));
      const acting = own.filter(({ mode }) => mode === "on" || mode === "ask");
      tally.textContent = text("familyTally", inDigits(acting.length), inDigits(own.length));
      lock.hidden = !own.some(({ locked }) => locked);
    };
  });
  return {
    rows,
    update: (view) => {
      for (const shield of view.shields) rows.get(shield.id)?.update(shield, view);
      for (const update of updates) update(view.shields);
    },
  };
}

function familyOf({ id }: ShieldView): string {
  const section = sections.get(id) ?? 0;
  return FAMILIES.find((family) => family.sections.includes(section))?.name ?? REST;
}
