/** A list of many rows of one height, of which only those in view are in the document. */
import { element } from "../shared/dom.ts";

/** Rows above and below the view that are there already. */
const SPARE = 8;

export interface VirtualList<Item> {
  readonly root: HTMLElement;
  show(items: readonly Item[]): void;
}

/** `rowOf` makes an element with the role of a row; its height is the style sheet's. */
export function virtualList<Item>(
  label: string,
  rowOf: (item: Item) => HTMLElement,
): VirtualList<Item> {
  const room = element("div", { role: "rowgroup" });
  const table = element("div", { role: "table", "aria-label": label }, room);
  const root = element("div", { class: "list", role: "region", "aria-label": label }, table);
  // A region that scrolls is to be scrolled by keyboard too.
  root.tabIndex = 0;
  let items: readonly Item[] = [];
  let height = 0;
  let drawn = new Map<number, HTMLElement>();

  const draw = (): void => {
    if (height === 0 || items.length === 0) return;
    const first = Math.max(0, Math.floor(root.scrollTop / height) - SPARE);
    const end = Math.min(
      items.length,
      Math.ceil((root.scrollTop + root.clientHeight) / height) + SPARE,
    );
    const next = new Map<number, HTMLElement>();
    for (let at = first; at < end; at += 1) {
      const item = items[at];
      if (item !== undefined) next.set(at, drawn.get(at) ?? placed(item, at));
    }
    for (const [at, row] of drawn) if (!next.has(at)) row.remove();
    drawn = next;
  };
  const placed = (item: Item, at: number): HTMLElement => {
    const row = rowOf(item);
    row.setAttribute("aria-rowindex", String(at + 1));
    row.style.top = `${at * height}px`;
    room.append(row);
    return row;
  };
  const measure = (): void => {
    const [item] = items;
    if (item === undefined) return;
    const probe = rowOf(item);
    room.append(probe);
    height = probe.getBoundingClientRect().height;
    probe.remove();
    room.style.height = `${items.length * height}px`;
  };
  const start = (): void => {
    for (const row of drawn.values()) row.remove();
    drawn = new Map();
    measure();
    draw();
  };
  let isWaiting = false;
  root.addEventListener(
    "scroll",
    () => {
      if (isWaiting) return;
      isWaiting = true;
      requestAnimationFrame(() => {
        isWaiting = false;
        draw();
      });
    },
    { passive: true },
  );
  // Rows are higher where the window is narrow.
  new ResizeObserver(start).observe(root);
  return {
    root,
    show: (shown) => {
      items = shown;
      table.setAttribute("aria-rowcount", String(items.length));
      root.hidden = items.length === 0;
      start();
    },
  };
}
