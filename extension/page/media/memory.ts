import {
  digestText,
  execute,
  NativeRegExp,
  now,
  page,
  pinned,
  toIsoDay,
} from "../primordials/primordials.ts";
import { Memory } from "../channel/memory.ts";

/** What a person chose before. */
export type Remembered = "clean" | "send";

/** As `rememberedAnswers` of extension/browser/page-store.ts reads it too. */
const ANSWER = new NativeRegExp("^(clean|send)(?: |$)");
const ROOM = new NativeRegExp("^#/room/([^/?]+)");
const memory = new Memory("media");

export const recall = (key: string): Promise<string | undefined> => memory.recall(key);
export const remember = (key: string, value: string): Promise<void> => memory.remember(key, value);

/** What the person chose, for the room before the server. */
export async function recallChoice(
  room: string | undefined,
  server: string,
): Promise<Remembered | undefined> {
  const entries = await pinned(memory.all());
  const found =
    execute(ANSWER, entries[room ?? ""] ?? "") ?? execute(ANSWER, entries[server] ?? "");
  return found?.[1] as Remembered | undefined;
}

/** With the day, for the list on the options page. */
export async function rememberChoice(key: string, choice: Remembered): Promise<void> {
  await remember(key, `${choice} ${toIsoDay(now())}`);
}

/** Names the room that the page shows, without telling which; undefined where it shows none. */
export async function roomKey(): Promise<string | undefined> {
  const room = execute(ROOM, page.location.hash)?.[1];
  if (room === undefined) return undefined;
  const hash = await pinned(digestText(room));
  return hash === undefined ? undefined : `room/${hash}`;
}
