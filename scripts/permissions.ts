/** What the manifests may ask for. A permission more is a decision, so it fails here first. */

import { readFileSync } from "node:fs";
import path from "node:path";

import { type Browser, manifestFor, patternsOf } from "./manifest.ts";
import { root } from "./process.ts";

const agreed = ["activeTab", "alarms", "declarativeNetRequest", "scripting", "storage"];
/** Asked for one site at a time, by a person's click. */
const agreedOptionalHosts = ["https://*/*", "http://*.localhost/*", "http://127.0.0.1/*"];
/** Everything at the top of a manifest; a new key may open a door of its own. */
const agreedKeys = [
  "action",
  "background",
  "content_scripts",
  "content_security_policy",
  "declarative_net_request",
  "default_locale",
  "description",
  "homepage_url",
  "host_permissions",
  "icons",
  "manifest_version",
  "name",
  "optional_host_permissions",
  "options_ui",
  "permissions",
  "short_name",
  "version",
];
const agreedKeysOf: Record<Browser, readonly string[]> = {
  chromium: ["minimum_chrome_version", "storage"],
  firefox: ["browser_specific_settings"],
};
/**
 * Where the packages' own pages and scripts may get code from, and what they may reach: the
 * background asks a homeserver, without credentials, whether media there is open to anyone.
 */
const agreedPolicy = "connect-src 'self' https: http:; script-src 'self' 'wasm-unsafe-eval'";

type Manifest = Record<string, unknown> & {
  content_scripts?: { matches?: string[] }[];
  content_security_policy?: { extension_pages?: string };
};

/** One sentence for each thing a manifest asks for that was not agreed on. */
export function manifestProblems(
  name: string,
  browser: Browser,
  text: string,
  sites: readonly string[],
): string[] {
  const manifest = JSON.parse(text) as Manifest;
  const problems: string[] = [];
  const hosts = sites.map((site) => patternsOf(site).permission);
  const scripts = sites.map((site) => patternsOf(site).match);
  const asked: [string, unknown, readonly string[]][] = [
    ["permissions", manifest["permissions"], agreed],
    ["optional_permissions", manifest["optional_permissions"], []],
    ["host_permissions", manifest["host_permissions"], hosts],
    ["optional_host_permissions", manifest["optional_host_permissions"], agreedOptionalHosts],
    ["content_scripts", manifest.content_scripts?.flatMap(({ matches }) => matches ?? []), scripts],
  ];
  for (const [key, found, allowed] of asked) {
    const list = Array.isArray(found) ? found.map(String) : [];
    const more = list.filter((entry) => !allowed.includes(entry));
    const less = allowed.filter((entry) => !list.includes(entry));
    for (const entry of more) problems.push(`${name} asks for more in ${key}: ${entry}.`);
    for (const entry of less) problems.push(`${name} has lost from ${key}: ${entry}.`);
  }
  for (const key of Object.keys(manifest)) {
    if (![...agreedKeys, ...agreedKeysOf[browser]].includes(key)) {
      problems.push(`${name} has the key ${key}, which nobody has agreed on.`);
    }
  }
  const policy = manifest.content_security_policy?.extension_pages ?? "";
  if (!policy.includes(`default-src 'none'; ${agreedPolicy};`)) {
    problems.push(`${name} loosens where its pages may load from: ${policy}.`);
  }
  if (text.includes("{{")) problems.push(`${name} has a place left unfilled.`);
  return problems;
}

/** The manifests as the tree would build them, and the README that explains each permission. */
export function permissionProblems(): string[] {
  const sites = ["https://chat.example.org", "https://example.org/element"];
  const problems = (["chromium", "firefox"] as const).flatMap((browser) =>
    manifestProblems(
      `the manifest for ${browser}`,
      browser,
      manifestFor(browser, sites, "1.2.3", []),
      sites,
    ),
  );
  const readme = readFileSync(path.join(root, "README.md"), "utf8");
  for (const permission of agreed) {
    if (!readme.includes(`\n| \`${permission}\` `)) {
      problems.push(`README.md does not explain the permission ${permission}.`);
    }
  }
  return problems;
}
