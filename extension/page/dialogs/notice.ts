import {
  append,
  closedRoot,
  createElement,
  isConnected,
  removeAttribute,
  removeNode,
  setAttribute,
  setText,
  whenRooted,
} from "../primordials/dom.ts";
import { addListener, clearTimer, isTrusted, setTimer } from "../primordials/primordials.ts";
import { direction, language, text, translated } from "../texts/texts.ts";

/** A sentence that nobody closes goes to the window's edge after this long. */
const SHOWN_MS = 12_000;

/**
 * The sentences lie over the lower end of Element's list of rooms, clear of the header, the composer
 * and the middle, where dialogs are. What stays of them is a tab at the window's edge, narrower than
 * the margin beside Element's spaces, so it covers nothing.
 */
const STYLE = `
:host {
  all: initial !important;
  position: fixed !important;
  inset: auto auto 96px 0 !important;
  z-index: 2147483647 !important;
  display: block !important;
  pointer-events: none !important;
  color-scheme: light dark !important;
}
.shelf {
  --paper: #ffffff; --ink: #1b1d22; --alarm: #b3261e; --note: #2f4ec4; --focus: #0b57d0;
  --on-mark: #ffffff;
  color: var(--ink);
  font: 14px/1.45 system-ui, sans-serif;
  text-align: start;
}
.list {
  display: none;
  flex-direction: column;
  gap: 8px;
  box-sizing: border-box;
  width: min(348px, 100vw);
  max-height: calc(100vh - 108px);
  padding-inline: 12px;
  overflow: auto;
}
.shelf[data-open] .list { display: flex; }
.shelf[data-open] .tab { display: none; }
[role] {
  pointer-events: auto;
  box-sizing: border-box;
  display: flex;
  align-items: flex-start;
  gap: 8px;
  padding: 10px 8px 10px 14px;
  border: 1px solid var(--alarm);
  border-inline-start-width: 6px;
  border-radius: 8px;
  background: var(--paper);
  box-shadow: 0 2px 8px rgb(0 0 0 / 25%);
}
[role="status"] { border-color: var(--note); }
p { flex: 1; min-width: 0; margin: 0; padding-block: 4px; overflow-wrap: anywhere; }
button { padding: 0; border: 0; color: inherit; cursor: pointer; }
button:focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; }
.dismiss {
  flex: none;
  width: 32px;
  height: 32px;
  border-radius: 6px;
  background: transparent;
  font: 20px/1 system-ui, sans-serif;
}
.dismiss:hover { background: rgb(127 127 127 / 20%); }
.tab {
  pointer-events: auto;
  display: block;
  width: 12px;
  height: 44px;
  border-radius: 0 6px 6px 0;
  background: var(--alarm);
  color: var(--on-mark);
  font: 700 14px/44px system-ui, sans-serif;
  text-align: center;
}
.tab.note { background: var(--note); }
.tab:hover, .tab:focus-visible { width: 24px; }
@media (prefers-color-scheme: dark) {
  .shelf {
    --paper: #22252b; --ink: #f1f3f5; --alarm: #ff8a80; --note: #92a8ff; --focus: #a8c7fa;
    --on-mark: #10131a;
  }
}
`;

/** alarm: something is wrong; note: good to know. */
export type NoticeKind = "alarm" | "note";

interface Shelf {
  readonly host: HTMLElement;
  readonly shelf: HTMLElement;
  readonly list: HTMLElement;
  readonly tab: HTMLButtonElement;
  /** Shown in the list. */
  count: number;
  timer: number | undefined;
  /** The person reads: the pointer or the keyboard is on it, or they opened it. */
  isHeld: boolean;
}

let present: Shelf | undefined;

/**
 * Shows one sentence. After some seconds it goes to a tab at the window's edge, which shows it
 * again; it is gone when it is dismissed by hand.
 */
export function showNotice(sentence: string, kind: NoticeKind = "alarm"): void {
  // The document may still be empty.
  whenRooted((root) => {
    if (present === undefined || !isConnected(present.host)) {
      if (present?.timer !== undefined) clearTimer(present.timer);
      present = emptyShelf();
      append(root, present.host);
    }
    put(present, sentence, kind);
  });
}

function emptyShelf(): Shelf {
  const host = createElement("div");
  const root = closedRoot(host, STYLE);
  const shelf = createElement("div");
  setAttribute(shelf, "lang", language());
  setAttribute(shelf, "dir", direction());
  setAttribute(shelf, "class", "shelf");
  const tab = createElement("button");
  setAttribute(tab, "type", "button");
  setAttribute(tab, "aria-label", text("showNotices"));
  setText(tab, "!");
  const list = createElement("div");
  setAttribute(list, "class", "list");
  append(shelf, tab);
  append(shelf, list);
  append(root, shelf);

  const made: Shelf = { host, shelf, list, tab, count: 0, timer: undefined, isHeld: false };
  addListener(tab, "click", (event) => {
    if (!isTrusted(event)) return;
    made.isHeld = true;
    setAttribute(shelf, "data-open", "");
  });
  const hold = (isHeld: boolean) => (): void => {
    made.isHeld = isHeld;
    if (!isHeld) putAside(made);
  };
  addListener(list, "pointerenter", hold(true));
  addListener(list, "focusin", hold(true));
  addListener(list, "pointerleave", hold(false));
  addListener(list, "focusout", hold(false));
  return made;
}

function put(shelf: Shelf, sentence: string, kind: NoticeKind): void {
  const notice = createElement("div");
  setAttribute(notice, "role", kind === "alarm" ? "alert" : "status");
  const said = createElement("p");
  setText(said, translated(sentence));
  const dismiss = createElement("button");
  setAttribute(dismiss, "type", "button");
  setAttribute(dismiss, "class", "dismiss");
  setAttribute(dismiss, "aria-label", text("dismiss"));
  setText(dismiss, "×");
  addListener(dismiss, "click", (event) => {
    if (!isTrusted(event)) return;
    removeNode(notice);
    shelf.count -= 1;
    if (shelf.count === 0) removeNode(shelf.host);
  });
  append(notice, said);
  append(notice, dismiss);
  // In its place before it speaks: a screen reader announces what changes, not what comes shown.
  setAttribute(shelf.shelf, "data-open", "");
  append(shelf.list, notice);
  if (kind === "alarm" || shelf.count === 0) setAttribute(shelf.tab, "class", `tab ${kind}`);
  shelf.count += 1;
  putAside(shelf);
}

/** Some seconds from now, unless somebody reads. */
function putAside(shelf: Shelf): void {
  if (shelf.timer !== undefined) clearTimer(shelf.timer);
  shelf.timer = setTimer(() => {
    shelf.timer = undefined;
    if (!shelf.isHeld) removeAttribute(shelf.shelf, "data-open");
  }, SHOWN_MS);
}
