/**
 * Asks the person something, in the page. The page itself can neither read nor answer it: the
 * shadow root is closed, only natives captured at document_start touch it, and only the browser's
 * own (trusted) events count.
 */
import {
  append,
  closedRoot,
  closeDialog,
  createElement,
  disconnect,
  focus,
  isChecked,
  isConnected,
  observe,
  removeAttribute,
  removeNode,
  rootElement,
  setAttribute,
  setText,
  setType,
  showModal,
  stopPropagation,
  whenRooted,
} from "../primordials/dom.ts";
import {
  addListener,
  isTrusted,
  NativeMutationObserver,
  NativePromise,
  now,
  own,
  page,
  pageDocument,
  pinned,
  preventDefault,
  push,
  removeListener,
  shift,
  signalAborted,
} from "../primordials/primordials.ts";
import { direction, language, text, translated } from "../texts/texts.ts";

/** One button. */
export interface Choice {
  readonly id: string;
  readonly label: string;
  /** plain where not said. */
  readonly kind?: "primary" | "danger" | "plain";
}

/** What is asked; all texts are shown as text, and a module's in the person's language. */
export interface Question {
  readonly title: string;
  /** One paragraph each. */
  readonly text: readonly string[];
  readonly choices: readonly Choice[];
  /** Boxes to tick, unticked at first. */
  readonly remember?: readonly { readonly id: string; readonly label: string }[];
  /** Takes the question back; it then counts as dismissed. */
  readonly signal?: AbortSignal;
}

/** The person's answer. */
export interface Answer {
  /** Id of the choice; dismissed: Escape, taken back, removed by the page, or asked in a frame. */
  readonly choice: string;
  /** Ids of the ticked boxes; empty when dismissed. */
  readonly remember: readonly string[];
}

/** A press that was meant for what lay there before the question does not answer it. */
export const SETTLE_MS = 400;
/** How often the page may throw the question out before that counts as dismissing it. */
const MAX_RETURNS = 5;
/** Lets a spec, or a person's own style, find the question's place; it holds nothing. */
const MARK = "data-mantle-question";

const DISMISSED: Answer = own({ choice: "dismissed", remember: [] });

const STYLE = `
:host { all: initial !important; display: block !important; position: fixed !important; }
dialog {
  --paper: #ffffff; --ink: #1d2330; --soft: #5a6375; --line: #8b93a5;
  --accent: #2f4ec4; --on-accent: #ffffff; --danger: #b02525; --on-danger: #ffffff;
  color-scheme: light dark;
  box-sizing: border-box;
  width: min(520px, calc(100vw - 24px));
  max-height: calc(100vh - 24px);
  overflow: auto;
  margin: auto;
  padding: 20px 24px 24px;
  border: 1px solid var(--line);
  border-radius: 12px;
  background: var(--paper);
  color: var(--ink);
  box-shadow: 0 12px 40px rgb(0 0 0 / 35%);
  font: 15px/1.5 system-ui, sans-serif;
  text-align: start;
}
dialog::backdrop { background: rgb(0 0 0 / 55%); }
dialog:focus { outline: none; }
.sender { margin: 0 0 6px; color: var(--soft); font-size: 13px; font-weight: 600; }
h2 { margin: 0 0 8px; font-size: 18px; line-height: 1.35; overflow-wrap: anywhere; }
p { margin: 0 0 10px; overflow-wrap: anywhere; }
label { display: flex; gap: 10px; align-items: flex-start; padding: 6px 0; cursor: pointer; }
input { flex: none; width: 18px; height: 18px; margin: 2px 0 0; accent-color: var(--accent); }
.choices { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 16px; }
button {
  min-height: 40px;
  padding: 8px 16px;
  border: 1px solid var(--line);
  border-radius: 8px;
  background: transparent;
  color: inherit;
  font: inherit;
  font-weight: 600;
  cursor: pointer;
}
button:hover { background: rgb(127 127 127 / 15%); }
button.primary { border-color: var(--accent); background: var(--accent); color: var(--on-accent); }
button.danger { border-color: var(--danger); color: var(--danger); }
button.primary:hover, button.danger:hover { filter: brightness(1.1); }
button:focus-visible, input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  dialog {
    --paper: #22272f; --ink: #eceff5; --soft: #a7b0c0; --line: #6a7488;
    --accent: #92a8ff; --on-accent: #10131a; --danger: #ff9d9d;
  }
}
`;

/** Those that wait until the one before them is answered. */
const waiting: (() => void)[] = [];
let isShowing = false;

/**
 * Shows the question when those before it are answered. Never rejects. Between the person and the
 * caller is one promise and no other, and an answer that the page's prototypes say nothing of.
 */
export function ask(question: Question): Promise<Answer> {
  return pinned(
    new NativePromise((resolve) => {
      // A frame cannot be sure that the person sees it, and its host page may lie over it.
      if (page !== page.top) return resolve(DISMISSED);
      const asked = own(question);
      push(waiting, () => {
        let isAnswered = false;
        show(asked, (answer) => {
          if (isAnswered) return;
          isAnswered = true;
          resolve(answer);
          showNext();
        });
      });
      if (!isShowing) showNext();
    }),
  );
}

