/**
 * A call's frame → relay → background → relay of the top window → its page, and the answer back: only
 * there a person sees for certain who asks. The background passes it on and keeps nothing of it.
 */
import { isCount, isHost, isPlain, isText, type Plain } from "./shapes.ts";

/** How long a question may stand; it counts as a no then. */
export const CALL_SERVER_PATIENCE_MS = 600_000;

/** Which of its questions a relay waits for. */
export interface CallServerQuestion {
  /** Random id of the frame's relay. */
  relay: string;
  wish: number;
  host: string;
}

/** relay of a frame → background; answered by whether the top window takes it. */
export interface CallServerQuery extends CallServerQuestion {
  kind: "call-server-query";
}

/** background → relay of the top window; answered by whether it takes it. */
export interface CallServerAsked extends CallServerQuestion {
  kind: "call-server-asked";
  frame: number;
  /** Of the frame's document. */
  origin: string;
}

/** relay of the top window → page, over the port. */
export interface CallServerCommand {
  kind: "call-server";
  /** Comes back with the answer. */
  wish: number;
  host: string;
}

/** relay of the top window → page, over the port: the frame that asked is gone. */
export interface CallServerWithdrawn {
  kind: "call-server-withdrawn";
  wish: number;
}

/** page → relay of the top window, over the port. */
export interface CallServerAnswer {
  kind: "call-server-answer";
  wish: number;
  isAllowed: boolean;
}

/** relay of the top window → background → relay of the frame; answered by whether it still waits. */
export interface CallServerCheck {
  kind: "call-server-check";
  relay: string;
  wish: number;
  frame: number;
}

/** relay of the top window → background → relay of the frame. */
export interface CallServerVerdict {
  kind: "call-server-verdict";
  relay: string;
  wish: number;
  frame: number;
  isAllowed: boolean;
}

/** Whether a frame still waits, or `undefined` when nobody asks that. */
export function readCallServerCheck(value: unknown): CallServerCheck | undefined {
  if (!isPlain(value) || value["kind"] !== "call-server-check") return undefined;
  const { relay, wish, frame } = value;
  return isText(relay, 64) && isCount(wish) && isCount(frame)
    ? { kind: "call-server-check", relay, wish, frame }
    : undefined;
}

/** A question of the background's to the top window's relay, or `undefined` when it is none. */
export function readCallServerAsked(value: unknown): CallServerAsked | undefined {
  if (!isPlain(value) || value["kind"] !== "call-server-asked") return undefined;
  const { frame, origin } = value;
  const question = readCallServerQuestion(value);
  return question && isCount(frame) && isText(origin, 300)
    ? { kind: "call-server-asked", ...question, frame, origin }
    : undefined;
}

export function readCallServerQuestion(value: Plain): CallServerQuestion | undefined {
  const { relay, wish, host } = value;
  return isText(relay, 64) && isCount(wish) && isHost(host) && host !== ""
    ? { relay, wish, host }
    : undefined;
}

/** A command of the relay, or `undefined` when it is none. For the page's hooks. */
export function readCallServerCommand(value: unknown): CallServerCommand | undefined {
  if (!isPlain(value) || value["kind"] !== "call-server") return undefined;
  const { wish, host } = value;
  return isCount(wish) && isText(host, 300) ? { kind: "call-server", wish, host } : undefined;
}

/** A command taken back, or `undefined` when it is none. For the page's hooks. */
export function readCallServerWithdrawn(value: unknown): CallServerWithdrawn | undefined {
  if (!isPlain(value) || value["kind"] !== "call-server-withdrawn") return undefined;
  const { wish } = value;
  return isCount(wish) ? { kind: "call-server-withdrawn", wish } : undefined;
}

/** An answer of the page's hooks, or `undefined` when it is none. */
export function readCallServerAnswer(value: unknown): CallServerAnswer | undefined {
  if (!isPlain(value) || value["kind"] !== "call-server-answer") return undefined;
  const { wish, isAllowed } = value;
  return isCount(wish) && typeof isAllowed === "boolean"
    ? { kind: "call-server-answer", wish, isAllowed }
    : undefined;
}

/** What the person answered, on its way to the frame, or `undefined` when it is none. */
export function readCallServerVerdict(value: unknown): CallServerVerdict | undefined {
  if (!isPlain(value) || value["kind"] !== "call-server-verdict") return undefined;
  const { relay, wish, frame, isAllowed } = value;
  return isText(relay, 64) && isCount(wish) && isCount(frame) && typeof isAllowed === "boolean"
    ? { kind: "call-server-verdict", relay, wish, frame, isAllowed }
    : undefined;
}
