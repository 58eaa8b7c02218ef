/** From the built folders to what people install: archives, signed package, update manifests. */

import { createHash, type KeyObject } from "node:crypto";

import { type PackageFiles, archiveOf } from "./archive.ts";
import { crxOf, extensionId } from "./crx.ts";
import type { Browser } from "./manifest.ts";
import { Failure } from "./process.ts";

export interface PackageOptions {
  /** Dotted numbers, four at most. */
  version: string;
  /** Signs the CRX; without one there is none. */
  key?: KeyObject | undefined;
  /** https folder the files will lie in; without one the packages name no place of updates. */
  updateUrl?: string | undefined;
  /** Replaces Mantle's own add-on id, for those who have the add-on signed themselves. */
  firefoxId?: string | undefined;
}

interface Manifest {
  version: string;
  update_url?: string;
  browser_specific_settings?: {
    gecko: { id: string; strict_min_version: string; update_url?: string };
  };
}

/** Name and content of everything for one version, SBOM and checksums left out. */
export function packagesOf(
  built: Record<Browser, PackageFiles>,
  options: PackageOptions,
): Map<string, Uint8Array> {
  const { version, key } = options;
  const folder = options.updateUrl === undefined ? undefined : updateFolder(options.updateUrl);
  const outcome = new Map<string, Uint8Array>();

  const xpi = `mantle-${version}-firefox.xpi`;
  const forFirefox = (manifest: Manifest): void => {
    const gecko = manifest.browser_specific_settings?.gecko;
    if (gecko === undefined) throw new Failure("The manifest for Firefox has no gecko settings.");
    gecko.id = options.firefoxId ?? gecko.id;
    if (folder !== undefined) gecko.update_url = `${folder}updates.json`;
  };
  const firefox = withManifest(built.firefox, version, forFirefox);
  outcome.set(xpi, archiveOf(firefox));

  // The store brings its own updates and refuses packages that name others.
  const plain = withManifest(built.chromium, version, () => undefined);
  outcome.set(`mantle-${version}-chrome.zip`, archiveOf(plain));

  if (folder !== undefined) {
    const xpiBytes = outcome.get(xpi) ?? new Uint8Array();
    const updates = firefoxUpdates(manifestOf(firefox), version, `${folder}${xpi}`, xpiBytes);
    outcome.set("updates.json", bytes(updates));
  }
  if (key !== undefined) {
    const crx = `mantle-${version}-chrome.crx`;
    const hosted = withManifest(built.chromium, version, (manifest) => {
      if (folder !== undefined) manifest.update_url = `${folder}updates.xml`;
    });
    const signed = crxOf(archiveOf(hosted), key);
    outcome.set(crx, signed);
    if (folder !== undefined) {
      const updates = chromeUpdates(extensionId(key), version, `${folder}${crx}`, signed);
      outcome.set("updates.xml", bytes(updates));
    }
  }
  return outcome;
}

/** Lines that `sha256sum --check` reads. */
export function checksumsOf(files: Map<string, Uint8Array>): Uint8Array {
  const lines = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  return bytes(lines.map(([name, content]) => `${sha256(content)}  ${name}\n`).join(""));
}

/** With one slash at the end; throws a sentence when it is no https folder. */
export function updateFolder(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== "https:" || parsed.search !== "" || parsed.hash !== "") {
    throw new Failure(`"${url}" is no https folder; give one such as https://example.org/mantle/.`);
  }
  return parsed.href.replace(/\/*$/, "/");
}

function withManifest(
  files: PackageFiles,
  version: string,
  edit: (manifest: Manifest) => void,
): PackageFiles {
  const manifest = manifestOf(files);
  manifest.version = version;
  edit(manifest);
  return new Map(files).set("manifest.json", bytes(`${JSON.stringify(manifest, null, 2)}\n`));
}

function manifestOf(files: PackageFiles): Manifest {
  const content = files.get("manifest.json");
  if (content === undefined) throw new Failure("A built folder has no manifest.json.");
  return JSON.parse(new TextDecoder().decode(content)) as Manifest;
}

/** https://extensionworkshop.com/documentation/manage/updating-your-extension/ */
function firefoxUpdates(
  manifest: Manifest,
  version: string,
  link: string,
  xpi: Uint8Array,
): string {
  const gecko = manifest.browser_specific_settings?.gecko;
  const update = {
    version,
    update_link: link,
    update_hash: `sha256:${sha256(xpi)}`,
    applications: { gecko: { strict_min_version: gecko?.strict_min_version } },
  };
  return `${JSON.stringify({ addons: { [gecko?.id ?? ""]: { updates: [update] } } }, null, 2)}\n`;
}

/** https://developer.chrome.com/docs/extensions/how-to/distribute/host-on-linux */
function chromeUpdates(id: string, version: string, link: string, crx: Uint8Array): string {
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<gupdate xmlns="http://www.google.com/update2/response" protocol="2.0">',
    `  <app appid="${id}">`,
    `    <updatecheck codebase="${xml(link)}" version="${version}" hash_sha256="${sha256(crx)}" />`,
    "  </app>",
    "</gupdate>",
    "",
  ].join("\n");
}

function xml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
