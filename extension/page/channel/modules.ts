/** The WASM that a page loads only when it needs it. */
import { compileWasm, NativeError, pinned, result, then } from "../primordials/primordials.ts";
import { bytesOfBase64 } from "../primordials/base64.ts";
import { askRelay } from "./relay-requests.ts";
import type { ModuleName } from "../../protocol/requests.ts";
import { text } from "../texts/texts.ts";

/** The background may have to start first. */
const ANSWER_TIMEOUT_MS = 15_000;

const loading: Partial<Record<ModuleName, Promise<WebAssembly.Module>>> = {};

/** Compiled once per page. Rejects with a sentence; the next call then tries again. */
export function loadModule(name: ModuleName): Promise<WebAssembly.Module> {
  const known = loading[name];
  if (known !== undefined) return known;
  const module = pinned(fetchAndCompile(name));
  loading[name] = module;
  void then(
    module,
    () => undefined,
    () => {
      delete loading[name];
    },
  );
  return module;
}

async function fetchAndCompile(name: ModuleName): Promise<WebAssembly.Module> {
  const answer = await askRelay({ kind: "module", name }, ANSWER_TIMEOUT_MS);
  if (answer.kind !== "module-bytes") throw new NativeError(text("unexpected"));
  return result(await pinned(compileWasm(bytesOfBase64(answer.base64))));
}
