/** Does what a repair says, one step after the other, and keeps how far it is. */
import type { CheckUpOutcome } from "../../protocol/check-up.ts";
import type { Repair } from "../../generated/mantle_pages.js";
import type { FindingId, RepairNext, RepairState, RepairView } from "../../generated/types.ts";
import type { ElementTab } from "./element-tab.ts";

/** How often the time left of a wait is shown anew. */
const TICK_MS = 500;
/** How soon it is kept again where the tab did not take it. */
export const KEEP_AGAIN_MS = 1_000;

export interface Shown extends RepairView {
  /** Another repair is before it. */
  readonly isQueued: boolean;
  /** The page was left in the middle. */
  readonly isCut: boolean;
}

/** What a repair is run with. */
export interface RepairPlace {
  readonly tab: ElementTab;
  readonly pages: {
    /** Calls into the module, as `withPages` does. */
    use<Result>(call: () => Result): Promise<Result>;
    /** A repair as it was kept. */
    take(text: string): Promise<Repair | undefined>;
  };
  readonly user: string;
}

export class RepairRun {
  readonly finding: FindingId;
  #repair: Repair;
  readonly #tab: ElementTab;
  readonly #pages: RepairPlace["pages"];
  /** As it was kept last. */
  #text: string;
  /** As it was shown last. */
  #view: RepairView;
  /** A trap of the module took the repair with it; it is made again from its text. */
  #isStale = false;
  readonly #user: string;
  #isDriven = false;
  #isQueued = false;
  #isCut: boolean;
  #isForgotten = false;
  /** What was pressed when it was paused, while that is not kept yet. */
  #pausing: number | undefined;
  /** Ends once nothing is under way. */
  #driving: Promise<void> = Promise.resolve();
  /** What is kept is written in order. */
  #keeping: Promise<unknown> = Promise.resolve();
  #again: ReturnType<typeof setTimeout> | undefined;
  /** Counts what the person pressed: what was pressed last counts. */
  #pressed = 0;
  /** Ends a wait early. */
  #wake: () => void = () => undefined;
  changed: () => void = () => undefined;

  constructor(repair: Repair, { tab, pages, user }: RepairPlace, isKept: boolean) {
    this.#repair = repair;
    this.#tab = tab;
    this.#pages = pages;
    this.#user = user;
    this.#text = repair.text();
    this.#view = repair.view(Date.now());
    const { finding, state } = this.#view;
    this.finding = finding;
    this.#isCut = isKept && state.is === "running";
  }

