/** Which rows of the ledger are shown, and what they come to. */
import { rollup, sum, ticks } from "d3-array";

import type { DayRow } from "../../browser/ledger.ts";
import { dayOf, isHandled } from "../../browser/ledger.ts";

/** What the person asked for. */
export interface Query {
  readonly search: string;
  /** Empty: any. */
  readonly shield: string;
  /** Empty: any. */
  readonly host: string;
  /** So many, today included; 0: all there are. */
  readonly days: number;
}

export const EVERYTHING: Query = { search: "", shield: "", host: "", days: 14 };

export interface Filter {
  /** All of them must be in a row's words. */
  readonly words: readonly string[];
  /** Empty: any. */
  readonly shield: string;
  /** Empty: any. */
  readonly host: string;
  /** First day, as 2026-01-31; empty: from the beginning. */
  readonly since: string;
}

export function filterOf({ search, shield, host, days }: Query, today: string): Filter {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return { words, shield, host, since: days === 0 ? "" : daysBack(today, days) };
}

export function selected(
  rows: readonly DayRow[],
  filter: Filter,
  wordsOf: (row: DayRow) => string,
): DayRow[] {
  return rows.filter(
    (row) =>
      (filter.shield === "" || row.shield === filter.shield) &&
      (filter.host === "" || row.host === filter.host) &&
      row.day >= filter.since &&
      (filter.words.length === 0 || filter.words.every((word) => wordsOf(row).includes(word))),
  );
}

/** Stopped and changed requests. */
export function handledIn(rows: readonly DayRow[]): number {
  return sum(handled(rows), countOf);
}

function handled(rows: readonly DayRow[]): DayRow[] {
  return rows.filter(({ action }) => isHandled(action));
}

function countOf({ count }: DayRow): number {
  return count;
}

export interface Bar {
  /** First and last day of it. */
  readonly from: string;
  readonly to: string;
  readonly count: number;
}

const MAX_BARS = 31;
const NOON = "T12:00:00";

/** From the first day to the last, days without anything included; several to a bar where many. */
export function barsOf(rows: readonly DayRow[], first: string, last: string): Bar[] {
  const counts = rollup(
    handled(rows),
    (own) => sum(own, countOf),
    ({ day }) => day,
  );
  const days = daysBetween(first, last);
  const step = Math.max(1, Math.ceil(days.length / MAX_BARS));
  const bars: Bar[] = [];
  for (let at = 0; at < days.length; at += step) {
    const own = days.slice(at, at + step);
    const count = sum(own, (day) => counts.get(day) ?? 0);
    bars.push({ from: own[0] ?? first, to: own.at(-1) ?? last, count });
  }
  return bars;
}

/** The busiest hosts, with what was stopped or changed on the way to them. */
export function hostsOf(rows: readonly DayRow[], most: number): [host: string, count: number][] {
  const counts = rollup(
    handled(rows).filter(({ host }) => host !== ""),
    (own) => sum(own, countOf),
    ({ host }) => host,
  );
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, most);
}

/** Round numbers for lines across the bars, of which the highest stands for `highest`. */
export function stepsUpTo(highest: number): number[] {
  return ticks(0, highest, 3).filter((step) => step > 0 && Number.isInteger(step));
}

/** So many days back from one, itself included. */
export function daysBack(day: string, count: number): string {
  const date = new Date(day + NOON);
  date.setDate(date.getDate() - count + 1);
  return dayOf(date.getTime());
}

function daysBetween(first: string, last: string): string[] {
  const days: string[] = [];
  // The ledger holds ten years at most; a damaged day must not run for ever.
  for (const date = new Date(first + NOON); days.length < 4000; date.setDate(date.getDate() + 1)) {
    const day = dayOf(date.getTime());
    if (!(day <= last)) break;
    days.push(day);
  }
  return days;
}

const COLUMNS = ["day", "shield", "action", "host", "endpoint", "count", "last"] as const;

export function asJson(rows: readonly DayRow[]): string {
  const plain = rows.map((row) =>
    Object.fromEntries(COLUMNS.map((name) => [name, name === "last" ? isoOf(row) : row[name]])),
  );
  return `${JSON.stringify(plain, null, 1)}\n`;
}

/** Every field in quotation marks; none is a formula to a table program. */
export function asCsv(rows: readonly DayRow[]): string {
  const field = (value: string | number): string => {
    const text = String(value);
    return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  };
  const lines = rows.map((row) =>
    COLUMNS.map((name) => field(name === "last" ? isoOf(row) : row[name])).join(","),
  );
  return [COLUMNS.join(","), ...lines, ""].join("\r\n");
}

function isoOf({ last }: DayRow): string {
  return Number.isFinite(last) && Math.abs(last) < 8.64e15 ? new Date(last).toISOString() : "";
}
