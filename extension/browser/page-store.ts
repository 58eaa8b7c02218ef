/**
 * What pages keep on this device, in the extension's storage: one name per origin, storage of the
 * page, area and key.
 *
 * An origin has more than one storage where the browser keeps windows apart (containers, private
 * windows): each has a name of its own, and nobody takes out what is another's. What the person
 * answered once and for all is the origin's, so that the options page can list it.
 */
import { isPart } from "../protocol/relay-background.ts";
import type { StoreArea } from "../protocol/requests.ts";
import { isHost } from "../protocol/shapes.ts";
import { readStorageWhere, removeStorage, removeStorageWhere, writeStorage } from "./api.ts";

/** Where a page's entries are. */
export interface PagePlace {
  readonly origin: string;
  /** Name of the page's own storage: 32 hexadecimal digits; undefined: it has none yet. */
  readonly part: string | undefined;
  /** Private windows leave nothing on disk. */
  readonly isPrivate: boolean;
}

/** Storages of one origin whose entries are kept; those unused the longest go. */
export const MAX_PARTS = 8;

const PARTED: readonly StoreArea[] = ["state", "account-data", "check-up", "relations"];
const DAY_MS = 24 * 60 * 60 * 1000;

/** Whether entries of the area belong to one storage of the page. */
export function isParted(area: StoreArea): boolean {
  return PARTED.includes(area);
}

/** Throws a sentence when it is not stored. */
export async function putForPage(
  place: PagePlace,
  area: StoreArea,
  key: string,
  value: string | null,
): Promise<void> {
  const prefix = prefixOf(place, area);
  if (prefix === undefined) throw new Error("Mantle keeps nothing for pages without storage.");
  if (value === null) {
    await removeStorage(storageOf(place), `${prefix}${key}`);
  } else {
    await writeStorage(storageOf(place), { [`${prefix}${key}`]: value });
  }
}

export async function loadForPage(
  place: PagePlace,
  area: StoreArea,
): Promise<Record<string, string>> {
  const prefix = prefixOf(place, area);
  if (prefix === undefined) return {};
  const found = await readStorageWhere(storageOf(place), (name) => name.startsWith(prefix));
  const entries: [string, string][] = [];
  for (const [name, value] of Object.entries(found)) {
    if (typeof value === "string") entries.push([name.slice(prefix.length), value]);
  }
  return Object.fromEntries(entries);
}

/** Takes out what belongs to one storage of the page, as after signing out. */
export async function forgetPart(place: PagePlace): Promise<void> {
  const prefix = partPrefix(place);
  if (prefix === undefined) return;
  await removeStorageWhere(storageOf(place), (name) => name.startsWith(prefix));
}

/** Notes that a storage is in use, and takes out those of its origin that were not for longest. */
export async function notePartUsed(place: PagePlace, time: number): Promise<void> {
  const own = partPrefix(place);
  if (own === undefined || place.isPrivate) return;
  await writeStorage("local", { [`${own}used`]: Math.floor(time / DAY_MS) });
  const begin = `page/${place.origin}/`;
  const isUse = (name: string): boolean =>
    name.startsWith(begin) &&
    name.endsWith("/used") &&
    isPart(name.slice(begin.length, -"/used".length));
  const uses = Object.entries(await readStorageWhere("local", isUse));
  const others = uses
    .map(([name, day]) => ({ prefix: name.slice(0, -"used".length), day: Number(day) || 0 }))
    .filter(({ prefix }) => prefix !== own)
    .sort((a, b) => b.day - a.day);
  for (const { prefix } of others.slice(MAX_PARTS - 1)) {
    await removeStorageWhere("local", (name) => name.startsWith(prefix));
  }
}

/** Gives a storage what an earlier Mantle kept for the origin as a whole; once, to the first. */
export async function adoptEntries(place: PagePlace): Promise<void> {
  if (place.isPrivate || place.part === undefined) return;
  const begin = `page/${place.origin}/`;
  const isOld = (name: string): boolean =>
    PARTED.some((area) => name.startsWith(`${begin}${area}/`));
  const old = Object.entries(await readStorageWhere("local", isOld));
  if (old.length === 0) return;
  const prefix = partPrefix(place) ?? "";
  await writeStorage(
    "local",
    Object.fromEntries(old.map(([name, value]) => [prefix + name.slice(begin.length), value])),
  );
  await removeStorageWhere("local", isOld);
}

/** Entries of private windows, once none is left. */
export async function forgetPrivatePages(): Promise<void> {
  await removeStorageWhere("session", (name) => name.startsWith("page/"));
}

/** What a person answered once and for all: to files sent in clear, or to another question. */
export interface RememberedAnswer {
  /** Where it is stored. */
  readonly name: string;
  /** Origin of the Element page it was given on. */
  readonly origin: string;
  /** What it holds for; of rooms and other questions only a hash is stored. */
  readonly about: "server" | "room" | "call-server" | "other";
  /** The server, where it is one. */
  readonly server: string;
  readonly choice: "clean" | "send" | "encrypt" | "readable";
  /** Day, as 2026-01-31; undefined where an earlier Mantle kept none. */
  readonly day: string | undefined;
}

const ANSWER_NAME = /^page\/(https?:\/\/[^/]+)\/(media\/room|media\/server|answers)\/(.+)$/;
/** As `rememberChoice` of extension/page/media/memory.ts and dialogs/room-choices.ts write it. */
const ANSWER = /^(clean|send|encrypt|readable)(?: (\d{4}-\d{2}-\d{2}))?$/;

/** As `consentTo` of extension/page/dialogs/consent.ts writes it. */
const CONNECT = /^connect (\S{1,300})$/;

/** Every such answer, of all pages. */
export async function rememberedAnswers(): Promise<RememberedAnswer[]> {
  const answers: RememberedAnswer[] = [];
  const stored = await readStorageWhere("local", (name) => ANSWER_NAME.test(name));
  for (const [name, value] of Object.entries(stored)) {
    const [, origin = "", area, of = ""] = ANSWER_NAME.exec(name) ?? [];
    const callServer = CONNECT.exec(String(value))?.[1];
    if (area === "answers" && isHost(callServer)) {
      const about = "call-server";
      answers.push({ name, origin, about, server: callServer, choice: "send", day: undefined });
      continue;
    }
    const [, choice, day] = ANSWER.exec(String(value)) ?? [];
    if (choice === undefined) continue;
    const about = area === "media/server" ? "server" : area === "media/room" ? "room" : "other";
    const server = about === "server" ? of : "";
    answers.push({
      name,
      origin,
      about,
      server,
      choice: choice as RememberedAnswer["choice"],
      day,
    });
  }
  return answers;
}

/** It is asked again from the next file on. */
export async function takeAnswerBack({ name }: RememberedAnswer): Promise<void> {
  await removeStorage("local", name);
}

function storageOf({ isPrivate }: PagePlace): "local" | "session" {
  return isPrivate ? "session" : "local";
}

/**
 * Origins hold no slash after their scheme's, areas and parts none at all: no page can name
 * another's. undefined: nothing is there, as the page has no storage yet.
 */
function prefixOf(place: PagePlace, area: StoreArea): string | undefined {
  if (!/^https?:\/\/[^/]+$/.test(place.origin)) {
    throw new Error("Mantle keeps nothing for pages without an address of their own.");
  }
  if (!isParted(area)) return `page/${place.origin}/${area}/`;
  const prefix = partPrefix(place);
  return prefix === undefined ? undefined : `${prefix}${area}/`;
}

function partPrefix({ origin, part }: PagePlace): string | undefined {
  return isPart(part) ? `page/${origin}/${part}/` : undefined;
}
