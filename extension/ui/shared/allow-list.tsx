/** Hosts that a shield lets pass. */
import { Component, type JSX, createRef } from "preact";

import { withPages } from "../../browser/pages-module.ts";
import { text } from "../../browser/messages.ts";
import { hostsIn } from "./option-value.ts";
import type { ChangeSetting } from "./setting-change.ts";

interface Props {
  readonly shield: string;
  readonly title: string;
  /** The person's own. */
  readonly hosts: readonly string[];
  readonly isLocked: boolean;
  readonly change: ChangeSetting;
}

interface State {
  readonly isInvalid?: boolean | undefined;
  readonly outcome: string;
}

const EXAMPLE = "contacts.example.org";

export class AllowList extends Component<Props, State> {
  override state: State = { outcome: "" };
  readonly #input = createRef<HTMLTextAreaElement>();
  #shown: string | undefined;

  override componentDidMount(): void {
    this.#put();
  }

  override componentDidUpdate(): void {
    this.#put();
  }

  override render({ shield, title, isLocked }: Props, { isInvalid, outcome }: State): JSX.Element {
    const [id, hintId] = [`allow-${shield}`, `allow-hint-${shield}`];
    return (
      <div class="field">
        <label for={id}>{title}</label>
        <textarea
          id={id}
          aria-describedby={hintId}
          aria-invalid={isInvalid}
          rows={2}
          spellcheck={false}
          placeholder={EXAMPLE}
          disabled={isLocked}
          ref={this.#input}
          // What is typed now is neither saved nor refused.
          onInput={() => this.setState({ isInvalid: undefined, outcome: "" })}
        />
        <p class="hint" id={hintId}>
          {text("allowHint", EXAMPLE)}
        </p>
        <div class="buttons">
          <button
            class="secondary"
            type="button"
            disabled={isLocked}
            onClick={() => void this.#store(hostsIn(this.#input.current?.value ?? ""))}
          >
            {text("save")}
          </button>
          <span class="outcome" role="status">
            {outcome}
          </span>
        </div>
      </div>
    );
  }

  /** What a person is typing stays until the stored hosts change. */
  #put(): void {
    const stored = this.props.hosts.join("\n");
    if (this.#input.current === null || stored === this.#shown) return;
    this.#shown = stored;
    this.#input.current.value = stored;
  }

  async #store(hosts: string[]): Promise<void> {
    const { shield, change } = this.props;
    const wrong = await firstThatIsNone(hosts);
    if (wrong !== undefined) {
      this.setState({ isInvalid: true, outcome: text("allowBadHost", wrong) });
      return;
    }
    this.setState({ isInvalid: false, outcome: "" });
    await change({ type: "allow", shield, hosts }).then(
      () => this.setState({ outcome: text("saved") }),
      () => this.setState({ isInvalid: true }),
    );
  }
}

async function firstThatIsNone(hosts: string[]): Promise<string | undefined> {
  return withPages(({ host }) => hosts.find((typed) => host(typed) === undefined));
}
