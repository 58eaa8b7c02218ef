/** Bundles the extension's scripts and lays out the package of each browser. */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";

import { build, type BuildResult, type Plugin } from "esbuild";

import { type CoreWasm, moduleNames } from "./core-wasm.ts";
import { filesBelow } from "./fingerprint.ts";
import { pageLanguages, pageTexts } from "./page-texts.ts";
import { type Browser, manifestFor, patternsOf } from "./manifest.ts";
import { Failure, root } from "./process.ts";
import { unpatched } from "./unpatched.ts";

/** What the build reads of the generated tables; the rest passes through. */
interface Tables {
  sites: string[];
}

interface Rule {
  condition: { initiatorDomains?: string[]; requestDomains?: string[] };
}

type Bundles = BuildResult<{ write: false; metafile: true }>;

/** By shield. */
type Rulesets = Record<string, Rule[]>;

const tablesFile = "extension/generated/tables.json";
const rulesFile = "extension/generated/rules.json";
const textsFile = "extension/generated/texts.json";
const schemaFile = "extension/generated/managed-schema.json";
const entries = {
  page: "extension/page/main.ts",
  relay: "extension/relay/relay.ts",
  background: "extension/background/background.ts",
};

/** The page's core is text in its script; these are files of the package. */
const packagedModules = moduleNames.filter((name) => name !== "core");

/** The hosts Mantle knows by itself, followed by those named for this build. */
export function allSites(extra: readonly string[]): string[] {
  const tables = JSON.parse(readFileSync(path.join(root, tablesFile), "utf8")) as Tables;
  return [...new Set([...tables.sites, ...extra])];
}

/** Writes `<out>/chromium` and `<out>/firefox`; each folder is replaced in one step. */
export async function bundleExtension(
  core: CoreWasm,
  sites: readonly string[],
  version: string,
  out: string,
): Promise<void> {
  const pages = new Map(
    readdirSync(path.join(root, "extension/ui"))
      .sort()
      .flatMap((name) => {
        const scripts = [".ts", ".tsx"].map((ending) => `extension/ui/${name}/${name}${ending}`);
        const script = scripts.find((file) => existsSync(path.join(root, file)));
        return script === undefined ? [] : [[name, script] as const];
      }),
  );
  const { scripts, packages } = await bundleScripts(core, sites, {
    ...entries,
    ...Object.fromEntries(pages),
  });

  const rulesets = JSON.parse(readFileSync(path.join(root, rulesFile), "utf8")) as Rulesets;
  for (const browser of ["chromium", "firefox"] as const satisfies readonly Browser[]) {
    const target = path.resolve(root, out, browser);
    const fresh = `${target}.new-${process.pid}`;
    mkdirSync(fresh, { recursive: true });
    const put = (file: string, content: string | Uint8Array): void => {
      mkdirSync(path.dirname(path.join(fresh, file)), { recursive: true });
      writeFileSync(path.join(fresh, file), content);
    };

    put("manifest.json", manifestFor(browser, [...sites], version, Object.keys(rulesets)));
    for (const [file, content] of scripts) put(file, content);
    for (const name of pages.keys()) copyAssets(`extension/ui/${name}`, fresh, [".html", ".css"]);
    for (const name of packagedModules) {
      put(`mantle_${name}_bg.wasm`, readFileSync(path.join(root, core.modules[name].wasm)));
    }
    copyAssets("extension/icons", path.join(fresh, "icons"), [".png"]);
    putTexts(put);
    for (const language of pageLanguages()) {
      put(`page-texts/${language}.json`, JSON.stringify(pageTexts(language)));
    }
    for (const [shield, rules] of Object.entries(rulesets)) {
      put(`rules/${shield}.json`, rulesForSites(rules, sites));
    }
    if (browser === "chromium") {
      put("managed-schema.json", readFileSync(path.join(root, schemaFile)));
    }
    copyAssets("LICENSE", path.join(fresh, "LICENSE"), [""]);
    put("licences-of-others.txt", licencesOf(packages));

    rmSync(target, { recursive: true, force: true });
    renameSync(fresh, target);
  }
}

/** A table of texts for each language; the English one has those of the Rust tables besides. */
function putTexts(put: (file: string, content: string) => void): void {
  const read = (file: string): object =>
    JSON.parse(readFileSync(path.join(root, file), "utf8")) as object;
  for (const file of filesBelow("extension/_locales")) {
    const isEnglish = file.startsWith("extension/_locales/en/");
    const texts = { ...read(file), ...(isEnglish ? read(textsFile) : {}) };
    put(path.relative("extension", file), `${JSON.stringify(texts, null, 1)}\n`);
  }
}

async function bundleScripts(
  core: CoreWasm,
  sites: readonly string[],
  entryPoints: Record<string, string>,
): Promise<{ scripts: Map<string, Uint8Array>; packages: string[] }> {
  const present = Object.entries(entryPoints).filter(([, file]) => {
    const there = existsSync(path.join(root, file));
    // scripts/check refuses such a package; while files are being written it is good enough.
    if (!there) console.warn(`build: ${file} is not there; the package is incomplete.`);
    return there;
  });
  const isPage = ([name]: readonly [string, string]): boolean => name === "page";
  // Only the page's script shares its world with scripts that are not Mantle's.
  const outputs = await Promise.all([
    bundled(core, sites, present.filter(isPage), { plugins: [unpatched()], shortNames: true }),
    bundled(
      core,
      sites,
      present.filter((entry) => !isPage(entry)),
      { plugins: [], shortNames: false },
    ),
  ]);
  const files = outputs.flatMap(({ outputFiles }) => outputFiles);
  return {
    scripts: new Map(
      files.map((file) => [path.relative(path.join(root, "bundle"), file.path), file.contents]),
    ),
    packages: [...new Set(outputs.flatMap(packagesIn))].sort(),
  };
}

