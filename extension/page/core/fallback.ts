import protectedRequests from "../../generated/protected.json";
import { execute, NativeRegExp } from "../primordials/primordials.ts";
import { FAIL, PASS, REPLY } from "../intercept/decision.ts";
import type { SyntheticReply } from "../intercept/decision.ts";
import { refusal } from "../intercept/refusal.ts";

interface Pattern {
  readonly expression: RegExp;
  /** undefined: every method. */
  readonly methods: readonly string[] | undefined;
  readonly isRefused: boolean;
}

let patterns: Pattern[] | undefined;

/** What happens to a request on a page without a working core. */
export function fallbackDecision(
  method: string,
  url: string,
): { flags: number; reply?: SyntheticReply } {
  patterns ??= compilePatterns();
  for (let index = 0; index < patterns.length; index += 1) {
    const pattern = patterns[index] as Pattern;
    if (pattern.methods !== undefined && !includes(pattern.methods, method)) continue;
    if (execute(pattern.expression, url) === null) continue;
    return pattern.isRefused ? { flags: REPLY, reply: refusal } : { flags: FAIL };
  }
  return { flags: PASS };
}

/** Answers pass as they are: what they could lead to is refused or blocked when it is asked for. */
export function fallbackAnswer(): undefined {
  return undefined;
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
