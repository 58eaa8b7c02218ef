/**
 * Third parties that a site's own configuration, or its homeserver, named: kept for the declarative
 * rules, as long as the session in which they were named and never past the browser's end.
 */
import type { LearnedEffect } from "../protocol/reports.ts";
import { isHost } from "../protocol/shapes.ts";
import { onStorageChanged, readStorage, writeStorage } from "./api.ts";

export interface LearnedHost {
  /** Host of the Element site whose configuration named it. */
  site: string;
  /** Name of the page's own storage, which goes with the session; empty: before there was one. */
  part: string;
  isPrivate: boolean;
  shield: string;
  /** As the browser writes it, with its port where that is not the scheme's own. */
  host: string;
  pathPrefix: string;
}

/** Where it was said. */
export interface LearnedFrom {
  site: string;
  part: string;
  isPrivate: boolean;
  /** Hosts the session uses: whoever names them as a third party does not have them blocked. */
  inUse: readonly string[];
}

const KEY = "learned";
/** One site, or what its server says, never pushes out another's. */
export const MAX_LEARNED_PER_SITE = 30;
const MAX_SITES = 20;

export async function readLearned(): Promise<LearnedHost[]> {
  const stored = await readStorage("session", KEY);
  return Array.isArray(stored) ? (stored as LearnedHost[]) : [];
}

/** Keeps what a site named; true when anything changed. The oldest of the same site are dropped. */
export function learn(from: LearnedFrom, effects: readonly LearnedEffect[]): Promise<boolean> {
  return changeLearned((known) => {
    const { site, part, isPrivate } = from;
    const named = effects.map(({ shield, host, pathPrefix }) => {
      return { site, part, isPrivate, shield, host, pathPrefix };
    });
    const isTaboo = (entry: LearnedHost): boolean =>
      entry.site === site && !mayBeBlocked(entry.host, from);
    const all = known.filter((entry) => !isTaboo(entry));
    for (const entry of named) {
      if (!isTaboo(entry) && !all.some((other) => sameEntry(other, entry))) all.push(entry);
    }
    const own = all.filter((entry) => entry.site === site).slice(-MAX_LEARNED_PER_SITE);
    const others = all.filter((entry) => entry.site !== site);
    const sites = [...new Set(others.map((entry) => entry.site))].slice(-(MAX_SITES - 1));
    return [...others.filter((entry) => sites.includes(entry.site)), ...own];
  });
}

/** Takes out what a session was told, once it is over. */
export function forgetLearned(isForgotten: (entry: LearnedHost) => boolean): Promise<boolean> {
  return changeLearned((known) => known.filter((entry) => !isForgotten(entry)));
}

export function watchLearned(listener: () => void): void {
  onStorageChanged((area, keys) => {
    if (area === "session" && keys.includes(KEY)) listener();
  });
}

function mayBeBlocked(host: string, { site, inUse }: LearnedFrom): boolean {
  const name = withoutPort(host);
  return isHost(host) && host !== "" && name !== site && !inUse.map(withoutPort).includes(name);
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, "");
}

async function changeLearned(change: (known: LearnedHost[]) => LearnedHost[]): Promise<boolean> {
  const step = navigator.locks.request(KEY, async () => {
    const known = await readLearned();
    const next = change(known);
    if (JSON.stringify(next) === JSON.stringify(known)) return false;
    await writeStorage("session", { [KEY]: next });
    return true;
  });
  return step as unknown as Promise<boolean>;
}

function sameEntry(a: LearnedHost, b: LearnedHost): boolean {
  return (
    a.site === b.site &&
    a.part === b.part &&
    a.shield === b.shield &&
    a.host === b.host &&
    a.pathPrefix === b.pathPrefix
  );
}
