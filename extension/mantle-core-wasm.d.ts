/** The optimised WASM of the core as base64 text; scripts/build resolves this module. */
declare module "mantle-core-wasm" {
  const wasmBase64: string;
  export default wasmBase64;
}
