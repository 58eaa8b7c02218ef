import { addListener, isTrusted, NativeMutationObserver, page, pageDocument } from "./captured.ts";

const STYLE = `
:host {
  all: initial !important;
  position: fixed !important;
  inset: 12px 0 auto 0 !important;
  z-index: 2147483647 !important;
  display: flex !important;
  justify-content: center !important;
  pointer-events: none !important;
  color-scheme: light dark !important;
}
[role] {
  pointer-events: auto;
  box-sizing: border-box;
  display: flex;
  align-items: flex-start;
  gap: 12px;
  max-width: min(560px, calc(100vw - 24px));
  padding: 12px 12px 12px 16px;
  border: 1px solid #b3261e;
  border-inline-start-width: 6px;
  border-radius: 8px;
  background: #ffffff;
  color: #1b1d22;
  box-shadow: 0 4px 16px rgb(0 0 0 / 25%);
  font: 14px/1.45 system-ui, sans-serif;
  text-align: start;
}
[role="status"] { border-color: #2f4ec4; }
p { margin: 0; padding-block: 4px; }
button {
  flex: none;
  width: 32px;
  height: 32px;
  padding: 0;
  border: 0;
  border-radius: 6px;
  background: transparent;
  color: inherit;
  font: 20px/1 system-ui, sans-serif;
  cursor: pointer;
}
button:hover { background: rgb(127 127 127 / 20%); }
button:focus-visible { outline: 2px solid #0b57d0; outline-offset: 1px; }
@media (prefers-color-scheme: dark) {
  [role] { background: #22252b; color: #f1f3f5; border-color: #ff8a80; }
  [role="status"] { border-color: #92a8ff; }
  button:focus-visible { outline-color: #a8c7fa; }
}
`;

/** alarm: something is wrong; note: good to know. */
export type NoticeKind = "alarm" | "note";

/** Shows one sentence at the top of the page, until it is dismissed by hand. */
export function showNotice(sentence: string, kind: NoticeKind = "alarm"): void {
  const root = pageDocument.documentElement as Element | null;
  if (root !== null) {
    root.appendChild(banner(sentence, kind));
    return;
  }
  // The document is still empty.
  const observer = new NativeMutationObserver(() => {
    if (pageDocument.documentElement === null) return;
    observer.disconnect();
    pageDocument.documentElement.appendChild(banner(sentence, kind));
  });
  observer.observe(pageDocument, { childList: true });
}

function banner(sentence: string, kind: NoticeKind): HTMLElement {
  const host = pageDocument.createElement("div");
  const shadow = host.attachShadow({ mode: "closed" });
  // A constructed sheet works under any content security policy.
  const sheet = new page.CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets = [sheet];

  const alert = pageDocument.createElement("div");
  alert.setAttribute("role", kind === "alarm" ? "alert" : "status");
  const text = pageDocument.createElement("p");
  text.textContent = sentence;
  const dismiss = pageDocument.createElement("button");
  dismiss.type = "button";
  dismiss.setAttribute("aria-label", "Dismiss");
  dismiss.textContent = "×";
  addListener(dismiss, "click", (event) => {
    if (isTrusted(event)) host.remove();
  });
  alert.append(text, dismiss);
  shadow.append(alert);
  return host;
}
