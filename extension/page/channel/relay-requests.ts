/** Questions to the relay that are answered. */
import {
  clearTimer,
  create,
  NativePromise,
  now,
  NativeError,
  pinned,
  push,
  result,
  setTimer,
} from "../primordials/primordials.ts";
import type { PageRequest, RelayAnswer } from "../../protocol/page-relay.ts";
import { text, translated } from "../texts/texts.ts";

interface Waiting {
  settle(answer: RelayAnswer): void;
  fail(error: Error): void;
  readonly timer: number;
}

const waiting = create(null) as Record<number, Waiting | undefined>;
/** Asked before the channel stood. */
const early: PageRequest[] = [];
let post: ((message: PageRequest) => void) | undefined;
let last = now() % 1_000_000;

/** A request without its number. */
export type Question = PageRequest extends infer Kind
  ? Kind extends { id: number }
    ? Omit<Kind, "id">
    : never
  : never;

/** Rejects with a sentence after `milliseconds`, or when the relay says why not. */
export function askRelay(question: Question, milliseconds: number): Promise<RelayAnswer> {
  last += 1;
  const message = { ...question, id: last } as PageRequest;
  const answer = new NativePromise<RelayAnswer>((settle, fail) => {
    const timer = setTimer(() => {
      waiting[message.id] = undefined;
      fail(new NativeError(text("relaySilent")));
    }, milliseconds);
    waiting[message.id] = { settle, fail, timer };
    if (post === undefined) push(early, message);
    else post(message);
  });
  return pinned(answer);
}

/** The channel stands: from here on requests leave through it. */
export function connectRequests(send: (message: PageRequest) => void): void {
  post = send;
  for (let index = 0; index < early.length; index += 1) send(early[index] as PageRequest);
  early.length = 0;
}

/** An answer came in; those nobody waits for any more are dropped. */
export function takeAnswer(answer: RelayAnswer): void {
  const known = waiting[answer.id];
  if (known === undefined) return;
  waiting[answer.id] = undefined;
  clearTimer(known.timer);
  if (answer.kind === "refused") known.fail(new NativeError(translated(answer.why)));
  else known.settle(result(answer));
}
