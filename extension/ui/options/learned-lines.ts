/** Hosts that were named as third parties, as they are listed. */
import type { LearnedHost } from "../../browser/learned.ts";

/** The same host may be named in another container, or at another path: it is one line. */
export function learnedLines(learned: readonly LearnedHost[]): LearnedHost[] {
  return learned.filter((entry, at) => learned.findIndex((other) => isSame(other, entry)) === at);
}

export function isSame(one: LearnedHost, other: LearnedHost): boolean {
  return one.host === other.host && one.site === other.site && one.shield === other.shield;
}
