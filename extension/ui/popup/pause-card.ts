/** Mantle's pause on the site that is shown: what it means, how long it lasts, and its end. */
import { language, text } from "../../browser/messages.ts";
import {
  type Pause,
  type PauseKind,
  endPause,
  pauseOf,
  startPause,
  watchPauses,
} from "../../browser/pauses.ts";
import { button, element } from "../shared/dom.ts";

const KINDS: readonly PauseKind[] = ["minutes", "session", "always"];

export interface PauseCard {
  /** Whether the organisation locks a shield, so that nobody pauses; nothing is offered before. */
  setLocked(isLocked: boolean): void;
}

/** `card` says how the page is; `shown` is called with whatever pause is in force. */
export function pauseCard(
  section: HTMLElement,
  card: HTMLElement,
  host: string,
  shown: (pause: Pause | undefined) => void,
): PauseCard {
  let isLocked: boolean | undefined;
  let pause: Pause | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const offer = element("details", {}, element("summary", { text: text("pauseOffer") }));
  offer.append(
    element("p", { class: "hint", text: text("pauseMeans", host) }),
    element(
      "div",
      { class: "buttons" },
      ...KINDS.map((kind) => {
        const start = button(text(`pause_${kind}`), "secondary", () => void startPause(host, kind));
        start.dataset["pause"] = kind;
        return start;
      }),
    ),
  );
  const lock = element("p", { class: "lock", text: text("pauseLocked") });
  const draw = (): void => {
    section.hidden = isLocked === undefined || pause !== undefined;
    section.replaceChildren(isLocked === true ? lock : offer);
    if (pause !== undefined) showPaused(card, pause);
  };
  const look = async (): Promise<void> => {
    const before = pause;
    pause = isLocked === true ? undefined : await pauseOf(host);
    clearTimeout(timer);
    if (pause?.until !== undefined) {
      timer = setTimeout(() => void look(), pause.until - Date.now() + 50);
    }
    if (before !== undefined && pause === undefined) offer.open = false;
    draw();
    shown(pause);
  };
  watchPauses(() => void look());
  void look();
  return {
    setLocked: (locked) => {
      if (locked === isLocked) return;
      isLocked = locked;
      void look();
    },
  };
}

function showPaused(card: HTMLElement, pause: Pause): void {
  card.className = "card bad";
  card.dataset["kind"] = "paused";
  const time = new Intl.DateTimeFormat(language(), { timeStyle: "short" });
  card.replaceChildren(
    element("h2", { text: text("statePaused") }),
    element("p", {
      text: text(`paused_${pause.kind}`, pause.until === undefined ? "" : time.format(pause.until)),
    }),
    button(text("pauseEnd"), "primary", () => void endPause(pause.host)),
  );
}
