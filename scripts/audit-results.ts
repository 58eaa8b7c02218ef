/** What `npm audit` and `cargo deny check advisories` print, read. */

/** What one question came to: findings, or why it could not be asked. */
export type Audit = { findings: readonly string[] } | { unasked: string };

interface NpmAnswer {
  error?: { summary?: string };
  message?: string;
  vulnerabilities?: Record<string, { severity: string; via: (string | { title: string })[] }>;
}

/** npm's JSON, with warnings before it where there are some. */
export function npmFindings(output: string): Audit {
  let answer: NpmAnswer;
  try {
    answer = JSON.parse(
      output.slice(output.indexOf("{"), output.lastIndexOf("}") + 1),
    ) as NpmAnswer;
  } catch {
    return { unasked: "npm said nothing that can be read" };
  }
  if (answer.vulnerabilities === undefined) {
    const why = answer.message ?? answer.error?.summary ?? "no reason given";
    return { unasked: `npm's registry did not answer (${firstLine(why)})` };
  }
  return {
    findings: Object.entries(answer.vulnerabilities).map(([name, { severity, via }]) => {
      const titles = via.map((cause) => (typeof cause === "string" ? `by ${cause}` : cause.title));
      return `${name} (${severity}): ${[...new Set(titles)].join("; ")}`;
    }),
  };
}

interface DenyLine {
  type?: string;
  fields?: { severity?: string; level?: string; message?: string; code?: string };
}

/** cargo-deny's lines of JSON. */
export function rustFindings(ok: boolean, output: string): Audit {
  const lines = output.split("\n").flatMap((line): DenyLine[] => {
    try {
      return [JSON.parse(line) as DenyLine];
    } catch {
      return [];
    }
  });
  const findings = lines
    .filter(({ type, fields }) => type === "diagnostic" && fields?.severity === "error")
    .map(({ fields }) => `${fields?.code ?? "advisory"}: ${fields?.message ?? ""}`);
  if (findings.length > 0) return { findings };
  if (ok) return { findings: [] };
  const said = lines.find(({ fields }) => fields?.level === "ERROR")?.fields?.message ?? output;
  // It ends before any finding when its database cannot be fetched. Any other failure is one of ours,
  // such as a configuration that it does not read, and would go unseen for ever as a question not asked.
  return NO_DATABASE.test(said)
    ? { unasked: `the database of advisories cannot be had here (${firstLine(said)})` }
    : { findings: [`cargo-deny failed: ${firstLine(said)}`] };
}

/** Of cargo-deny's errors those that say that the database is not there. */
const NO_DATABASE = /advisory database|failed to (?:fetch|clone)|network|timed out/i;

/** Whether an audit passes; `all`: also by having asked everything. */
export function isGreen(counts: { failed: number; skipped: number }, all: boolean): boolean {
  return counts.failed === 0 && !(all && counts.skipped > 0);
}

const firstLine = (text: string): string => (text.trim().split("\n")[0] ?? "").slice(0, 160);
