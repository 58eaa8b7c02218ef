/**
 * A line in the lower part of the page that says what Mantle is doing; nothing to press. It stays
 * above Element's composer, in which somebody may be writing meanwhile.
 */
import {
  append,
  closedRoot,
  createElement,
  removeNode,
  setAttribute,
  setText,
  whenRooted,
} from "../primordials/dom.ts";
import { clearTimer, page, setTimer } from "../primordials/primordials.ts";
import { direction, language } from "../texts/texts.ts";

export interface Progress {
  update(text: string): void;
  done(): void;
}

/** What is over sooner is not worth a line that flashes up. */
const SHOW_AFTER = 300;

const STYLE = `
:host {
  all: initial !important;
  position: fixed !important;
  inset: auto 0 96px 0 !important;
  z-index: 2147483646 !important;
  display: flex !important;
  justify-content: center !important;
  pointer-events: none !important;
  color-scheme: light dark !important;
}
[role="status"] {
  box-sizing: border-box;
  max-width: min(560px, calc(100vw - 24px));
  padding: 8px 16px;
  border: 1px solid #8b93a5;
  border-radius: 8px;
  background: #ffffff;
  color: #1b1d22;
  box-shadow: 0 4px 16px rgb(0 0 0 / 25%);
  font: 14px/1.45 system-ui, sans-serif;
  text-align: start;
}
/* A notice has its place at the left edge. */
@media (max-width: 1260px) {
  :host { justify-content: flex-end !important; }
  [role="status"] { max-width: min(560px, calc(100vw - 372px)); margin-right: 12px; }
}
/* Beside it there is no room then. */
@media (max-width: 640px) {
  :host { bottom: 280px !important; justify-content: center !important; }
  [role="status"] { max-width: calc(100vw - 24px); margin-right: 0; }
}
@media (prefers-color-scheme: dark) {
  [role="status"] { background: #22252b; color: #f1f3f5; border-color: #6a7488; }
}
`;

/** Shows the line soon, until `done`. Nothing is shown in frames. */
export function showProgress(sentence: string): Progress {
  let shown = sentence;
  let isDone = false;
  let line: HTMLElement | undefined;
  let host: HTMLElement | undefined;
  const timer = setTimer(() => {
    if (page !== page.top) return;
    whenRooted((root) => {
      if (isDone) return;
      host = createElement("div");
      line = createElement("div");
      setAttribute(line, "role", "status");
      setAttribute(line, "lang", language());
      setAttribute(line, "dir", direction());
      append(closedRoot(host, STYLE), line);
      append(root, host);
      // After it is in place, so that a screen reader says it.
      setText(line, shown);
    });
  }, SHOW_AFTER);
  return {
    update: (next) => {
      shown = next;
      if (line !== undefined) setText(line, next);
    },
    done: () => {
      isDone = true;
      clearTimer(timer);
      if (host !== undefined) removeNode(host);
    },
  };
}
