/** Work in steps, so that the page goes on painting and answering its person in between. */
import { NativePromise, now, runInTask } from "./primordials.ts";

/** How long a step is to take, in ms: a frame. Above 50 ms a page feels slow. */
export const STEP_MS = 16;

/** Lets the page paint and answer its person. */
export function yieldToPage(): Promise<void> {
  return new NativePromise((resume) => runInTask(resume));
}

/** Does one thing after the other, with a breath whenever a step's time is over. */
export async function eachInSteps<Item>(
  items: readonly Item[],
  work: (item: Item) => void,
  stepMs = STEP_MS,
): Promise<void> {
  let start = now();
  for (const item of items) {
    if (now() - start >= stepMs) {
      await yieldToPage();
      start = now();
    }
    work(item);
  }
}
