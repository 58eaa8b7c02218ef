/* tslint:disable */
/* eslint-disable */

import type { SettingChange, SettingsView, Site, SiteLists } from "./types.ts";



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
