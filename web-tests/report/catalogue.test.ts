/** Every leak of the tables: a shield and a spec that shows it, or a reason in docs/limits.md. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { before, describe, it } from "node:test";
import { filesBelow } from "../../scripts/fingerprint.ts";
import { MORE_SHIELDS } from "./hostile-more.ts";
import { ROWS } from "./rows.ts";
import { readTables } from "./run.ts";
import type { Tables } from "./run.ts";

const root = path.resolve(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

describe("catalogue of leaks", () => {
  let tables: Tables;
  let limits: Map<string, string>;
  let specs: Map<string, string>;

  before(async () => {
    tables = await readTables();
    limits = limitsById(read("docs/limits.md"));
    const files = filesBelow("web-tests").filter((file) => file.endsWith(".spec.ts"));
    specs = new Map(files.map((file) => [file, read(file)]));
  });

  it("has a shield or a limit for every leak, and no plans", () => {
    const shields = new Set(tables.shields.map(({ id }) => id));
    const wrong = tables.leaks.flatMap(({ id, shield }) => {
      if (shield === null) {
        return limits.has(id) ? [] : [`${id}: no shield, and no row in docs/limits.md says why`];
      }
      if (!shields.has(shield)) return [`${id}: the shield ${shield} is only planned`];
      return limits.has(id) ? [`${id}: ${shield} closes it, yet docs/limits.md says it stays`] : [];
    });
    assert.deepEqual(wrong, []);
  });

  it("has a spec for every leak with a shield", () => {
    const missing = tables.leaks
      .filter(({ id, shield }) => shield !== null && proof(id, specs) === undefined)
      .map(({ id, shield }) => `${id} (${shield}): not driven, and its reason names no spec`);
    assert.deepEqual(missing, []);
  });

  it("drives something for every shield in the hostile world", () => {
    const driven = new Set(ROWS.filter((row) => !("notDriven" in row)).map(({ id }) => id));
    const idle = tables.shields.filter(
      ({ id }) => !tables.leaks.some((leak) => leak.shield === id && driven.has(leak.id)),
    );
    // What the report drives nothing of is done there besides.
    assert.deepEqual(idle.map(({ id }) => id).sort(), [...MORE_SHIELDS]);
  });

  it("knows every leak that docs/limits.md names, and each has a reason", () => {
    const known = new Set(tables.leaks.map(({ id }) => id));
    assert.deepEqual(
      [...limits].filter(([id, why]) => !known.has(id) || why.length < 20),
      [],
    );
  });
});

/** The spec that shows a leak: the report drives it, or its row names another file that exists. */
function proof(id: string, specs: ReadonlyMap<string, string>): string | undefined {
  const row = ROWS.find((candidate) => candidate.id === id);
  if (row === undefined) return undefined;
  if (!("notDriven" in row)) return "web-tests/e2e/leak-report.spec.ts";
  const named = /\be2e\/[\w/-]+\.spec\.ts/.exec(row.notDriven)?.[0];
  if (named !== undefined && existsSync(path.join(root, "web-tests", named))) return named;
  return [...specs].find(([, text]) => text.includes(`"${id}"`))?.[0];
}

/** Rows of the table "Leaks that stay": a reason may hold for several ids. */
function limitsById(text: string): Map<string, string> {
  const [, table = ""] = text.split("## Leaks that stay");
  const rows = [...table.matchAll(/^\| (?<ids>`[^|]+) \| (?<why>[^|]+) \|$/gm)];
  return new Map(
    rows.flatMap(({ groups }) =>
      [...(groups?.["ids"] ?? "").matchAll(/`([a-z0-9-]+)`/g)].map(([, id = ""]): [
        string,
        string,
      ] => [id, groups?.["why"] ?? ""]),
    ),
  );
}
