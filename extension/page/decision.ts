/** Flags of a decision; `core/src/verdict.rs` holds the same numbers. */
export const PASS = 0;
/** Read the request's body and headers, then call `decideBody`. */
export const NEEDS_BODY = 1;
/** Do not send; answer with `takeReply()`. */
export const REPLY = 2;
/** Do not send; fail as a network error. */
export const FAIL = 4;
/** Send `takeBody()` instead of the body. */
export const REWRITTEN = 8;
/** Send, and pass the whole answer through `answer()`. */
export const WATCH = 16;

/** Send to `takeUrl()` instead; the page sees the URL it asked for. */
export const RETARGET = 32;
/** The handlers that `takeHandovers()` names take the request over before it is sent. */
export const HANDOVER = 64;
/** The handler that `takeHandback()` names sees the answer before `answer()` does. */
export const HANDBACK = 128;

/** A handler that takes a request or an answer over, and the shield it does that for. */
export interface Taker {
  readonly handler: "state" | "media" | "ask";
  /** Id, and title for people. */
  readonly shield: string;
  readonly name: string;
}

/** What a handler may say it did, for the ledger. */
export type HandlerAction = "blocked" | "answered" | "rewritten" | "flagged" | "asked";

/** An answer made here; the request never leaves. */
export interface SyntheticReply {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** What the hooks ask about each request. Flags as above; nothing here ever throws. */
export interface Gate {
  /** False until settings arrived or were given up on. */
  isReady(): boolean;
  /** Resolves when ready, after a bounded time in any case. */
  whenReady(): Promise<void>;
  decide(method: string, url: string): number;
  /** The decision just made, before settings were there, will be made again: it does not count. */
  forgetDecision(): void;
  /** `headers` is "name: value\n…". */
  decideBody(method: string, url: string, headers: string, body: Uint8Array): number;
  /** After REPLY, in the same synchronous run. */
  takeReply(): SyntheticReply;
  /** After REWRITTEN, in the same synchronous run. */
  takeBody(): Uint8Array;
  /** After RETARGET, in the same synchronous run; undefined: the core is broken. */
  takeUrl(): string | undefined;
  /** After HANDOVER, in the same synchronous run; empty: the core is broken. */
  takeHandovers(): readonly Taker[];
  /** After HANDBACK, in the same synchronous run. */
  takeHandback(): Taker | undefined;
  /** Counts what a handler did. */
  note(shield: string, action: HandlerAction, method: string, url: string): void;
  /** The answer's bytes as the page shall see them; undefined: as they are. */
  answer(method: string, url: string, status: number, body: Uint8Array): Uint8Array | undefined;
}
