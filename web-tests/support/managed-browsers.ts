/**
 * Browsers under an administrator's policy, each with a policy folder of its own: other browsers
 * on this machine must not see it. Chromium knows one folder only, so it runs in a mount namespace
 * in which that folder is another; Firefox runs from a folder of links beside its own policies.json.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { BrowserKind } from "./browsers.ts";

/** A policy folder with a program that obeys it. */
export interface PolicyScope {
  /** Program to start. */
  readonly executablePath: string;
  /** Replaces the policy file in one step; `undefined` takes it away. */
  write(policy: unknown): void;
  /** Puts everything back. */
  remove(): void;
}

const CHROMIUM = "/usr/bin/chromium";
const CHROMIUM_SETTINGS = "/etc/chromium";
const FIREFOX = ["/usr/bin/firefox-esr", "/usr/bin/firefox"];

const open = new Set<PolicyScope>();
process.once("exit", () => open.forEach((scope) => scope.remove()));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(130));
}

/** Why no policy can be tried here, as a sentence; `undefined` where it can. */
export function noPolicyBecause(kind: BrowserKind): string | undefined {
  if (kind === "firefox") {
    return firefoxFolder() === undefined ? "no Firefox under /usr is installed" : undefined;
  }
  if (!existsSync(CHROMIUM) || !existsSync(CHROMIUM_SETTINGS)) {
    return `${CHROMIUM} with ${CHROMIUM_SETTINGS} is not installed`;
  }
  return hasNamespaces() || canWrite()
    ? undefined
    : `neither mount namespaces nor ${CHROMIUM_SETTINGS} are open to this user`;
}

export function openPolicyScope(kind: BrowserKind): PolicyScope {
  const scope =
    kind === "firefox"
      ? firefoxScope()
      : hasNamespaces()
        ? chromiumNamespace()
        : chromiumSystemWide();
  const closing: PolicyScope = {
    ...scope,
    remove: () => {
      open.delete(closing);
      scope.remove();
    },
  };
  open.add(closing);
  return closing;
}

function hasNamespaces(): boolean {
  const trial = ["--mount", "sh", "-c", `mount --bind /tmp ${CHROMIUM_SETTINGS}`];
  return spawnSync("unshare", trial, { timeout: 10_000 }).status === 0;
}

function canWrite(): boolean {
  try {
    const probe = join(CHROMIUM_SETTINGS, `.mantle-${process.pid}`);
    writeFileSync(probe, "");
    rmSync(probe);
    return true;
  } catch {
    return false;
  }
}

function chromiumNamespace(): PolicyScope {
  const folder = mkdtempSync(join(tmpdir(), "mantle-policy-"));
  const settings = join(folder, "chromium");
  cpSync(CHROMIUM_SETTINGS, settings, { recursive: true });
  mkdirSync(join(settings, "policies/managed"), { recursive: true });
  const program = join(folder, "chromium-with-policy");
  writeFileSync(
    program,
    `#!/bin/sh\nexec unshare --mount sh -c 'mount --bind "$0" ${CHROMIUM_SETTINGS} && ` +
      `exec ${CHROMIUM} "$@"' '${settings}' "$@"\n`,
  );
  chmodSync(program, 0o755);
  const file = join(settings, "policies/managed/mantle.json");
  return {
    executablePath: program,
    write: (policy) => replace(file, policy),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The fallback: for every Chromium on this machine, so the file is there only while needed. */
function chromiumSystemWide(): PolicyScope {
  const folder = join(CHROMIUM_SETTINGS, "policies/managed");
  // The topmost folder that is not there yet goes again with the file.
  let made: string | undefined;
  for (let at = folder; !existsSync(at); at = dirname(at)) made = at;
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `mantle-test-${process.pid}.json`);
  return {
    executablePath: CHROMIUM,
    write: (policy) => replace(file, policy),
    remove: () => rmSync(made ?? file, { recursive: true, force: true }),
  };
}

function firefoxFolder(): string | undefined {
  const program = FIREFOX.find((path) => existsSync(path));
  if (program === undefined) return undefined;
  for (const folder of [
    "/usr/lib/firefox-esr",
    "/usr/lib/firefox",
    dirname(realpathSync(program)),
  ]) {
    if (existsSync(join(folder, "libxul.so"))) return folder;
  }
  return undefined;
}

/** Firefox takes its folder from where its program really lies; the rest may be links. */
function firefoxScope(): PolicyScope {
  const source = firefoxFolder() ?? "";
  const folder = mkdtempSync(join(tmpdir(), "mantle-policy-"));
  const program = basename(source);
  for (const name of readdirSync(source)) {
    if (name === "distribution") continue;
    if (name === program) copyFileSync(join(source, name), join(folder, name));
    else symlinkSync(join(source, name), join(folder, name));
  }
  mkdirSync(join(folder, "distribution"));
  return {
    executablePath: join(folder, program),
    write: (policy) => replace(join(folder, "distribution/policies.json"), policy),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function replace(file: string, policy: unknown): void {
  if (policy === undefined) {
    rmSync(file, { force: true });
    return;
  }
  // Browsers watch the folder; they must not read half a file.
  writeFileSync(`${file}.new`, JSON.stringify(policy));
  renameSync(`${file}.new`, file);
}
