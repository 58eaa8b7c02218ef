/** What pages keep on this device: one name per origin, area and key, in the extension's storage. */
import type { StoreArea } from "../protocol/requests.ts";
import { readStorageWhere, removeStorage, writeStorage } from "./api.ts";

/** Throws a sentence when it is not on disk. */
export async function putForPage(
  origin: string,
  area: StoreArea,
  key: string,
  value: string | null,
): Promise<void> {
  const name = `${prefixOf(origin, area)}${key}`;
  if (value === null) {
    await removeStorage(name);
  } else {
    await writeStorage("local", { [name]: value });
  }
}

export async function loadForPage(
  origin: string,
  area: StoreArea,
): Promise<Record<string, string>> {
  const prefix = prefixOf(origin, area);
  const entries: Record<string, string> = {};
  for (const [name, value] of Object.entries(
    await readStorageWhere((one) => one.startsWith(prefix)),
  )) {
    if (typeof value === "string") {
      entries[name.slice(prefix.length)] = value;
    }
  }
  return entries;
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
  const stored = await readStorageWhere((name) => ANSWER_NAME.test(name));
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
  await removeStorage(name);
}

/** Origins hold no slash after their scheme's, areas none at all: no page can name another's. */
function prefixOf(origin: string, area: StoreArea): string {
  if (!/^https?:\/\/[^/]+$/.test(origin)) {
    throw new Error("Mantle keeps nothing for pages without an address of their own.");
  }
  return `page/${origin}/${area}/`;
}
