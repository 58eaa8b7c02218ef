/** What a person chose or a server did before, kept on this device. */
import { create } from "./captured.ts";
import type { StoreArea } from "../messages.ts";
import { store } from "./store.ts";

/** One area of the store, read once a page. */
export class Memory {
  readonly #area: StoreArea;
  #entries: Promise<Record<string, string>> | undefined;

  constructor(area: StoreArea) {
    this.#area = area;
  }

  async recall(key: string): Promise<string | undefined> {
    return (await this.#kept())[key];
  }

  /** What cannot be stored is asked or tried again the next time: no harm. */
  async remember(key: string, value: string): Promise<void> {
    (await this.#kept())[key] = value;
    try {
      await store.put(this.#area, key, value);
    } catch {
      // See above.
    }
  }

  /** Everything kept; empty where the store cannot be read. */
  async #kept(): Promise<Record<string, string>> {
    this.#entries ??= store.load(this.#area);
    try {
      return await this.#entries;
    } catch {
      this.#entries = undefined;
      return create(null) as Record<string, string>;
    }
  }
}
