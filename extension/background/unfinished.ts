/**
 * Work that a browser may cut short at any step by ending the background, as Firefox does on a slow
 * machine even between two steps. That it began is noted first, and an alarm is set: it is begun anew
 * where nobody came to note its end, by the next start of the background or by the alarm.
 */
import { readStorage, setAlarm, writeStorage } from "../browser/api.ts";

/** In session storage: all of the work was done since the browser's start. */
const DONE = "checked";
/** Long enough for the work; a browser may take it for half a minute. */
const AGAIN_MS = 10_000;

/** Of this background: what comes after one that failed does all of its work too. */
let running = 0;

export async function untilDone(work: () => Promise<void>): Promise<void> {
  running += 1;
  try {
    await writeStorage("session", { [DONE]: false });
    await setAlarm("unfinished", Date.now() + AGAIN_MS);
    await work();
  } finally {
    running -= 1;
  }
  if (running > 0) return;
  await writeStorage("session", { [DONE]: true });
  await setAlarm("unfinished", undefined);
}

export async function isDone(): Promise<boolean> {
  return (await readStorage("session", DONE)) === true;
}
