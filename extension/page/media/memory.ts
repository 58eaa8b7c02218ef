import { create, digestText, execute, NativeRegExp, page } from "../captured.ts";
import { store } from "../store.ts";

/** What a person chose before. */
export type Remembered = "clean" | "send";

const ROOM = new NativeRegExp("^#/room/([^/?]+)");

let entries: Promise<Record<string, string>> | undefined;

/** Everything kept for uploads; empty where the store cannot be read. */
async function kept(): Promise<Record<string, string>> {
  entries ??= store.load("media");
  try {
    return await entries;
  } catch {
    entries = undefined;
    return create(null) as Record<string, string>;
  }
}

export async function recall(key: string): Promise<string | undefined> {
  return (await kept())[key];
}

/** What cannot be stored is asked or tried again the next time: no harm. */
export async function remember(key: string, value: string): Promise<void> {
  (await kept())[key] = value;
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
