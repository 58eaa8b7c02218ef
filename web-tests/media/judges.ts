/** What the tests of media ask about a file: what Mantle makes of it, and what exiftool reads in it. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type * as Glue from "../../extension/generated/mantle_media.js";
import { builtCoreWasm } from "../../scripts/core-wasm.ts";
import { root } from "../../scripts/process.ts";

const run = promisify(execFile);

/** Tags of exiftool that say something, and what Mantle has to tell of a file that has them. */
export const TELLING: readonly (readonly [string, RegExp])[] = [
  ["place", /GPS|(?<!Focus)Location|Latitude|:City$/],
  ["camera", /:(?:Make|Model|Software|LensModel)$/],
  ["serial", /Serial(?:Number|No)$/],
  [
    "names",
    /:(?:Author|Artist|Creator|By-line|Copyright|OwnerName|LastModifiedBy|Company|Manager|Performer)$/,
  ],
];
/** A colour profile's maker says little of the picture's, so it goes without a word of its own. */
const PROFILE = /^ICC.*:Device(?:Manufacturer|ModelName)$/;
/** Of the file on the disk, and worked out by exiftool from the others. */
const APART = /^(?:SourceFile$|System:|ExifTool:|File:|Composite:)/;

/** The built media module. */
export async function mediaModule(): Promise<typeof Glue> {
  const { media } = builtCoreWasm().modules;
  const glue = (await import(path.join(root, media.glue))) as typeof Glue;
  glue.initSync({ module: await readFile(path.join(root, media.wasm)) });
  return glue;
}

export interface Cleaned {
  /** `cleaned`, `unchanged`, or why not. */
  outcome: string;
  made?: Buffer;
  told: Record<string, boolean>;
}

/** What the module makes of a file. */
export function clean(glue: typeof Glue, file: Buffer): Cleaned {
  const examination = new glue.Examination(file.length);
  while (examination.next()) {
    const { offset, length } = examination;
    examination.supply(file.subarray(offset, offset + length));
  }
  const report = JSON.parse(examination.report() ?? "") as {
    refusal: string | null;
    isChanged: boolean;
    findings: Record<string, boolean>;
  };
  const told = report.findings;
  if (report.refusal !== null) return { outcome: report.refusal, told };
  if (!report.isChanged) return { outcome: "unchanged", told };
  const pieces = JSON.parse(examination.pieces() ?? "") as (
    [number, number] | number | { bytes: number[] }
  )[];
  const parts = pieces.map((piece) => {
    if (typeof piece === "number") return Buffer.alloc(piece);
    return "bytes" in piece ? Buffer.from(piece.bytes) : file.subarray(piece[0], piece[1]);
  });
  examination.free();
  return { outcome: "cleaned", made: Buffer.concat(parts), told };
}

export type Tags = readonly [string, unknown][];

/** Whether exiftool is installed. */
export async function hasExiftool(): Promise<boolean> {
  return run("exiftool", ["-ver"]).then(
    () => true,
    () => false,
  );
}

/** What exiftool reads in these files, by their paths. */
export async function readTags(files: readonly string[]): Promise<Map<string, Tags>> {
  // It ends with 1 where one of the files is not for it.
  const args = ["-json", "-a", "-G1", "-u", ...files];
  const { stdout } = await run("exiftool", args, { maxBuffer: 1 << 28 }).catch(
    (error: { stdout: string }) => error,
  );
  const list = JSON.parse(stdout) as ({ SourceFile: string } & Record<string, unknown>)[];
  return new Map(
    list.map((tags) => [tags.SourceFile, Object.entries(tags).filter(([tag]) => !APART.test(tag))]),
  );
}

/** What exiftool reads and Mantle did not tell. */
export function untold(tags: Tags, told: Readonly<Record<string, boolean>>): string[] {
  return tags.flatMap(([tag, value]) =>
    // The version of the place's part is there without a place.
    value === "" || value === 0 || tag === "GPS:GPSVersionID"
      ? []
      : TELLING.filter(([what, pattern]) => pattern.test(tag) && told[what] !== true).map(
          ([what]) => `${what} (${tag})`,
        ),
  );
}

/** What exiftool still reads in a cleaned file that says something. */
export function telling(tags: Tags): string[] {
  return tags
    .filter(([, value]) => value !== "" && value !== 0)
    .flatMap(([tag]) =>
      [PROFILE, ...TELLING.map(([, pattern]) => pattern)].some((one) => one.test(tag)) ? [tag] : [],
    );
}