  view(): Shown {
    this.#look();
    const state: RepairState =
      this.#pausing !== undefined && this.#view.state.is === "paused"
        ? { is: "running" }
        : this.#view.state;
    return { ...this.#view, state, isQueued: this.#isQueued, isCut: this.#isCut };
  }

  /** Nothing more can be done with it. */
  isOver(): boolean {
    const { state, undoable } = this.view();
    return state.is === "ended" && !undoable;
  }

  /** From the beginning, or from where it was. */
  async goOn(): Promise<void> {
    this.#look();
    if (this.#isDriven && this.#view.state.is === "running") return;
    await this.#continue(() => this.#repair.resume());
  }

  pause(): void {
    this.#pressed += 1;
    this.#look();
    if (this.#isForgotten || this.#isStale) return;
    this.#repair.pause();
    this.#pausing = this.#pressed;
    // Whoever reads that it is paused may close the page, also while a step is out.
    void this.#keep();
    this.#wake();
  }

  async undo(): Promise<void> {
    await this.#continue(() => void this.#repair.undo());
  }

  /** Nothing of it is kept any more. */
  async forget(): Promise<void> {
    this.#isForgotten = true;
    await this.#untilAnswered();
    await this.#keeping;
    await this.#tab.run({ do: "keep", user: this.#user, key: keyOf(this.finding), value: null });
  }

  async #continue(turn: () => void): Promise<void> {
    this.#pressed += 1;
    this.#pausing = undefined;
    const pressed = this.#pressed;
    await this.#untilAnswered();
    this.#look();
    if (this.#isStale) await this.#takeUp();
    if (this.#isForgotten || this.#isStale || pressed !== this.#pressed) return;
    this.#isCut = false;
    turn();
    if (!this.#isDriven) this.#driving = this.#drive();
    await this.#driving;
  }

  #look(): void {
    if (this.#isStale) return;
    try {
      this.#view = this.#repair.view(Date.now());
    } catch {
      this.#isStale = true;
      this.#isCut ||= this.#view.state.is === "running";
    }
  }

  #tell(): void {
    this.#look();
    this.changed();
  }

  async #takeUp(): Promise<void> {
    const repair = await this.#pages.take(this.#text).catch(() => undefined);
    if (repair === undefined) return;
    this.#repair = repair;
    this.#isStale = false;
  }

  /** The answer to a step that is out must find the repair as it was then. Who waits for others has none. */
  async #untilAnswered(): Promise<void> {
    if (!this.#isQueued) await this.#driving;
  }

  /** One at a time for an account, in all tabs: two would ask the homeserver twice as fast. */
  async #drive(): Promise<void> {
    this.#isDriven = true;
    this.#isQueued = true;
    this.#tell();
    try {
      await navigator.locks.request(`check-up ${this.#user}`, async () => {
        this.#isQueued = false;
        await this.#keep();
        await this.#doAll();
      });
    } catch {
      this.#isStale = true;
      this.#isCut = true;
    } finally {
      this.#isQueued = false;
      this.#isDriven = false;
      this.#tell();
    }
  }

  async #doAll(): Promise<void> {
    for (;;) {
      if (this.#isForgotten) return;
      const next = await this.#pages.use(() => this.#repair.next(Date.now()));
      this.#tell();
      if (next.do === "rest") return;
      if (next.do === "wait") {
        await this.#sleep(Math.min(next.until - Date.now(), TICK_MS));
        continue;
      }
      const { status, headers, body } = await this.#ask(next);
      await this.#pages.use(() => this.#repair.answered(Date.now(), status, headers, body));
      await this.#keep();
    }
  }

  async #ask(next: Extract<RepairNext, { do: "ask" | "convert" }>): Promise<Answer> {
    const outcome = await this.#tab.run(
      next.do === "convert"
        ? { do: "convert", user: this.#user, room: next.room }
        : {
            do: "ask",
            user: this.#user,
            request: { ...next.request, method: methodOf(next.request.method) },
          },
    );
    return answerIn(outcome);
  }

  #keep(): Promise<unknown> {
    this.#text = this.#repair.text();
    return this.#keepText();
  }

  #keepText(): Promise<unknown> {
    const value = this.#text;
    const pausing = this.#pausing;
    this.#keeping = this.#keeping.then(async () => {
      const isTaken = await this.#write(value);
      // A pause that was pressed since is in a later text.
      if (!isTaken || pausing === undefined || pausing !== this.#pausing) return;
      this.#pausing = undefined;
      this.#tell();
    });
    return this.#keeping;
  }

  /** Whether the tab has taken it. */
  async #write(value: string): Promise<boolean> {
    clearTimeout(this.#again);
    if (this.#isForgotten) return false;
    const task = { do: "keep", user: this.#user, key: keyOf(this.finding), value } as const;
    const outcome = await this.#tab.run(task);
    if (outcome?.is === "kept") return true;
    // The tab is being reloaded, or its session is not there yet; and what rests has no next step
    // after which it would be kept.
    this.#again = setTimeout(() => void this.#keepText(), KEEP_AGAIN_MS);
    return false;
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resume) => {
      const timer = setTimeout(resume, Math.max(0, milliseconds));
      this.#wake = () => {
        clearTimeout(timer);
        resume();
      };
    });
  }
}

export interface Answer {
  status: number;
  headers: string;
  body: string;
}

/** Whatever is no answer of the homeserver is none at all; without this person there is no session. */
export function answerIn(outcome: CheckUpOutcome | undefined): Answer {
  if (outcome?.is === "nobody") return { status: 401, headers: "", body: "" };
  return outcome?.is === "answer" ? outcome : { status: 0, headers: "", body: "" };
}

export function methodOf(method: string): "GET" | "PUT" | "DELETE" {
  return method === "PUT" || method === "DELETE" ? method : "GET";
}

const PREFIX = "repair ";

function keyOf(finding: FindingId): string {
  return `${PREFIX}${finding}`;
}

/** Whether an entry that is kept for the check-up is a repair. */
export function isRepairKey(key: string): boolean {
  return key.startsWith(PREFIX);
}
