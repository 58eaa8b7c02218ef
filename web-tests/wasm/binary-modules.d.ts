/** WASM that the bench's bundle carries as Base64. */
declare module "crypto-wasm" {
  const base64: string;
  export default base64;
}
declare module "mantle-state-wasm" {
  const base64: string;
  export default base64;
}
