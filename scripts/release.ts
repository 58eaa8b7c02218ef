/** scripts/release: all files of one release, ready to be signed. */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { checksumsOf } from "./packages.ts";
import { Failure, main, must, root } from "./process.ts";
import { problemsSince, readiness, releaseFacts, sourceArchive } from "./release-ready.ts";

/** Where scripts/reproduce.ts leaves what both builds made alike. */
const twiceBuilt = "build/reproduce";

main("release", async () => {
  const { values } = parseArgs({
    options: {
      ready: { type: "boolean", default: false },
      "audit-read": { type: "boolean", default: false },
      "gate-passed": { type: "boolean", default: false },
      tag: { type: "boolean", default: false },
    },
  });
  const facts = releaseFacts(root);
  const { version, problems, changes } = readiness(facts);
  if (problems.length > 0) {
    for (const problem of problems) console.error(`release: ${problem}`);
    throw new Failure("nothing was made.");
  }
  console.log(`Mantle ${version} may be released from this commit.`);
  if (values.ready) return 0;

  if (values["audit-read"]) {
    console.log(
      "What is known against the dependencies is not asked: a person is said to have read it.",
    );
  } else {
    // Such news comes with no change, so no gate has failed by it.
    await must(
      "What is known against the dependencies",
      process.execPath,
      ["--import", "tsx", "scripts/audit.ts", "--all"],
      { timeoutSeconds: 1_800, echo: true },
    );
  }
  if (values["gate-passed"]) {
    console.log("The gate is not run: it is said to have passed for this commit.");
  } else {
    await must("The gate", ".ci/run", [], { timeoutSeconds: 3 * 3_600, echo: true });
  }
  await must(
    "The packages, built twice,",
    process.execPath,
    ["--import", "tsx", "scripts/reproduce.ts", "--release"],
    { timeoutSeconds: 3_600, echo: true },
  );
  // A build that changes the tree would have released what no commit has; and who commits or checks
  // something out meanwhile, what no gate has seen.
  const since = problemsSince(facts, releaseFacts(root));
  if (since.length > 0) throw new Failure(since.join(" "));

  const files = new Map<string, Uint8Array>();
  for (const name of readdirSync(path.join(root, twiceBuilt))) {
    if (name !== "SHA256SUMS") files.set(name, readFileSync(path.join(root, twiceBuilt, name)));
  }
  files.set(`mantle-${version}-source.tar.gz`, sourceArchive(root, version, facts.commit));
  files.set(`mantle-${version}-changes.md`, Buffer.from(`${changes}\n`));
  const reviewers = readFileSync(path.join(root, "docs/reviewers.md"));
  files.set(`mantle-${version}-reviewers.md`, reviewers);
  files.set("SHA256SUMS", checksumsOf(files));

  const target = path.join(root, "dist/release", version);
  const fresh = `${target}.new-${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  for (const [name, content] of files) writeFileSync(path.join(fresh, name), content);
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);
  for (const [name, content] of files) {
    console.log(`dist/release/${version}/${name} (${content.length} bytes)`);
  }
  if (values.tag) {
    const message = `Mantle ${version}\n\n${changes}\n`;
    // Headings of the changes begin with what git takes for a comment.
    const args = ["tag", "--sign", "--cleanup=whitespace", "--message", message];
    args.push(`v${version}`, facts.commit);
    await must(`Signing the tag v${version}`, "git", args, { timeoutSeconds: 300, echo: true });
  }
  console.log(`Sign SHA256SUMS (gpg --armor --detach-sign dist/release/${version}/SHA256SUMS).`);
  return 0;
});
