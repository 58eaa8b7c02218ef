import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
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

it("every crate in a lock file is the workspace's own, or the registry's with a checksum", () => {
  const locks = [
    "Cargo.lock",
    ...filesBelow("core").filter((file) => file.endsWith("/Cargo.lock")),
  ];
  assert.ok(locks.length >= 3, String(locks));
  for (const lock of locks) {
    const packages = read(lock).split("[[package]]\n").slice(1);
    assert.ok(packages.length > 50, lock);
    for (const text of packages) {
      const name = /^name = "(.*)"$/m.exec(text)?.[1] ?? "";
      if (/^(mantle-|state-oracle$)/.test(name)) {
        assert.doesNotMatch(text, /^source = /m, `${lock}: ${name}`);
      } else {
        assert.match(text, /^source = "registry\+[^"]*\/crates\.io-index"$/m, `${lock}: ${name}`);
        assert.match(text, /^checksum = "[0-9a-f]{64}"$/m, `${lock}: ${name}`);
      }
    }
  }
});

it("every npm package in a lock file has one version, a checksum, and no source but the registry", () => {
  const locks = ["package-lock.json", ...npmLocks()];
  assert.ok(locks.length >= 4, String(locks));
  for (const lock of locks) {
    const { packages } = JSON.parse(read(lock)) as {
      packages: Record<string, { version?: string; integrity?: string; resolved?: string }>;
    };
    for (const [place, { version, integrity, resolved }] of Object.entries(packages)) {
      if (place === "") continue;
      assert.match(version ?? "", /^\d+\.\d+\.\d+/, `${lock}: ${place}`);
      assert.match(integrity ?? "", /^sha512-/, `${lock}: ${place}`);
      assert.equal(resolved, undefined, `${lock}: ${place}`);
    }
  }
});

function npmLocks(): string[] {
  return readdirSync(path.join(root, "web-tests"))
    .map((folder) => `web-tests/${folder}/package-lock.json`)
    .filter((file) => existsSync(path.join(root, file)));
}

it("names every dependency, and none that is gone", () => {
  const manifests = filesBelow("core").filter((file) => file.endsWith("/Cargo.toml"));
  const rust = [...manifests, "scripts/generate/Cargo.toml"].flatMap((file) =>
    fromCargo(read(file)),
  );
  const { dependencies, devDependencies } = JSON.parse(read("package.json")) as {
    dependencies: object;
    devDependencies: object;
  };
  const npm = Object.keys({ ...dependencies, ...devDependencies });
  const document = read("docs/dependencies.md");
  const named = document
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)])
    .map(([, name = ""]) => name);
  assert.deepEqual(named.toSorted(), [...new Set([...rust, ...npm])].toSorted());
});
