/** A section with a list of lines that can be taken out; it is there only while something is in it. */
import { Component, type ComponentChildren, type JSX, createRef } from "preact";

interface Props {
  readonly id: string;
  readonly title: string;
  readonly isEmpty: boolean;
  /** What there is to know of all of them. */
  readonly hint?: string;
  /** Items of a list, each with a key. */
  readonly lines: ComponentChildren;
  /** What follows the list. */
  readonly children?: ComponentChildren;
}

export class Listed extends Component<Props> {
  readonly #section = createRef<HTMLElement>();

  override getSnapshotBeforeUpdate(): boolean {
    return this.#section.current?.contains(document.activeElement) === true;
  }

  /** Who goes through the list by keyboard stays in it, also when a line went. */
  override componentDidUpdate(_props: Props, _state: object, hadFocus: boolean): void {
    const section = this.#section.current;
    if (!hadFocus || section?.contains(document.activeElement) !== false) return;
    section.querySelector("button")?.focus();
  }

  override render({ id, title, isEmpty, hint, lines, children }: Props): JSX.Element {
    return (
      <section id={id} hidden={isEmpty} ref={this.#section}>
        {!isEmpty && (
          <>
            <h2>{title}</h2>
            {hint !== undefined && <p class="hint">{hint}</p>}
            <ul>{lines}</ul>
            {children}
          </>
        )}
      </section>
    );
  }
}
