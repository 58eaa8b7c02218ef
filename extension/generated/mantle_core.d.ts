/* tslint:disable */
/* eslint-disable */

// Derived from the Rust types; see scripts/generate.
import type { Effect, FrameVerdict, PeerVerdict, Delegate } from "./types.ts";
export type { Action, Effect, FrameVerdict, PeerVerdict, Question, Delegate } from "./types.ts";
export interface SettingsReport { problems: string[] }
export interface SyntheticReply {
    status: number;
    statusText: string;
    headers: [string, string][];
    body: string;
}



/**
 * The core of one document.
 */
export class Core {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * A look at a whole answer; `undefined` when its bytes go on as they are.
     */
    answer(method: string, url: string, status: number, body: Uint8Array): Uint8Array | undefined;
    /**
     * Puts stored settings and managed policy (JSON texts) in force.
     */
    applySettings(stored?: string | null, managed?: string | null): SettingsReport;
    /**
     * Settings are late: go on with every shield on.
     */
    assumeStrictest(): void;
    /**
     * Whether a request may leave, or with `answer` that may be handed over, without the module of
     * encrypted state, where no room with it is known. A long answer is not copied in.
     */
    canStayUnloaded(method: string, url: string, answer?: Uint8Array | null): boolean;
    /**
     * Second look, with headers and body.
     */
    decideBody(method: string, url: string, headers: string, body: Uint8Array | number[]): number;
    /**
     * First look at a request; returns decision flags, 0 to pass.
     */
    decide(method: string, url: string): number;
    /**
     * Effects since the last call; `now` in milliseconds since the epoch.
     */
    effects(now: number): Effect[];
    /**
     * For the address of a frame, fragment included; `undefined` to leave it alone.
     */
    frame(url: string): FrameVerdict | undefined;
    /**
     * For a link that is about to be followed: where to go instead; `undefined` to follow it.
     */
    link(url: string): string | undefined;
    /**
     * What was learned from answers, when it changed since the last call: for `remember` of the
     * core that replaces this one after a trap. Must not leave the page.
     */
    memory(): string | undefined;
    /**
     * For the document at this URL.
     */
    constructor(document_url: string);
    /**
     * Counts what a handler did with the request it took over; "agreed": and the person let the host of
     * the URL know who they are, see [`mantle_shields::Engine::agree`].
     */
    note(shield: string, action: string, method: string, url: string): void;
    /**
     * For a new peer connection, with the URLs of its ICE servers, one a line; `undefined` to
     * leave it alone.
     */
    peer(urls: string): PeerVerdict | undefined;
    /**
     * Whether `effects` has something.
     */
    pending(): boolean;
    /**
     * Before a link is followed (its absolute address), before the device's position is read
     * (`position:`), and for a frame that would speak to `call-server:` and a host: what the person is asked; none where nobody minds.
     */
    prompt(what: string): Delegate[];
    /**
     * Whether settings are in force.
     */
    ready(): boolean;
    /**
     * What a trapped core had learned.
     */
    remember(memory: string): void;
    /**
     * What stays on this device, as `takeUnsaved` gave it before.
     */
    restore(kept: string): void;
    /**
     * What a part of the page script has to know of a shield's settings: JSON text
     * `{"mode": …, "options": {…}, "allow": […]}`.
     */
    shieldSettings(shield: string): string | undefined;
    /**
     * The rewritten body of the last decision.
     */
    takeBody(): Uint8Array;
    /**
     * After `DELEGATE`: who takes the request over, one after the other.
     */
    takeDelegates(): Delegate[];
    /**
     * The synthetic answer of the last decision.
     */
    takeReply(): SyntheticReply;
    /**
     * After `DELEGATE_RESPONSE`: who takes the answer over; one or none.
     */
    takeResponseDelegate(): Delegate[];
    /**
     * After `REWRITTEN`: what is to be kept on this device, JSON text `{key: {"content"}}`.
     */
    takeUnsaved(): string | undefined;
    /**
     * After `REDIRECT`: the absolute URL to send to.
     */
    takeUrl(): string | undefined;
}

export function __wbg_reset_state(): void;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
