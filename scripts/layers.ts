/**
 * Which source file may use which: one direction only, from the browser's glue down to the wire.
 * The table is docs/architecture.md in code.
 */

import { readFileSync } from "node:fs";
import path from "node:path";

import { filesBelow } from "./fingerprint.ts";
import { root } from "./process.ts";

/** Top-level modules of core/src and what each may use besides itself. */
const boundary = [
  ...["engine", "overview", "shields", "state", "media", "policy", "ledger", "leaks"],
  ...["verdict", "secret", "wire"],
];
const coreLayers: Record<string, readonly string[]> = {
  wire: [],
  verdict: ["wire"],
  secret: [],
  policy: ["wire", "secret"],
  leaks: [],
  ledger: ["verdict"],
  state: ["wire", "secret"],
  media: ["wire", "policy"],
  shields: ["wire", "policy", "verdict", "secret", "ledger"],
  engine: ["shields", "state", "policy", "ledger", "verdict", "secret", "wire"],
  overview: ["shields", "leaks", "policy", "ledger", "verdict", "secret", "wire"],
  wasm: boundary,
  wasm_media: ["media", "wire"],
  wasm_state: ["state", "shields", "policy", "secret", "wire"],
};

/** Crates that belong to one module only. */
const ownedCrates: readonly { crates: RegExp; owner: RegExp; name: string }[] = [
  {
    crates: /\b(wasm_bindgen|js_sys|web_sys|gloo\w*|serde_wasm_bindgen|console_error_panic_hook)\b/,
    owner: /^core\/src\/wasm(_state|_media)?(\.rs|\/.*)$/,
    name: "core/src/wasm*.rs",
  },
  {
    crates: /\bvodozemac\b/,
    owner: /^core\/src\/state\/sessions(\.rs|\/.*)$/,
    name: "core/src/state/sessions.rs",
  },
];

/** Returns one sentence per violation. */
export function layerProblems(): string[] {
  return [...coreProblems(), ...extensionProblems(), ...testWorldProblems()];
}

