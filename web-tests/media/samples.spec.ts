/**
 * Files that other projects test with, fetched by scripts/setup and not kept in the tree: the built
 * media module cleans, tells or leaves them; exiftool and Pillow judge.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { root } from "../../scripts/process.ts";
import {
  clean,
  type Cleaned,
  hasExiftool,
  mediaModule,
  readTags,
  telling,
  untold,
} from "./judges.ts";

const run = promisify(execFile);
const samples = path.join(root, ".tools/samples");
const python = process.env["MANTLE_SYNAPSE_PYTHON"] ?? path.join(root, ".venv/bin/python");
const SENT =
  /\.(?:jpe?g|png|gif|webp|hei[cf]|avif|tiff?|bmp|svg|cr2|pdf|do[ct]x?|od[tsp]|mp[34]|mov|mkv|avi|m4a|og[ga]|opus|flac|wav|aiff?|ape|wv|wma)$/i;
const PICTURE = /\.(?:jpe?g|png|gif|webp|hei[cf]|avif|tiff?|bmp)$/i;
const LARGEST = 4 << 20;

describe("samples of other projects", { timeout: 300_000 }, () => {
  let folder: string;
  const outcomes = new Map<string, Cleaned>();
  const isThere = existsSync(path.join(samples, "versions"));
  const skip = isThere ? false : "there are none: scripts/setup fetches them";

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "mantle-samples-"));
    if (!isThere) return;
    await Promise.all(["before", "after"].map((side) => mkdir(path.join(folder, side))));
    const glue = await mediaModule();
    for (const entry of await readdir(samples, { recursive: true })) {
      const source = path.join(samples, entry);
      if (!SENT.test(entry) || (await stat(source)).size > LARGEST) continue;
      const name = `${outcomes.size}-${path.basename(entry)}`;
      await copyFile(source, path.join(folder, "before", name));
      const outcome = clean(glue, await readFile(source));
      outcomes.set(name, outcome);
      if (outcome.made !== undefined) {
        await writeFile(path.join(folder, "after", name), outcome.made);
        const again = clean(glue, outcome.made);
        assert.equal(again.outcome, "unchanged", `${entry}, cleaned: ${again.outcome}`);
      }
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const of = (wanted: RegExp): string[] =>
    [...outcomes].filter(([, { outcome }]) => wanted.test(outcome)).map(([name]) => name);

  it("cleans many, and tells or leaves the others", { skip }, () => {
    const counts = [/^cleaned$/, /^unchanged$/, /^not-removable$/].map(
      (wanted) => of(wanted).length,
    );
    const [cleaned, kept, told] = counts;
    console.info(`${outcomes.size} files: ${cleaned} cleaned, ${kept} with nothing, ${told} told`);
    assert.ok(outcomes.size > 150, `only ${outcomes.size} files`);
    assert.ok((cleaned ?? 0) > 60, `only ${cleaned} cleaned`);
  });

  it("leaves nothing for exiftool to read, and nothing untold", { skip }, async (test) => {
    if (!(await hasExiftool()))
      return test.skip("exiftool is not installed: scripts/setup does it");
    const names = of(/^(?:cleaned|unchanged|not-removable)$/);
    const before = await readTags(names.map((name) => path.join(folder, "before", name)));
    const missed = [...before].flatMap(([file, tags]) => {
      const name = path.basename(file);
      return untold(tags, outcomes.get(name)?.told ?? {}).map((what) => `${name}: ${what}`);
    });
    assert.deepEqual(missed, []);
    const after = await readTags(of(/^cleaned$/).map((name) => path.join(folder, "after", name)));
    const left = [...after].flatMap(([file, tags]) =>
      telling(tags).map((tag) => `${path.basename(file)}: ${tag}`),
    );
    assert.deepEqual(left, []);
    console.info(`exiftool read ${before.size} files before and ${after.size} after`);
  });

  it("keeps pixels, orientation and colour profile", { skip }, async () => {
    const script = path.join(root, "web-tests/media/corpus.py");
    const sides = ["before", "after"].map((side) => path.join(folder, side));
    const { stdout } = await run(python, [script, "compare", ...sides], { maxBuffer: 1 << 26 });
    const lines = stdout.trim().split("\n");
    const seen = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(seen.length, of(/^cleaned$/).length);
    // Sound is played, and drawings are read, by the native test of the same files.
    const pictures = seen.filter(({ file }) => PICTURE.test(String(file)));
    assert.ok(pictures.length > 40, `only ${pictures.length} pictures`);
    for (const { file, frames, error, ...same } of pictures) {
      // Pillow takes pictures above 179 million pixels for an attack.
      if (String(error).startsWith("DecompressionBombError")) continue;
      assert.equal(error, undefined, String(file));
      const wanted = { pixels: true, profile: true, orientation: true, left: [] };
      assert.deepEqual(same, wanted, `${String(file)}, ${String(frames)} frames`);
    }
  });
});
