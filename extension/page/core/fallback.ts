import protectedRequests from "../../generated/protected.json";
import { execute, indexOf, letterOf, NativeRegExp, slice } from "../primordials/primordials.ts";
import { FAIL, PASS, REPLY, UNREADABLE } from "../intercept/decision.ts";
import type { SyntheticReply } from "../intercept/decision.ts";
import { refusal } from "../intercept/refusal.ts";

interface Pattern {
  readonly expression: RegExp;
  /** undefined: every method. */
  readonly methods: readonly string[] | undefined;
  readonly isRefused: boolean;
}

let patterns: Pattern[] | undefined;

/** Of letters, digits, `-`, `.`, `_` and `~`. */
const escape = new NativeRegExp("%(2[dDeE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])", "g");

/** What happens to a request on a page without a working core. */
export function fallbackDecision(
  method: string,
  url: string,
): { flags: number; reply?: SyntheticReply } {
  patterns ??= compilePatterns();
  const plain = withoutNeedlessEscapes(url);
  for (let index = 0; index < patterns.length; index += 1) {
    const pattern = patterns[index] as Pattern;
    if (pattern.methods !== undefined && !includes(pattern.methods, method)) continue;
    if (execute(pattern.expression, plain) === null) continue;
    return pattern.isRefused ? { flags: REPLY, reply: refusal() } : { flags: FAIL };
  }
  return { flags: PASS };
}

/** A response that the core asked to see is not shown unseen; without a core none is asked for. */
export function fallbackAnswer(): typeof UNREADABLE {
  return UNREADABLE;
}

/**
 * `%6C` to `l`: servers read letters that need no escape as themselves (RFC 3986, 6.2.2.2). What an
 * escape keeps apart, such as a slash in a name, stays so.
 */
function withoutNeedlessEscapes(url: string): string {
  if (indexOf(url, "%") === -1) return url;
  let plain = "";
  let done = 0;
  escape.lastIndex = 0;
  for (;;) {
    const found = execute(escape, url);
    if (found === null) return plain + slice(url, done);
    plain += slice(url, done, found.index) + letterOf(found[1] ?? "");
    done = found.index + 3;
  }
}

function compilePatterns(): Pattern[] {
  const compiled: Pattern[] = [];
  for (let index = 0; index < protectedRequests.block.length; index += 1) {
    const rule = protectedRequests.block[index] as { pattern: string };
    compiled[compiled.length] = {
      expression: new NativeRegExp(rule.pattern),
      methods: undefined,
      isRefused: false,
    };
  }
  for (let index = 0; index < protectedRequests.refuse.length; index += 1) {
    const rule = protectedRequests.refuse[index] as { methods: string[]; pattern: string };
    compiled[compiled.length] = {
      expression: new NativeRegExp(rule.pattern),
      methods: rule.methods,
      isRefused: true,
    };
  }
  return compiled;
}

function includes(list: readonly string[], wanted: string): boolean {
  for (let index = 0; index < list.length; index += 1) if (list[index] === wanted) return true;
  return false;
}
