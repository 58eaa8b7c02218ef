/**
 * What was decided, aggregated and bounded. One stored value holds rows, page counts and the marks
 * of delivered batches; another, written in the same step, the rows of the day. So each write is
 * whole: a background killed in between loses nothing and counts nothing twice.
 */
import type { EffectBatch } from "../protocol/relay-background.ts";
import type { EffectAction, PageStatus, RecordEffect } from "../protocol/reports.ts";
import { readStorage, readStorageWhere, removeStorageWhere, writeStorage } from "./api.ts";

export interface LedgerRow {
  shield: string;
  action: EffectAction;
  host: string;
  endpoint: string;
  count: number;
  /** Milliseconds since the epoch. */
  first: number;
  /** Milliseconds since the epoch. */
  last: number;
}

/** What was counted on one day, as the ledger's page lists it. */
export interface DayRow extends PageRow {
  /** As 2026-01-31, by the device's clock. */
  readonly day: string;
}

/** Requests of one kind that a page's shields stopped or changed. */
export type PageRow = Omit<LedgerRow, "first">;

/** One tab's page since it was loaded. */
export interface PageCounts {
  tab: number;
  /** Id of the top frame's relay: another one means that the page was loaded anew. */
  relay: string;
  status: PageStatus | undefined;
  /** Requests stopped or changed, per shield. */
  handled: Record<string, number>;
  /** The same by what it was and whom it was for, latest last; absent from what older versions wrote. */
  rows?: PageRow[];
}

export interface Ledger {
  version: 1;
  rows: LedgerRow[];
  pages: PageCounts[];
  /** Last batch taken from each relay. */
  taken: { relay: string; batch: number }[];
  /** How long a row is kept after its last request; see `keepLedgerFor`. */
  days?: number;
}

const KEY = "ledger";
const DAY_PREFIX = "ledger/";
/** Of one day, and of all days together; the oldest go. A row has at most about 600 bytes. */
export const MAX_DAY_ROWS = 500;
export const MAX_ENTRIES = 10_000;
const MAX_ROWS = 500;
const MAX_PAGES = 64;
/** Of one page; a row has at most about 600 bytes. */
const MAX_PAGE_ROWS = 40;
const MAX_RELAYS = 128;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Until the settings have been read once; equal to their default. */
const FIRST_DAYS = 90;

/** Everything counted: what is on disk, and what private windows did, which never is. */
export async function readLedger(): Promise<Ledger> {
  const [kept, hidden] = await Promise.all([readFrom("local"), readFrom("session")]);
  return { ...kept, rows: [...kept.rows, ...hidden.rows], pages: [...kept.pages, ...hidden.pages] };
}

/** Everything that was counted, day by day, the latest first. */
export async function readDays(): Promise<DayRow[]> {
  const stored = await Promise.all(
    (["local", "session"] as const).map((area) => readStorageWhere(area, isDay)),
  );
  const rows = stored.flatMap((days) =>
    Object.entries(days).flatMap(([name, list]) => {
      const day = name.slice(DAY_PREFIX.length);
      return Array.isArray(list) ? (list as PageRow[]).map((row) => ({ ...row, day })) : [];
    }),
  );
  return rows.sort((a, b) => (a.day === b.day ? b.last - a.last : a.day < b.day ? 1 : -1));
}

/** Counts of private windows, once none is left. */
export async function forgetPrivateLedger(): Promise<void> {
  await locked(() => removeStorageWhere("session", (name) => name === KEY || isDay(name)));
}

/** Where a ledger lies; an empty one when there is none or it is damaged. */
async function readFrom(area: Area): Promise<Ledger> {
  const stored = (await readStorage(area, KEY)) as Partial<Ledger> | undefined;
  const whole =
    stored?.version === 1 &&
    Array.isArray(stored.rows) &&
    Array.isArray(stored.pages) &&
    Array.isArray(stored.taken);
  return whole ? (stored as Ledger) : { version: 1, rows: [], pages: [], taken: [] };
}

