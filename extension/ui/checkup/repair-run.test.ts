import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { Repair } from "../../generated/mantle_pages.js";
import type { RepairNext, RepairState, RepairView } from "../../generated/types.ts";
import type { CheckUpKeeping, CheckUpOutcome, CheckUpTask } from "../../protocol/check-up.ts";
import type { ElementTab } from "./element-tab.ts";
import { KEEP_AGAIN_MS, RepairRun } from "./repair-run.ts";

/** Says what is done with it; it has steps for ever. */
class FakeRepair {
  state: RepairState = { is: "running" };
  isStale = false;

  text(): string {
    return "text";
  }
  next(): RepairNext {
    if (this.isStale) throw new Error("Invalid stale object from previous Wasm instance");
    if (this.state.is !== "running") return { do: "rest" };
    log.push("next");
    return { do: "convert", room: "!a" };
  }
  answered(_now: number, status: number): void {
    log.push(`answered ${String(status)}`);
  }
  pause(): void {
    this.state = { is: "paused", why: "asked" };
  }
  resume(): void {
    log.push("resume");
    this.state = { is: "running" };
  }
  undo(): boolean {
    log.push("undo");
    this.state = { is: "running" };
    return true;
  }
  view(): RepairView {
    if (this.isStale) throw new Error("Invalid stale object from previous Wasm instance");
    return {
      finding: "session-names",
      state: this.state,
      undoing: false,
      total: 9,
      settled: 0,
      changed: 0,
      refused: 0,
      waiting: null,
      label: null,
      undoable: true,
    };
  }
}

let log: string[] = [];
/** Answers what is out. */
let reply: ((outcome: CheckUpOutcome) => void) | undefined;
let run: RepairRun;
let repair: FakeRepair;
const runOf = (of: FakeRepair): RepairRun =>
  new RepairRun(of as unknown as Repair, { tab, pages, user: "@alice:hs" }, false);
let isLocked = false;
let isTabGone = false;
let isNobodyThere = false;
let unlock: () => void = () => undefined;

const tab = {
  run: (task: CheckUpTask | CheckUpKeeping): Promise<CheckUpOutcome | undefined> => {
    if (task.do === "keep") {
      if (isTabGone) return Promise.resolve(undefined);
      if (isNobodyThere) return Promise.resolve({ is: "nobody" });
      log.push(task.value === null ? "forgotten" : "kept");
      return Promise.resolve({ is: "kept", entries: {} });
    }
    return new Promise((resume) => {
      reply = (outcome) => {
        reply = undefined;
        resume(outcome);
      };
    });
  },
} as unknown as ElementTab;

const pages = {
  use: <Result>(call: () => Result): Promise<Result> => new Promise((resume) => resume(call())),
  take: (text: string): Promise<Repair | undefined> => {
    log.push(`taken up ${text}`);
    return Promise.resolve(new FakeRepair() as unknown as Repair);
  },
};

const settled = (): Promise<void> => new Promise((resume) => setTimeout(resume, 5));

async function answer(): Promise<void> {
  reply?.({ is: "answer", status: 200, headers: "", body: "" });
  await settled();
}

beforeEach(async () => {
  const request = async (_name: string, task: () => Promise<void>): Promise<void> => {
    if (isLocked) await new Promise<void>((resume) => (unlock = resume));
    await task();
  };
  const value = { locks: { request } };
  Object.defineProperty(globalThis, "navigator", { value, configurable: true });
  log = [];
  reply = undefined;
  isLocked = false;
  isTabGone = false;
  isNobodyThere = false;
  repair = new FakeRepair();
  run = runOf(repair);
  void run.goOn();
  await settled();
  assert.deepEqual(log, ["resume", "kept", "next"]);
  log = [];
});

