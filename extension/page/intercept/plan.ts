import { FAIL, HANDBACK, HANDOVER, REPLY, RETARGET, REWRITTEN, WATCH } from "./decision.ts";
import type { Gate, SyntheticReply, Taker } from "./decision.ts";

/** Everything a final decision left in the core. */
export interface Plan {
  /** Not to be sent: answered with `reply`, or failed without one. */
  readonly isSettled: boolean;
  readonly reply: SyntheticReply | undefined;
  /** To send instead of the page's; undefined: the page's. */
  readonly body: Uint8Array | undefined;
  readonly url: string | undefined;
  /** Handlers that take the request over, one after the other; undefined: nobody does. */
  readonly handovers: readonly Taker[] | undefined;
  readonly handback: Taker | undefined;
  readonly isWatched: boolean;
}

/** Right after a decision that does not ask for the body, in the same synchronous run. */
export function takePlan(gate: Gate, flags: number): Plan {
  const url = (flags & RETARGET) === 0 ? undefined : gate.takeUrl();
  // A core that cannot say where to send it would not have let the page's own URL out.
  const isLost = (flags & RETARGET) !== 0 && url === undefined;
  return {
    isSettled: isLost || (flags & (REPLY | FAIL)) !== 0,
    reply: isLost || (flags & REPLY) !== 0 ? gate.takeReply() : undefined,
    body: (flags & REWRITTEN) === 0 ? undefined : gate.takeBody(),
    url,
    handovers: (flags & HANDOVER) === 0 ? undefined : gate.takeHandovers(),
    handback: (flags & HANDBACK) === 0 ? undefined : gate.takeHandback(),
    isWatched: (flags & WATCH) !== 0,
  };
}
