/**
 * Which storage of the page this is. The browser keeps containers and private windows apart, but
 * not the extension's storage; so a name lies in the page's own, beside Element's session. It goes
 * with that when the person signs out, and what is stored under it is taken out then.
 */
import type { PagePlace } from "../browser/page-store.ts";
import { isPart } from "../protocol/relay-background.ts";

export const NAME_KEY = "mantle_storage";
/** Where Element says who is signed in. */
const USER_KEY = "mx_user_id";

type Values = Pick<Storage, "getItem" | "setItem">;

export class PageStorage {
  readonly #values: () => Values;
  readonly #origin: string;
  readonly #isPrivate: () => boolean;
  /** The name seen last. */
  #known: string | undefined;

  /** `values` throws in a document without storage. */
  constructor(values: () => Values, origin: string, isPrivate: () => boolean) {
    this.#values = values;
    this.#origin = origin;
    this.#isPrivate = isPrivate;
  }

  /** The storage as it is now; without a name where nothing was ever kept. */
  place(): PagePlace {
    const part = this.#name();
    this.#known ??= part;
    return this.#at(part);
  }

  /** The storage, with a name from now on. */
  async named(): Promise<PagePlace> {
    if (this.#name() === undefined) {
      // Two tabs must not give it two names.
      await inTurn(() => {
        if (this.#name() !== undefined) return;
        const made = crypto.randomUUID().replaceAll("-", "");
        try {
          this.#values().setItem(NAME_KEY, made);
        } catch {
          // Without storage, or full: nothing is kept.
        }
      });
    }
    return this.place();
  }

  /** True where somebody is signed in, and so what an earlier Mantle kept may be theirs. */
  get isSignedIn(): boolean {
    return this.#read(USER_KEY) !== null;
  }

  /** Whether this person is signed in here. */
  isOf(user: string): boolean {
    return this.#read(USER_KEY) === user;
  }

  /** The storage that was there and is emptied, as by signing out; told once. */
  takeGone(): PagePlace | undefined {
    const known = this.#known;
    if (known === undefined || this.#name() === known) return undefined;
    this.#known = undefined;
    return this.#at(known);
  }

  #at(part: string | undefined): PagePlace {
    return { origin: this.#origin, part, isPrivate: this.#isPrivate() };
  }

  #name(): string | undefined {
    const name = this.#read(NAME_KEY);
    return isPart(name) ? name : undefined;
  }

  #read(key: string): string | null {
    try {
      return this.#values().getItem(key);
    } catch {
      return null;
    }
  }
}

/** Runs it once, after what other tabs do here; at once where the page has no locks. */
function inTurn(task: () => void): Promise<void> {
  const { locks } = navigator as Partial<Navigator>;
  return new Promise((resume) => {
    let isDone = false;
    const run = (): void => {
      if (!isDone) task();
      isDone = true;
      resume();
    };
    if (locks === undefined) run();
    // Firefox's lock is the page's, which may not look into a promise of this world: it rejects then.
    else locks.request("mantle-storage", run).then(run, run);
  });
}
