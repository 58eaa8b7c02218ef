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
