/** A list of many rows of one height, of which only those in view are in the document. */
import { Component, type ComponentChildren, type JSX, createRef } from "preact";

import { type Range, rangeInView } from "./range-in-view.ts";

interface Props<Item> {
  readonly label: string;
  readonly items: readonly Item[];
  /** The cells of a row; its height is the style sheet's. */
  readonly contentOf: (item: Item) => ComponentChildren;
}

interface State {
  readonly range: Range;
  /** Of a row; 0 until one was measured. */
  readonly height: number;
}

export class VirtualList<Item> extends Component<Props<Item>, State> {
  override state: State = { range: { first: 0, end: 1 }, height: 0 };
  readonly #root = createRef<HTMLDivElement>();
  // Rows are higher where the window is narrow.
  readonly #resized = new ResizeObserver(() => this.#look());
  #isWaiting = false;

  override componentDidMount(): void {
    if (this.#root.current !== null) this.#resized.observe(this.#root.current);
  }

  override componentDidUpdate({ items }: Props<Item>): void {
    if (items !== this.props.items) this.#look();
  }

  override componentWillUnmount(): void {
    this.#resized.disconnect();
  }

  override render({ label, items, contentOf }: Props<Item>, { range, height }: State): JSX.Element {
    const { first, end } = range;
    return (
      <div
        class="list"
        role="region"
        aria-label={label}
        // A region that scrolls is to be scrolled by keyboard too.
        tabIndex={0}
        hidden={items.length === 0}
        ref={this.#root}
        onScroll={() => this.#scrolled()}
      >
        <div role="table" aria-label={label} aria-rowcount={items.length}>
          <div role="rowgroup" style={{ height: `${items.length * height}px` }}>
            {items.slice(first, end).map((item, at) => (
              <Placed
                key={first + at}
                index={first + at}
                top={(first + at) * height}
                item={item}
                contentOf={contentOf}
              />
            ))}
          </div>
        </div>
      </div>
    );
  }

  #scrolled(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    requestAnimationFrame(() => {
      this.#isWaiting = false;
      this.#look();
    });
  }

  /** What is in view now, by the height that a row has now. */
  #look(): void {
    const root = this.#root.current;
    const row = root?.querySelector("[role=row]");
    // None of what was in view is in a list that became much shorter.
    const height = row?.getBoundingClientRect().height ?? this.state.height;
    if (!root || height === 0) return;
    const { scrollTop, clientHeight } = root;
    const range = rangeInView({ scrollTop, clientHeight, height }, this.props.items.length);
    const { range: before, height: former } = this.state;
    if (range.first === before.first && range.end === before.end && height === former) return;
    this.setState({ range, height });
  }
}

interface PlacedProps<Item> {
  readonly index: number;
  readonly top: number;
  readonly item: Item;
  readonly contentOf: (item: Item) => ComponentChildren;
}

/** A row that is drawn anew only where another one takes its place: scrolling touches no others. */
class Placed<Item> extends Component<PlacedProps<Item>> {
  override shouldComponentUpdate({ top, item }: PlacedProps<Item>): boolean {
    return top !== this.props.top || item !== this.props.item;
  }

  override render({ index, top, item, contentOf }: PlacedProps<Item>): JSX.Element {
    return (
      <div role="row" aria-rowindex={index + 1} style={{ top: `${top}px` }}>
        {contentOf(item)}
      </div>
    );
  }
}
