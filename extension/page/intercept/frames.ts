/**
 * Where frames and scripts come from. What a frame's address tells behind its `#` no declarative
 * rule sees: call pages are given the user, the room and its name there. Of what else comes from
 * another site a rule could only say nothing, so the person would not learn why it is missing.
 */
import {
  apply,
  capturedGetter,
  indexOf,
  NativeString,
  page,
  startsWith,
  then,
  toLowerCase,
} from "../primordials/primordials.ts";
import type { RequestPolicy } from "./decision.ts";
import { permissionFor } from "./permission.ts";
import type { AskPerson } from "./permission.ts";
import { resolve } from "./resolve.ts";
import { replaceAccessor, replaceMethod } from "./wrap.ts";

const nodeName = capturedGetter<Node, string>(page.Node.prototype, "nodeName");

/** `tell` shows one sentence to the person. */
export function installFrameHook(
  gate: RequestPolicy,
  tell: (sentence: string) => void,
  askPerson: AskPerson,
): void {
  const instead = (url: string): string | undefined => {
    const verdict = gate.frame(url);
    if (verdict === undefined) return undefined;
    if (verdict.sentence !== null) tell(verdict.sentence);
    return verdict.url;
  };
  /** Sets the address, another one, or none before the person agreed: an empty script waits. */
  const load = (given: unknown, isScript: boolean, set: (url: unknown) => unknown): unknown => {
    // Converted once, as the browser does it; what is no text either it refuses in its own words.
    const text = typeof given === "symbol" ? undefined : NativeString(given);
    const url = text === undefined ? undefined : elsewhere(text);
    if (url === undefined) return set(given);
    const other = instead(url);
    const permission =
      isScript && other === undefined ? permissionFor(gate, url, askPerson) : undefined;
    if (permission === undefined) return set(other ?? given);
    void then(permission, (isGranted) => {
      if (isGranted) set(given);
    });
    return undefined;
  };
  replaceAccessor(page.HTMLIFrameElement.prototype, "src", {
    set: (native, self, args) => load(args[0], false, (url) => apply(native, self, [url])),
  });
  replaceAccessor(page.HTMLScriptElement.prototype, "src", {
    set: (native, self, args) => load(args[0], true, (url) => apply(native, self, [url])),
  });
  replaceMethod(page.Element.prototype, "setAttribute", (native, self, args) => {
    const [name, value] = args;
    if (name !== "src" && (typeof name !== "string" || toLowerCase(name) !== "src")) {
      return apply(native, self, args);
    }
    const kind = loaderKind(self);
    if (kind === undefined || args.length < 2) return apply(native, self, args);
    return load(value, kind === "SCRIPT", (url) => apply(native, self, [name, url]));
  });
}

/** The absolute address of what may be another site's; undefined: no shield minds it. */
function elsewhere(given: string): string | undefined {
  let url: string;
  try {
    url = resolve(given);
  } catch {
    return undefined;
  }
  const isOwn = startsWith(url, `${page.origin}/`) && indexOf(url, "#") === -1;
  return isOwn || !startsWith(url, "http") ? undefined : url;
}

function loaderKind(self: unknown): "IFRAME" | "SCRIPT" | undefined {
  try {
    const name = nodeName(self as Node);
    return name === "IFRAME" || name === "SCRIPT" ? name : undefined;
  } catch {
    return undefined;
  }
}
