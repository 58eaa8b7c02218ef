/**
 * What a frame's address tells behind its `#`, which no declarative rule sees: call pages are given
 * the user, the room and its name there.
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
import type { Gate } from "./decision.ts";
import { resolve } from "./fetch-hook.ts";
import { replaceAccessor, replaceMethod } from "./wrap.ts";

const nodeName = capturedGetter<Node, string>(page.Node.prototype, "nodeName");

/** `tell` shows one sentence to the person. */
export function installFrameHook(gate: Gate, tell: (sentence: string) => void): void {
  const instead = (given: unknown): string | undefined => {
    const text = NativeString(given);
    if (indexOf(text, "#") === -1) return undefined;
    let url: string;
    try {
      url = resolve(text);
    } catch {
      return undefined;
    }
    if (!startsWith(url, "http")) return undefined;
    const verdict = gate.frame(url);
    if (verdict === undefined) return undefined;
    if (verdict.sentence !== null) tell(verdict.sentence);
    return verdict.url;
  };
  replaceAccessor(page.HTMLIFrameElement.prototype, "src", {
    set: (native, self, args) => {
      const url = typeof args[0] === "string" ? instead(args[0]) : undefined;
      return apply(native, self, url === undefined ? args : [url]);
    },
  });
  replaceMethod(page.Element.prototype, "setAttribute", (native, self, args) => {
    const [name, value] = args;
    if (name !== "src" && (typeof name !== "string" || toLowerCase(name) !== "src")) {
      return apply(native, self, args);
    }
    const url = typeof value === "string" && isFrame(self) ? instead(value) : undefined;
    return apply(native, self, url === undefined ? args : [name, url]);
  });
}

function isFrame(self: unknown): boolean {
  try {
    return nodeName(self as Node) === "IFRAME";
  } catch {
    return false;
  }
}
