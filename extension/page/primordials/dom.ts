/** Natives for what Mantle shows in the page, as they were before any page script ran. */
import {
  capturedGetter,
  capturedSetter,
  NativeMutationObserver,
  pageDocument,
  uncurry,
} from "./primordials.ts";

const createNative = uncurry(
  Document.prototype.createElement as (this: Document, name: string) => HTMLElement,
);
export const createElement = <Name extends keyof HTMLElementTagNameMap>(
  name: Name,
): HTMLElementTagNameMap[Name] => createNative(pageDocument, name) as HTMLElementTagNameMap[Name];

const attachNative = uncurry(Element.prototype.attachShadow);
const setSheets = capturedSetter<ShadowRoot, CSSStyleSheet[]>(
  ShadowRoot.prototype,
  "adoptedStyleSheets",
);
const NativeStyleSheet = CSSStyleSheet;
const replaceSheet = uncurry(CSSStyleSheet.prototype.replaceSync);

/** A closed shadow root with its own style; a constructed sheet works under any security policy. */
export function closedRoot(host: HTMLElement, style: string): ShadowRoot {
  const root = attachNative(host, { mode: "closed" });
  const sheet = new NativeStyleSheet();
  replaceSheet(sheet, style);
  setSheets(root, [sheet]);
  return root;
}

export const append = uncurry(Node.prototype.appendChild as (this: Node, child: Node) => Node);
export const removeNode = uncurry(Element.prototype.remove);
export const setAttribute = uncurry(Element.prototype.setAttribute);
export const removeAttribute = uncurry(Element.prototype.removeAttribute);
export const setText = capturedSetter<Node, string>(Node.prototype, "textContent");
export const isConnected = capturedGetter<Node, boolean>(Node.prototype, "isConnected");
export const rootElement = capturedGetter<Document, HTMLElement | null>(
  Document.prototype,
  "documentElement",
);
export const focus = uncurry(HTMLElement.prototype.focus as (this: HTMLElement) => void);
export const showModal = uncurry(HTMLDialogElement.prototype.showModal);
export const closeDialog = uncurry(HTMLDialogElement.prototype.close as (this: Node) => void);
export const setType = capturedSetter<HTMLInputElement, string>(HTMLInputElement.prototype, "type");
export const isChecked = capturedGetter<HTMLInputElement, boolean>(
  HTMLInputElement.prototype,
  "checked",
);
export const clickElement = uncurry(HTMLElement.prototype.click);
const filesOf = capturedGetter<HTMLInputElement, FileList | null>(
  HTMLInputElement.prototype,
  "files",
);
export const fileIn = (field: HTMLInputElement): File | undefined => filesOf(field)?.[0];
export const stopPropagation = uncurry(Event.prototype.stopPropagation);
export const observe = uncurry(MutationObserver.prototype.observe);
export const disconnect = uncurry(MutationObserver.prototype.disconnect);

/** Resolves once the document has a root element. */
export function whenRooted(task: (root: HTMLElement) => void): void {
  const root = rootElement(pageDocument);
  if (root !== null) {
    task(root);
    return;
  }
  const observer = new NativeMutationObserver(() => {
    const made = rootElement(pageDocument);
    if (made === null) return;
    disconnect(observer);
    task(made);
  });
  observe(observer, pageDocument, { childList: true });
}
