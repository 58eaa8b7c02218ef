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

/** An https origin, with a path at most; `undefined` for anything else. */
export function parseSite(text: string): Site | undefined {
  if (!URL.canParse(text)) {
    return undefined;
  }
  const url = new URL(text);
  if (url.protocol !== "https:" || url.search || url.hash || url.username || url.password) {
    return undefined;
  }
  const path = url.pathname.replace(/\/+$/, "");
  return {
    url: url.origin + path,
    host: url.hostname,
    match: `https://${url.hostname}${path}/*`,
    permission: `https://${url.hostname}/*`,
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
 * Sites that the person or the organisation named and that permission was given for. A host with permission that the settings do not
 * name counts whole: lost settings must not take the protection away.
 */
export async function addedSites(texts: SettingsTexts): Promise<Site[]> {
  const builtIn = builtInHosts();
  const granted = await grantedHosts();
  const named = new Map(
    [...storedSites(texts.managed), ...storedSites(texts.stored)].map((site) => [site.url, site]),
  );
  const hosts = [
    ...granted.flatMap((pattern) => hostOf(pattern) ?? []),
    // Permission for every site, given for its own reason, covers those named, and adds none.
    ...(granted.includes(EVERYWHERE) ? [...named.values()].map((site) => site.host) : []),
  ].filter((host) => !builtIn.includes(host));
  return [...new Set(hosts)].sort().flatMap((host) => {
    const sites = [...named.values()].filter((site) => site.host === host);
    return sites.length > 0 ? sites : (parseSite(`https://${host}`) ?? []);
  });
}

/** Sites that the organisation names and that the person has not given permission for. */
export async function sitesToAllow(texts: SettingsTexts): Promise<Site[]> {
  const patterns = await grantedHosts();
  if (patterns.includes(EVERYWHERE)) return [];
  const granted = patterns.flatMap((pattern) => hostOf(pattern) ?? []);
  return storedSites(texts.managed).filter((site) => !granted.includes(site.host));
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
  return /^https:\/\/([^*/]+)\//.exec(pattern)?.[1];
}
