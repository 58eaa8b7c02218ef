/** Figures of scripts/bench as lines of a terminal and as docs/performance.md. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { format } from "prettier";

import { root } from "./process.ts";

export interface Figure {
  /** Beginning with the browser's name where there is one. */
  readonly what: string;
  readonly value: number;
  /** Empty for a plain number. */
  readonly unit: string;
  /** The most it may be. */
  readonly limit: number | undefined;
}

export const PERFORMANCE = "docs/performance.md";

/** A figure that is no number must not pass. */
export function isOver({ value, limit }: Figure): boolean {
  return limit !== undefined && !(value <= limit);
}

export function asLine(figure: Figure): string {
  const { what, unit, limit } = figure;
  const bound = limit === undefined ? "" : `  (limit ${digitsOf(figure, limit)})`;
  return `${what.padEnd(58)} ${digitsOf(figure, figure.value).padStart(10)} ${unit}${bound}`;
}

function digitsOf({ unit }: Figure, value: number): string {
  return value.toFixed(unit === "bytes" || unit === "" ? 0 : 2);
}

/** When a part was measured, as a date, and of which commit; "+" after it where files differed. */
export interface Measured {
  readonly day: string;
  readonly of: string;
}

export interface About {
  readonly machine: string;
  /** The page whose start was measured. */
  readonly page: string;
  readonly measured: Readonly<Partial<Record<string, Measured>>>;
}

/** What people wrote below the figures: from this heading to the end. */
const REMARKS = "## Remarks\n";

/** That part of a document, with its heading; empty where it has none. */
export function remarksIn(page: string): string {
  const begin = page.indexOf(`\n${REMARKS}`);
  return begin < 0 ? "" : page.slice(begin + 1);
}

/** The whole document, as `prettier` leaves it; `remarks` go to its end as they are. */
export async function performancePage(
  figures: readonly Figure[],
  about: About,
  remarks = "",
): Promise<string> {
  const sections = [
    ["Sizes", ""],
    ["Chromium", "chromium: "],
    ["Firefox", "firefox: "],
  ] as const;
  const rest = (figure: Figure): boolean => !/^(chromium|firefox): /.test(figure.what);
  const parts = sections.map(([title, prefix]) => {
    const own = figures.filter((figure) =>
      prefix === "" ? rest(figure) : figure.what.startsWith(prefix),
    );
    const rows = own.map((figure) => {
      const what = figure.what.slice(prefix.length);
      const value = `${digitsOf(figure, figure.value)} ${figure.unit}`.trim();
      const limit = figure.limit === undefined ? "" : digitsOf(figure, figure.limit);
      return `| ${what} | ${isOver(figure) ? `**${value}**` : value} | ${limit} |`;
    });
    return `## ${title}\n\n| | Measured | At most |\n|---|---:|---:|\n${rows.join("\n")}\n`;
  });
  const over = figures.filter(isOver).length;
  const limited = figures.filter(({ limit }) => limit !== undefined).length;
  const runs = Object.entries(about.measured).map(
    ([part, measured]) => `| ${part} | ${measured?.day ?? ""} | ${measured?.of ?? ""} |`,
  );
  const text = `# Performance

What Mantle costs, written by \`scripts/bench --write\` (${about.machine}). The warm start is that of ${about.page}. Times differ from machine to machine; ratios were measured side by side in one run, so they say more. "At most" is the limit that \`scripts/bench --check\` holds; ${over === 0 ? "nothing is" : `what is **bold** is (${over} of ${limited})`} over it.

${parts.join("\n")}

## When and of what

| Part | Day | Commit |
|---|---|---|
${runs.join("\n")}

${remarks}`;
  return format(text, { parser: "markdown" });
}

export async function writePerformance(figures: readonly Figure[], about: About): Promise<void> {
  const file = path.join(root, PERFORMANCE);
  const remarks = existsSync(file) ? remarksIn(readFileSync(file, "utf8")) : "";
  writeFileSync(file, await performancePage(figures, about, remarks));
}
