import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

const SITE = "https://chat.example.org";
const ACTION = "org.matrix.msc4515.get_rtc_transports";
const ADDRESS = "https://hs.example.org/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
const LIST = { rtc_transports: [{ type: "livekit", livekit_service_url: "https://sfu.example" }] };

/** A message as the browser sends it: `isTrusted` is what a script cannot set. */
class Message extends Event {
  override readonly isTrusted: boolean;
  readonly data: unknown;
  readonly origin: string;
  readonly source: unknown;

  constructor(given: { data: unknown; origin?: string; source?: unknown; isTrusted?: boolean }) {
    super("message");
    this.data = given.data;
    this.origin = given.origin ?? SITE;
    this.source = given.source ?? element;
    this.isTrusted = given.isTrusted ?? true;
  }
}

const element = {};
const frame = globalThis.window as unknown as {
  parent: unknown;
  location: { hash: string };
} & EventTarget;

describe("a call page in Element", () => {
  let heard: [string, string, number, string][] = [];
  const gate = {
    answer: (method: string, url: string, status: number, body: Uint8Array): undefined => {
      heard.push([method, url, status, new TextDecoder().decode(body)]);
    },
  };
  const answer = (response: unknown): unknown => ({ api: "fromWidget", action: ACTION, response });

  beforeEach(() => {
    heard = [];
  });

  test("learns the homeserver's call servers from Element, and from nobody else", async () => {
    Object.defineProperty(globalThis, "MessageEvent", { value: accessors(), configurable: true });
    const { installCallPageHook } = await import("./call-page.ts");
    frame.parent = element;
    const install = (baseUrl: string): void => {
      frame.location.hash = `#?userId=%40a%3Ax&baseUrl=${encodeURIComponent(baseUrl)}`;
      installCallPageHook(gate);
    };
    for (const none of ["", "/", "ftp://hs.example.org", "data:,x"]) install(none);
    install("https://hs.example.org/");
    const tell = (given: ConstructorParameters<typeof Message>[0]): void => {
      frame.dispatchEvent(new Message(given));
    };
    tell({ data: answer(LIST), origin: "https://other.example" });
    tell({ data: answer(LIST), source: {} });
    tell({ data: answer(LIST), isTrusted: false });
    tell({ data: { ...LIST, action: "io.element.join", response: LIST } });
    for (const data of [null, "text", answer(undefined), answer(null), answer("x")]) tell({ data });
    tell({ data: answer({ rtc_transports: ["x".repeat(65_536)] }) });
    assert.deepEqual(heard, []);
    tell({ data: answer(LIST) });
    assert.deepEqual(heard, [["GET", ADDRESS, 200, JSON.stringify(LIST)]]);
    install("http://localhost:8008");
    tell({ data: answer(LIST) });
    assert.equal(heard[2]?.[1], ADDRESS.replace("https://hs.example.org", "http://localhost:8008"));
  });
});

/** The browser's accessors stand on the prototype. */
function accessors(): unknown {
  const Made = class {};
  for (const name of ["data", "origin", "source", "ports"]) {
    Object.defineProperty(Made.prototype, name, {
      get(this: Record<string, unknown>): unknown {
        return this[name];
      },
    });
  }
  return Made;
}
