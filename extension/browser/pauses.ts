/**
 * Sites on which a person paused Mantle. The background alone says whether a pause is in force; what
 * lies on disk only tells a page that it is worth asking, so whatever fails leaves Mantle at work.
 */
import { isHost } from "../protocol/shapes.ts";
import {
  onStorageChanged,
  readStorage,
  readStorageWhere,
  removeStorage,
  writeStorage,
} from "./api.ts";

/** minutes: five of them; session: until the browser is closed; always: until it is taken back. */
export type PauseKind = "minutes" | "session" | "always";

export interface Pause {
  readonly host: string;
  readonly kind: PauseKind;
  /** Milliseconds since the epoch; of "minutes" only. */
  readonly until: number | undefined;
}

export const PAUSE_MS = 5 * 60 * 1000;
const PREFIX = "pause/";
/** In session storage, which ends with the browser: hosts paused until then. */
const SESSION = "pauses";

/** Whether asking the background can be worth it. */
export async function mayBePaused(host: string): Promise<boolean> {
  return (await readStorage("local", PREFIX + host)) !== undefined;
}

export async function startPause(host: string, kind: PauseKind): Promise<void> {
  if (kind === "session") await changeSession((hosts) => [...new Set([...hosts, host])]);
  const until = kind === "minutes" ? { until: Date.now() + PAUSE_MS } : {};
  await writeStorage("local", { [PREFIX + host]: { kind, ...until } });
}

export async function endPause(host: string): Promise<void> {
  await removeStorage("local", PREFIX + host);
  await changeSession((hosts) => hosts.filter((other) => other !== host));
}

/** Those in force; what is over, or cannot be read, is taken out. */
export async function pausesInForce(): Promise<Pause[]> {
  const stored = await readStorageWhere("local", (name) => name.startsWith(PREFIX));
  const session = await sessionHosts();
  const pauses: Pause[] = [];
  for (const [name, value] of Object.entries(stored)) {
    const pause = readPause(name.slice(PREFIX.length), value, session, Date.now());
    if (pause === undefined) await removeStorage("local", name);
    else pauses.push(pause);
  }
  return pauses;
}

export async function pauseOf(host: string): Promise<Pause | undefined> {
  const value = await readStorage("local", PREFIX + host);
  return readPause(host, value, await sessionHosts(), Date.now());
}

export function watchPauses(listener: () => void): void {
  onStorageChanged((area, keys) => {
    if (area === "local" && keys.some((key) => key.startsWith(PREFIX))) listener();
  });
}

function readPause(
  host: string,
  value: unknown,
  session: readonly string[],
  now: number,
): Pause | undefined {
  const { kind, until } = (value ?? {}) as { kind?: unknown; until?: unknown };
  if (host === "" || !isHost(host)) return undefined;
  switch (kind) {
    case "minutes": {
      // A clock that was set back lengthens no pause.
      const isOn = typeof until === "number" && now < until && until - now <= PAUSE_MS;
      return isOn ? { host, kind, until } : undefined;
    }
    case "session":
      return session.includes(host) ? { host, kind, until: undefined } : undefined;
    case "always":
      return { host, kind, until: undefined };
    default:
      return undefined;
  }
}

async function sessionHosts(): Promise<string[]> {
  const stored = await readStorage("session", SESSION);
  return Array.isArray(stored) ? stored.filter((host): host is string => isHost(host)) : [];
}

async function changeSession(change: (hosts: string[]) => string[]): Promise<void> {
  await writeStorage("session", { [SESSION]: change(await sessionHosts()) });
}
