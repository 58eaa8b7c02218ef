/**
 * Files of every kind that people send, made here by Pillow, libheif and by hand, and hostile ones:
 * cleaned by the built media module, told or refused with a reason; decoded on both sides, and
 * looked through by exiftool where that is installed.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import type * as Glue from "../../extension/generated/mantle_media.js";
import { builtCoreWasm } from "../../scripts/core-wasm.ts";
import { root } from "../../scripts/process.ts";

const run = promisify(execFile);
const script = path.join(root, "web-tests/media/corpus.py");
const own = path.join(root, ".venv/bin/python");
const python = process.env["MANTLE_SYNAPSE_PYTHON"] ?? own;

interface Listing {
  canary: string;
  files: Record<string, string>;
  tells: Record<string, string[]>;
}

/** Tags of exiftool that say something, and what Mantle has to tell of a file that has them. */
const TELLING: readonly (readonly [string, RegExp])[] = [
  ["place", /GPS|Location|Latitude|:City$/],
  ["camera", /:(?:Make|Model|Software|DeviceManufacturer|DeviceModelName|LensModel)$/],
  ["serial", /Serial(?:Number|No)$/],
  [
    "names",
    /:(?:Author|Artist|Creator|By-line|Copyright|OwnerName|LastModifiedBy|Company|Manager|Performer)$/,
  ],
];
/** Of the file on the disk, and worked out by exiftool from the others. */
const APART = /^(?:SourceFile$|System:|ExifTool:|File:|Composite:)/;

interface Compared {
  file: string;
  frames?: number;
  pixels?: boolean;
  profile?: boolean;
  orientation?: boolean;
  left?: string[];
  error?: string;
}

describe("media corpus", { timeout: 120_000 }, () => {
  let folder: string;
  let listing: Listing;
  let glue: typeof Glue;
  const cleaned = new Map<string, Buffer>();
  const outcomes = new Map<string, string>();
  const findings = new Map<string, Record<string, boolean>>();

  before(async () => {
    if (!existsSync(python)) throw new Error("Python is not set up: run scripts/setup.");
    folder = await mkdtemp(path.join(tmpdir(), "mantle-corpus-"));
    await run(python, [script, "make", path.join(folder, "before")]);
    await mkdir(path.join(folder, "after"));
    listing = JSON.parse(
      await readFile(path.join(folder, "before/corpus.json"), "utf8"),
    ) as Listing;
    const { media } = builtCoreWasm().modules;
    glue = (await import(path.join(root, media.glue))) as typeof Glue;
    glue.initSync({ module: await readFile(path.join(root, media.wasm)) });
    for (const name of Object.keys(listing.files)) {
      const file = await readFile(path.join(folder, "before", name));
      const { outcome, made, told } = clean(file);
      outcomes.set(name, outcome);
      findings.set(name, told);
      if (made === undefined) continue;
      cleaned.set(name, made);
      await writeFile(path.join(folder, "after", name), made);
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  function clean(file: Buffer): {
    outcome: string;
    made?: Buffer;
    told: Record<string, boolean>;
  } {
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

  it("cleans every format and refuses hostile files with the right reason", () => {
    const names = Object.keys(listing.files);
    assert.ok(names.length > 170, `only ${names.length} files`);
    const endings = ["jpg", "png", "webp", "avif", "heic", "tiff", "gif", "jxl", "svg"];
    for (const ending of [...endings, "mp3", "flac", "ogg", "wav"]) {
      assert.ok(
        [...cleaned.keys()].some((name) => name.endsWith(ending)),
        ending,
      );
    }
    assert.deepEqual(Object.fromEntries(outcomes), listing.files);
  });

  it("tells what each holds", () => {
    for (const [name, wanted] of Object.entries(listing.tells)) {
      const told = findings.get(name) ?? {};
      assert.deepEqual(
        wanted.filter((what) => told[what] !== true),
        [],
        `${name} is not told to hold them`,
      );
    }
  });

  it("leaves no canary behind that was there", async () => {
    let proofs = 0;
    for (const [name, made] of cleaned) {
      const original = await readFile(path.join(folder, "before", name));
      proofs += original.includes(listing.canary) ? 1 : 0;
      assert.equal(made.includes(listing.canary), false, name);
    }
    assert.ok(proofs > 35, `only ${proofs} files had one`);
  });

  it("has nothing left to clean the second time", () => {
    for (const [name, made] of cleaned) {
      const { outcome, made: again } = clean(made);
      assert.ok(outcome === "unchanged" || again?.equals(made), `${name}: ${outcome}`);
    }
  });

  it("leaves nothing for exiftool to read, and nothing untold that it reads", async (test) => {
    const isThere = await run("exiftool", ["-ver"]).then(
      () => true,
      () => false,
    );
    if (!isThere) return test.skip("exiftool is not installed: scripts/setup does it");
    const read = async (
      side: string,
      names: Iterable<string>,
    ): Promise<Map<string, Record<string, unknown>>> => {
      const files = Array.from(names, (name) => path.join(folder, side, name));
      // It ends with 1 where one of the files is not for it.
      const args = ["-json", "-a", "-G1", "-u", ...files];
      const { stdout } = await run("exiftool", args, { maxBuffer: 1 << 26 }).catch(
        (error: { stdout: string }) => error,
      );
      const list = JSON.parse(stdout) as ({ SourceFile: string } & Record<string, unknown>)[];
      return new Map(list.map((tags) => [path.basename(tags.SourceFile), tags]));
    };
    const tagsOf = (tags: Record<string, unknown>): [string, unknown][] =>
      Object.entries(tags).filter(([tag]) => !APART.test(tag));
    const untold: string[] = [];
    // What cannot be read to its end is asked about as such.
    const isRead = (outcome: string): boolean =>
      /^(?:cleaned|unchanged|not-removable)$/.test(outcome);
    const understood = [...outcomes].filter(([, outcome]) => isRead(outcome));
    const before = await read(
      "before",
      understood.map(([name]) => name),
    );
    assert.ok(before.size > 100, `exiftool read only ${before.size} files`);
    for (const [name, tags] of before) {
      for (const [tag] of tagsOf(tags)) {
        for (const [what, pattern] of TELLING) {
          if (pattern.test(tag) && findings.get(name)?.[what] !== true) {
            untold.push(`${name}: ${what} (${tag})`);
          }
        }
      }
    }
    assert.deepEqual(untold, []);
    const left: string[] = [];
    const after = await read("after", cleaned.keys());
    assert.equal(after.size, cleaned.size);
    for (const [name, tags] of after) {
      for (const [tag, value] of tagsOf(tags)) {
        const isTelling = TELLING.some(([, pattern]) => pattern.test(tag));
        const isNamed = JSON.stringify(value).includes(listing.canary);
        if (isNamed || (isTelling && value !== "" && value !== 0)) left.push(`${name}: ${tag}`);
      }
    }
    assert.deepEqual(left, []);
    console.info(`exiftool read ${before.size} files before and ${after.size} after`);
  });

  it("keeps pixels, orientation and colour profile to the bit", async () => {
    const { stdout } = await run(
      python,
      [script, "compare", path.join(folder, "before"), path.join(folder, "after")],
      { maxBuffer: 1 << 24 },
    );
    const compared = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Compared);
    assert.equal(compared.length, cleaned.size);
    for (const { file, frames, ...seen } of compared) {
      assert.deepEqual(
        seen,
        { pixels: true, profile: true, orientation: true, left: [] },
        `${file}, ${frames} frames`,
      );
    }
  });
});
