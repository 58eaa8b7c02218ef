import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";

import { LOW_PRIORITY, run } from "./process.ts";

const AUTOGROUP = "/proc/self/autogroup";

describe("what runs at low priority", () => {
  /** How nice a child is, in its session and with it; asked for when it has been told. */
  const asked = async (env: Record<string, string>): Promise<string> => {
    const command = `sleep 0.5; nice; cat ${AUTOGROUP} 2>/dev/null || true`;
    return (await run("sh", ["-c", command], { timeoutSeconds: 30, env })).output;
  };

  it("waits for all others, its session as well", async () => {
    const said = await asked({ [LOW_PRIORITY]: "1" });
    assert.match(said, /^19$/m);
    if (existsSync(AUTOGROUP)) assert.match(said, / nice 19$/m);
  });

  it("is nothing else", async () => {
    const said = await asked({});
    assert.doesNotMatch(said, /^19$/m);
    if (existsSync(AUTOGROUP)) assert.match(said, / nice 0$/m);
  });
});