/** Rust without comments, string contents and its test module. */
function rustCode(file: string): string {
  const text = readFileSync(path.join(root, file), "utf8");
  const tests = text.search(/^#\[cfg\(test\)\]\s*\nmod /m);
  return (tests === -1 ? text : text.slice(0, tests))
    .replace(/\/\*[^]*?\*\//g, "")
    .replace(/\/\/.*$/gm, "")
    .replace(/"(?:[^"\\]|\\[^])*"/g, '""');
}

/** `crate::a::b` and `crate::{a::{b, c}, d}` to the module paths they begin with. */
function cratePaths(code: string): string[][] {
  const paths: string[][] = [];
  for (const match of code.matchAll(/\bcrate::/g)) {
    const rest = code.slice(match.index + match[0].length);
    if (!rest.startsWith("{")) {
      paths.push(/^[\w:]*/.exec(rest)?.[0]?.split("::") ?? []);
      continue;
    }
    let depth = 0;
    let item = "";
    for (const letter of rest) {
      if (letter === "{") depth += 1;
      if (letter === "}") depth -= 1;
      if (depth === 0 || (depth === 1 && letter === ",")) {
        if (item.trim() !== "") paths.push(item.trim().split("::"));
        item = "";
        if (depth === 0) break;
      } else if (depth === 1 && letter !== "{") {
        item += letter;
      }
    }
  }
  return paths;
}

function coreProblems(): string[] {
  const problems: string[] = [];
  for (const file of filesBelow("core/src").filter((name) => name.endsWith(".rs"))) {
    const inside = path.relative("core/src", file).replace(/\.rs$/, "").split("/");
    const layer = inside[0] ?? "";
    if (layer === "lib") continue;
    const allowed = coreLayers[layer];
    if (allowed === undefined) {
      problems.push(
        `${file}: scripts/layers.ts does not know the module ${layer}; give it a layer.`,
      );
      continue;
    }
    const code = rustCode(file);
    for (const [used = "", second = ""] of cratePaths(code)) {
      if (!(used in coreLayers)) continue;
      if (used !== layer && !allowed.includes(used)) {
        problems.push(
          `${file} uses ${used}; ${layer} may only use ${allowed.join(", ") || "itself"}.`,
        );
      }
      const own = inside[1];
      const sibling = filesBelow(`core/src/shields/${second}.rs`).length > 0;
      if (
        layer === "shields" &&
        own !== undefined &&
        used === "shields" &&
        sibling &&
        second !== own
      ) {
        problems.push(`${file} uses the shield ${second}; shields never use each other.`);
      }
    }
    // `super::` from shields/<id>.rs reaches the siblings too.
    if (layer === "shields" && inside.length > 1) {
      for (const match of code.matchAll(/\bsuper::(\w+)/g)) {
        const sibling = match[1] ?? "";
        if (filesBelow(`core/src/shields/${sibling}.rs`).length > 0) {
          problems.push(`${file} uses the shield ${sibling}; shields never use each other.`);
        }
      }
    }
    for (const { crates, owner, name } of ownedCrates) {
      const found = crates.exec(code);
      if (found !== null && !owner.test(file)) {
        problems.push(`${file} uses ${found[1] ?? found[0]}; only ${name} may.`);
      }
    }
  }
  return problems;
}

/** TypeScript without comments and string contents, for searching names. */
function scriptCode(text: string): string {
  return text
    .replace(/\/\*[^]*?\*\//g, "")
    .replace(/^\s*\/\/.*$|\s\/\/ .*$/gm, "")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

function importsOf(file: string, text: string): string[] {
  const specifiers = text.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g);
  return [...specifiers]
    .map((match) => match[1] ?? "")
    .map((name) => (name.startsWith(".") ? path.join(path.dirname(file), name) : name));
}

/** Files nothing else may import: they are where a browser enters. */
const entryFiles = /^extension\/(page\/main|relay|background|ui\/([\w-]+)\/\2)\.ts$/;
const pageMayUse = /^extension\/(page\/|messages\.ts$|generated\/)|^mantle-core-wasm$/;
/** Those that use no other file of the tree. */
const leaves = /^extension\/(platform|messages|page\/captured)\.ts$/;

function extensionProblems(): string[] {
  const problems: string[] = [];
  for (const file of filesBelow("extension")) {
    if (!file.endsWith(".ts") || file.endsWith(".d.ts")) continue;
    const text = readFileSync(path.join(root, file), "utf8");
    const inPage = file.startsWith("extension/page/");
    for (const used of importsOf(file, text)) {
      const known = used.startsWith("extension/") || used === "mantle-core-wasm";
      if (!known) {
        problems.push(`${file} imports ${used}; the extension uses only its own files.`);
      } else if (inPage && !pageMayUse.test(used)) {
        problems.push(
          `${file} imports ${used}; page scripts use page/, messages.ts and generated/.`,
        );
      } else if (!inPage && used.startsWith("extension/page/")) {
        problems.push(`${file} imports ${used}; page/ runs in another world.`);
      } else if (leaves.test(file) && !used.startsWith("extension/generated/")) {
        problems.push(`${file} imports ${used}; this file uses no other.`);
      } else if (entryFiles.test(used) && path.dirname(used) !== path.dirname(file)) {
        problems.push(`${file} imports ${used}; that is where a browser enters.`);
      } else if (/^extension\/(relay|background)\.ts$/.test(used)) {
        problems.push(`${file} imports ${used}; that is where a browser enters.`);
      }
    }
    const api = /(?<![.\w$])(?:globalThis\.)?(chrome|browser)\s*(?:\?\.|\.)\s*[a-z]/.exec(
      scriptCode(text),
    );
    if (api !== null && file !== "extension/platform.ts") {
      problems.push(`${file} uses ${api[1] ?? ""}.*; only extension/platform.ts may.`);
    }
  }
  return problems;
}

function testWorldProblems(): string[] {
  const problems: string[] = [];
  const files = [...filesBelow("web-tests"), ...filesBelow("scripts")];
  for (const file of files.filter((name) => /\.ts$/.test(name) && !name.endsWith(".d.ts"))) {
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
