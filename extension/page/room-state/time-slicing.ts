/** How many events to open in one step, so that the page goes on painting in between. */
import { STEP_MS } from "../primordials/steps.ts";

/** A slow device opens some hundred events a second, a fast one some ten thousand. */
const FEWEST = 4;
/** Where nothing opened so far and all keys come at once, the next step is that long. */
const MOST = 256;
const FIRST = 32;
/** Sessions taken in at a time: each costs some arithmetic on a curve. */
export const SESSIONS_IN_STEP = 32;
/** Events that wait for keys, handed to the page's crypto at a time. */
export const WAITING_IN_STEP = 500;

export class TimeSlicer {
  #most = FIRST;

  get most(): number {
    return this.#most;
  }

  /** A step of `most` events took so many ms. */
  took(time: number): void {
    // Clocks of pages are coarse; no step is more than twice the one before.
    const wanted = Math.floor((this.#most * STEP_MS) / (time > 1 ? time : 1));
    this.#most = Math.max(FEWEST, Math.min(wanted, this.#most * 2, MOST));
  }
}
