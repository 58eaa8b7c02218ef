import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { asLine, type Figure, isOver, performancePage, remarksIn } from "./bench-figures.ts";

const about = {
  machine: "2 × a processor",
  page: "a page",
  measured: { start: { day: "1970-01-01", of: "0123456789+" } },
};
const size: Figure = { what: "WASM", value: 301, unit: "bytes", limit: 300 };
const time: Figure = { what: "firefox: decide", value: 1.234, unit: "µs", limit: 2 };

describe("figures of the bench", () => {
  it("are over their limit when they are no number", () => {
    assert.ok(isOver({ ...time, value: Number.NaN }));
    assert.ok(isOver(size));
    assert.ok(!isOver(time));
    assert.ok(!isOver({ ...size, limit: undefined }));
  });

  it("are told with unit and limit", () => {
    assert.match(asLine(time), /^firefox: decide +1\.23 µs {2}\(limit 2\.00\)$/);
  });

  it("say in the document which of them are over", async () => {
    const page = await performancePage([size, time], about);
    assert.match(page, /\(2 × a processor\)/);
    assert.match(page, /\| start +\| 1970-01-01 \| 0123456789\+ \|/);
    assert.match(page, /\| WASM +\| \*\*301 bytes\*\* +\| +300 \|/);
    assert.match(page, /## Firefox[^]*\| decide +\| +1\.23 µs +\| +2\.00 \|/);
    assert.match(page, /\(1 of 2\)/);
    assert.equal(remarksIn(page), "");
  });

  it("leave what people wrote below them", async () => {
    const remarks = "## Remarks\n\nThe size grew by a byte.\n";
    const page = await performancePage([size], about, remarks);
    assert.equal(remarksIn(page), remarks);
    assert.equal(remarksIn(await performancePage([time], about, remarksIn(page))), remarks);
  });
});
