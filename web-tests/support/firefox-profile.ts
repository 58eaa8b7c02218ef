/**
 * Profiles for Firefox that a first start has filled with what it makes for itself: compiled scripts
 * of its own, empty databases, lists of what is built in. A start with a copy of one has a third less
 * to do, and meets no page, extension or setting of another spec.
 */
import { createHash } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, realpath, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

const KEPT = join(import.meta.dirname, "../../build/firefox-profile");
/** Firefox writes its compiled scripts once it is at rest, or when it closes after that. */
const AT_REST_MS = 5_000;
/** Of one run: what it held open, had shown, and had counted. */
const OF_ONE_RUN = [
  "cache2",
  "crashes",
  "datareporting",
  "lock",
  "minidumps",
  "sessionCheckpoints.json",
  "sessionstore-backups",
  "sessionstore.jsonlz4",
];

/** A profile of one's own to be deleted after use. */
export interface FirefoxProfile {
  readonly folder: string;
  remove(): void;
}

type Preferences = Record<string, boolean | number | string>;

/** Copies the profile that is kept for this program, and makes that one when there is none yet. */
export async function firefoxProfile(
  executablePath: string,
  preferences: Preferences,
): Promise<FirefoxProfile> {
  const kept = await keptProfile(executablePath, preferences);
  const folder = await mkdtemp(join(tmpdir(), "mantle-firefox-"));
  const remove = (): void => {
    process.removeListener("exit", remove);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once("exit", remove);
  await cp(kept, folder, { recursive: true });
  return { folder, remove };
}

const making = new Map<string, Promise<string>>();

async function keptProfile(executablePath: string, preferences: Preferences): Promise<string> {
  const folder = join(KEPT, await fingerprint(executablePath));
  if (existsSync(folder)) return folder;
  const made = making.get(folder) ?? make(folder, executablePath, preferences);
  making.set(folder, made);
  return made;
}

async function make(
  folder: string,
  executablePath: string,
  preferences: Preferences,
): Promise<string> {
  const temporary = `${folder}.${process.pid}.part`;
  await mkdir(temporary, { recursive: true });
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath,
    userDataDir: temporary,
    extraPrefsFirefox: preferences,
  });
  await (await browser.newPage()).goto("data:text/html,");
  await setTimeout(AT_REST_MS);
  await browser.close();
  for (const name of OF_ONE_RUN) {
    await rm(join(temporary, name), { recursive: true, force: true });
  }
  // Two makers at once: the first one wins, the other's is as good.
  await rename(temporary, folder).catch(() => rm(temporary, { recursive: true, force: true }));
  return folder;
}

/** Of the program's build and of how a profile is made here. */
async function fingerprint(executablePath: string): Promise<string> {
  const program = dirname(await realpath(executablePath));
  const hash = createHash("sha256").update(program);
  const build = join(program, "application.ini");
  hash.update(existsSync(build) ? await readFile(build) : await readFile(executablePath));
  hash.update(await readFile(fileURLToPath(import.meta.url)));
  return hash.digest("hex").slice(0, 16);
}
