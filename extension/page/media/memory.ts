import { create, digestText, execute, NativeRegExp, now, page, toIsoDay } from "../captured.ts";
import { store } from "../store.ts";

/** What a person chose before. */
export type Remembered = "clean" | "send";

/** As `readAnswers` of extension/page-store.ts reads it too. */
const ANSWER = new NativeRegExp("^(clean|send)(?: |$)");
const ROOM = new NativeRegExp("^#/room/([^/?]+)");

/** Everything kept for uploads, read each time: answers are taken back on the options page. */
async function kept(): Promise<Record<string, string>> {
  try {
    return await store.load("media");
  } catch {
    return create(null) as Record<string, string>;
  }
}

export async function recall(key: string): Promise<string | undefined> {
  return (await kept())[key];
}

/** What the person chose, for the room before the server. */
export async function recallChoice(
  room: string | undefined,
  server: string,
): Promise<Remembered | undefined> {
  const entries = await kept();
  const found =
    execute(ANSWER, entries[room ?? ""] ?? "") ?? execute(ANSWER, entries[server] ?? "");
  return found?.[1] as Remembered | undefined;
}

/** With the day, for the list on the options page. */
export async function rememberChoice(key: string, choice: Remembered): Promise<void> {
  await remember(key, `${choice} ${toIsoDay(now())}`);
}

/** What cannot be stored is asked or tried again the next time: no harm. */
export async function remember(key: string, value: string): Promise<void> {
  try {
    await store.put("media", key, value);
  } catch {
    // See above.
  }
}

/** Names the room that the page shows, without telling which; undefined where it shows none. */
export async function roomKey(): Promise<string | undefined> {
  const room = execute(ROOM, page.location.hash)?.[1];
  if (room === undefined) return undefined;
  const hash = await digestText(room);
  return hash === undefined ? undefined : `room/${hash}`;
}
