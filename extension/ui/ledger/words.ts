/** What the ledger's rows are called, searched and filtered by. */
import type { DayRow } from "../../browser/ledger.ts";
import { type MessageName, language, text } from "../../browser/messages.ts";
import { nameOfShield } from "../shared/shield-name.ts";
import type { Query } from "./selection.ts";

export const ACTIONS: Readonly<Record<DayRow["action"], MessageName>> = {
  blocked: "action_blocked",
  answered: "action_answered",
  rewritten: "action_rewritten",
  flagged: "action_flagged",
  asked: "action_asked",
  unknown: "action_unknown",
};

const words = new WeakMap<DayRow, string>();

/** What is searched of a row, lower case. */
export function wordsOf(row: DayRow): string {
  const known = words.get(row);
  if (known !== undefined) return known;
  const made = [
    nameOfShield(row.shield),
    row.shield,
    text(ACTIONS[row.action]),
    row.host,
    row.endpoint,
  ]
    .join(" ")
    .toLowerCase();
  words.set(row, made);
  return made;
}

export interface Choice {
  readonly value: string;
  readonly name: string;
}

/** What a filter can be set to, besides to anything. */
export interface Choices {
  readonly shields: readonly Choice[];
  readonly hosts: readonly Choice[];
}

export function choicesOf(rows: readonly DayRow[]): Choices {
  return {
    shields: named(new Set(rows.map(({ shield }) => shield)), nameOfShield),
    hosts: named(new Set(rows.map(({ host }) => host)), (host) => host),
  };
}

/** With what a person calls them, in their order. */
function named(values: ReadonlySet<string>, called: (value: string) => string): Choice[] {
  return [...values]
    .filter((value) => value !== "")
    .map((value) => ({ value, name: called(value) }))
    .sort((a, b) => a.name.localeCompare(b.name, language()));
}

/** A shield or host of which nothing is left is none to go by. */
export function stillOffered(query: Query, { shields, hosts }: Choices): Query {
  const kept = (value: string, choices: readonly Choice[]): string =>
    choices.some((choice) => choice.value === value) ? value : "";
  return { ...query, shield: kept(query.shield, shields), host: kept(query.host, hosts) };
}
