/** What the person chose for a shield in a room, under a hash that names no room. */
import {
  execute,
  keysOf,
  NativeRegExp,
  now,
  pinned,
  push,
  toIsoDay,
} from "../primordials/primordials.ts";
import { Memory } from "../channel/memory.ts";
import { store } from "../channel/store.ts";
import { answerKey } from "./answer-key.ts";

/** As `rememberedAnswers` of extension/browser/page-store.ts reads it too. */
export type RoomChoice = "encrypt" | "readable";

/** Of more choices than this the oldest are asked about again. */
export const MAX_ROOMS = 500;
const AREA = "answers";
const CHOICE = new NativeRegExp("^(encrypt|readable) (\\d{4}-\\d{2}-\\d{2})$");
const memory = new Memory(AREA);

/** undefined where the browser gives pages no cryptography: then it is asked each time. */
export function choiceKey(
  account: string,
  shield: string,
  url: string,
): Promise<string | undefined> {
  return answerKey(account, shield, "room", url);
}

export async function recallChoice(key: string): Promise<RoomChoice | undefined> {
  return choiceIn(await pinned(memory.recall(key)))?.choice;
}

export async function rememberChoice(key: string, choice: RoomChoice): Promise<void> {
  const all = await pinned(memory.all());
  const kept: { name: string; day: string }[] = [];
  const names = keysOf(all);
  for (let index = 0; index < names.length; index += 1) {
    const name = names[index] ?? "";
    const found = choiceIn(all[name]);
    if (found !== undefined && name !== key) push(kept, { name, day: found.day });
  }
  kept.sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : 0));
  for (const { name } of kept.slice(0, Math.max(0, kept.length + 1 - MAX_ROOMS))) {
    await store.put(AREA, name, null).catch(() => undefined);
  }
  await pinned(memory.remember(key, `${choice} ${toIsoDay(now())}`));
}

function choiceIn(text: string | undefined): { choice: RoomChoice; day: string } | undefined {
  const found = execute(CHOICE, text ?? "");
  const choice = found?.[1];
  const day = found?.[2];
  return choice === undefined || day === undefined
    ? undefined
    : { choice: choice as RoomChoice, day };
}
