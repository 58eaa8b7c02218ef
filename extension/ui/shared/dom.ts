/** Builds elements from plain values; text is only ever set as text. */

export interface Attributes {
  class?: string;
  text?: string;
  [attribute: `aria-${string}` | `data-${string}`]: string;
  id?: string;
  role?: string;
  tabindex?: string;
  title?: string;
}

/** A new element with attributes and children. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Node[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes) as [string, string][]) {
    if (name === "text") {
      made.textContent = value;
    } else {
      made.setAttribute(name, value);
    }
  }
  made.append(...children);
  return made;
}

export function button(label: string, kind: string, pressed: () => void): HTMLButtonElement {
  const made = element("button", { text: label, class: kind });
  made.type = "button";
  made.addEventListener("click", pressed);
  return made;
}

/** The element of the page's own HTML with this id. */
export function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) {
    throw new Error(`This page has no #${id}.`);
  }
  return found;
}
