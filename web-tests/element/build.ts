/** Builds Element's interface and the host page around it into build/element/<hash>. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { BuildOptions, Loader, Plugin } from "esbuild";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FOLDER = join(ROOT, "web-tests/element");
const CLIENT = join(ROOT, "web-tests/client");
const PACKAGES = join(FOLDER, "node_modules");
const SDK = join(PACKAGES, "matrix-react-sdk");

/** False when Element's interface was not installed; nothing else of the tests needs it. */
export function elementInstalled(): boolean {
  return existsSync(join(SDK, "package.json"));
}

let building: Promise<string> | undefined;

/** The folder with the built page; what was built from the same content is taken again. */
export function buildElement(): Promise<string> {
  building ??= buildOnce();
  return building;
}

async function buildOnce(): Promise<string> {
  const folder = join(ROOT, "build/element", await fingerprint());
  if (existsSync(join(folder, "index.html"))) return folder;
  const temporary = `${folder}.${process.pid}.part`;
  await mkdir(join(temporary, "i18n"), { recursive: true });
  await buildWorkers(temporary);
  const names = {
    main: await buildPage(temporary),
    "theme-light": await buildTheme(temporary, "light"),
    "theme-dark": await buildTheme(temporary, "dark"),
  };
  await copyStatics(temporary);
  let html = await readFile(join(FOLDER, "host/index.html"), "utf8");
  for (const [place, name] of Object.entries(names)) html = html.replace(`{{${place}}}`, name);
  await writeFile(join(temporary, "index.html"), html);
  // Two builders at once: the first one wins, the other's result is the same.
  await rename(temporary, folder).catch(() => rm(temporary, { recursive: true, force: true }));
  return folder;
}

async function fingerprint(): Promise<string> {
  const hash = createHash("sha256");
  const host = (await readdir(join(FOLDER, "host"))).sort().map((name) => join("host", name));
  const inputs = [...host, "build.ts", "package-lock.json"].map((name) => join(FOLDER, name));
  for (const file of [...inputs, ...["platform.ts", "sw.js"].map((name) => join(CLIENT, name))]) {
    hash.update(relative(ROOT, file)).update(await readFile(file));
  }
  return hash.digest("hex").slice(0, 16);
}

const FILES: Record<string, Loader> = Object.fromEntries(
  ["png", "gif", "woff", "woff2", "ttf", "wasm"].map((type) => [`.${type}`, "file"]),
);

const COMMON = {
  absWorkingDir: FOLDER,
  nodePaths: [PACKAGES],
  bundle: true,
  minify: true,
  target: ["chrome120", "firefox128"],
  alias: { util: join(PACKAGES, "util/util.js") },
  define: {
    "process.env.NODE_ENV": '"production"',
    "process.env.VERSION": '"3.114.0"',
    global: "globalThis",
  },
  inject: [join(FOLDER, "host/shims.ts")],
  loader: FILES,
  tsconfigRaw: {
    compilerOptions: {
      jsx: "react",
      target: "es2022",
      useDefineForClassFields: true,
      experimentalDecorators: true,
    },
  },
  logLevel: "error",
  logOverride: { "unsupported-dynamic-import": "silent" },
} satisfies BuildOptions;

/** Workers and the worklet by the name their source file is imported with. */
const WORKERS: Record<string, string> = {
  blurhash: "workers/blurhash.worker.ts",
  indexeddb: "workers/indexeddb.worker.ts",
  playback: "workers/playback.worker.ts",
  recorder: "audio/RecorderWorklet.ts",
};

async function buildWorkers(out: string): Promise<void> {
  const entryPoints = Object.fromEntries(
    Object.entries(WORKERS).map(([name, file]) => [name, join(SDK, "src", file)]),
  );
  await build({
    ...COMMON,
    entryPoints: { ...entryPoints, usercontent: join(SDK, "src/usercontent/index.ts") },
    outdir: join(out, "workers"),
    format: "iife",
    plugins: [elementPackages, javascriptFiles],
  });
}

async function buildPage(out: string): Promise<string> {
  const result = await build({
    ...COMMON,
    entryPoints: { main: join(FOLDER, "host/main.ts") },
    outdir: join(out, "bundles"),
    entryNames: "[name]-[hash]",
    publicPath: "bundles",
    format: "esm",
    metafile: true,
    plugins: [elementPackages, webpackWays, workerFactories, vectorImages, javascriptFiles],
  });
  const written = Object.entries(result.metafile.outputs);
  const name = written.find(([, output]) => output.entryPoint?.endsWith("host/main.ts"))?.[0];
  if (name === undefined) throw new Error("esbuild wrote no page for Element.");
  return `bundles/${basename(name)}`;
}

/** "element:package/path" is that path in web-tests/element/node_modules. */
const elementPackages: Plugin = {
  name: "element-packages",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^element:/ }, ({ path, kind }) =>
      resolve(path.slice("element:".length), { resolveDir: FOLDER, kind }),
    );
  },
};

/** What Element's webpack configuration gives a meaning to. */
const webpackWays: Plugin = {
  name: "webpack-ways",
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /^\$webapp\/i18n\/languages\.json$/ }, ({ path }) => ({
      path,
      namespace: "languages",
    }));
    onLoad({ filter: /.*/, namespace: "languages" }, () => ({
      contents: 'export default "i18n/languages.json";',
    }));
    onResolve({ filter: /^!!raw-loader!/ }, async ({ path, resolveDir, kind }) => {
      const found = await resolve(path.replace("!!raw-loader!", ""), { resolveDir, kind });
      return { path: found.path, namespace: "raw", errors: found.errors };
    });
    onLoad({ filter: /.*/, namespace: "raw" }, async ({ path }) => ({
      contents: await readFile(path),
      loader: "text",
    }));
    onResolve({ filter: /^(fs|path|crypto)$/ }, ({ path }) => ({ path, namespace: "empty" }));
    onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "" }));
    // Four names that this version of matrix-js-sdk no longer has; only old QR sign-in used them.
    onLoad({ filter: /matrix-js-sdk\/src\/rendezvous\/index\.ts$/ }, async ({ path }) => ({
      contents: `${await readFile(path, "utf8")}
        export class MSC3906Rendezvous {}
        export class MSC3903ECDHv2RendezvousChannel {}
        export class MSC3886SimpleHttpRendezvousTransport {}
        export const LegacyRendezvousFailureReason = {};`,
      loader: "ts",
    }));
  },
};

