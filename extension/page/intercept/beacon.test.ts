import "../../testing/page.ts";

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";

import { NEEDS_BODY, PASS, type RequestPolicy } from "./decision.ts";

interface Sent {
  readonly size: number;
  readonly keepalive: boolean;
  readonly answered: () => void;
}

let sent: Sent[] = [];
/** Lets the bodies be read that are waiting for it. */
let readings: (() => void)[] = [];
const page = globalThis.window as unknown as Record<string, unknown>;
const readWhole = Object.getOwnPropertyDescriptor(Response.prototype, "arrayBuffer")
  ?.value as () => Promise<ArrayBuffer>;

const settled = (): Promise<void> => new Promise((resume) => setTimeout(resume, 20));
const blob = (size: number): Blob => new Blob(["x".repeat(size)], { type: "text/plain" });

describe("beacons whose data must be read first, in Firefox", () => {
  let send: (data: Blob) => boolean = () => false;

  beforeEach(async () => {
    if (page["mozInnerScreenX"] !== undefined) return;
    page["mozInnerScreenX"] = 0;
    page["navigator"] = { ...(page["navigator"] as object), sendBeacon: () => true };
    page["fetch"] = (_url: string, init: RequestInit) =>
      new Promise<Response>((resume) => {
        sent.push({
          size: (init.body as Uint8Array).length,
          keepalive: init.keepalive === true,
          answered: () => resume(new Response()),
        });
      });
    Response.prototype.arrayBuffer = async function (this: Response): Promise<ArrayBuffer> {
      await new Promise<void>((resume) => readings.push(resume));
      return Reflect.apply(readWhole, this, []) as Promise<ArrayBuffer>;
    };
    const { installBeaconHook } = await import("./beacon.ts");
    installBeaconHook({
      decide: () => NEEDS_BODY,
      decideBody: () => PASS,
    } as unknown as RequestPolicy);
    const navigator = page["navigator"] as { sendBeacon(url: string, data: Blob): boolean };
    send = (data) => navigator.sendBeacon("https://hs.example.org/x", data);
  });

  afterEach(async () => {
    for (const read of readings) read();
    await settled();
    for (const { answered } of sent) answered();
    await settled();
    [sent, readings] = [[], []];
  });

  const read = async (at: number): Promise<void> => {
    readings[at]?.();
    await settled();
  };

  test("a small one outlives the page while a large one is still being read", async () => {
    assert.ok(send(blob(100_000)));
    assert.ok(send(blob(10)));
    await read(1);
    await read(0);
    assert.deepEqual(
      sent.map(({ size, keepalive }) => [size, keepalive]),
      [
        [10, true],
        [100_000, false],
      ],
    );
  });

  test("only those under way that outlive it count against the next", async () => {
    send(blob(40_000));
    send(blob(40_000));
    send(blob(20_000));
    for (const at of [0, 1, 2]) await read(at);
    assert.deepEqual(
      sent.map(({ keepalive }) => keepalive),
      [true, false, true],
    );
    sent[0]?.answered();
    await settled();
    send(blob(40_000));
    await read(3);
    assert.equal(sent[3]?.keepalive, true, "what is over counts no more");
  });
});