/**
 * Adds a batch; gives the tab's counts, or `undefined` when the batch was there already. Counts of a
 * top frame whose report was lost, as its background was just stopped, begin with it.
 */
export async function addBatch(
  message: EffectBatch,
  { tab, isTop, isPrivate }: { tab: number | undefined; isTop: boolean; isPrivate: boolean },
): Promise<PageCounts | undefined> {
  const area = areaFor(isPrivate);
  return changeLedger(area, async (ledger, also) => {
    const mark = ledger.taken.find((known) => known.relay === message.relay);
    if (mark !== undefined && mark.batch >= message.batch) {
      return undefined;
    }
    ledger.taken = [
      ...ledger.taken.filter((known) => known !== mark),
      { relay: message.relay, batch: message.batch },
    ].slice(-MAX_RELAYS);
    let page = ledger.pages.find((known) => known.tab === tab);
    if (page === undefined && isTop && tab !== undefined) {
      page = { tab, relay: message.relay, handled: {}, status: undefined };
      ledger.pages = [...ledger.pages, page].slice(-MAX_PAGES);
    }
    for (const effect of message.effects) {
      if (effect.type === "record") {
        addRow(ledger, effect);
        addToPage(page, effect);
      }
    }
    trim(ledger);
    if (ledger.days !== 0) Object.assign(also, await dayWith(area, message.effects));
    return ledger.pages.find((known) => known.tab === tab);
  });
}

/** Today's rows with these effects, by the name they are stored under. */
async function dayWith(
  area: Area,
  effects: EffectBatch["effects"],
): Promise<Record<string, PageRow[]>> {
  const name = DAY_PREFIX + dayOf(Date.now());
  const stored = await readStorage(area, name);
  if (stored === undefined) await makeRoom(area);
  let rows: PageRow[] = Array.isArray(stored) ? (stored as PageRow[]) : [];
  for (const effect of effects) {
    if (effect.type === "record") rows = withEffect(rows, effect);
  }
  return { [name]: rows.slice(-MAX_DAY_ROWS) };
}

/** Takes out the oldest days, so that a whole new one fits in. */
async function makeRoom(area: Area): Promise<void> {
  const days = Object.entries(await readStorageWhere(area, isDay)).sort(([a], [b]) =>
    a < b ? 1 : -1,
  );
  let left = MAX_ENTRIES - MAX_DAY_ROWS;
  const gone = days.filter(([, rows]) => {
    left -= Array.isArray(rows) ? rows.length : MAX_DAY_ROWS;
    return left < 0;
  });
  const names = gone.map(([name]) => name);
  await removeStorageWhere(area, (name) => names.includes(name));
}

function isDay(name: string): boolean {
  return name.startsWith(DAY_PREFIX);
}