/** Folders of the npm packages that have code in a bundle. */
function packagesIn({ metafile }: Bundles): string[] {
  return Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => {
      const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0];
      return folder === undefined || bytesInOutput === 0 ? [] : [folder];
    }),
  );
}

/**
 * What the licences of those packages ask to be passed on. One that package.json does not name among
 * its `dependencies`, by which the bill of materials goes, is no part of a package.
 */
function licencesOf(packages: readonly string[]): string {
  const lock = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; dev?: boolean }>;
  };
  const texts = packages.map((folder) => {
    const place = folder.slice(folder.indexOf("node_modules/"));
    const name = place.slice("node_modules/".length);
    const locked = lock.packages[place];
    if (locked === undefined || locked.dev === true) {
      throw new Failure(
        `${name} is in the extension's scripts, but no dependency of package.json.`,
      );
    }
    const licence = readFileSync(path.join(root, folder, "LICENSE"), "utf8").trim();
    return `${name} ${locked.version}\n\n${licence}\n`;
  });
  return texts.join(`\n${"-".repeat(72)}\n\n`);
}

async function bundled(
  core: CoreWasm,
  sites: readonly string[],
  entryPoints: readonly (readonly [string, string])[],
  options: { plugins: readonly Plugin[]; shortNames: boolean },
): Promise<Bundles> {
  const outcome = await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(entryPoints),
    outdir: "bundle",
    write: false,
    metafile: true,
    bundle: true,
    format: "iife",
    // Readable in a store's review and still small: names stay, space goes. The page's script is
    // compiled anew in every tab, before the page's own, so its names go too.
    minifySyntax: true,
    minifyWhitespace: true,
    minifyIdentifiers: options.shortNames,
    // Browsers read a script of ASCII as it lies there; one other letter has all of it widened.
    charset: "ascii",
    legalComments: "none",
    target: ["chrome119", "firefox128"],
    tsconfigRaw: { compilerOptions: { target: "ES2022", verbatimModuleSyntax: true } },
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "silent",
    plugins: [
      coreModules(core),
      tablesWithSites(sites),
      ...(core.hasProbe ? [probeHandlers()] : []),
      ...options.plugins,
    ],
  }).catch((error: unknown) => {
    throw new Failure(`esbuild could not bundle the extension.\n${String(error)}`);
  });
  for (const warning of outcome.warnings) {
    const at = warning.location;
    console.warn(`build: ${at === null ? "" : `${at.file}:${at.line}: `}${warning.text}`);
  }
  return outcome;
}

/** Resolves the generated bindings, and the WASM as text that a script can carry. */
export function coreModules(core: CoreWasm): Plugin {
  return {
    name: "mantle-core",
    setup(builder) {
      for (const name of moduleNames) {
        builder.onResolve({ filter: new RegExp(`/generated/mantle_${name}\\.js$`) }, () => ({
          path: path.join(root, core.modules[name].glue),
        }));
      }
      for (const name of ["core", "pages"] as const) {
        const text = `mantle-${name}-wasm`;
        builder.onResolve({ filter: new RegExp(`^${text}$`) }, () => ({
          path: text,
          namespace: text,
        }));
        builder.onLoad({ filter: /.*/, namespace: text }, () => ({
          contents: readFileSync(path.join(root, core.modules[name].wasm)).toString("base64"),
          loader: "text",
        }));
      }
    },
  };
}

/** The page script of a build for tests of the hooks also has handlers for the probe shield. */
function probeHandlers(): Plugin {
  return {
    name: "mantle-probe",
    setup(builder) {
      builder.onLoad({ filter: /\/extension\/page\/main\.ts$/ }, ({ path: file }) => ({
        contents: `import "../../web-tests/e2e/fixtures/probe-handlers.ts";\n${readFileSync(file, "utf8")}`,
        loader: "ts",
      }));
    },
  };
}

/** The bundles know the sites of this build, as the manifest does. */
function tablesWithSites(sites: readonly string[]): Plugin {
  return {
    name: "mantle-tables",
    setup(builder) {
      builder.onLoad({ filter: /\/extension\/generated\/tables\.json$/ }, ({ path: file }) => ({
        contents: JSON.stringify({
          ...(JSON.parse(readFileSync(file, "utf8")) as Tables),
          sites,
        }),
        loader: "json",
      }));
    },
  };
}

/** Static rules may only touch what Element's pages start, or what their sites serve. */
function rulesForSites(rules: readonly Rule[], sites: readonly string[]): string {
  const domains = sites.map(
    (site) => new URL(patternsOf(site).permission.replace("*", "")).hostname,
  );
  const hosts = [...new Set(domains)].sort();
  const filled = rules.map(({ condition, ...rule }) => ({
    ...rule,
    condition:
      condition.requestDomains?.includes("{{sites}}") === true
        ? { ...condition, requestDomains: hosts }
        : { ...condition, initiatorDomains: hosts },
  }));
  return `${JSON.stringify(filled, null, 2)}\n`;
}

function copyAssets(from: string, to: string, extensions: readonly string[]): void {
  for (const file of filesBelow(from)) {
    if (!extensions.includes(path.extname(file))) continue;
    const target = path.join(to, path.relative(from, file));
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(path.join(root, file), target);
  }
}
