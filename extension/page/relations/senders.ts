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
/** With so many, those that are in no timeline any more go first, and then the oldest. */
export const SWEPT_AT = MAX_REACTIONS + 1_250;
/** One question may wait for a look-up at the homeserver. */
const ANSWER_LIMIT_MS = 30_000;
/**
 * A question that found no answer is put again after so long, then after twice as long, and so on: by
 * sender, so that one whose homeserver is gone for good neither makes others wait nor is asked for more
 * often because others answer.
 */
export const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 5 * 60_000;

/** What is known of one reaction. */
interface Asked {
  /** Its place among all. */
  readonly reference: WeakRef<PageEvent>;
  /** undefined: nothing yet. */
  isBelieved: boolean | undefined;
  /** Counts the questions: only the answer to the last one is heard. */
  question: number;
  isUnanswered: boolean;
  /** How long the next question waits if this one finds no answer. */
  retryMs: number;
}

export class ReactionSenders {
  readonly #crypto: RelationsCrypto;
  readonly #show: (event: PageEvent) => void;
  readonly #hide: (event: PageEvent) => void;
  readonly #asked = new WeakMap<PageEvent, Asked>();
  /** In the order in which they were read; what is in no timeline any more is not held by this. */
  readonly #reactions = new Set<WeakRef<PageEvent>>();
  readonly #slices = new Slices();
  /** Those that wait for the next question, by sender. */
  readonly #retries = new Map<string, { timer: number; waiting: Set<WeakRef<PageEvent>> }>();
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
      asked = {
        reference: new WeakRef(event),
        isBelieved: undefined,
        question: 0,
        isUnanswered: false,
        retryMs: FIRST_RETRY_MS,
      };
      this.#asked.set(event, asked);
      this.#reactions.add(asked.reference);
      if (this.#reactions.size > SWEPT_AT) this.#sweep();
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
    const asked = this.#asked.get(event);
    if (asked === undefined) return;
    this.#asked.delete(event);
    this.#reactions.delete(asked.reference);
    this.#retries.get(event.getSender() ?? "")?.waiting.delete(asked.reference);
  }

  /** There is another client. */
  stop(): void {
    this.#isStopped = true;
    for (const { timer } of this.#retries.values()) clearTimer(timer);
    this.#retries.clear();
  }

  /** Once for many, so that each costs little. */
  #sweep(): void {
    for (const reference of this.#reactions) {
      if (reference.deref() === undefined) this.#reactions.delete(reference);
    }
    for (const oldest of this.#reactions) {
      if (this.#reactions.size <= MAX_REACTIONS) break;
      this.#reactions.delete(oldest);
    }
    for (const { waiting } of this.#retries.values()) {
      for (const reference of waiting) {
        if (!this.#reactions.has(reference)) waiting.delete(reference);
      }
    }
  }

  #answered(event: PageEvent, question: number, isBelieved: boolean): void {
    const asked = this.#asked.get(event);
    if (this.#isStopped || asked?.question !== question) return;
    asked.retryMs = FIRST_RETRY_MS;
    const wasBelieved = asked.isBelieved === true;
    asked.isBelieved = isBelieved;
    if (isBelieved) this.#show(event);
    else if (wasBelieved) this.#hide(event);
  }

  #unanswered(event: PageEvent, question: number): void {
    const asked = this.#asked.get(event);
    if (this.#isStopped || asked?.question !== question) return;
    if (!this.#reactions.has(asked.reference)) return;
    asked.isUnanswered = true;
    const sender = event.getSender() ?? "";
    let retry = this.#retries.get(sender);
    if (retry === undefined) {
      const timer = setTimer(() => this.#askOnceMore(sender), asked.retryMs);
      retry = { timer, waiting: new Set() };
      this.#retries.set(sender, retry);
    }
    retry.waiting.add(asked.reference);
    asked.retryMs = Math.min(asked.retryMs * 2, MAX_RETRY_MS);
  }

  #askOnceMore(sender: string): void {
    const { waiting = [] } = this.#retries.get(sender) ?? {};
    this.#retries.delete(sender);
    for (const reference of waiting) {
      const event = reference.deref();
      if (event !== undefined && this.#asked.get(event)?.isUnanswered === true) this.ask(event);
    }
  }

  #changed(users: readonly string[]): void {
    if (this.#isStopped) return;
    const changed = new Set(users);
    for (const user of changed) forgetSender(this.#crypto, user);
    for (const reference of this.#reactions) {
      const event = reference.deref();
      if (event === undefined) this.#reactions.delete(reference);
      else if (changed.has(event.getSender() ?? "")) this.ask(event);
    }
  }
}