/** By the device's clock, as a person counts days. */
export function dayOf(time: number): string {
  const date = new Date(time);
  const twoDigits = (part: number): string => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`;
}

/** Puts the setting in force; kept beside the rows, so that counting need not read settings. */
export async function keepLedgerFor(days: number): Promise<void> {
  await changeLedger("local", async (ledger) => {
    ledger.days = days;
    trim(ledger);
    // Of the last day kept all is there.
    const oldest = DAY_PREFIX + dayOf(Date.now() - days * DAY_MS);
    await removeStorageWhere("local", (name) => isDay(name) && (days === 0 || name < oldest));
  });
}

/** Notes a report of a tab's top frame; a relay not seen before starts the counts anew. */
export async function notePage(
  tab: number,
  relay: string,
  status: PageStatus | undefined,
  isPrivate: boolean,
): Promise<PageCounts> {
  return changeLedger(areaFor(isPrivate), (ledger) => {
    const known = ledger.pages.find((page) => page.tab === tab && page.relay === relay);
    const page = { ...(known ?? { tab, relay, handled: {} }), status };
    ledger.pages = [...ledger.pages.filter((other) => other.tab !== tab), page].slice(-MAX_PAGES);
    return page;
  });
}

/** Sets every count to nothing. Marks of delivered batches stay: a late repeat is still one. */
export async function clearLedger(): Promise<void> {
  for (const area of ["local", "session"] as const) {
    await changeLedger(area, async (ledger) => {
      await removeStorageWhere(area, isDay);
      ledger.rows = [];
      ledger.pages = ledger.pages.map((page) => ({ ...page, handled: {}, rows: [] }));
    });
  }
}

/** Requests of a page that any shield stopped or changed. */
export function totalOf(page: PageCounts): number {
  return Object.values(page.handled).reduce((sum, count) => sum + count, 0);
}

/** True for what a person means by "Mantle did something". */
export function isHandled(action: EffectAction): boolean {
  return action === "blocked" || action === "answered" || action === "rewritten";
}

type Area = "local" | "session";

function areaFor(isPrivate: boolean): Area {
  return isPrivate ? "session" : "local";
}

async function changeLedger<Result>(
  area: Area,
  change: (ledger: Ledger, also: Record<string, unknown>) => Result | Promise<Result>,
): Promise<Result> {
  return locked(async () => {
    const ledger = await readFrom(area);
    const also: Record<string, unknown> = {};
    const result = await change(ledger, also);
    await writeStorage(area, { [KEY]: ledger, ...also });
    return result;
  });
}

/**
 * Whatever writes or removes, or a batch that is being counted writes again what was just taken out.
 * The lock is the browser's: it also orders what two incarnations of the background do.
 */
async function locked<Result>(task: () => Promise<Result>): Promise<Result> {
  return navigator.locks.request(KEY, task) as Promise<Result>;
}

function trim(ledger: Ledger): void {
  const oldest = Date.now() - (ledger.days ?? FIRST_DAYS) * DAY_MS;
  const isKept = ({ last }: { last: number }): boolean => ledger.days !== 0 && last >= oldest;
  ledger.pages = ledger.pages.map((page) =>
    page.rows === undefined ? page : { ...page, rows: page.rows.filter(isKept) },
  );
  ledger.rows = ledger.rows
    .filter(isKept)
    .sort((a, b) => b.last - a.last)
    .slice(0, MAX_ROWS);
}

function addRow(ledger: Ledger, effect: RecordEffect): void {
  const { shield, action, host, endpoint, count, time } = effect;
  const row = ledger.rows.find((known) => isOfKind(known, effect));
  if (row === undefined) {
    ledger.rows.push({ shield, action, host, endpoint, count, first: time, last: time });
  } else {
    row.count += count;
    row.first = Math.min(row.first, time);
    row.last = Math.max(row.last, time);
  }
}

/** Whether a row counts what this effect tells of. */
function isOfKind(row: PageRow, effect: RecordEffect): boolean {
  return (
    row.shield === effect.shield &&
    row.action === effect.action &&
    row.host === effect.host &&
    row.endpoint === effect.endpoint
  );
}

function addToPage(page: PageCounts | undefined, effect: RecordEffect): void {
  if (page === undefined || !isHandled(effect.action)) {
    return;
  }
  page.handled[effect.shield] = (page.handled[effect.shield] ?? 0) + effect.count;
  page.rows = withEffect(page.rows ?? [], effect).slice(-MAX_PAGE_ROWS);
}

/** With what this effect tells of as the last row. */
function withEffect(rows: readonly PageRow[], effect: RecordEffect): PageRow[] {
  const { shield, action, host, endpoint, count, time } = effect;
  const known = rows.find((row) => isOfKind(row, effect));
  const row = {
    ...{ shield, action, host, endpoint },
    count: (known?.count ?? 0) + count,
    last: Math.max(known?.last ?? 0, time),
  };
  return [...rows.filter((other) => other !== known), row];
}
