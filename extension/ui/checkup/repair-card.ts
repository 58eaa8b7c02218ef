/** How far a repair is, and what can be done with it. Its elements stay, so that focus does. */
import { button, element } from "../shared/dom.ts";
import type { RepairRun, Shown } from "./repair-run.ts";
import { counted, inDigits, language, text } from "../../browser/messages.ts";
import { PAUSES, forgetText } from "./texts.ts";

export interface RepairCard {
  readonly root: HTMLElement;
  readonly run: RepairRun;
}

/** `forgotten` is told whether the focus was in what is gone. */
export function repairCard(run: RepairRun, forgotten: (hadFocus: boolean) => void): RepairCard {
  const bar = element("progress", { "aria-label": text("checkupProgress") });
  const count = element("p", { class: "count" });
  const now = element("p", { class: "soft now" });
  // Spoken: what state it is in, not each step.
  const state = element("p", { role: "status", class: "state" });
  const rest = element("ul", { class: "rest" });
  const pause = button(text("checkupPause"), "quiet", () => run.pause());
  const goOn = button(text("checkupGoOn"), "primary", () => void run.goOn());
  const undo = button(text("checkupUndo"), "quiet", () => void run.undo());
  const forget = button(text("checkupForget"), "quiet", () => {
    void run.forget().then(() => {
      const hadFocus = root.contains(document.activeElement);
      root.remove();
      forgotten(hadFocus);
    });
  });
  const actions = element("div", { class: "actions" }, pause, goOn, undo, forget);
  const root = element("div", { class: "repair" }, bar, count, state, now, rest, actions);
  const draw = (): void => {
    const view = run.view();
    const isRunning = view.state.is === "running" && !view.isCut;
    root.dataset["state"] = view.isCut ? "cut" : view.state.is;
    bar.max = Math.max(1, view.total);
    bar.value = view.settled;
    const [done, total] = [inDigits(view.settled), inDigits(view.total)];
    count.textContent = text(view.undoing ? "checkupUndone" : "checkupSettled", done, total);
    say(state, stateOf(view));
    now.textContent = isRunning && view.label !== null ? text("checkupNow", view.label) : "";
    rest.replaceChildren(...restOf(view).map((line) => element("li", { text: line })));
    const hadFocus = [pause, goOn, undo, forget].find((one) => one === document.activeElement);
    pause.hidden = !isRunning;
    goOn.hidden = !view.isCut && view.state.is !== "paused";
    undo.hidden = !view.undoable || isRunning;
    forget.hidden = isRunning;
    forget.textContent = text(forgetText(view));
    // The button under the person's fingers must not take the focus with it.
    if (hadFocus?.hidden === true) {
      [pause, goOn, undo, forget].find((one) => !one.hidden)?.focus();
    }
  };
  run.changed = draw;
  draw();
  return { root, run };
}

function say(line: HTMLElement, sentence: string): void {
  if (line.textContent !== sentence) line.textContent = sentence;
}

function stateOf(view: Shown): string {
  if (view.isCut) return text("checkupStateCut");
  if (view.isQueued) return text("checkupStateQueued");
  if (view.state.is === "paused") return text(PAUSES[view.state.why]);
  if (view.waiting !== null) {
    return text("checkupStateWaiting", new Date(view.waiting).toLocaleTimeString(language()));
  }
  if (view.state.is === "running")
    return text(view.undoing ? "checkupStateUndoing" : "checkupStateRunning");
  if (view.changed + view.refused > 0) return text("checkupEndedPartly");
  return text(view.undoing ? "checkupEndedUndone" : "checkupEnded");
}

function restOf({ changed, refused }: Shown): string[] {
  return [
    ...(changed === 0 ? [] : [counted("checkupChanged", changed)]),
    ...(refused === 0 ? [] : [counted("checkupRefused", refused)]),
  ];
}