const workerFactories: Plugin = {
  name: "worker-factories",
  setup({ onLoad }) {
    onLoad({ filter: /\/workers\/\w+WorkerFactory\.ts$/ }, ({ path }) => {
      const url = JSON.stringify(`workers/${basename(path).replace("WorkerFactory.ts", ".js")}`);
      return { contents: `export default (options) => new Worker(${url}, options);` };
    });
    onLoad({ filter: /\/audio\/RecorderWorklet\.ts$/ }, () => ({
      contents: 'export default "workers/recorder.js";',
    }));
  },
};

/** Opus' workers are programs of their own, wanted by URL. */
const javascriptFiles: Plugin = {
  name: "javascript-files",
  setup({ onLoad }) {
    onLoad({ filter: /opus-recorder\/dist\/\w+Worker\.min\.js$/ }, async ({ path }) => ({
      contents: await readFile(path),
      loader: "file",
    }));
  },
};

/** An SVG is its URL by default, and a React component by the name Icon. */
const vectorImages: Plugin = {
  name: "vector-images",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^svg-file:/ }, ({ path }) => ({
      path: path.slice("svg-file:".length),
      namespace: "svg-file",
    }));
    onLoad({ filter: /.*/, namespace: "svg-file" }, async ({ path }) => ({
      contents: await readFile(path),
      loader: "file",
    }));
    onLoad({ filter: /\.svg$/ }, async ({ path }) => {
      const { attributes, inner } = svgParts(await readFile(path, "utf8"));
      return {
        contents: `
          import { createElement } from "react";
          import url from ${JSON.stringify(`svg-file:${path}`)};
          export default url;
          const own = ${JSON.stringify({ ...attributes, dangerouslySetInnerHTML: { __html: inner } })};
          export const Icon = (props) => createElement("svg", { ...own, ...props });`,
        resolveDir: FOLDER,
      };
    });
  },
};

function svgParts(text: string): { attributes: Record<string, string>; inner: string } {
  const [, list = "", inner = ""] = /<svg\b([^>]*)>([\s\S]*)<\/svg>/.exec(text) ?? [];
  const attributes: Record<string, string> = {};
  for (const [, name = "", value = ""] of list.matchAll(/([\w:-]+)="([^"]*)"/g)) {
    // React wants styles as objects and knows no prefixed namespaces.
    if (name === "style" || name.includes(":")) continue;
    const camel = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    attributes[name === "class" ? "className" : camel] = value;
  }
  return { attributes, inner };
}

interface Postcss {
  (plugins: unknown[]): {
    process(css: string, options: { from: string; parser: unknown }): Promise<{ css: string }>;
  };
}

async function buildTheme(out: string, theme: string): Promise<string> {
  const require = createRequire(join(FOLDER, "package.json"));
  const load = (name: string): unknown => {
    const found = require(name) as { default?: unknown };
    return found.default ?? found;
  };
  const plugin = (name: string): unknown => (load(`postcss-${name}`) as () => unknown)();
  const file = join(SDK, `res/themes/${theme}/css/${theme}.pcss`);
  const names = ["import", "mixins", "simple-vars", "nested", "easings", "hexrgba"];
  const styles = await (load("postcss") as Postcss)(names.map(plugin)).process(
    await readFile(file, "utf8"),
    { from: file, parser: load("postcss-scss") },
  );
  const result = await build({
    absWorkingDir: FOLDER,
    nodePaths: [PACKAGES],
    stdin: { contents: styles.css, loader: "css", resolveDir: dirname(file), sourcefile: file },
    outdir: join(out, "bundles"),
    entryNames: `theme-${theme}-[hash]`,
    bundle: true,
    minify: true,
    target: ["chrome120", "firefox128"],
    loader: { ...FILES, ".svg": "file" },
    metafile: true,
    logLevel: "error",
  });
  const name = Object.keys(result.metafile.outputs).find((path) => path.endsWith(".css"));
  if (name === undefined) throw new Error(`esbuild wrote no styles for the ${theme} theme.`);
  return `bundles/${basename(name)}`;
}

async function copyStatics(out: string): Promise<void> {
  const languages = { en: "en_EN.json" };
  await writeFile(join(out, "i18n/languages.json"), JSON.stringify(languages));
  const copies: [string, string][] = [
    [join(SDK, "src/i18n/strings/en_EN.json"), "i18n/en_EN.json"],
    [join(SDK, "res/media"), "media"],
    [join(PACKAGES, "opus-recorder/dist/decoderWorker.min.wasm"), "decoderWorker.min.wasm"],
    ...["sw.js", "version", "manifest.json", "config.json"].map((name): [string, string] => [
      join(CLIENT, name),
      name,
    ]),
  ];
  for (const [from, to] of copies) await cp(from, join(out, to), { recursive: true });
  await mkdir(join(out, "usercontent"));
  await writeFile(
    join(out, "usercontent/index.html"),
    '<!doctype html><meta charset="utf-8" /><script src="../workers/usercontent.js"></script>\n',
  );
}
