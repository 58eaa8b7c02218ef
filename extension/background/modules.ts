/** The background's side of the modules that pages load when they need them. */
import type { ModuleBytes } from "../protocol/relay-background.ts";
import type { ModuleName } from "../protocol/requests.ts";
import { packagedFile } from "../browser/api.ts";

/** Most bytes per call that `String.fromCharCode` takes everywhere. */
const CHUNK = 8192;

export async function moduleBytes(name: ModuleName): Promise<ModuleBytes> {
  const bytes = await packagedFile(`mantle_${name}_bg.wasm`);
  return { kind: "module-bytes", base64: base64Of(bytes) };
}

function base64Of(bytes: Uint8Array): string {
  const native = bytes as { toBase64?: () => string };
  if (native.toBase64 !== undefined) {
    return native.toBase64();
  }
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return btoa(text);
}
