/** addons-linter over the Firefox package, as Mozilla's reviewers run it. */

import path from "node:path";

import { root, run } from "./process.ts";

/** Every warning that stays, with its reason. An entry that no longer comes up must go. */
const explained: Record<string, string> = {
  KEY_FIREFOX_UNSUPPORTED_BY_MIN_VERSION:
    "data_collection_permissions is asked of new add-ons; Firefox 128 to 139 ignores it",
  UNSAFE_VAR_ASSIGNMENT:
    "Preact's dangerouslySetInnerHTML, which no page uses: scripts/layers.ts refuses HTML as text",
};

interface Report {
  errors: Finding[];
  warnings: Finding[];
  notices: Finding[];
}

interface Finding {
  code: string;
  message: string;
  description: string;
  file?: string;
}

/** One sentence for every finding that nobody has explained. `target` is a folder or an .xpi. */
export async function storeLintProblems(target: string): Promise<string[]> {
  const linter = path.join(root, "node_modules/addons-linter/bin/addons-linter");
  const args = [linter, "--output", "json", path.resolve(root, target)];
  const result = await run(process.execPath, args, { timeoutSeconds: 120 });
  const start = result.output.indexOf("{");
  let report: Report;
  try {
    report = JSON.parse(result.output.slice(start)) as Report;
  } catch {
    return [`addons-linter gave no report:\n${result.output.trimEnd()}`];
  }
  const findings = [...report.errors, ...report.warnings, ...report.notices];
  const problems = findings
    .filter(({ code }) => !(code in explained))
    .map(({ code, message, description, file }) => {
      return `${file ?? target}: ${code}: ${message}. ${description}`;
    });
  for (const code of Object.keys(explained)) {
    if (!findings.some((finding) => finding.code === code)) {
      problems.push(`addons-linter no longer says ${code}; take its explanation away.`);
    }
  }
  return problems;
}
