/** Holds what packages can send against what the core knows and what the list explains. */

import type { Found } from "./drift-sources.ts";

export const kinds = ["calls", "paths", "types", "hosts"] as const;
export type Kind = (typeof kinds)[number];

/** core/shields/drift.json: what no table has, by reason. */
export type Explained = Record<Kind, readonly { reason: string; of: readonly string[] }[]>;

/** One request that the route table is asked about. */
export interface Question {
  method: string;
  path: string;
}

/** What the core knows. */
export interface Known {
  /** Whether a request leads to an endpoint of the table. */
  routed: (question: Question) => boolean;
  /** Whether a table or a shield names this text. */
  named: (text: string) => boolean;
}

export interface Verdict {
  problems: string[];
  /** How many were held against the tables. */
  judged: number;
  known: number;
  explained: number;
}

const METHODS = ["GET", "POST", "PUT", "DELETE"];
/** Nothing is asked for below these alone. */
const BASE = /^\/_matrix\/\w+(\/(api\/)?(v\d+|r0|unstable))?(\/[\w-]+(\.[\w-]+)+)?\/?$/;
const SHORTEST_REASON = 20;

/** As a URL's path, a value in each place that code fills. */
const filled = (path: string): string => path.replaceAll("{}", "x");

/** Where a call with a prefix can lead; without one the client's newest version is meant. */
export function questionsOfCall(call: Found["calls"][number]): Question[] {
  const { method } = call;
  if (call.path.includes("/_matrix/")) return [{ method, path: filled(call.path) }];
  const prefix =
    call.prefix === undefined || call.prefix === "{}" ? "/_matrix/client/v3" : call.prefix;
  return [{ method, path: filled(prefix + call.path) }];
}

/** Where a text that looks like a path could lead. */
export function questionsOfPath(text: string): Question[] {
  const at = text.indexOf("/_matrix/");
  const bases =
    at >= 0
      ? [text.slice(at)]
      : [
          text,
          `/_matrix/client/v3${text}`,
          `/_matrix/client/unstable${text}`,
          `/_matrix/media/v3${text}`,
        ];
  return bases.flatMap((path) => METHODS.map((method) => ({ method, path: filled(path) })));
}

/** One sentence for whatever is neither known nor explained, and for explanations nobody needs. */
export function judge(
  packages: readonly { name: string; found: Found }[],
  known: Known,
  explained: Explained,
  options: { everyReasonIsNeeded: boolean },
): Verdict {
  const verdict: Verdict = { problems: [], judged: 0, known: 0, explained: 0 };
  const reasons = new Map<string, string>();
  for (const kind of kinds) {
    for (const { reason, of } of explained[kind]) {
      if (reason.length < SHORTEST_REASON) verdict.problems.push(`"${reason}" is no reason.`);
      for (const entry of of) {
        if (reasons.has(`${kind} ${entry}`))
          verdict.problems.push(`${kind}: ${entry} is listed twice.`);
        reasons.set(`${kind} ${entry}`, reason);
      }
    }
  }
  const needed = new Set<string>();
  const seen = new Set<string>();
  const look = (kind: Kind, entry: string, where: string, isKnown: boolean): void => {
    const key = `${kind} ${entry}`;
    if (seen.has(key)) return;
    seen.add(key);
    verdict.judged += 1;
    // The core also names types it does nothing about, so a reason for a type stays good.
    if (isKnown && !(kind === "types" && reasons.has(key))) {
      verdict.known += 1;
    } else if (reasons.has(key)) {
      verdict.explained += 1;
      needed.add(key);
    } else {
      verdict.problems.push(`${kind}: ${entry} is in no table and not explained (${where}).`);
    }
  };

  // A call says more of its path than the text of the path alone.
  const ofCalls = new Set(packages.flatMap(({ found }) => found.calls.map(({ path }) => path)));
  for (const { name, found } of packages) {
    for (const call of found.calls) {
      const isKnown = questionsOfCall(call).some(known.routed);
      look(
        "calls",
        `${call.method} ${call.prefix ?? ""}${call.path}`,
        `${name} ${call.where}`,
        isKnown,
      );
    }
    for (const call of found.unseen)
      look("calls", call, `${name}, a path that cannot be told`, false);
    for (const [text, where] of found.paths) {
      if (ofCalls.has(text) || BASE.test(text)) continue;
      look("paths", text, `${name} ${where}`, questionsOfPath(text).some(known.routed));
    }
    for (const [text, where] of found.types)
      look("types", text, `${name} ${where}`, known.named(text));
    for (const [text, where] of found.hosts)
      look("hosts", text, `${name} ${where}`, known.named(text));
  }
  if (options.everyReasonIsNeeded) {
    for (const key of reasons.keys()) {
      if (!needed.has(key))
        verdict.problems.push(
          `${key} no longer comes up, or a table has it now; take it off the list.`,
        );
    }
  }
  return verdict;
}
