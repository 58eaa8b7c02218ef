/* tslint:disable */
/* eslint-disable */

/**
 * One file under examination; the page reads the ranges it asks for.
 */
export class Examination {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * What happens to the upload, as JSON (`Decision`). `settings` are the media shield's
     * (`{"mode", "options": {"metadata", "fileName"}}`), `upload` an `Upload`.
     */
    decide(settings: string, upload: string): string | undefined;
    /**
     * Whether the upload is an attachment of an encrypted room. `upload` as for `decide`.
     */
    isCiphertext(upload: string): boolean;
    /**
     * Of a file of `size` bytes.
     */
    constructor(size: number);
    /**
     * False: the examination is over. True: supply `length` bytes from `offset`.
     */
    next(): boolean;
    /**
     * How the cleaned file is made, as JSON: `[from, to]` keeps a range, `{"bytes": […]}` puts
     * bytes, a number so many zeros.
     */
    pieces(): string | undefined;
    /**
     * JSON: `{kind, findings: {…}, refusal: code | null, isChanged}`; undefined before the end.
     */
    report(): string | undefined;
    /**
     * The bytes; fewer where the file turned out shorter.
     */
    supply(bytes: Uint8Array | number[]): void;
    /**
     * Number of bytes needed.
     */
    readonly length: number;
    /**
     * First byte needed.
     */
    readonly offset: number;
}

export function __wbg_reset_state(): void;

/**
 * What happens to a text that may link to media which needs no signing in, as JSON
 * (`LinkDecision`, and the first link's `host`). `settings` as for `decide`; `copied`: it lies on the clipboard already.
 */
export function decideLinks(settings: string, text: string, copied: boolean): string;

/**
 * Stands for a `/versions` answer.
 */
export function fingerprint(versions: string): string;

/**
 * Whether a stored try still counts.
 */
export function isFresh(tried: string, now: number, versions: string): boolean;

/**
 * Whether a `/_matrix/client/versions` answer says that media needs signing in.
 */
export function promisesAuthentication(versions: string): boolean;

/**
 * The text with such links as `mxc://`, or in their authenticated form.
 */
export function replaceLinks(text: string, authenticated: boolean): string;

/**
 * A try that counts, as JSON to be stored; undefined where the statuses say nothing.
 */
export function tried(statuses: Uint16Array | number[], promises: boolean, versions: string, now: number): string | undefined;

/**
 * The URL without the file's name; undefined where it has none.
 */
export function withoutName(url: string): string | undefined;

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
