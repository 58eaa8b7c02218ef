import wasmBase64 from "mantle-core-wasm";
import * as glue from "../../generated/mantle_core.js";
import type { Core, Effect } from "../../generated/mantle_core.js";
import {
  clearTimer,
  NativePromise,
  NativeUint8Array,
  NativeWebAssembly,
  now,
  keysOf,
  parseJson,
  push,
  quoteJson,
  setTimer,
} from "../primordials/primordials.ts";
import { bytesOfBase64 } from "../primordials/base64.ts";
import { REWRITTEN } from "../intercept/decision.ts";
import type {
  FirstDelegate,
  FrameVerdict,
  RequestPolicy,
  HandlerAction,
  PeerVerdict,
  SeenBody,
  SyntheticReply,
  Delegate,
} from "../intercept/decision.ts";
import { refusal } from "../intercept/refusal.ts";
import { translatedError } from "../texts/texts.ts";
import { fallbackAnswer, fallbackDecision } from "./fallback.ts";
import { type KeptEntries, textOfEntries, withEntry } from "./kept-entries.ts";
import { UnnamedSessions } from "./unnamed-sessions.ts";

/** How long a request waits for settings before the strictest ones are taken. */
const SETTINGS_WAIT = 10_000;

/** Settings as they came from the relay: JSON texts. */
export interface SettingsTexts {
  readonly stored: string | null;
  readonly managed: string | null;
  /** What stays on this device, as it was when the page began. */
  readonly kept: Readonly<Record<string, string>>;
}

/** What a handler has to know of its shield's settings. */
export interface ShieldSettings {
  readonly mode: "off" | "flag" | "ask" | "on";
  readonly options: Readonly<Record<string, string | number | boolean | readonly string[]>>;
  /** Allowed hosts. */
  readonly allow: readonly string[];
}

export type CoreStatus = "running" | "no-wasm" | "trapped";

/** What the page script is told about the core's health. */
export interface CoreObserver {
  /** The state changed; `no-wasm` and `trapped` mean that protected requests are refused. */
  status(status: CoreStatus): void;
  /** The core has effects to fetch. */
  pending(): void;
  /** The page is about to send something. */
  asked(): void;
  /** Something is to stay on this device: JSON text for the store, by key; `null`: no longer. */
  kept(key: string, value: string | null): void;
}

/**
 * The one place where the core is built, called and, when it traps, built again. A call that traps
 * twice is decided by the fallback; the next request gets a new core.
 */
export class GuardedCore implements RequestPolicy {
  /** Handles requests and answers for the handler "session". */
  readonly sessions = new UnnamedSessions(this);
  readonly #observer: CoreObserver;
  readonly #documentUrl: string;
  readonly #first: FirstDelegate | undefined;
  #core: Core | undefined;
  #module: WebAssembly.Module | undefined;
  #isBuilt = false;
  #settings: SettingsTexts | undefined;
  #isStrictest = false;
  #waiting: { promise: Promise<void>; resolve: () => void; timer: number } | undefined;
  #status: CoreStatus = "running";
  /** Set while the decision in hand is the fallback's. */
  #fallback: SyntheticReply | undefined;
  /** Fetched from the core and not handed on yet. */
  #effects: Effect[] = [];
  /** What the core learned from answers, for the one that follows it after a trap. */
  #memory: string | undefined;
  /** What stays on this device; undefined until the relay said what was there. */
  #kept: KeptEntries | undefined;

