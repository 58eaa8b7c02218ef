/**
 * The Rust module of the extension's own pages and background, a file of the package. Its answers are
 * plain values, but for the check-up it keeps no state, and a fresh instance after a trap is as good as
 * the first. The handles `CheckUp` and `Repair` are of one instance: after a trap each of their calls
 * throws, and the check-up's page makes them again.
 */
import init, * as glue from "../generated/mantle_pages.js";
import { packagedUrl } from "./api.ts";

export type PagesModule = Omit<typeof glue, "default" | "initSync">;

let loading: Promise<PagesModule> | undefined;

/** Loads the module once. A failure is not remembered: the next call tries again. */
export async function pagesModule(): Promise<PagesModule> {
  loading ??= load();
  try {
    return await loading;
  } catch (error) {
    loading = undefined;
    throw error;
  }
}

/** Calls into the module; what traps it leaves a new instance to the next call. */
export async function withPages<Result>(use: (module: PagesModule) => Result): Promise<Result> {
  const module = await pagesModule();
  try {
    return use(module);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) {
      glue.__wbg_reset_state();
      loading = undefined;
    }
    throw error;
  }
}

async function load(): Promise<PagesModule> {
  performance.mark("pages-module");
  await init({ module_or_path: packagedUrl("mantle_pages_bg.wasm") });
  return glue;
}
