import { setMaxListeners } from "node:events";
import { logger } from "matrix-js-sdk/lib/logger";
import type { Logger } from "matrix-js-sdk/lib/logger";

const silence = (): void => undefined;

/** A logger that says nothing. */
export const SILENT: Logger = {
  trace: silence,
  debug: silence,
  info: silence,
  warn: silence,
  error: silence,
  getChild: () => SILENT,
};

// Parts of js-sdk log past the logger of their client, and take theirs when they are imported:
// this module comes before them.
Object.assign(logger, SILENT, { log: silence });

// It listens to one signal once for every request under way.
setMaxListeners(0);

// Its limits for requests stay behind as timers of two minutes; they must not keep a process alive.
const LONG_MS = 60_000;
const start = globalThis.setTimeout;
const startUnheld = (run: () => void, milliseconds?: number, ...rest: unknown[]): unknown => {
  const timer = start(run, milliseconds, ...rest) as unknown as NodeJS.Timeout;
  return (milliseconds ?? 0) >= LONG_MS ? timer.unref() : timer;
};
globalThis.setTimeout = Object.assign(startUnheld, start) as typeof setTimeout;
