/** Where Mantle works: the sites this build was made for, and those the person added. */
import {
  EVERYWHERE,
  type RegisteredScript,
  grantedHosts,
  manifestMatches,
  registerScripts,
  registeredScripts,
  unregisterScripts,
} from "./api.ts";
import type { SettingsTexts } from "./settings-store.ts";

export interface Site {
  /** Origin with the path under which the client lives, without a slash at the end. */
  url: string;
  host: string;
  /** Where content scripts run. Ports are left out: Firefox's match patterns have none. */
  match: string;
  /** Permissions know no paths. */
  permission: string;
}

/** This very device: browsers trust its pages as those over https, so people try Element there. */
const LOOPBACK = /^(?:(?:.+\.)?localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * An https origin, or one of this device over http, with a path at most; `undefined` for anything
 * else.
 */
export function parseSite(text: string): Site | undefined {
  if (!URL.canParse(text)) {
    return undefined;
  }
  const url = new URL(text);
  const isLoopback = url.protocol === "http:" && LOOPBACK.test(url.hostname);
  if ((url.protocol !== "https:" && !isLoopback) || /[?#]/.test(url.href)) return undefined;
  // In a match pattern `*` would stand for anything.
  if (url.username !== "" || url.password !== "" || url.hostname.includes("*")) return undefined;
  const path = url.pathname.replace(/\/+$/, "").replaceAll("*", "%2A");
  const origin = `${url.protocol}//${url.hostname}`;
  return {
    url: url.origin + path,
    host: url.hostname,
    match: `${origin}${path}/*`,
    permission: `${origin}/*`,
  };
}

/** Hosts this build was made for, whether or not the person withheld the permission. */
export function builtInHosts(): string[] {
  return [...new Set(manifestMatches().flatMap((pattern) => hostOf(pattern) ?? []))];
}

/** The `sites` of the stored settings, or of a policy; an unreadable text holds none. */
export function storedSites(text: string | null): Site[] {
  try {
    const { sites } = JSON.parse(text ?? "{}") as { sites?: unknown };
    return Array.isArray(sites)
      ? sites.flatMap((site) => (typeof site === "string" ? (parseSite(site) ?? []) : []))
      : [];
  } catch {
    return [];
  }
}

/**
 * Sites that the person or the organisation named and that permission was given for. A host with
 * permission that the settings do not name counts whole: lost settings must not take the protection
 * away.
 */
export async function addedSites(texts: SettingsTexts): Promise<Site[]> {
  const builtIn = manifestMatches().map(permissionOf);
  const granted = await grantedHosts();
  const named = namedSites(texts);
  const permissions = [
    ...granted.flatMap((pattern) => permissionOf(pattern) ?? []),
    // Permission for every site, given for its own reason, covers those named, and adds none.
    ...[...named.values()].map((site) => site.permission).filter((one) => isCovered(one, granted)),
  ].filter((permission) => !builtIn.includes(permission));
  return [...new Set(permissions)].sort().flatMap((permission) => {
    const sites = [...named.values()].filter((site) => site.permission === permission);
    return sites.length > 0 ? sites : (parseSite(permission.slice(0, -1)) ?? []);
  });
}

/** Sites that the organisation or the person named and that permission was not given for. */
export async function sitesToAllow(texts: SettingsTexts): Promise<Site[]> {
  const granted = await grantedHosts();
  return [...namedSites(texts).values()].filter((site) => !isCovered(site.permission, granted));
}

/** By their address, those of the organisation first. */
function namedSites({ stored, managed }: SettingsTexts): Map<string, Site> {
  const sites = [...storedSites(managed), ...storedSites(stored)];
  return new Map(sites.map((site) => [site.url, site]));
}

/** Every host whose pages Mantle works in. */
export async function siteHosts(texts: SettingsTexts): Promise<string[]> {
  const added = await addedSites(texts);
  return [...new Set([...builtInHosts(), ...added.map((site) => site.host)])].sort();
}

/** Registers the content scripts of added sites, and takes away those of sites no longer there. */
export async function registerAddedSites(texts: SettingsTexts): Promise<void> {
  const wanted = (await addedSites(texts)).flatMap(scriptsFor);
  const present = await registeredScripts();
  const surplus = present.filter((script) => !wanted.some((other) => other.id === script.id));
  if (surplus.length > 0) {
    await unregisterScripts(surplus.map((script) => script.id));
  }
  const missing = wanted.filter((script) => !present.some((other) => other.id === script.id));
  if (missing.length > 0) {
    await registerScripts(missing);
  }
}

/** The id names everything that may differ, so an equal id is an equal script. */
function scriptsFor(site: Site): RegisteredScript[] {
  const common: Omit<RegisteredScript, "id"> = {
    matches: [site.match],
    runAt: "document_start",
    allFrames: true,
    // Browsers refuse the fallback for patterns with a path.
    matchOriginAsFallback: site.match === site.permission,
    persistAcrossSessions: true,
  };
  return [
    { ...common, id: `page ${site.match}`, js: ["page.js"], world: "MAIN" },
    { ...common, id: `relay ${site.match}`, js: ["relay.js"], world: "ISOLATED" },
  ];
}

/** The exact host of a pattern; none for wildcards, which name no site. */
function hostOf(pattern: string): string | undefined {
  const permission = permissionOf(pattern);
  return permission === undefined ? undefined : parseSite(permission.slice(0, -1))?.host;
}

/** What a site's pattern asks permission for; none for wildcards. */
function permissionOf(pattern: string): string | undefined {
  const origin = /^https?:\/\/[^*/]+\//.exec(pattern)?.[0];
  return origin === undefined ? undefined : parseSite(origin)?.permission;
}

function isCovered(permission: string, granted: readonly string[]): boolean {
  return (
    granted.includes(permission) ||
    (granted.includes(EVERYWHERE) && permission.startsWith("https://"))
  );
}
