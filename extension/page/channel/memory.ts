/** What a person chose or a server did before, kept on this device. */
import { create, keysOf, pinned } from "../primordials/primordials.ts";
import type { StoreArea } from "../../protocol/requests.ts";
import { store } from "./store.ts";

/** One area of the store, read each time: answers are taken back on the options page. */
export class Memory {
  readonly #area: StoreArea;

  constructor(area: StoreArea) {
    this.#area = area;
  }

  async recall(key: string): Promise<string | undefined> {
    return (await pinned(this.all()))[key];
  }

  /** What cannot be stored is asked or tried again the next time: no harm. */
  async remember(key: string, value: string): Promise<void> {
    try {
      await pinned(store.put(this.#area, key, value));
    } catch {
      // See above.
    }
  }

  /** Everything kept; empty where the store cannot be read. */
  async all(): Promise<Record<string, string>> {
    // Without a prototype: nothing is there but what was kept.
    const all = create(null) as Record<string, string>;
    try {
      const entries = await pinned(store.load(this.#area));
      const keys = keysOf(entries);
      for (let index = 0; index < keys.length; index += 1) {
        const key = keys[index] as string;
        all[key] = entries[key] ?? "";
      }
    } catch {
      // Empty, as said.
    }
    return all;
  }
}
