import type { Report, ReportRow } from "./report.ts";

/** The report as one page without scripts or anything to load. */
export function reportPage(report: Report): string {
  const shielded = report.rows.filter((row) => row.shielded && row.notDriven === null);
  const closed = shielded.filter((row) => Object.values(row.counts).every((c) => c.with === 0));
  const kinds = Object.keys(report.rows[0]?.counts ?? {});
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mantle: leak report</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Leak report</h1>
<p>The same session of a real Matrix client against a real homeserver, in real browsers, without
and with Mantle. A number says how often a server learnt something; for request headers, how many
servers did. Made ${escape(report.made.slice(0, 16).replace("T", " "))} UTC.</p>
<p class="sum ${report.failures.length === 0 ? "good" : "bad"}">${closed.length} of
${shielded.length} leaks with a shield that is on are closed.${
    report.failures.length === 0 ? "" : ` ${report.failures.length} failures, see below.`
  }</p>
${report.failures.length === 0 ? "" : `<ul>${report.failures.map((f) => `<li>${escape(f)}</li>`).join("")}</ul>`}
<table>
<thead>
<tr><th rowspan="2" scope="col">What is learnt</th><th rowspan="2" scope="col">By whom</th><th rowspan="2" scope="col">Shield</th>${kinds
    .map((kind) => `<th colspan="2" scope="colgroup">${escape(capital(kind))}</th>`)
    .join("")}</tr>
<tr>${kinds.map(() => `<th scope="col">without</th><th scope="col">with</th>`).join("")}</tr>
</thead>
${sections(report.rows)
  .map(
    ([title, rows]) => `<tbody>
<tr class="section"><th colspan="${3 + kinds.length * 2}" scope="rowgroup">${escape(title)}</th></tr>
${rows.map((row) => line(row, kinds)).join("\n")}
</tbody>`,
  )
  .join("\n")}
</table>
<h2>Did the sessions work?</h2>
${report.sessions
  .map(
    (session) => `<h3>${escape(capital(session.browser))} ${session.withMantle ? "with" : "without"} Mantle, ${Math.round(session.milliseconds / 1000)} s</h3>
<ul>${Object.entries(session.checks)
      .map(([what, outcome]) => `<li>${outcome === true ? "✓" : "✗"} ${escape(what)}${outcome === true ? "" : `: ${escape(outcome)}`}</li>`)
      .join("")}</ul>
<details><summary>${session.refused.length} steps were refused by Mantle or a server</summary>
<ul>${session.refused.map(({ step, error }) => `<li>${escape(step)}: ${escape(error)}</li>`).join("")}</ul></details>`,
  )
  .join("\n")}
</main>
</body>
</html>
`;
}

function sections(rows: readonly ReportRow[]): [string, ReportRow[]][] {
  const grouped = new Map<string, ReportRow[]>();
  for (const row of rows) grouped.set(row.section, [...(grouped.get(row.section) ?? []), row]);
  return [...grouped];
}

function line(row: ReportRow, kinds: readonly string[]): string {
  const cells =
    row.notDriven !== null
      ? `<td class="none" colspan="${kinds.length * 2}">not tried: ${escape(row.notDriven)}</td>`
      : kinds
          .map((kind) => {
            const count = row.counts[kind as keyof ReportRow["counts"]];
            const state = (count?.with ?? 0) === 0 ? "closed" : row.shielded ? "open" : "plain";
            return `<td class="n">${count?.without ?? 0}</td><td class="n ${state}">${count?.with ?? 0}</td>`;
          })
          .join("");
  return `<tr id="${escape(row.id)}"><td>${escape(row.what)}</td><td>${escape(row.to)}</td><td>${
    row.shield === null ? "–" : escape(row.shield) + said(row)
  }</td>${cells}</tr>`;
}

function said(row: ReportRow): string {
  if (row.isChosen) return " (off as recommended, switched on here)";
  return row.shielded ? "" : " (off as recommended)";
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

const STYLE = `
:root { color-scheme: light dark; --text: #1b1d22; --muted: #5c6270; --line: #dcdfe5;
  --page: #fff; --band: #f3f4f7; --good: #0b6b3a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaee; --muted: #a3a9b5; --line: #363a43;
  --page: #16181c; --band: #1f2228; --good: #6fd39b; --bad: #ff8f86; } }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 75rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; } p { max-width: 46rem; }
.sum { font-weight: 600; } .good, .closed { color: var(--good); } .bad, .open { color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); }
thead { position: sticky; top: 0; background: var(--page); }
thead tr + tr th { text-align: right; }
.section th { background: var(--band); padding-top: .6rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; } .closed, .open { font-weight: 600; }
.none, .plain { color: var(--muted); }
ul { padding-left: 1.2rem; } summary { color: var(--muted); cursor: pointer; }
`;
