/** Mantle's pause on the site that is shown: what it means, how long it lasts, and its end. */
import type { JSX } from "preact";

import { language, text } from "../../browser/messages.ts";
import {
  type Pause,
  type PauseKind,
  endPause,
  pauseOf,
  startPause,
  watchPauses,
} from "../../browser/pauses.ts";

const KINDS: readonly PauseKind[] = ["minutes", "session", "always"];
/** A timer of the browser may be early. */
const MARGIN_MS = 50;

/** Tells of the pause on a host now, and whenever one begins or ends. */
export function followPause(host: string, shown: (pause: Pause | undefined) => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = async (): Promise<void> => {
    const pause = await pauseOf(host);
    clearTimeout(timer);
    if (pause?.until !== undefined) {
      timer = setTimeout(() => void look(), pause.until - Date.now() + MARGIN_MS);
    }
    shown(pause);
  };
  watchPauses(() => void look());
  void look();
}

/** Where the organisation locks a shield, nobody pauses. */
export function PauseOffer({
  host,
  isLocked,
}: {
  readonly host: string;
  readonly isLocked: boolean;
}): JSX.Element {
  if (isLocked) return <p class="lock">{text("pauseLocked")}</p>;
  return (
    <details>
      <summary>{text("pauseOffer")}</summary>
      <p class="hint">{text("pauseMeans", host)}</p>
      <div class="buttons">
        {KINDS.map((kind) => (
          <button
            key={kind}
            class="secondary"
            type="button"
            data-pause={kind}
            onClick={() => void startPause(host, kind)}
          >
            {text(`pause_${kind}`)}
          </button>
        ))}
      </div>
    </details>
  );
}

export function Paused({ pause }: { readonly pause: Pause }): JSX.Element {
  const time = new Intl.DateTimeFormat(language(), { timeStyle: "short" });
  const until = pause.until === undefined ? "" : time.format(pause.until);
  return (
    <>
      <h2>{text("statePaused")}</h2>
      <p>{text(`paused_${pause.kind}`, until)}</p>
      <button class="primary" type="button" onClick={() => void endPause(pause.host)}>
        {text("pauseEnd")}
      </button>
    </>
  );
}
