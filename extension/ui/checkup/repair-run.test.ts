import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { Repair } from "../../generated/mantle_pages.js";
import type { RepairNext, RepairState, RepairView } from "../../generated/types.ts";
import type { CheckUpKeeping, CheckUpOutcome, CheckUpTask } from "../../protocol/check-up.ts";
import type { ElementTab } from "./element-tab.ts";
import { RepairRun } from "./repair-run.ts";

/** Says what is done with it; it has steps for ever. */
class FakeRepair {
  state: RepairState = { is: "running" };

  text(): string {
    return "text";
  }
  next(): RepairNext {
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
    return {
      finding: "session-names",
      state: this.state,
      undoing: false,
      total: 9,
      settled: 0,
      done: 0,
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
let isLocked = false;
let unlock: () => void = () => undefined;

const tab = {
  run: (task: CheckUpTask | CheckUpKeeping): Promise<CheckUpOutcome> => {
    if (task.do === "keep") {
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
  run = new RepairRun(new FakeRepair() as unknown as Repair, tab, "@alice:hs", false);
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
      assert.deepEqual(log, []);
      await answer();
      const change = act === "undo" ? "undo" : "resume";
      assert.deepEqual(log, ["answered 200", "kept", change, "kept", "next"]);
    });
  }

  test("what was pressed last counts", async () => {
    run.pause();
    void run.undo();
    void run.goOn();
    await answer();
    assert.deepEqual(log.slice(2), ["resume", "kept", "next"]);
    log = [];
    run.pause();
    void run.goOn();
    run.pause();
    await answer();
    assert.deepEqual(log, ["answered 200", "kept"]);
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

test("a repair that waits for another is forgotten at once", async () => {
  isLocked = true;
  run = new RepairRun(new FakeRepair() as unknown as Repair, tab, "@alice:hs", false);
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
