/** Optimised WASM as base64 text; scripts/build resolves these modules. */
declare module "mantle-core-wasm" {
  const wasmBase64: string;
  export default wasmBase64;
}

/** For tests; the extension loads it as a file. */
declare module "mantle-pages-wasm" {
  const wasmBase64: string;
  export default wasmBase64;
}
