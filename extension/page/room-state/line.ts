import { NativePromise } from "../primordials/primordials.ts";

/** Tasks one after the other, whatever becomes of those before. */
export class Line {
  #last: Promise<unknown> = NativePromise.resolve();

  run<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(task, task);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
