import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { it } from "node:test";

import { filesBelow } from "./fingerprint.ts";
import { root } from "./process.ts";

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

/** Names of packages that a manifest of Cargo takes from elsewhere. */
function fromCargo(text: string): string[] {
  const sections = text.split(/^\[/m).filter((section) => /^[^\n]*dependencies\]/.test(section));
  return sections.flatMap((section) =>
    [...section.matchAll(/^([\w-]+)(?:\.workspace)? *=/gm)]
      .map(([, name = ""]) => name)
      .filter((name) => !name.startsWith("mantle-")),
  );
}

it("names every dependency, and none that is gone", () => {
  const manifests = filesBelow("core").filter((file) => file.endsWith("/Cargo.toml"));
  const rust = [...manifests, "scripts/generate/Cargo.toml"].flatMap((file) =>
    fromCargo(read(file)),
  );
  const npm = Object.keys(
    (JSON.parse(read("package.json")) as { devDependencies: object }).devDependencies,
  );
  const document = read("docs/dependencies.md");
  const named = document
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)])
    .map(([, name = ""]) => name);
  assert.deepEqual(named.toSorted(), [...new Set([...rust, ...npm])].toSorted());
});
