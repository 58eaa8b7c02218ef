/** Some minutes of use: nothing grows by them. `scripts/soak` goes through a whole day. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CYCLE } from "../soak/traffic.ts";
import { SHORT, soak } from "../soak/soak.ts";
import { bothBrowsers } from "../support/browsers.ts";

/** `MAX_KEY_LISTENERS` of `extension/page/room-state/keys.ts`. */
const MAX_WAITING = 4_352;

// Only Chromium says what lies in a page's heap, and where its WASM memories are.
describe("soak", { timeout: 600_000, skip: !bothBrowsers.includes("chromium") }, () => {
  it("memory and store stay as they are while a page syncs, asks and renames rooms", async () => {
    const report = await soak(SHORT);
    const { lived, verdicts, answered } = report;
    assert.equal(lived.syncs, SHORT.cycles * CYCLE.syncs);
    assert.equal(lived.requests, SHORT.cycles * CYCLE.requests);
    assert.equal(lived.changes, SHORT.cycles);
    assert.equal(answered.syncs, lived.syncs, "each sync reached the homeserver");
    assert.equal(lived.names, lived.changes, "each name came back readable");
    assert.ok((lived.statuses["200"] ?? 0) > lived.requests / 2, JSON.stringify(lived.statuses));
    assert.ok((lived.statuses["403"] ?? 0) > 0, "some are refused");
    assert.deepEqual(report.unhandled, []);
    // Names without a key wait in Mantle and in the page's crypto: as many as may wait, and no more.
    assert.ok(report.awaited > 3_000, `${report.awaited} wait`);
    assert.ok(report.awaited <= MAX_WAITING, `${report.awaited} wait`);
    assert.deepEqual(
      verdicts.filter(({ isFlat }) => !isFlat).map(({ what, growth }) => `${what}: ${growth}`),
      [],
    );
  });

  it("it would be seen if each request left a kilobyte behind", async () => {
    const { verdicts } = await soak({ cycles: 48, samples: 16, keptBytes: 1_024 });
    const page = verdicts.find(({ what }) => what === "page: JavaScript");
    assert.equal(page?.isFlat, false, `grew by ${page?.growth}`);
  });
});
