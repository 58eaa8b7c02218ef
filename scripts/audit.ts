/** scripts/audit: what is known against the dependencies, as far as somebody can be asked. */

import { parseArgs } from "node:util";

import { type Audit, isGreen, npmFindings, rustFindings } from "./audit-results.ts";
import { cargoDeny, NO_CARGO_DENY } from "./cargo-deny.ts";
import { main, run } from "./process.ts";

/** Folders with a lock file of npm's, and manifests with one of cargo's. */
const npmFolders = [".", "web-tests/element", "web-tests/client-35", "web-tests/client-37"];
const rustManifests = ["Cargo.toml", "core/fuzz/Cargo.toml", "core/room-state/oracle/Cargo.toml"];

async function auditNpm(folder: string): Promise<Audit> {
  const args = ["audit", "--json", "--package-lock-only", "--prefix", folder];
  const { output } = await run("npm", args, { timeoutSeconds: 120 });
  return npmFindings(output);
}

async function auditRust(manifest: string): Promise<Audit> {
  const command = await cargoDeny();
  if (command === undefined) return { unasked: NO_CARGO_DENY };
  const [program, ...first] = command;
  const args = [...first, "--format", "json", "--manifest-path", manifest, "check", "advisories"];
  const { ok, output } = await run(program, args, { timeoutSeconds: 300 });
  return rustFindings(ok, output);
}

main("audit", async () => {
  const { values } = parseArgs({
    options: {
      news: { type: "boolean", default: false },
      all: { type: "boolean", default: false },
    },
  });
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const tell = (what: string, audit: Audit): void => {
    if ("unasked" in audit) {
      counts.skipped += 1;
      console.log(`skip   ${what}: ${audit.unasked}`);
    } else if (audit.findings.length === 0) {
      counts.passed += 1;
      console.log(`ok     ${what}: nothing is known`);
    } else {
      counts[values.news ? "passed" : "failed"] += 1;
      console.log(`${values.news ? "NEWS  " : "FAILED"} ${what}`);
      for (const finding of audit.findings) console.log(`       ${finding}`);
    }
  };
  for (const manifest of rustManifests) tell(`crates of ${manifest}`, await auditRust(manifest));
  for (const folder of npmFolders) tell(`packages of ${folder}`, await auditNpm(folder));
  console.log(`audit: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  return isGreen(counts, values.all) ? 0 : 1;
});
