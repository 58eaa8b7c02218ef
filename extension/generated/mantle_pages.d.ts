/* tslint:disable */
/* eslint-disable */

import type { Account, CheckUpNext, CheckUpReport, FindingId, RepairNext, RepairView } from "./types.ts";



import type { ImportError, SettingChange, SettingsView, Site, SiteLists } from "./types.ts";



/**
 * One look at an account.
 */
export class CheckUp {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * The answer to what was asked last; status 0: there was none. `headers` is "name: value\n…". For
     * how many milliseconds to wait before the next inquiry.
     */
    answer(status: number, headers: string, body: string): number;
    /**
     * Nothing is known yet.
     *
     * # Errors
     * None that a person could mend.
     */
    constructor(account: Account);
    /**
     * What to ask the homeserver, or the page's session, next; `undefined` once all is asked.
     *
     * # Errors
     * None that a person could mend.
     */
    nextInquiry(): CheckUpNext | undefined;
    /**
     * The repair of a finding; `undefined` where Mantle has none.
     *
     * # Errors
     * None that a person could mend.
     */
    repair(finding: FindingId): Repair | undefined;
    /**
     * What was found so far, worst first.
     *
     * # Errors
     * None that a person could mend.
     */
    report(): CheckUpReport;
}

/**
 * A repair of one finding, step by step.
 */
export class Repair {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    /**
     * The answer to what was asked last, or how the page fared with a room; see `CheckUp.answer`.
     */
    answered(now: number, status: number, headers: string, body: string): void;
    /**
     * As it was kept; `undefined` when the text is no repair of this account.
     */
    static fromText(text: string, user: string): Repair | undefined;
    /**
     * What to do at this time.
     *
     * # Errors
     * None that a person could mend.
     */
    next(now: number): RepairNext;
    /**
     * The person wants a rest.
     */
    pause(): void;
    /**
     * Goes on, also after a cut.
     */
    resume(): void;
    /**
     * To be kept: names and former values, so that it can go on and be taken back.
     */
    text(): string;
    /**
     * From here on, what was done is taken back; false where nothing can be.
     */
    undo(): boolean;
    /**
     * For showing.
     *
     * # Errors
     * None that a person could mend.
     */
    view(now: number): RepairView;
}

export function __wbg_reset_state(): void;

/**
 * The stored form after one change.
 *
 * # Errors
 * A sentence for the person when the change is not allowed.
 */
export function change(stored: string | null | undefined, policy: string | null | undefined, change: SettingChange): string;

/**
 * The settings in force, for showing, from the stored form and the policy (JSON texts).
 *
 * # Errors
 * None that a person could mend.
 */
export function describe(stored?: string | null, policy?: string | null): SettingsView;

/**
 * A host as the browser writes it in addresses, with a port at most; `undefined` for anything else.
 */
export function host(text: string): string | undefined;

/**
 * The stored form that a person's file stands for, in place of the one that is there.
 *
 * # Errors
 * None that a person could mend: what is wrong with the file is in what it returns.
 */
export function importSettings(stored: string | null | undefined, file: string): string | ImportError;

/**
 * An origin where Element may live, with a path at most; `undefined` for anything else.
 *
 * # Errors
 * None that a person could mend.
 */
export function site(text: string): Site | undefined;

/**
 * The sites that the stored form and the policy (JSON texts) name.
 *
 * # Errors
 * None that a person could mend.
 */
export function sites(stored?: string | null, policy?: string | null): SiteLists;

/**
 * A panic says its place in the console, in builds where panics have messages (`scripts/wasm-toolchain`).
 */
export function start(): void;

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
