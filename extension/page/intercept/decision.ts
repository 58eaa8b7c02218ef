/** Flags of a decision; `core/shields/src/verdict.rs` holds the same numbers. */
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
export const INSPECT_RESPONSE = 16;

/** Send to `takeUrl()` instead; the page sees the URL it asked for. */
export const REDIRECT = 32;
/** The handlers that `takeDelegates()` names take the request over before it is sent. */
export const DELEGATE = 64;
/** The handler that `takeResponseDelegate()` names sees the answer before `answer()` does. */
export const DELEGATE_RESPONSE = 128;

/** A handler that takes a request or an answer over, and the shield it does that for. */
export interface Delegate {
  readonly handler: "state" | "media" | "ask" | "session" | "relations" | "room-pictures";
  /** Id, and title for people. */
  readonly shield: string;
  readonly name: string;
  /** null: the handler has its own words; for a prompt: refused without asking. */
  readonly question: Wording | null;
}

/** Takes requests over of which the core cannot tell that they concern it, before all others. */
export interface FirstDelegate {
  /** The flags of a decision, with those that give the request to it. */
  flags(flags: number, method: string, url: string): number;
  /** Who takes the request of that decision over. */
  delegates(others: readonly Delegate[]): readonly Delegate[];
}

/** What the person is asked before something leaves. */
export interface Wording {
  /** Names it among its shield's questions. */
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** On the button that lets it go. */
  readonly send: string;
  /** Beside the box that lets it go from now on, for the user or room in the path; null: none. */
  readonly remember: string | null;
}

/**
 * What a handler may say it did, for the ledger. agreed: asked, and the person let the host know them
 * for as long as the document is there.
 */
export type HandlerAction = "blocked" | "answered" | "rewritten" | "flagged" | "asked" | "agreed";

/** An answer made here; the request never leaves. */
export interface SyntheticReply {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** What a new peer connection may do; `kept` is one answer per URL, in their order. */
export interface PeerVerdict {
  readonly relayOnly: boolean;
  readonly kept: readonly boolean[];
  /** For the person, when the connection cannot work. */
  readonly sentence: string | null;
}

/** What a frame is to load instead. */
export interface FrameVerdict {
  readonly url: string;
  /** For the person, when the frame stays empty. */
  readonly sentence: string | null;
}

/** Of a response that was to be looked at and could not be: the page is not to have it. */
export const UNREADABLE = "unreadable";

/** A response's bytes as the page shall see them; undefined: as they are. */
export type SeenBody = Uint8Array | typeof UNREADABLE | undefined;

/** What the hooks ask about each request. Flags as above; nothing here ever throws. */
export interface RequestPolicy {
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
  /** After REDIRECT, in the same synchronous run; undefined: the core is broken. */
  takeUrl(): string | undefined;
  /** After DELEGATE, in the same synchronous run; empty: the core is broken. */
  takeDelegates(): readonly Delegate[];
  /** After DELEGATE_RESPONSE, in the same synchronous run. */
  takeResponseDelegate(): Delegate | undefined;
  /** Counts what a handler did. */
  note(shield: string, action: HandlerAction, method: string, url: string): void;
  /** For a new peer connection with these ICE servers, one URL a line; undefined: as it is. */
  peer(urls: string): PeerVerdict | undefined;
  /** For the absolute address of a frame; undefined: as it is. */
  frame(url: string): FrameVerdict | undefined;
  /** For the absolute address of a link about to be followed: where to go instead. */
  link(url: string): string | undefined;
  /** Before a link is followed, and before "position:" is read; undefined: nobody minds. */
  prompt(what: string): Delegate | undefined;
  /** `body` is what the page would read, in UTF-8. */
  answer(method: string, url: string, status: number, body: Uint8Array): SeenBody;
}
