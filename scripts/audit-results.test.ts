import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { isGreen, npmFindings, rustFindings } from "./audit-results.ts";

describe("npm's answer", () => {
  it("has findings, each with its severity and cause", () => {
    const output = `npm warn something\n${JSON.stringify({
      vulnerabilities: {
        "left-pad": { severity: "high", via: [{ title: "Pads wrong" }, { title: "Pads wrong" }] },
        above: { severity: "low", via: ["left-pad"] },
      },
    })}\n`;
    assert.deepEqual(npmFindings(output), {
      findings: ["left-pad (high): Pads wrong", "above (low): by left-pad"],
    });
    assert.deepEqual(npmFindings('{"vulnerabilities": {}}'), { findings: [] });
  });

  it("that is none is no clean bill", () => {
    assert.deepEqual(npmFindings('{"message": "request failed\\nagain"}'), {
      unasked: "npm's registry did not answer (request failed)",
    });
    for (const output of ["", "npm error", "{", "}{"]) {
      assert.ok("unasked" in npmFindings(output), output);
    }
  });
});

describe("cargo-deny's lines", () => {
  const line = (severity: string): string =>
    JSON.stringify({
      type: "diagnostic",
      fields: { severity, code: "vulnerability", message: "reads too far" },
    });

  it("are findings where they are errors", () => {
    const expected = { findings: ["vulnerability: reads too far"] };
    assert.deepEqual(rustFindings(false, `${line("warning")}\n${line("error")}\n`), expected);
    assert.deepEqual(rustFindings(true, line("warning")), { findings: [] });
    assert.deepEqual(rustFindings(true, ""), { findings: [] });
  });

  it("without a finding are no clean bill when it failed", () => {
    const log = JSON.stringify({
      type: "log",
      fields: { level: "ERROR", message: "failed to fetch advisory database" },
    });
    assert.deepEqual(rustFindings(false, log), {
      unasked: "the database of advisories cannot be had here (failed to fetch advisory database)",
    });
    assert.ok("unasked" in rustFindings(false, log.replace("failed to fetch", "Unable to load")));
  });

  it("that say neither, though it failed, are a finding", () => {
    for (const output of ["", "error: unexpected argument", `${line("warning")}\n`]) {
      const audit = rustFindings(false, output);
      assert.ok("findings" in audit && audit.findings.length === 1, output);
    }
    const level = "ERROR";
    const log = JSON.stringify({ type: "log", fields: { level, message: "no Cargo.toml" } });
    assert.deepEqual(rustFindings(false, log), { findings: ["cargo-deny failed: no Cargo.toml"] });
  });
});

describe("an audit", () => {
  const clean = { failed: 0, skipped: 0 };
  it("fails by what it finds, and where all must be asked by what it could not ask", () => {
    assert.equal(isGreen(clean, false), true);
    assert.equal(isGreen(clean, true), true);
    assert.equal(isGreen({ ...clean, failed: 1 }, false), false);
    assert.equal(isGreen({ ...clean, skipped: 1 }, false), true);
    assert.equal(isGreen({ ...clean, skipped: 1 }, true), false);
    assert.equal(isGreen({ failed: 0, skipped: 7 }, true), false);
  });
});