function showNext(): void {
  const next = shift(waiting);
  isShowing = next !== undefined;
  next?.();
}

function show(question: Question, answered: (answer: Answer) => void): void {
  const { signal } = question;
  if (signal !== undefined && signalAborted(signal)) return answered(DISMISSED);
  whenRooted(() => {
    try {
      open(question, answered);
    } catch {
      // A document that cannot show it cannot be answered either.
      answered(DISMISSED);
    }
  });
}

function open(question: Question, resolve: (answer: Answer) => void): void {
  const host = createElement("div");
  setAttribute(host, MARK, "");
  const shadow = closedRoot(host, STYLE);
  const dialog = createElement("dialog");
  const ticked: { id: string; box: HTMLInputElement }[] = [];
  let shownAt = 0;
  let returns = 0;
  let isOpen = true;

  const finish = (choice: string | undefined): void => {
    if (!isOpen) return;
    isOpen = false;
    disconnect(observer);
    if (question.signal !== undefined) removeListener(question.signal, "abort", takeBack);
    const remember: string[] = [];
    for (let index = 0; index < ticked.length; index += 1) {
      const one = ticked[index];
      if (one !== undefined && isChecked(one.box)) push(remember, one.id);
    }
    try {
      // Gives the focus back to where it was.
      closeDialog(dialog);
    } catch {
      // It was thrown out before it was shown.
    }
    removeNode(host);
    resolve(choice === undefined ? DISMISSED : own({ choice, remember }));
  };
  const takeBack = (): void => finish(undefined);

  layOut(dialog, question, ticked, (event, id) => {
    if (isTrusted(event) && now() - shownAt >= SETTLE_MS) finish(id);
  });
  addListener(dialog, "cancel", (event) => {
    preventDefault(event);
    if (isTrusted(event)) finish(undefined);
  });
  addListener(dialog, "close", takeBack);
  keepToItself(dialog);
  append(shadow, dialog);

  const present = (): void => {
    const root = rootElement(pageDocument);
    if (root === null) return;
    append(root, host);
    // Left over where the page threw the question out.
    removeAttribute(dialog, "open");
    showModal(dialog);
    focus(dialog);
    shownAt = now();
  };
  const observer = new NativeMutationObserver(() => {
    if (!isOpen || isConnected(host)) return;
    returns += 1;
    try {
      if (returns <= MAX_RETURNS) present();
    } catch {
      // Dismissed below.
    }
    if (!isConnected(host)) finish(undefined);
  });
  if (question.signal !== undefined) addListener(question.signal, "abort", takeBack);
  present();
  observe(observer, pageDocument, { childList: true, subtree: true });
}

function layOut(
  dialog: HTMLDialogElement,
  question: Question,
  ticked: { id: string; box: HTMLInputElement }[],
  chosen: (event: Event, id: string) => void,
): void {
  setAttribute(dialog, "lang", language());
  setAttribute(dialog, "dir", direction());
  setAttribute(dialog, "tabindex", "-1");
  setAttribute(dialog, "aria-modal", "true");
  setAttribute(dialog, "aria-labelledby", "title");
  setAttribute(dialog, "aria-describedby", "text");
  append(dialog, textElement("p", text("asks"), "sender"));
  const title = textElement("h2", translated(question.title));
  setAttribute(title, "id", "title");
  append(dialog, title);

  const about = createElement("div");
  setAttribute(about, "id", "text");
  for (let index = 0; index < question.text.length; index += 1) {
    append(about, textElement("p", translated(question.text[index] ?? "")));
  }
  append(dialog, about);

  const remember = question.remember ?? [];
  for (let index = 0; index < remember.length; index += 1) {
    const one = remember[index];
    if (one === undefined) continue;
    const label = createElement("label");
    const box = createElement("input");
    setType(box, "checkbox");
    append(label, box);
    append(label, textElement("span", translated(one.label)));
    append(dialog, label);
    push(ticked, { id: one.id, box });
  }

  const row = createElement("div");
  setAttribute(row, "class", "choices");
  for (let index = 0; index < question.choices.length; index += 1) {
    const choice = question.choices[index];
    if (choice === undefined) continue;
    const button = textElement("button", translated(choice.label), own(choice).kind ?? "plain");
    setAttribute(button, "type", "button");
    addListener(button, "click", (event) => chosen(event, choice.id));
    append(row, button);
  }
  append(dialog, row);
}

/** Keys and presses are not for the page's own shortcuts, which listen further out. */
function keepToItself(dialog: HTMLDialogElement): void {
  const types = ["keydown", "keypress", "keyup", "click", "mousedown", "mouseup", "pointerdown"];
  const others = ["pointerup", "touchstart", "touchend", "wheel", "input", "change", "paste"];
  for (let at = 0; at < 2; at += 1) {
    const list = at === 0 ? types : others;
    for (let index = 0; index < list.length; index += 1) {
      addListener(dialog, list[index] ?? "", (event) => stopPropagation(event));
    }
  }
}

function textElement(name: "p" | "h2" | "span" | "button", text: string, style = ""): HTMLElement {
  const element = createElement(name);
  if (style !== "") setAttribute(element, "class", style);
  setText(element, text);
  return element;
}
