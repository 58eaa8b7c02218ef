/** How many events to open in one step, so that the page goes on painting in between. */
import { NativePromise, now, runInTask } from "../primordials/primordials.ts";

/** How long a step is to take, in ms: a frame. Above 50 ms a page feels slow. */
const STEP = 16;
/** A slow device opens some hundred events a second, a fast one some ten thousand. */
const FEWEST = 4;
const MOST = 512;
const FIRST = 32;
/** Sessions taken in at a time: each costs some arithmetic on a curve. */
export const SESSIONS_IN_STEP = 32;

export class TimeSlicer {
  #most = FIRST;

  get most(): number {
    return this.#most;
  }

  /** A step of `most` events took so many ms. */
  took(time: number): void {
    // Clocks of pages are coarse; no step is more than twice the one before.
    const wanted = Math.floor((this.#most * STEP) / (time > 1 ? time : 1));
    this.#most = Math.max(FEWEST, Math.min(wanted, this.#most * 2, MOST));
  }
}

/** Lets the page paint and answer its person. */
export function yieldToPage(): Promise<void> {
  return new NativePromise((resume) => runInTask(resume));
}

/** Does one thing after the other, with a breath whenever a step's time is over. */
export async function eachInSteps<Item>(
  items: readonly Item[],
  work: (item: Item) => void,
): Promise<void> {
  let start = now();
  for (const item of items) {
    if (now() - start >= STEP) {
      await yieldToPage();
      start = now();
    }
    work(item);
  }
}
