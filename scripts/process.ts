/** Runs other programs, each with a time limit that also ends its children. */

import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The top of the checkout. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

/** Where a browser may be; what the environment names comes first. */
export const programs = {
  chromium: [process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser"],
  firefox: [process.env["FIREFOX"], "/usr/bin/firefox-esr", "/usr/bin/firefox"],
};

export interface RunOptions {
  /** After this many seconds the program and its children are killed. */
  timeoutSeconds: number;
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Shows the output while it comes; it is collected in any case. */
  echo?: boolean;
  /** Also writes the output to this file. */
  log?: string;
}

export interface RunResult {
  ok: boolean;
  status: number | null;
  timedOut: boolean;
  /** stdout and stderr, in the order they came. */
  output: string;
}

const running = new Set<number>();

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It ended by itself.
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    for (const pid of running) killGroup(pid, "SIGKILL");
    process.exit(130);
  });
}

/** Never throws: a program that cannot be started is a result with `ok: false`. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const log = options.log === undefined ? undefined : createWriteStream(options.log);
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that a time-out reaches browsers and servers it started.
      detached: true,
    });
    let timedOut = false;
    const pid = child.pid;
    if (pid !== undefined) running.add(pid);
    const timer = setTimeout(() => {
      timedOut = true;
      if (pid === undefined) return;
      killGroup(pid, "SIGTERM");
      setTimeout(() => killGroup(pid, "SIGKILL"), 5_000).unref();
    }, options.timeoutSeconds * 1_000);
    const collect = (chunk: Buffer): void => {
      chunks.push(chunk);
      log?.write(chunk);
      if (options.echo === true) process.stdout.write(chunk);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const finish = (status: number | null, extra: string): void => {
      clearTimeout(timer);
      if (pid !== undefined) {
        running.delete(pid);
        // What it left behind would keep ports and memory.
        killGroup(pid, "SIGKILL");
      }
      log?.end();
      const output = Buffer.concat(chunks).toString("utf8") + extra;
      resolve({ ok: status === 0 && !timedOut, status, timedOut, output });
    };
    child.on("error", (error) => finish(null, `${command}: ${error.message}\n`));
    child.on("close", (status) => finish(status, ""));
  });
}

/** Like run(), but a failure prints the output and ends this script with one sentence. */
export async function must(
  what: string,
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<string> {
  const result = await run(command, args, options);
  if (result.ok) return result.output;
  if (options.echo !== true) process.stderr.write(result.output);
  const how = result.timedOut
    ? `did not end within ${options.timeoutSeconds} s`
    : `failed (${result.status === null ? "not started" : `exit code ${result.status}`})`;
  throw new Failure(`${what} ${how}.`);
}

/** An error whose message is a sentence for the person at the terminal. */
export class Failure extends Error {}

/** Runs a script's main function; a Failure becomes one line and exit code 1. */
export function main(name: string, body: () => Promise<number | void>): void {
  body().then(
    (status) => process.exit(status ?? 0),
    (error: unknown) => {
      if (error instanceof Failure) console.error(`${name}: ${error.message}`);
      else console.error(error);
      process.exit(1);
    },
  );
}
