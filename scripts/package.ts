/** scripts/package: everything that is published for one version. */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { filesOf } from "./archive.ts";
import { extensionId, signingKey } from "./crx.ts";
import { checksumsOf, packagesOf, updateFolder } from "./packages.ts";
import { Failure, main, must, root } from "./process.ts";
import { isFirefoxId, project } from "./project.ts";
import { billOfMaterials } from "./sbom.ts";

const usage =
  "usage: scripts/package [--site ORIGIN]… [--revision N] [--key FILE.pem] " +
  "[--update-url FOLDER] [--firefox-id ID] [--out DIR]";
const builtIn = "build/package";

interface Wishes {
  sites: string[];
  revision: number | undefined;
  key: string | undefined;
  updateUrl: string | undefined;
  firefoxId: string | undefined;
  out: string;
}

function wishes(): Wishes | undefined {
  const { values } = parseArgs({
    options: {
      site: { type: "string", multiple: true, default: [] },
      revision: { type: "string" },
      key: { type: "string" },
      "update-url": { type: "string" },
      "firefox-id": { type: "string" },
      out: { type: "string", default: "dist/packages" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { revision } = values;
  // Chrome's limit for one number of a version.
  if (revision !== undefined && !(/^[1-9]\d{0,4}$/.test(revision) && Number(revision) <= 65_535)) {
    throw new Failure(`--revision must be a number from 1 to 65535, not "${revision}".`);
  }
  const firefoxId = values["firefox-id"];
  if (firefoxId !== undefined && !isFirefoxId(firefoxId)) {
    throw new Failure(
      `--firefox-id must look like mantle@example.org or be a GUID in braces, not "${firefoxId}".`,
    );
  }
  if (values["update-url"] !== undefined) updateFolder(values["update-url"]);
  if (values.key !== undefined && !existsSync(values.key)) {
    throw new Failure(
      `${values.key} is not there; make a key with: openssl genrsa -out FILE.pem 2048`,
    );
  }
  return {
    sites: values.site,
    revision: revision === undefined ? undefined : Number(revision),
    key: values.key,
    updateUrl: values["update-url"],
    firefoxId,
    out: values.out,
  };
}

main("package", async () => {
  const wished = wishes();
  if (wished === undefined) {
    console.log(usage);
    return 0;
  }
  const key =
    wished.key === undefined
      ? undefined
      : signingKey(readFileSync(wished.key, "utf8"), path.basename(wished.key));

  const sites = wished.sites.flatMap((site) => ["--site", site]);
  await must("The build", "scripts/build", [...sites, "--out", builtIn], {
    timeoutSeconds: 1_800,
    echo: true,
  });
  const built = {
    chromium: filesOf(`${builtIn}/chromium`),
    firefox: filesOf(`${builtIn}/firefox`),
  };
  const manifest = new TextDecoder().decode(built.firefox.get("manifest.json"));
  const base = (JSON.parse(manifest) as { version: string }).version;
  const version = wished.revision === undefined ? base : `${base}.${wished.revision}`;

  const { updateUrl, firefoxId } = wished;
  const files = packagesOf(built, { version, key, updateUrl, firefoxId });
  files.set(`mantle-${version}.cdx.json`, Buffer.from(await billOfMaterials(version)));
  files.set("SHA256SUMS", checksumsOf(files));

  const target = path.resolve(root, wished.out);
  const fresh = `${target}.new-${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  for (const [name, content] of files) writeFileSync(path.join(fresh, name), content);
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);

  for (const [name, content] of files)
    console.log(`${wished.out}/${name} (${content.length} bytes)`);
  if (project.homepage === null || project.repository === null) {
    console.log("project.json names no homepage or repository yet; a public release needs both.");
  }
  if (key !== undefined) console.log(`Chrome's id of this extension: ${extensionId(key)}`);
  return 0;
});
