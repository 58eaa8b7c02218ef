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
import { root } from "../../scripts/process.ts";
import { clean, hasExiftool, mediaModule, readTags, telling, untold } from "./judges.ts";

const run = promisify(execFile);
const script = path.join(root, "web-tests/media/corpus.py");
const own = path.join(root, ".venv/bin/python");
const python = process.env["MANTLE_SYNAPSE_PYTHON"] ?? own;

interface Listing {
  canary: string;
  files: Record<string, string>;
  tells: Record<string, string[]>;
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
  const findings = new Map<string, Record<string, boolean>>();

  before(async () => {
    if (!existsSync(python)) throw new Error("Python is not set up: run scripts/setup.");
    folder = await mkdtemp(path.join(tmpdir(), "mantle-corpus-"));
    await run(python, [script, "make", path.join(folder, "before")]);
    await mkdir(path.join(folder, "after"));
    listing = JSON.parse(
      await readFile(path.join(folder, "before/corpus.json"), "utf8"),
    ) as Listing;
    glue = await mediaModule();
    for (const name of Object.keys(listing.files)) {
      const file = await readFile(path.join(folder, "before", name));
      const { outcome, made, told } = clean(glue, file);
      outcomes.set(name, outcome);
      findings.set(name, told);
      if (made === undefined) continue;
      cleaned.set(name, made);
      await writeFile(path.join(folder, "after", name), made);
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("cleans every format and refuses hostile files with the right reason", () => {
    const names = Object.keys(listing.files);
    assert.ok(names.length > 170, `only ${names.length} files`);
    const endings = ["jpg", "png", "webp", "avif", "heic", "tiff", "gif", "jxl", "svg"];
    for (const ending of [...endings, "mp3", "flac", "ogg", "wav", "m4a"]) {
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
      const { outcome, made: again } = clean(glue, made);
      assert.ok(outcome === "unchanged" || again?.equals(made), `${name}: ${outcome}`);
    }
  });

  it("leaves nothing for exiftool to read, and nothing untold that it reads", async (test) => {
    if (!(await hasExiftool()))
      return test.skip("exiftool is not installed: scripts/setup does it");
    // What cannot be read to its end is asked about as such.
    const isRead = (outcome: string): boolean =>
      /^(?:cleaned|unchanged|not-removable)$/.test(outcome);
    const understood = [...outcomes].filter(([, outcome]) => isRead(outcome));
    const before = await readTags(understood.map(([name]) => path.join(folder, "before", name)));
    assert.ok(before.size > 100, `exiftool read only ${before.size} files`);
    const missed = [...before].flatMap(([file, tags]) => {
      const name = path.basename(file);
      return untold(tags, findings.get(name) ?? {}).map((what) => `${name}: ${what}`);
    });
    assert.deepEqual(missed, []);
    const after = await readTags(
      Array.from(cleaned.keys(), (name) => path.join(folder, "after", name)),
    );
    assert.equal(after.size, cleaned.size);
    const left = [...after].flatMap(([file, tags]) => {
      const named = tags.filter(([, value]) => JSON.stringify(value).includes(listing.canary));
      const found = [...telling(tags), ...named.map(([tag]) => tag)];
      return found.map((tag) => `${path.basename(file)}: ${tag}`);
    });
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
