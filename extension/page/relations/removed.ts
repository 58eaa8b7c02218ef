/**
 * Reactions that were removed. A removed event says nothing of what it was, so Element shows a line for
 * an encrypted one where a plain one leaves nothing; whoever saw it before knows better.
 */
import { execute, isArray, NativeRegExp, parseJson, withLock } from "../primordials/primordials.ts";
import { store } from "../channel/store.ts";

const AREA = "relations";
const NAME = "removed";
/** The oldest go. */
export const MAX_REMOVED = 4_000;
/**
 * Ids of rooms since version 3 have 44 letters; what servers choose otherwise is not kept, since it
 * could be longer than fits the store.
 */
const ID = new NativeRegExp("^\\$[A-Za-z0-9_.:+/=-]{1,63}$");
const LOCK = "mantle-relations";

export class RemovedReactions {
  #ids = new Set<string>();
  /** Not written yet. */
  #fresh: string[] = [];
  #isWriting = false;

  has(eventId: string): boolean {
    return this.#ids.has(eventId);
  }

  /** What was kept before; what cannot be read shows as a line, no more. */
  async load(): Promise<void> {
    for (const id of idsIn((await store.load(AREA))[NAME])) this.#keep(id);
  }

  add(eventId: string): void {
    if (this.#ids.has(eventId) || execute(ID, eventId) === null) return;
    this.#keep(eventId);
    this.#fresh.push(eventId);
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#write()
      .catch(() => undefined)
      .finally(() => {
        this.#isWriting = false;
      });
  }

  #keep(eventId: string): void {
    this.#ids.delete(eventId);
    this.#ids.add(eventId);
    for (const oldest of this.#ids) {
      if (this.#ids.size <= MAX_REMOVED) break;
      this.#ids.delete(oldest);
    }
  }

  /** Beside what other tabs wrote. */
  async #write(): Promise<void> {
    while (this.#fresh.length > 0) {
      const fresh = this.#fresh;
      this.#fresh = [];
      await withLock(LOCK, async () => {
        const stored = idsIn((await store.load(AREA))[NAME]);
        const all = [...new Set([...stored, ...fresh])].slice(-MAX_REMOVED);
        await store.put(AREA, NAME, JSON.stringify(all));
      });
    }
  }
}

function idsIn(text: string | undefined): string[] {
  if (text === undefined) return [];
  try {
    const list = parseJson(text);
    if (!isArray(list)) return [];
    return (list as unknown[]).filter(
      (id): id is string => typeof id === "string" && execute(ID, id) !== null,
    );
  } catch {
    return [];
  }
}
