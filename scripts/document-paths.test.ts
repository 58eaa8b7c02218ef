import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { it } from "node:test";

import { root } from "./process.ts";

const PATH =
  /`((?:core|extension|web-tests|scripts|docs)\/(?:[\w@.-]+\/)*[\w@.-]*\.[a-z][a-z0-9]*)`/g;
/** What only a build makes. */
const BUILT = /^extension\/generated\/.*\.(?:js|wasm)$/;

const pathsIn = (text: string): string[] =>
  [...text.matchAll(PATH)].map(([, file = ""]) => file).filter((file) => !BUILT.test(file));

it("a path in a document is seen, a pattern of paths is none", () => {
  const text = "`core/a/src/b.rs` `docs/adr/0001-x.md` `core/*/Cargo.toml` `a/b.rs` `core/<id>.rs`";
  assert.deepEqual(pathsIn(text), ["core/a/src/b.rs", "docs/adr/0001-x.md"]);
});

it("every file that a document names is there", () => {
  const documents = [
    "README.md",
    "CONTRIBUTING.md",
    ...readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".md"))
      .map((file) => path.join("docs", file)),
  ];
  const named = documents.flatMap((document) =>
    pathsIn(readFileSync(path.join(root, document), "utf8")).map((file) => ({ document, file })),
  );
  assert.ok(named.length >= 30, `only ${named.length} paths`);
  const gone = named.filter(({ file }) => !existsSync(path.join(root, file)));
  assert.deepEqual(gone, []);
});
