/** Runs in the browser: the built core, within a test's reach. */

import wasmBase64 from "mantle-core-wasm";

import { change, Core, describe, initSync } from "../../extension/generated/mantle_core.js";

const bytes = Uint8Array.from(atob(wasmBase64), (letter) => letter.charCodeAt(0));
initSync({ module: new WebAssembly.Module(bytes) });

const boundary = { Core, change, describe };
export type Boundary = typeof boundary;

declare global {
  interface Window {
    boundary: Boundary;
  }
}

window.boundary = boundary;
