import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { npmFindings, rustFindings } from "./audit-results.ts";

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
    assert.ok("unasked" in rustFindings(false, ""));
  });
});
