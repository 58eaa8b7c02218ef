/** Shields as people read and look for them: what they say, and what they are about. */
import type { ShieldView } from "../../browser/settings-core.ts";
import { shields } from "../../generated/tables.json";
import { type MessageName, ofTables, text } from "../../browser/messages.ts";

type Named = Pick<ShieldView, "id" | "name">;
type Told = Pick<ShieldView, "id" | "name" | "purpose" | "loses">;

/** In the person's language, as all of these. */
export function nameOf({ id, name }: Named): string {
  return ofTables(`shield_${id}_name`, name);
}

export function purposeOf({ id, purpose }: Pick<ShieldView, "id" | "purpose">): string {
  return ofTables(`shield_${id}_purpose`, purpose);
}

export function losesBy({ id, loses }: Pick<ShieldView, "id" | "loses">): string {
  return text("youLose", ofTables(`shield_${id}_loses`, loses));
}

/** Ids of the shields whose texts hold every word; undefined where nothing is looked for. */
export function foundBy(query: string, all: readonly Told[]): ReadonlySet<string> | undefined {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return undefined;
  const isFound = (shield: Told): boolean => {
    const said = [shield.id, nameOf(shield), purposeOf(shield), losesBy(shield)];
    const inAll = said.join(" ").toLowerCase();
    return words.every((word) => inAll.includes(word));
  };
  return new Set(all.filter(isFound).map(({ id }) => id));
}

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

export interface Family {
  readonly name: MessageName;
  readonly members: readonly ShieldView[];
  /** How many of them do something. */
  readonly acting: number;
}

/** Every shield once; families that have none are left out. */
export function familiesOf(all: readonly ShieldView[]): Family[] {
  return [...FAMILIES.map(({ name }) => name), REST].flatMap((name) => {
    const members = all.filter((shield) => familyOf(shield) === name);
    const acting = members.filter(({ mode }) => mode === "on" || mode === "ask").length;
    return members.length === 0 ? [] : [{ name, members, acting }];
  });
}

function familyOf({ id }: ShieldView): MessageName {
  const section = sections.get(id) ?? 0;
  return FAMILIES.find((family) => family.sections.includes(section))?.name ?? REST;
}
