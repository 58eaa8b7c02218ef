/**
 * Real pictures of every format, made here by Pillow and libheif, and hostile ones: cleaned by the
 * built media module or refused with a reason, and decoded on both sides.
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
}

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
      const { outcome, made } = clean(file);
      outcomes.set(name, outcome);
      if (made === undefined) continue;
      cleaned.set(name, made);
      await writeFile(path.join(folder, "after", name), made);
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  function clean(file: Buffer): { outcome: string; made?: Buffer } {
    const examination = new glue.Examination(file.length);
    while (examination.next()) {
      const { offset, length } = examination;
      examination.supply(file.subarray(offset, offset + length));
    }
    const report = JSON.parse(examination.report() ?? "") as {
      refusal: string | null;
      isChanged: boolean;
    };
    if (report.refusal !== null) return { outcome: report.refusal };
    if (!report.isChanged) return { outcome: "unchanged" };
    const pieces = JSON.parse(examination.pieces() ?? "") as (
      [number, number] | number | { bytes: number[] }
    )[];
    const parts = pieces.map((piece) => {
      if (typeof piece === "number") return Buffer.alloc(piece);
      return "bytes" in piece ? Buffer.from(piece.bytes) : file.subarray(piece[0], piece[1]);
    });
    examination.free();
    return { outcome: "cleaned", made: Buffer.concat(parts) };
  }

  it("cleans every format and refuses hostile files with the right reason", () => {
    const names = Object.keys(listing.files);
    assert.ok(names.length > 70, `only ${names.length} files`);
    for (const ending of ["jpg", "png", "webp", "avif", "heic", "tiff", "gif"]) {
      assert.ok(
        [...cleaned.keys()].some((name) => name.endsWith(ending)),
        ending,
      );
    }
    assert.deepEqual(Object.fromEntries(outcomes), listing.files);
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
