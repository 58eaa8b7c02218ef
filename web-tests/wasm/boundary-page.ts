/** Runs in the browser: the built core, within a test's reach. */

import coreBase64 from "mantle-core-wasm";
import pagesBase64 from "mantle-pages-wasm";

import { Core, initSync } from "../../extension/generated/mantle_core.js";
import * as pages from "../../extension/generated/mantle_pages.js";

const compiled = (base64: string): WebAssembly.Module =>
  new WebAssembly.Module(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
initSync({ module: compiled(coreBase64) });
pages.initSync({ module: compiled(pagesBase64) });

const boundary = { Core, pages };
export type Boundary = typeof boundary;

declare global {
  interface Window {
    boundary: Boundary;
  }
}

window.boundary = boundary;
