/** What pages keep on this device: one name per origin, area and key, in the extension's storage. */
import type { StoreArea } from "../protocol/requests.ts";
import { readStorageWhere, removeStorage, removeStorageWhere, writeStorage } from "./api.ts";

/** Where a page's entries are. */
export interface PagePlace {
  readonly origin: string;
  /** Private windows leave nothing on disk. */
  readonly isPrivate: boolean;
}

/** Throws a sentence when it is not stored. */
export async function putForPage(
  place: PagePlace,
  area: StoreArea,
  key: string,
  value: string | null,
): Promise<void> {
  const prefix = prefixOf(place, area);
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
  const found = await readStorageWhere(storageOf(place), (name) => name.startsWith(prefix));
  const entries: [string, string][] = [];
  for (const [name, value] of Object.entries(found)) {
    if (typeof value === "string") entries.push([name.slice(prefix.length), value]);
  }
  return Object.fromEntries(entries);
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
  readonly about: "server" | "room" | "other";
  /** The server, where it is one. */
  readonly server: string;
  readonly choice: "clean" | "send";
  /** Day, as 2026-01-31; undefined where an earlier Mantle kept none. */
  readonly day: string | undefined;
}

const ANSWER_NAME = /^page\/(https?:\/\/[^/]+)\/(media\/room|media\/server|answers)\/(.+)$/;
/** As `rememberChoice` of extension/page/media/memory.ts writes it. */
const ANSWER = /^(clean|send)(?: (\d{4}-\d{2}-\d{2}))?$/;

/** Every such answer, of all pages. */
export async function rememberedAnswers(): Promise<RememberedAnswer[]> {
  const answers: RememberedAnswer[] = [];
  const stored = await readStorageWhere("local", (name) => ANSWER_NAME.test(name));
  for (const [name, value] of Object.entries(stored)) {
    const [, origin = "", area, of = ""] = ANSWER_NAME.exec(name) ?? [];
    const [, choice, day] = ANSWER.exec(String(value)) ?? [];
    if (choice !== "clean" && choice !== "send") continue;
    const about = area === "media/server" ? "server" : area === "media/room" ? "room" : "other";
    answers.push({ name, origin, about, server: about === "server" ? of : "", choice, day });
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

/** Origins hold no slash after their scheme's, areas none at all: no page can name another's. */
function prefixOf({ origin }: PagePlace, area: StoreArea): string {
  if (!/^https?:\/\/[^/]+$/.test(origin)) {
    throw new Error("Mantle keeps nothing for pages without an address of their own.");
  }
  return `page/${origin}/${area}/`;
}
