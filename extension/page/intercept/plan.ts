import {
  FAIL,
  DELEGATE_RESPONSE,
  DELEGATE,
  REPLY,
  REDIRECT,
  REWRITTEN,
  INSPECT_RESPONSE,
} from "./decision.ts";
import type { RequestPolicy, SyntheticReply, Delegate } from "./decision.ts";

/** Everything a final decision left in the core. */
export interface Plan {
  /** Not to be sent: answered with `reply`, or failed without one. */
  readonly isSettled: boolean;
  readonly reply: SyntheticReply | undefined;
  /** To send instead of the page's; undefined: the page's. */
  readonly body: Uint8Array | undefined;
  readonly url: string | undefined;
  /** Handlers that take the request over, one after the other; undefined: nobody does. */
  readonly delegates: readonly Delegate[] | undefined;
  readonly responseDelegate: Delegate | undefined;
  readonly isWatched: boolean;
}

/** Right after a decision that does not ask for the body, in the same synchronous run. */
export function takePlan(gate: RequestPolicy, flags: number): Plan {
  const url = (flags & REDIRECT) === 0 ? undefined : gate.takeUrl();
  // A core that cannot say where to send it would not have let the page's own URL out.
  const isLost = (flags & REDIRECT) !== 0 && url === undefined;
  return {
    isSettled: isLost || (flags & (REPLY | FAIL)) !== 0,
    reply: isLost || (flags & REPLY) !== 0 ? gate.takeReply() : undefined,
    body: (flags & REWRITTEN) === 0 ? undefined : gate.takeBody(),
    url,
    delegates: (flags & DELEGATE) === 0 ? undefined : gate.takeDelegates(),
    responseDelegate: (flags & DELEGATE_RESPONSE) === 0 ? undefined : gate.takeResponseDelegate(),
    isWatched: (flags & INSPECT_RESPONSE) !== 0,
  };
}
