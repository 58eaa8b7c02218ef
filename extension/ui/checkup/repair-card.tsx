/** How far a repair is, and what can be done with it. */
import { Component, type JSX, createRef } from "preact";

import { counted, inDigits, language, text } from "../../browser/messages.ts";
import type { RepairRun, Shown } from "./repair-run.ts";
import { PAUSES, forgetText } from "./texts.ts";

interface Props {
  readonly run: RepairRun;
  /** Told once nothing of it is kept. */
  readonly forgotten: (run: RepairRun) => void;
}

export class RepairCard extends Component<Props> {
  readonly #actions = createRef<HTMLDivElement>();

  /** The button under the person's fingers must not take the focus with it. */
  override componentDidUpdate(): void {
    const buttons = [...(this.#actions.current?.querySelectorAll("button") ?? [])];
    if (buttons.some((one) => one === document.activeElement && one.hidden)) {
      buttons.find((one) => !one.hidden)?.focus();
    }
  }

  override render({ run, forgotten }: Props): JSX.Element {
    const view = run.view();
    const isRunning = view.state.is === "running" && !view.isCut;
    const [done, total] = [inDigits(view.settled), inDigits(view.total)];
    return (
      <div class="repair" data-state={view.isCut ? "cut" : view.state.is}>
        <progress
          aria-label={text("checkupProgress")}
          max={Math.max(1, view.total)}
          value={view.settled}
        />
        <p class="count">{text(view.undoing ? "checkupUndone" : "checkupSettled", done, total)}</p>
        {/* Spoken: what state it is in, not each step. */}
        <p role="status" class="state">
          {stateOf(view)}
        </p>
        <p class="soft now">
          {isRunning && view.label !== null ? text("checkupNow", view.label) : ""}
        </p>
        <ul class="rest">
          {restOf(view).map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        <div class="actions" ref={this.#actions}>
          <button class="quiet" type="button" hidden={!isRunning} onClick={() => run.pause()}>
            {text("checkupPause")}
          </button>
          <button
            class="primary"
            type="button"
            hidden={!view.isCut && view.state.is !== "paused"}
            onClick={() => void run.goOn()}
          >
            {text("checkupGoOn")}
          </button>
          <button
            class="quiet"
            type="button"
            hidden={!view.undoable || isRunning}
            onClick={() => void run.undo()}
          >
            {text("checkupUndo")}
          </button>
          <button
            class="quiet"
            type="button"
            hidden={isRunning}
            onClick={() => void run.forget().then(() => forgotten(run))}
          >
            {text(forgetText(view))}
          </button>
        </div>
      </div>
    );
  }
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
