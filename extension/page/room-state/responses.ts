/** Answers that carry state, on their way to the page: encrypted state becomes clear state. */
import type { Needs } from "../../generated/mantle_state.js";
import { decodeText, now, setTimer } from "../primordials/primordials.ts";
import type { GuardedCore } from "../core/guarded-core.ts";
import { bodyBytes } from "../intercept/handlers.ts";
import type { ResponseHandler, PausedRequest, Outcome } from "../intercept/handlers.ts";
import type { StateEngine } from "./engine.ts";
import type { KeyFetcher } from "./keys.ts";
import { Line } from "./line.ts";
import { yieldToPage } from "../primordials/steps.ts";
import { TimeSlicer } from "./time-slicing.ts";

/** Events whose owner is not known yet are looked at again this often, as syncs pass. */
const OWNER_RETRY = 20_000;
/** After a sync that did not need the Rust half, it starts this much later, in the page's rest. */
const WAKE_AFTER = 5_000;
/** Rounds of "needs" for one answer; what is missing then heals later. */
const MAX_ROUNDS = 3;

export interface ReadHooks {
  /** Before a request is sent whose answer carries state. */
  asked(): void;
  /** After an answer was looked at: members came or went, devices changed, problems were found. */
  looked(): void;
}

export class StateReader implements ResponseHandler {
  readonly #engine: StateEngine;
  readonly #keys: KeyFetcher;
  readonly #core: Pick<GuardedCore, "canStayUnloaded">;
  readonly #hooks: ReadHooks;
  readonly #slicer = new TimeSlicer();
  readonly #inspecting = new Line();
  #ownersLookedAt = 0;
  #isWaking = false;

  constructor(
    engine: StateEngine,
    keys: KeyFetcher,
    core: Pick<GuardedCore, "canStayUnloaded">,
    hooks: ReadHooks,
  ) {
    this.#engine = engine;
    this.#keys = keys;
    this.#core = core;
    this.#hooks = hooks;
  }

  async before(request: PausedRequest): Promise<Outcome | undefined> {
    const { method, url } = request;
    this.#hooks.asked();
    if (this.#engine.isUnloaded && this.#core.canStayUnloaded(method, url)) return undefined;
    await this.#engine.started();
    const before = this.#engine.call((state) => state.before(method, url));
    switch (before.kind) {
      case "reply":
        return { kind: "reply", status: 200, body: before.body };
      case "held": {
        const body = await this.#open(before.answer, before.needs);
        this.#looked();
        // Without a body the second half was given up: the homeserver is asked once more.
        return body === undefined
          ? undefined
          : { kind: "reply", status: 200, body: decodeText(body) };
      }
      case "send": {
        if (before.url !== undefined) return { kind: "send", url: before.url };
        // Sliding sync names the types it wants in its body.
        if (method !== "POST" || request.body === undefined) return undefined;
        const body = await bodyBytes(request.body);
        const wider = this.#engine.call((state) => state.includeEncryptedType(method, url, body));
        return wider === undefined ? undefined : { kind: "send", body: wider };
      }
      default:
        return undefined;
    }
  }

  async open(
    { method, url }: { method: string; url: string },
    status: number,
    body: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    if (status !== 200) return undefined;
    if (this.#engine.isUnloaded && this.#core.canStayUnloaded(method, url, body)) {
      this.#wakeSoon();
      return undefined;
    }
    await this.#engine.started();
    await this.#engine.knowsDevice().catch(() => false);
    const looking = (): Promise<Needs | undefined> => this.#inspect({ method, url }, body);
    // What one answer says comes before what the next one does.
    const needs = await this.#inspecting.run(looking);
    const opened = needs === undefined ? undefined : await this.#open(needs.answer, needs, body);
    try {
      this.#looked();
    } catch {
      // What was opened may stand where the body was, so it is handed over whatever happens here.
    }
    return opened;
  }

  /** What an answer needs; a large one is looked at in parts. */
  async #inspect(
    { method, url }: { method: string; url: string },
    body: Uint8Array,
  ): Promise<Needs | undefined> {
    let needs = this.#engine.call((state) => state.inspect(method, url, body));
    while (needs?.more === true) {
      const { answer } = needs;
      await yieldToPage();
      needs = this.#engine.call((state) => state.inspectMore(answer));
    }
    return needs;
  }

  /** The edited answer, in place of the bytes it was made from where those are given. */
  async #open(
    answer: number,
    first: Needs | undefined,
    into?: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    try {
      let needs = first;
      for (let round = 0; ;) {
        if (needs !== undefined && round < MAX_ROUNDS) {
          round += 1;
          await this.#fetchNeeded(needs);
        }
        needs = undefined;
        const start = now();
        const step = this.#engine.call((state) => state.open(answer, this.#slicer.most, into));
        switch (step.kind) {
          case "more":
            this.#slicer.took(now() - start);
            await yieldToPage();
            break;
          case "needs":
            needs = step.needs;
            break;
          case "split":
            return step.first;
          case "done":
            return step.body;
        }
      }
    } catch (error) {
      if (this.#engine.isRunning) this.#engine.call((state) => state.drop(answer));
      throw error;
    }
  }

  async #fetchNeeded(needs: Needs): Promise<void> {
    const { sessions, owners, rooms, memberDevices } = needs;
    if (sessions.length + owners.length + rooms.length + memberDevices.length === 0) return;
    await this.#keys.fetchNeeded(needs);
  }

  #wakeSoon(): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    const wake = async (): Promise<void> => {
      this.#isWaking = false;
      await this.#engine.started();
      this.#looked();
    };
    setTimer(() => void wake().catch(() => undefined), WAKE_AFTER);
  }

  #looked(): void {
    this.#engine.persistSoon();
    const isWaiting = this.#keys.watch();
    if (isWaiting && now() - this.#ownersLookedAt > OWNER_RETRY) {
      this.#ownersLookedAt = now();
      this.#keys.scheduleRetry();
    }
    // Names of invites, and what was redacted: the client holds them, and no key is waited for.
    if (this.#engine.call((state) => state.hasNews())) this.#keys.scheduleRetry();
    this.#hooks.looked();
  }
}
