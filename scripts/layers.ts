/**
 * Which source file may use which: one direction only, from the browser's glue down to the wire,
 * and in no circle; and that none makes HTML of a text. The table is docs/architecture.md in code.
 */

import { readFileSync } from "node:fs";
import path from "node:path";

import { filesBelow } from "./fingerprint.ts";
import { root } from "./process.ts";

/** Returns one sentence per violation. */
export function layerProblems(): string[] {
  return [...extensionProblems(), ...testWorldProblems(), ...circleProblems()];
}

/** TypeScript without comments and string contents, for searching names. */
function scriptCode(text: string): string {
  return text
    .replace(/\/\*[^]*?\*\//g, "")
    .replace(/^\s*\/\/.*$|\s\/\/ .*$/gm, "")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

function importsOf(file: string, text: string): string[] {
  const specifiers = text.matchAll(/\b(?:from|import|import\s*\()\s*"([^"]+)"/g);
  return [...specifiers]
    .map((match) => match[1] ?? "")
    .map((name) => (name.startsWith(".") ? path.join(path.dirname(file), name) : name));
}

const generated = "extension/generated";
const texts = "extension/_locales";
const wasmText = "mantle-core-wasm";
/** What a file or folder of the extension may import besides its own folder; the longest name wins. */
const extensionLayers: Record<string, readonly string[]> = {
  protocol: [],
  // The browser's API and what is stored through it: for the extension's own worlds.
  browser: ["protocol", generated, texts],
  background: ["protocol", "browser", generated],
  relay: ["protocol", "browser"],
  "ui/shared": ["protocol", "browser", generated, "preact"],
  "ui/popup": ["protocol", "browser", "ui/shared", generated, "preact"],
  "ui/checkup": ["protocol", "browser", "ui/shared", generated, "preact"],
  "ui/first-run": ["protocol", "browser", "ui/shared", generated, "preact"],
  "ui/ledger": ["protocol", "browser", "ui/shared", generated, "preact", "d3-array"],
  "ui/options": ["protocol", "browser", "ui/shared", generated, "preact"],
  "page/primordials": [],
  "page/texts": ["page/primordials"],
  "page/intercept": ["protocol", "page/primordials", "page/texts"],
  "page/core": [
    ...["protocol", "page/primordials", "page/texts", "page/intercept", generated, wasmText],
  ],
  "page/channel": ["protocol", "page/primordials", "page/texts"],
  "page/dialogs": ["page/primordials", "page/texts", "page/intercept", "page/channel"],
  "page/room-state/element": [
    ...["protocol", "page/primordials", "page/texts", "page/intercept", "page/core"],
  ],
  "page/room-state": [
    ...["protocol", "page/primordials", "page/intercept", "page/core", "page/channel"],
    ...["page/dialogs", "page/texts", "page/room-state/element", generated],
  ],
  "page/media": [
    ...["protocol", "page/primordials", "page/intercept", "page/core", "page/channel"],
    ...["page/dialogs", "page/texts", "page/room-state/element", generated],
  ],
  "page/relations": [
    ...["protocol", "page/primordials", "page/intercept", "page/core", "page/channel"],
    ...["page/dialogs", "page/texts", "page/room-state/element"],
  ],
  "page/history": [
    ...["page/primordials", "page/intercept", "page/core", "page/dialogs"],
    ...["page/texts", "page/room-state/element"],
  ],
  "page/room-pictures": [
    ...["page/primordials", "page/intercept", "page/core", "page/dialogs"],
    ...["page/texts", "page/room-state/element"],
  ],
  "page/room-names": [
    ...[
      "protocol",
      "page/primordials",
      "page/intercept",
      "page/core",
      "page/dialogs",
      "page/texts",
    ],
    ...["page/room-pictures", "page/room-state", "page/room-state/element", generated],
  ],
  "page/checkup": [
    ...["protocol", "page/primordials", "page/texts"],
    ...["page/room-state", "page/room-state/element"],
  ],
  "page/main.ts": [
    ...["protocol", "page/primordials", "page/intercept", "page/core", "page/channel"],
    ...["page/dialogs", "page/texts", "page/room-state", "page/media", "page/relations"],
    "page/room-state/element",
    "page/checkup",
    "page/history",
    "page/room-pictures",
    "page/room-names",
  ],
};
/** For tests only: what node has not and a browser has. */
const testing = "extension/testing";
/** What of the extension those stand in for, and so reach. */
const testingUses: readonly string[] = ["page/channel"];

/** The layer a file of the extension belongs to. */
function layerOf(file: string): string | undefined {
  return Object.keys(extensionLayers)
    .filter((name) => file === `extension/${name}` || file.startsWith(`extension/${name}/`))
    .sort((a, b) => b.length - a.length)[0];
}

const isScript = (file: string): boolean => /\.tsx?$/.test(file) && !file.endsWith(".d.ts");
const isWritten = (file: string): boolean => !file.startsWith(`${generated}/`);
const isTest = (file: string): boolean =>
  file.endsWith(".test.ts") || file.startsWith(`${testing}/`);

function extensionProblems(): string[] {
  const problems: string[] = [];
  for (const file of filesBelow("extension").filter(isScript).filter(isWritten)) {
    const text = readFileSync(path.join(root, file), "utf8");
    const layer = layerOf(file);
    if (layer === undefined && !isTest(file)) {
      problems.push(`${file} is in no layer; scripts/layers.ts has the table.`);
      continue;
    }
    for (const used of importsOf(file, text)) {
      const allowed = layer === undefined ? testingUses : (extensionLayers[layer] ?? []);
      const written = [generated, texts].find((folder) => used.startsWith(`${folder}/`));
      const target = layerOf(used) ?? written ?? used;
      const isForTests = isTest(file) && (used.startsWith("node:") || isTest(used));
      if (isTest(used) && !isTest(file)) {
        problems.push(`${file} imports ${used}; that is for tests only.`);
      } else if (target !== layer && !allowed.includes(target) && !isForTests) {
        const others = allowed.map((name) => path.basename(name)).join(", ") || "its own folder";
        problems.push(`${file} imports ${used}; ${layer ?? testing} may only use ${others}.`);
      }
    }
    const api = /(?<![.\w$])(?:globalThis\.)?(chrome|browser)\s*(?:\?\.|\.)\s*[a-z]/.exec(
      scriptCode(text),
    );
    if (api !== null && file !== "extension/browser/api.ts" && !isTest(file)) {
      problems.push(`${file} uses ${api[1] ?? ""}.*; only extension/browser/api.ts may.`);
    }
    const html = htmlIn(text);
    if (html !== undefined) problems.push(`${file} uses ${html}; what is shown is text.`);
  }
  return problems;
}

/** What would read a text as HTML: what a server or a page says is shown, and only as text. */
export function htmlIn(text: string): string | undefined {
  const names =
    /\b(?:dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe)\b/;
  return names.exec(scriptCode(text))?.[0];
}

function testWorldProblems(): string[] {
  const problems: string[] = [];
  for (const file of [...filesBelow("web-tests"), ...filesBelow("scripts")].filter(isOwnScript)) {
    const text = readFileSync(path.join(root, file), "utf8");
    for (const used of importsOf(file, text)) {
      const fromSupport = file.startsWith("web-tests/support/");
      if (fromSupport && /^web-tests\/(e2e|report|wasm)\//.test(used)) {
        problems.push(`${file} imports ${used}; support/ is what the specs stand on.`);
      }
      if (file.startsWith("web-tests/client/") && /^(extension|scripts)\//.test(used)) {
        problems.push(`${file} imports ${used}; the client must not know Mantle.`);
      }
    }
  }
  return problems;
}

function isOwnScript(file: string): boolean {
  return isScript(file) && !file.includes("node_modules/");
}

/** Files that import each other, types included: none can be understood without all of them. */
function circleProblems(): string[] {
  const files = ["extension", "web-tests", "scripts"].flatMap(filesBelow).filter(isOwnScript);
  const imports = new Map(
    files.map((file) => [file, importsOf(file, readFileSync(path.join(root, file), "utf8"))]),
  );
  return circles(imports).map((circle) => `${circle.join(" → ")} is a circle of imports.`);
}

/** One circle for each way back that a walk finds, from the file it leads back to. */
export function circles(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const walk = (file: string): void => {
    const begin = way.indexOf(file);
    if (begin !== -1) {
      found.push([...way.slice(begin), file]);
      return;
    }
    if (done.has(file)) return;
    way.push(file);
    for (const used of imports.get(file) ?? []) walk(used);
    way.pop();
    done.add(file);
  };
  for (const file of imports.keys()) walk(file);
  return found;
}
