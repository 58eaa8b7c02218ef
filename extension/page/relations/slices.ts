/** Does small things one after the other, so that a thousand of them hold the page no longer than one. */
import { eachInSteps, yieldToPage } from "../primordials/steps.ts";

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
      await yieldToPage();
      await eachInSteps(jobs, alone, STEP_MS);
    }
    this.#isRunning = false;
  }
}

function alone(job: () => void): void {
  try {
    job();
  } catch {
    // The others are done all the same.
  }
}