  constructor(documentUrl: string, observer: CoreObserver, first?: FirstDelegate) {
    this.#documentUrl = documentUrl;
    this.#observer = observer;
    this.#first = first;
    this.#module = compile();
    if (this.#module === undefined) this.#status = "no-wasm";
    else this.#rebuild();
  }

  get status(): CoreStatus {
    return this.#status;
  }

  applySettings(settings: SettingsTexts): void {
    if (this.#kept === undefined) {
      this.#kept = { ...settings.kept };
      this.#attemptOnce((core) => this.#restore(core));
    }
    this.#settings = settings;
    this.#isStrictest = false;
    this.#attempt((core) => {
      core.applySettings(settings.stored ?? undefined, settings.managed ?? undefined);
    }, undefined);
    this.#finishWaiting();
  }

  isReady(): boolean {
    return this.#settings !== undefined || this.#isStrictest || this.#module === undefined;
  }

  whenReady(): Promise<void> {
    if (this.#waiting === undefined) {
      let resolve = (): void => undefined;
      const promise = new NativePromise<void>((settle) => {
        resolve = settle;
      });
      this.#waiting = { promise, resolve, timer: setTimer(() => this.#giveUp(), SETTINGS_WAIT) };
      if (this.isReady()) this.#finishWaiting();
    }
    return this.#waiting.promise;
  }

  decide(method: string, url: string): number {
    this.#observer.asked();
    this.#fallback = undefined;
    if (!this.isReady()) this.#keepEffects();
    const flags = this.#attempt((core) => core.decide(method, url), undefined);
    if (flags === undefined) return this.#decideWithout(method, url);
    this.#notePending();
    return this.#flags(flags, method, url);
  }

  forgetDecision(): void {
    this.#attemptOnce((core) => core.effects(now()));
  }

  decideBody(method: string, url: string, headers: string, body: Uint8Array): number {
    this.#fallback = undefined;
    const flags = this.#attempt((core) => core.decideBody(method, url, headers, body), undefined);
    if (flags === undefined) return this.#decideWithout(method, url);
    if ((flags & REWRITTEN) !== 0) this.#keep();
    this.#notePending();
    return this.#flags(flags, method, url);
  }

  takeReply(): SyntheticReply {
    if (this.#fallback !== undefined) return this.#fallback;
    const reply = this.#attemptOnce((core) => core.takeReply());
    return reply === undefined ? refusal() : { ...reply, body: translatedError(reply.body) };
  }

  takeBody(): Uint8Array {
    return this.#attemptOnce((core) => core.takeBody()) ?? new NativeUint8Array(0);
  }

  /** Of the shield with this id; undefined without a working core. */
  shieldSettings(shield: string): ShieldSettings | undefined {
    const text = this.#attemptOnce((core) => core.shieldSettings(shield));
    return text === undefined ? undefined : (parseJson(text) as ShieldSettings);
  }

  /** Of a request, or of its answer too; without a working core nothing rests. */
  canStayUnloaded(method: string, url: string, answer?: Uint8Array): boolean {
    return this.#attemptOnce((core) => core.canStayUnloaded(method, url, answer)) ?? false;
  }

  takeUrl(): string | undefined {
    return this.#attemptOnce((core) => core.takeUrl());
  }

  takeDelegates(): readonly Delegate[] {
    const delegates = this.#attemptOnce((core) => core.takeDelegates()) ?? [];
    const all = this.sessions.delegates(delegates);
    return this.#first === undefined ? all : this.#first.delegates(all);
  }

  takeResponseDelegate(): Delegate | undefined {
    return this.#attemptOnce((core) => core.takeResponseDelegate())?.[0];
  }

  note(shield: string, action: HandlerAction, method: string, url: string): void {
    this.#attemptOnce((core) => core.note(shield, action, method, url));
    this.#notePending();
  }

  answer(method: string, url: string, status: number, body: Uint8Array): SeenBody {
    const answer = this.#attempt<SeenBody>(
      (core) => core.answer(method, url, status, body),
      fallbackAnswer(),
    );
    this.#memory = this.#attemptOnce((core) => core.memory()) ?? this.#memory;
    this.#notePending();
    return answer;
  }

  peer(urls: string): PeerVerdict | undefined {
    // Without a core no server is contacted at all.
    const verdict = this.#attempt((core) => core.peer(urls), noServers);
    this.#notePending();
    return verdict;
  }

  frame(url: string): FrameVerdict | undefined {
    const verdict = this.#attempt((core) => core.frame(url), undefined);
    this.#notePending();
    return verdict;
  }

  link(url: string): string | undefined {
    const own = this.#attempt((core) => core.link(url), undefined);
    this.#notePending();
    return own;
  }

  prompt(what: string): Delegate | undefined {
    const delegates = this.#attempt<readonly Delegate[]>((core) => core.prompt(what), []);
    this.#notePending();
    return delegates[0];
  }

  /** Effects since the last call; empty without a working core. */
  effects(): readonly Effect[] {
    // What a session left behind is dropped with nothing rewritten.
    this.#keep();
    this.#keepEffects();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #keep(): void {
    const text = this.#attemptOnce((core) => core.takeUnsaved());
    if (text === undefined) return;
    const entries = parseJson(text) as Record<string, unknown>;
    const keys = keysOf(entries);
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] as string;
      // `null`: it is not to stay any longer.
      const value = entries[key] === null ? null : quoteJson(entries[key]);
      this.#kept = withEntry(this.#kept, key, value);
      this.#observer.kept(key, value);
    }
  }

  /** A new core has what stays on this device. */
  #restore(core: Core): void {
    core.restore(textOfEntries(this.#kept ?? {}));
  }

  #keepEffects(): void {
    const effects = this.#attemptOnce((core) => (core.pending() ? core.effects(now()) : undefined));
    for (let index = 0; index < (effects?.length ?? 0); index += 1) {
      push(this.#effects, effects?.[index]);
    }
  }

  #flags(flags: number, method: string, url: string): number {
    const all = this.sessions.flags(flags, url);
    return this.#first === undefined ? all : this.#first.flags(all, method, url);
  }

  #decideWithout(method: string, url: string): number {
    const decision = fallbackDecision(method, url);
    this.#fallback = decision.reply;
    return decision.flags;
  }

  /** Runs a call; when it traps once more with a fresh core, `otherwise`. */
  #attempt<Result>(call: (core: Core) => Result, otherwise: Result): Result {
    if (this.#module === undefined) return otherwise;
    if (this.#core !== undefined || this.#rebuild()) {
      try {
        return call(this.#core as Core);
      } catch {
        this.#discard();
      }
      if (this.#rebuild()) {
        try {
          return call(this.#core as Core);
        } catch {
          this.#discard();
        }
      }
    }
    this.#setStatus("trapped");
    return otherwise;
  }

  /** For calls that belong to an earlier one: a fresh core would know nothing about it. */
  #attemptOnce<Result>(call: (core: Core) => Result): Result | undefined {
    if (this.#core === undefined) return undefined;
    try {
      return call(this.#core);
    } catch {
      this.#discard();
      return undefined;
    }
  }

  /** A trapped instance is never called again, not even to be freed. */
  #discard(): void {
    this.#core = undefined;
  }

  #rebuild(): boolean {
    if (this.#module === undefined) return false;
    try {
      if (!this.#isBuilt) {
        glue.initSync({ module: this.#module });
        this.#isBuilt = true;
      } else {
        glue.__wbg_reset_state();
      }
      const core = new glue.Core(this.#documentUrl);
      if (this.#settings !== undefined) {
        const { stored, managed } = this.#settings;
        core.applySettings(stored ?? undefined, managed ?? undefined);
      } else if (this.#isStrictest) {
        core.assumeStrictest();
      }
      if (this.#memory !== undefined) core.remember(this.#memory);
      this.#restore(core);
      this.#core = core;
      return true;
    } catch {
      return false;
    }
  }

  #notePending(): void {
    if (this.#attemptOnce((core) => core.pending()) !== true) return;
    // At once: a client that signs out may load its page anew before the effects are fetched.
    this.#keep();
    this.#observer.pending();
  }

  #giveUp(): void {
    if (!this.isReady()) {
      this.#isStrictest = true;
      this.#attempt((core) => {
        core.assumeStrictest();
      }, undefined);
    }
    this.#finishWaiting();
  }

  #finishWaiting(): void {
    if (this.#waiting === undefined) return;
    clearTimer(this.#waiting.timer);
    this.#waiting.resolve();
  }

  #setStatus(status: CoreStatus): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#observer.status(status);
  }
}

const noServers: PeerVerdict = { relayOnly: true, kept: [], sentence: null };

/** undefined where the page's content security policy or the browser forbids WebAssembly. */
function compile(): WebAssembly.Module | undefined {
  if (NativeWebAssembly === undefined) return undefined;
  try {
    return new NativeWebAssembly.Module(bytesOfBase64(wasmBase64));
  } catch {
    return undefined;
  }
}
