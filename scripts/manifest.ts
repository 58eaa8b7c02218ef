/** Turns the one manifest.json at the top of the tree into the variant of each browser. */
import { readFileSync } from "node:fs";

import { project } from "./project.ts";

export type Browser = "chromium" | "firefox";

interface ContentScript {
  matches: string[];
  match_origin_as_fallback: boolean;
}

interface Manifest {
  version: string;
  minimum_chrome_version?: string;
  browser_specific_settings?: { gecko: { id: string } };
  homepage_url?: string;
  /** Chrome's only: Firefox hands policy over without a schema. */
  storage?: { managed_schema: string };
  background: { service_worker?: string; scripts?: string[] };
  content_scripts: ContentScript[];
  host_permissions: string[];
  declarative_net_request: { rule_resources: { id: string; enabled: boolean; path: string }[] };
}

/** This very device: browsers trust its pages as those over https. */
const loopback = /^(?:(?:.+\.)?localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** An origin, or an origin with a path under which the client lives. */
export interface SitePatterns {
  /** Where content scripts run. */
  match: string;
  /** Permissions know no paths. */
  permission: string;
  wholeOrigin: boolean;
}

/**
 * Match patterns of a site such as `https://chat.example.org` or `https://example.org/element`.
 * Ports are dropped: Firefox's match patterns have none. Throws a sentence on anything else.
 */
export function patternsOf(site: string): SitePatterns {
  let url: URL;
  try {
    url = new URL(site);
  } catch {
    throw new Error(`"${site}" is no site: give an origin such as https://chat.example.org.`);
  }
  const isLoopback = url.protocol === "http:" && loopback.test(url.hostname);
  if ((url.protocol !== "https:" && !isLoopback) || /[?#*]/.test(url.href) || hasUser(url)) {
    throw new Error(
      `"${site}" is no site: give an https origin, or http://localhost, with a path at most.`,
    );
  }
  const path = url.pathname.replace(/\/+$/, "");
  const origin = `${url.protocol}//${url.hostname}`;
  return { match: `${origin}${path}/*`, permission: `${origin}/*`, wholeOrigin: path === "" };
}

function hasUser({ username, password }: URL): boolean {
  return username !== "" || password !== "";
}

/**
 * The manifest of one browser as JSON text, for these sites and no others, with the rulesets of these
 * shields.
 */
export function manifestFor(
  browser: Browser,
  sites: string[],
  version: string,
  rulesets: readonly string[],
): string {
  const source = readFileSync(new URL("../manifest.json", import.meta.url), "utf8");
  const manifest = JSON.parse(source) as Manifest;
  const patterns = sites.map(patternsOf);
  manifest.version = version;
  if (project.homepage !== null) manifest.homepage_url = project.homepage;
  if (manifest.browser_specific_settings !== undefined) {
    manifest.browser_specific_settings.gecko.id = project.firefoxId;
  }
  manifest.host_permissions = unique(patterns.map((site) => site.permission));
  manifest.content_scripts = [true, false].flatMap((wholeOrigin) => {
    const matches = unique(
      patterns.filter((site) => site.wholeOrigin === wholeOrigin).map((site) => site.match),
    );
    // Browsers refuse the fallback for patterns with a path.
    return matches.length === 0
      ? []
      : manifest.content_scripts.map((script) => ({
          ...script,
          matches,
          match_origin_as_fallback: wholeOrigin,
        }));
  });
  // Until the background has read the settings, all are in force.
  manifest.declarative_net_request.rule_resources = rulesets.map((id) => ({
    id,
    enabled: true,
    path: `rules/${id}.json`,
  }));
  if (browser === "chromium") {
    delete manifest.background.scripts;
    delete manifest.browser_specific_settings;
  } else {
    delete manifest.background.service_worker;
    delete manifest.minimum_chrome_version;
    delete manifest.storage;
  }
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

function unique(values: string[]): string[] {
  return [...new Set(values)].sort();
}