describe("while a step is out", () => {
  for (const act of ["undo", "goOn"] as const) {
    test(`${act} waits for its answer, which is judged as that step's`, async () => {
      run.pause();
      void run[act]();
      await settled();
      assert.deepEqual(log, ["kept"]);
      await answer();
      const change = act === "undo" ? "undo" : "resume";
      assert.deepEqual(log, ["kept", "answered 200", "kept", change, "kept", "next"]);
    });
  }

  test("what was pressed last counts", async () => {
    run.pause();
    void run.undo();
    void run.goOn();
    await answer();
    assert.deepEqual(log, ["kept", "answered 200", "kept", "resume", "kept", "next"]);
    log = [];
    run.pause();
    void run.goOn();
    run.pause();
    await settled();
    await answer();
    assert.deepEqual(log, ["kept", "kept", "answered 200", "kept"]);
  });

  test("a pause is kept at once, and said as soon as it is", async () => {
    const said: string[] = [];
    run.changed = () => said.push(`${run.view().state.is} after ${log.join()}`);
    run.pause();
    assert.equal(run.view().state.is, "running");
    await settled();
    assert.deepEqual(log, ["kept"], "the step is still out");
    assert.deepEqual(said, ["paused after kept"]);
  });

  test("what is forgotten then is not kept again", async () => {
    run.pause();
    const forgetting = run.forget();
    await answer();
    await forgetting;
    await run.goOn();
    run.pause();
    await settled();
    assert.equal(log.filter((one) => one === "forgotten").length, 1);
    assert.equal(log.at(-1), "forgotten");
    assert.ok(!log.includes("kept"));
  });
});

for (const [why, setGone] of [
  ["the tab does not take, since it is being reloaded,", (is: boolean) => (isTabGone = is)],
  ["finds nobody signed in there", (is: boolean) => (isNobodyThere = is)],
] as const) {
  test(`a pause that ${why} is kept later, and said only then`, async () => {
    setGone(true);
    const said: string[] = [];
    run.changed = () => said.push(run.view().state.is);
    run.pause();
    await answer();
    assert.equal(run.view().state.is, "running");
    assert.ok(!log.includes("kept") && !said.includes("paused"), said.join());
    setGone(false);
    for (let waits = 0; waits < 2_000 && !log.includes("kept"); waits += 1) await settled();
    assert.ok(log.includes("kept"));
    await settled();
    assert.equal(run.view().state.is, "paused");
    assert.equal(said.at(-1), "paused");
    log = [];
    await new Promise((resume) => setTimeout(resume, 2 * KEEP_AGAIN_MS));
    assert.deepEqual(log, [], "once is enough");
  });
}

test("a repair that waits for another keeps its pause at once too", async () => {
  isLocked = true;
  run = runOf(new FakeRepair());
  void run.goOn();
  await settled();
  log = [];
  run.pause();
  await settled();
  assert.deepEqual(log, ["kept"]);
  unlock();
  await settled();
});

test("a repair that waits for another is forgotten at once", async () => {
  isLocked = true;
  run = runOf(new FakeRepair());
  void run.goOn();
  await settled();
  assert.equal(run.view().isQueued, true);
  run.pause();
  await run.forget();
  assert.equal(log.at(-1), "forgotten");
  unlock();
  await settled();
  assert.equal(log.at(-1), "forgotten");
});

describe("after a trap of the module", () => {
  test("what was under way shows as cut off, and goes on from what was kept", async () => {
    repair.isStale = true;
    await answer();
    assert.equal(run.view().isCut, true);
    log = [];
    void run.goOn();
    await settled();
    assert.equal(run.view().isCut, false);
    assert.deepEqual(log, ["taken up text", "resume", "kept", "next"]);
  });

  test("what rested is still shown, and can be taken back", async () => {
    run.pause();
    await answer();
    repair.isStale = true;
    assert.deepEqual(run.view().state, { is: "paused", why: "asked" });
    assert.equal(run.view().isCut, false);
    run.pause();
    log = [];
    void run.undo();
    await settled();
    assert.deepEqual(log, ["taken up text", "undo", "kept", "next"]);
  });
});
