/**
 * Asks for each encrypted reaction whether its sender is believed, and asks again when what the answer
 * hangs on changes: a device list may come after the reaction, and an owner verifies a device later.
 */
import { clearTimer, setTimer } from "../primordials/primordials.ts";
import { within } from "../room-state/element/client.ts";
import type { PageEvent, RelationsClient, RelationsCrypto } from "./sdk.ts";
import { forgetSender, isSenderBelieved } from "./sender.ts";
import { Slices } from "./slices.ts";

/** Those that are asked about again; of more than these the oldest keep their answer until a reload. */
export const MAX_REACTIONS = 10_000;
/** One question may wait for a look-up at the homeserver. */
const ANSWER_LIMIT_MS = 30_000;
/** A question that found no answer is put again after so long, then after twice as long, and so on. */
export const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 5 * 60_000;

/** What is known of one reaction. */
interface Asked {
  /** undefined: nothing yet. */
  isBelieved: boolean | undefined;
  /** Counts the questions: only the answer to the last one is heard. */
  question: number;
  isUnanswered: boolean;
}

export class ReactionSenders {
  readonly #crypto: RelationsCrypto;
  readonly #show: (event: PageEvent) => void;
  readonly #hide: (event: PageEvent) => void;
  readonly #asked = new WeakMap<PageEvent, Asked>();
  /** In the order in which they were read; what is in no timeline any more is not held by this. */
  readonly #reactions = new Set<WeakRef<PageEvent>>();
  readonly #slices = new Slices();
  #retry: number | undefined;
  #retryMs = FIRST_RETRY_MS;
  #isStopped = false;

  /** `show` may be called again for what is shown; `hide` only takes back what was. */
  constructor(
    client: RelationsClient,
    crypto: RelationsCrypto,
    actions: { show: (event: PageEvent) => void; hide: (event: PageEvent) => void },
  ) {
    this.#crypto = crypto;
    this.#show = actions.show;
    this.#hide = actions.hide;
    // matrix-js-sdk's names; the second is the user's identity, which signs their devices.
    client.on("crypto.devicesUpdated", (users) => this.#changed(users as string[]));
    client.on("userTrustStatusChanged", (user) => this.#changed([user as string]));
  }

  ask(event: PageEvent): void {
    let asked = this.#asked.get(event);
    if (asked === undefined) {
      asked = { isBelieved: undefined, question: 0, isUnanswered: false };
      this.#asked.set(event, asked);
      this.#reactions.add(new WeakRef(event));
      for (const oldest of this.#reactions) {
        if (this.#reactions.size <= MAX_REACTIONS) break;
        this.#reactions.delete(oldest);
      }
    }
    asked.question += 1;
    asked.isUnanswered = false;
    const { question } = asked;
    this.#slices.add(() => {
      if (this.#isStopped || this.#asked.get(event)?.question !== question) return;
      within(isSenderBelieved(this.#crypto, event), ANSWER_LIMIT_MS).then(
        (isBelieved) =>
          this.#slices.add(() => {
            this.#answered(event, question, isBelieved);
          }),
        () => {
          this.#unanswered(event, question);
        },
      );
    });
  }

  /** It was removed. */
  forget(event: PageEvent): void {
    this.#asked.delete(event);
  }

  /** There is another client. */
  stop(): void {
    this.#isStopped = true;
    if (this.#retry !== undefined) clearTimer(this.#retry);
  }

  #answered(event: PageEvent, question: number, isBelieved: boolean): void {
    const asked = this.#asked.get(event);
    if (this.#isStopped || asked?.question !== question) return;
    this.#retryMs = FIRST_RETRY_MS;
    const wasBelieved = asked.isBelieved === true;
    asked.isBelieved = isBelieved;
    if (isBelieved) this.#show(event);
    else if (wasBelieved) this.#hide(event);
  }

  #unanswered(event: PageEvent, question: number): void {
    const asked = this.#asked.get(event);
    if (this.#isStopped || asked?.question !== question) return;
    asked.isUnanswered = true;
    if (this.#retry !== undefined) return;
    this.#retry = setTimer(() => {
      this.#retry = undefined;
      this.#askAgain((_event, { isUnanswered }) => isUnanswered);
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #changed(users: readonly string[]): void {
    if (this.#isStopped) return;
    const changed = new Set(users);
    for (const user of changed) forgetSender(this.#crypto, user);
    this.#askAgain((event) => changed.has(event.getSender() ?? ""));
  }

  #askAgain(isMeant: (event: PageEvent, asked: Asked) => boolean): void {
    for (const reference of this.#reactions) {
      const event = reference.deref();
      const asked = event === undefined ? undefined : this.#asked.get(event);
      if (event === undefined || asked === undefined) this.#reactions.delete(reference);
      else if (isMeant(event, asked)) this.ask(event);
    }
  }
}
