/** Third parties that a site's own configuration named: kept for the declarative rules. */
import type { LearnedEffect } from "../protocol/reports.ts";
import { readStorage, writeStorage } from "../browser/api.ts";

export interface LearnedHost {
  /** Host of the Element site whose configuration named it. */
  site: string;
  shield: string;
  host: string;
  pathPrefix: string;
}

const KEY = "learned";
const MOST_HOSTS = 100;

export async function readLearned(): Promise<LearnedHost[]> {
  const stored = await readStorage("local", KEY);
  return Array.isArray(stored) ? (stored as LearnedHost[]) : [];
}

/** Keeps what a site named; true when there was something new. The oldest are dropped. */
export async function learn(site: string, effects: LearnedEffect[]): Promise<boolean> {
  return navigator.locks.request(KEY, async () => {
    const known = await readLearned();
    const fresh = effects
      .map(({ shield, host, pathPrefix }) => ({ site, shield, host, pathPrefix }))
      .filter((entry) => !known.some((other) => sameEntry(other, entry)));
    if (fresh.length === 0) {
      return false;
    }
    await writeStorage("local", { [KEY]: [...known, ...fresh].slice(-MOST_HOSTS) });
    return true;
  });
}

function sameEntry(a: LearnedHost, b: LearnedHost): boolean {
  return (
    a.site === b.site && a.shield === b.shield && a.host === b.host && a.pathPrefix === b.pathPrefix
  );
}
