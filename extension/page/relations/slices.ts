/** Does small things one after the other, so that a thousand of them hold the page no longer than one. */
import { NativePromise, now, runInNextTask } from "../primordials/primordials.ts";

/** How long the page is held at a time, in ms: less than a frame. */
const STEP_MS = 8;

export class Slices {
  #jobs: (() => void)[] = [];
  #isRunning = false;

  /** It begins in a task of its own; what it throws is its own affair. */
  add(job: () => void): void {
    this.#jobs.push(job);
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    while (this.#jobs.length > 0) {
      const jobs = this.#jobs;
      this.#jobs = [];
      await nextTask();
      let began = now();
      for (const job of jobs) {
        if (now() - began >= STEP_MS) {
          await nextTask();
          began = now();
        }
        try {
          job();
        } catch {
          // The others are done all the same.
        }
      }
    }
    this.#isRunning = false;
  }
}

function nextTask(): Promise<void> {
  return new NativePromise((resume) => runInNextTask(resume));
}
