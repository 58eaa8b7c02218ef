/**
 * Which edits may take the place of an encrypted message. Homeservers bundle edits with messages, and
 * matrix-js-sdk shows what is bundled in the message's place, whoever wrote it and about what.
 */
import { isPlain } from "../primordials/primordials.ts";
import { RELATES_TO, relationOf, REPLACE } from "./relation.ts";
import { isEncrypted } from "./sdk.ts";
import type { PageEvent } from "./sdk.ts";

/** What an event tells once it was decrypted, or could not be. */
const DECRYPTED = "Event.decrypted";

type Put = (edit: PageEvent | null | undefined) => void;

export class Edits {
  /** What is wanted in a message's place, once it is known to be an edit of it. */
  readonly #wanted = new WeakMap<PageEvent, PageEvent | null | undefined>();
  /** Ids of what is bundled with a message and is no edit of it. */
  readonly #refused = new WeakMap<PageEvent, Set<string>>();

  /** `put` has an edit take the message's place; none gives it back. */
  replace(message: PageEvent, edit: PageEvent | null | undefined, put: Put): void {
    const isEdit = edit === null || edit === undefined || isEditOf(edit, message);
    if (isEdit === true) {
      this.#wanted.set(message, edit);
      put(edit);
    } else if (isEdit === undefined) {
      if (this.#wanted.get(message) === edit) return;
      this.#wanted.set(message, edit);
      this.#onceDecrypted(edit, () => {
        if (this.#wanted.get(message) === edit) this.replace(message, edit, put);
      });
    } else {
      const refused = this.#refused.get(message) ?? new Set();
      this.#refused.set(message, refused.add(edit.getId() ?? ""));
    }
  }

  isRefused(message: PageEvent, bundled: unknown): boolean {
    const id = isPlain(bundled) ? bundled["event_id"] : undefined;
    return typeof id === "string" && this.#refused.get(message)?.has(id) === true;
  }

  /** A key may come late. */
  #onceDecrypted(edit: PageEvent, action: () => void): void {
    const onDecrypted = (): void => {
      if (edit.isDecryptionFailure()) return;
      edit.off(DECRYPTED, onDecrypted);
      action();
    };
    edit.on(DECRYPTED, onDecrypted);
  }
}

/**
 * As the specification has it (client-server API, "Validity of replacement events"); undefined: nobody
 * can tell before it is decrypted.
 */
function isEditOf(edit: PageEvent, message: PageEvent): boolean | undefined {
  // What is on its way out is the person's own.
  if (!isEncrypted(message) || edit.status !== null) return true;
  if (!isEncrypted(edit)) return false;
  if (edit.getSender() !== message.getSender() || edit.getRoomId() !== message.getRoomId()) {
    return false;
  }
  const clear = edit.clearEvent;
  if (clear === undefined || edit.isDecryptionFailure()) return undefined;
  const relation = relationOf(edit.getWireContent()[RELATES_TO]);
  const hasNewContent = isPlain(clear.content) && isPlain(clear.content["m.new_content"]);
  return hasNewContent && relation?.rel_type === REPLACE && relation.event_id === message.getId();
}
