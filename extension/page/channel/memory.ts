/** What a person chose or a server did before, kept on this device. */
import { create } from "../primordials/primordials.ts";
import type { StoreArea } from "../../protocol/requests.ts";
import { store } from "./store.ts";

/** One area of the store, read each time: answers are taken back on the options page. */
export class Memory {
  readonly #area: StoreArea;

  constructor(area: StoreArea) {
    this.#area = area;
  }

  async recall(key: string): Promise<string | undefined> {
    return (await this.all())[key];
  }

  /** What cannot be stored is asked or tried again the next time: no harm. */
  async remember(key: string, value: string): Promise<void> {
    try {
      await store.put(this.#area, key, value);
    } catch {
      // See above.
    }
  }

  /** Everything kept; empty where the store cannot be read. */
  async all(): Promise<Record<string, string>> {
    try {
      return await store.load(this.#area);
    } catch {
      return create(null) as Record<string, string>;
    }
  }
}
