import { digestText, execute, NativeRegExp, page } from "../captured.ts";
import { Memory } from "../memory.ts";

/** What a person chose before. */
export type Remembered = "clean" | "send";

const ROOM = new NativeRegExp("^#/room/([^/?]+)");
const memory = new Memory("media");

export const recall = (key: string): Promise<string | undefined> => memory.recall(key);
export const remember = (key: string, value: string): Promise<void> => memory.remember(key, value);

/** Names the room that the page shows, without telling which; undefined where it shows none. */
export async function roomKey(): Promise<string | undefined> {
  const room = execute(ROOM, page.location.hash)?.[1];
  if (room === undefined) return undefined;
  const hash = await digestText(room);
  return hash === undefined ? undefined : `room/${hash}`;
}
