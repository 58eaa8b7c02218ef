/**
 * What the page's files find in a browser and node has not, so that their logic runs without one.
 * Import it before them. Only what they capture at once is here, and nothing of it does anything:
 * a test that needs a browser's behaviour belongs to the specs.
 */

class Target extends EventTarget {
  readonly location = new URL("https://chat.example.org/");
  readonly origin = "https://chat.example.org";
}

const page = new Target() as Target & Record<string, unknown>;

/** As node's own, but one that waits does not keep the process from ending. */
class Port extends EventTarget {
  other: Port | undefined;

  postMessage(data: unknown): void {
    setImmediate(() => this.other?.dispatchEvent(new MessageEvent("message", { data })));
  }

  start(): void {
    // Messages come at once.
  }

  close(): void {
    this.other = undefined;
  }
}

class Channel {
  readonly port1 = new Port();
  readonly port2 = new Port();

  constructor() {
    this.port1.other = this.port2;
    this.port2.other = this.port1;
  }
}

/** Every accessor and method is there and gives undefined. */
function emptyClass(name: string, methods: readonly string[] = []): unknown {
  const made = { [name]: class {} }[name] as unknown as { prototype: Record<string, unknown> };
  for (const method of methods) made.prototype[method] = () => undefined;
  return made;
}

const missing: Record<string, unknown> = {
  MessageChannel: Channel,
  MessagePort: Port,
  XMLHttpRequest: emptyClass("XMLHttpRequest"),
  MutationObserver: emptyClass("MutationObserver"),
  ProgressEvent: Event,
  DOMParser: emptyClass("DOMParser", ["parseFromString"]),
  XMLSerializer: emptyClass("XMLSerializer", ["serializeToString"]),
  Node: emptyClass("Node"),
  Document: emptyClass("Document", ["querySelector"]),
  Element: emptyClass("Element"),
  HTMLAnchorElement: emptyClass("HTMLAnchorElement"),
  HTMLElement: emptyClass("HTMLElement"),
  HTMLDialogElement: emptyClass("HTMLDialogElement"),
  HTMLInputElement: emptyClass("HTMLInputElement"),
  ShadowRoot: emptyClass("ShadowRoot"),
  CSSStyleSheet: emptyClass("CSSStyleSheet"),
  MouseEvent: emptyClass("MouseEvent"),
};

/** A page keeps some things for a minute: its tests have ended by then, and their process may. */
const LONG_MS = 30_000;

function waitFor(task: () => void, wait: number): NodeJS.Timeout {
  const timer = setTimeout(task, wait);
  return wait < LONG_MS ? timer : timer.unref();
}

Object.assign(globalThis, missing);
for (const name of ["fetch", "crypto", "performance"]) {
  page[name] = (globalThis as unknown as Record<string, unknown>)[name];
}
Object.assign(page, missing, {
  top: page,
  navigator: { locks: { request: (_name: string, task: () => Promise<unknown>) => task() } },
  setTimeout: waitFor,
  clearTimeout: (timer: NodeJS.Timeout) => clearTimeout(timer),
  btoa: (text: string) => btoa(text),
});
Object.assign(globalThis, { window: page, document: { baseURI: "https://chat.example.org/" } });

export {};
