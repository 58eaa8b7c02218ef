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
  toLowerCase,
} from "./captured.ts";
import type { AnyFunction } from "./captured.ts";
import type { Gate } from "./decision.ts";
import { resolve } from "./fetch-hook.ts";
import { replaceAccessor, replaceMethod } from "./wrap.ts";

const nodeName = capturedGetter<Node, string>(page.Node.prototype, "nodeName");

/** `tell` shows one sentence to the person. */
export function installFrameHook(gate: Gate, tell: (sentence: string) => void): void {
  const instead = (given: unknown): string | undefined => {
    let url: string;
    try {
      url = resolve(NativeString(given));
    } catch {
      return undefined;
    }
    const isOwn = startsWith(url, `${page.origin}/`) && indexOf(url, "#") === -1;
    if (isOwn || !startsWith(url, "http")) return undefined;
    const verdict = gate.frame(url);
    if (verdict === undefined) return undefined;
    if (verdict.sentence !== null) tell(verdict.sentence);
    return verdict.url;
  };
  const set = (native: AnyFunction, self: unknown, args: unknown[]): unknown => {
    const url = typeof args[0] === "string" ? instead(args[0]) : undefined;
    return apply(native, self, url === undefined ? args : [url]);
  };
  replaceAccessor(page.HTMLIFrameElement.prototype, "src", { set });
  replaceAccessor(page.HTMLScriptElement.prototype, "src", { set });
  replaceMethod(page.Element.prototype, "setAttribute", (native, self, args) => {
    const [name, value] = args;
    if (name !== "src" && (typeof name !== "string" || toLowerCase(name) !== "src")) {
      return apply(native, self, args);
    }
    const url = typeof value === "string" && isLoader(self) ? instead(value) : undefined;
    return apply(native, self, url === undefined ? args : [name, url]);
  });
}

function isLoader(self: unknown): boolean {
  try {
    const name = nodeName(self as Node);
    return name === "IFRAME" || name === "SCRIPT";
  } catch {
    return false;
  }
}
