/** scripts/soak: whether anything grows in a long use of one page. */

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { format } from "prettier";

import type { Verdict } from "../web-tests/soak/law.ts";
import { SHORT, soak, type SoakReport, WHOLE } from "../web-tests/soak/soak.ts";
import { Failure, main, root } from "./process.ts";

const DOCUMENT = "docs/soak.md";
const [BEGIN, END] = ["<!-- written by scripts/soak: begin -->", "<!-- end -->"];

const digits = (value: number): string => Math.round(value).toLocaleString("en-US");

function lineOf(verdict: Verdict): string {
  const { what, unit, first, warm, last, growth, bound, isFlat } = verdict;
  const figures = [first, warm, last].map(digits).join(" → ");
  const judged = `${isFlat ? "flat  " : "GROWS "} by ${digits(growth)}, at most ${digits(bound)}`;
  return `${what.padEnd(26)} ${figures} ${unit}  ${judged}`;
}

/** The part of the document between its marks. */
function figures(report: SoakReport, day: Date): string {
  const { lived, verdicts, seconds, machine } = report;
  const rows = verdicts.map(({ what, unit, first, warm, last, growth, bound, isFlat }) => {
    const [from, at, to, by] = [first, warm, last, growth].map(digits);
    const grown = isFlat ? by : `**${by}**`;
    return `| ${what}${unit === "" ? "" : ` (${unit})`} | ${from} | ${at} | ${to} | ${grown} | ${digits(bound)} |`;
  });
  return `On ${day.toISOString().slice(0, 10)} (${machine}, Chromium): ${digits(lived.syncs)} syncs, ${digits(lived.requests)} requests and ${digits(lived.changes)} changes of a name in ${digits(seconds)} s; ${digits(lived.names)} of the names came back readable.

| | At first | After a third | At the end | Growth over the last two thirds | At most |
|---|---:|---:|---:|---:|---:|
${rows.join("\n")}`;
}

async function write(report: SoakReport): Promise<void> {
  const file = path.join(root, DOCUMENT);
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Failure(`${DOCUMENT} has lost its marks.`);
  const head = text.slice(0, from + BEGIN.length);
  const page = `${head}\n\n${figures(report, new Date())}\n\n${text.slice(to)}`;
  writeFileSync(file, await format(page, { parser: "markdown" }));
}

main("soak", async () => {
  const { values } = parseArgs({
    options: {
      short: { type: "boolean", default: false },
      cycles: { type: "string" },
      write: { type: "boolean", default: false },
      fast: { type: "boolean", default: false },
    },
  });
  const { cycles: usual, samples } = values.short ? SHORT : WHOLE;
  const cycles = values.cycles === undefined ? usual : Number(values.cycles);
  if (!Number.isInteger(cycles) || cycles < samples) {
    throw new Failure(`--cycles must be a whole number from ${samples} on.`);
  }
  const report = await soak({ cycles, samples, progress: (line) => console.log(line) });
  console.log(`\n${JSON.stringify(report.lived)}\n${JSON.stringify(report.stored)}`);
  console.log(
    `${report.awaited} events wait for keys; ${report.unhandled.length} unhandled errors`,
  );
  for (const verdict of report.verdicts) console.log(lineOf(verdict));
  if (report.lived.names !== report.lived.changes) {
    throw new Failure("not every name that was set came back readable.");
  }
  if (values.write) await write(report);
  const failed = report.verdicts.filter(({ isFlat }) => !isFlat).length;
  console.log(`soak: ${report.verdicts.length - failed} passed, ${failed} failed, 0 skipped`);
  return failed === 0 ? 0 : 1;
});
