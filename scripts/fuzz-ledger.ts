/**
 * Adds a run of scripts/fuzz to docs/fuzzing.md:
 *
 *   node --import tsx scripts/fuzz-ledger.ts TARGET SECONDS INPUTS FINDINGS
 */

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Failure, main, root } from "./process.ts";

export const FUZZING = "docs/fuzzing.md";

export interface FuzzRun {
  readonly target: string;
  readonly seconds: number;
  readonly inputs: number;
  readonly findings: number;
  readonly day: string;
}

const ROW =
  /^\| `(?<target>\w+)` *\| *(?<minutes>[\d,.]+) *\| *(?<inputs>[\d,]+) *\| *(?<findings>[\d,]+) *\| *(?<day>[\d-]+|never) *\|$/;

const digits = (value: number, fraction = 0): string =>
  value.toLocaleString("en-US", {
    minimumFractionDigits: fraction,
    maximumFractionDigits: fraction,
  });
const number = (text: string | undefined): number => Number((text ?? "").replaceAll(",", ""));

/** The targets that the document has a row for. */
export function targetsOf(document: string): string[] {
  return document.split("\n").flatMap((line) => ROW.exec(line)?.groups?.["target"] ?? []);
}

/** The document with a run added to its target's row; widths stay where the figures leave room. */
export function withRun(document: string, run: FuzzRun): string {
  let isThere = false;
  const lines = document.split("\n").map((line) => {
    const row = ROW.exec(line)?.groups;
    if (row?.["target"] !== run.target) return line;
    isThere = true;
    const minutes = number(row["minutes"]) + run.seconds / 60;
    const values = [
      digits(minutes, 2),
      digits(number(row["inputs"]) + run.inputs),
      digits(number(row["findings"]) + run.findings),
      run.day,
    ];
    const [, name = "", ...cells] = line.split("|");
    const padded = values.map((value, at) => {
      const width = cells[at]?.length ?? 0;
      return at < 3 ? ` ${value.padStart(width - 2)} ` : ` ${value.padEnd(width - 2)} `;
    });
    return `|${name}|${padded.join("|")}|`;
  });
  if (!isThere) throw new Failure(`${FUZZING} has no row for ${run.target}.`);
  return lines.join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main("fuzz-ledger", () => {
    const [target = "", ...figures] = process.argv.slice(2);
    const [seconds = Number.NaN, inputs = Number.NaN, findings = Number.NaN] = figures.map(Number);
    if (![seconds, inputs, findings].every((figure) => Number.isInteger(figure) && figure >= 0)) {
      throw new Failure("seconds, inputs and findings are whole numbers.");
    }
    const file = path.join(root, FUZZING);
    const day = new Date().toISOString().slice(0, 10);
    const run = { target, seconds, inputs, findings, day };
    writeFileSync(file, withRun(readFileSync(file, "utf8"), run));
    return Promise.resolve();
  });
}
