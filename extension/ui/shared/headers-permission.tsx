/** Whether the browser lets Mantle change requests; without that a shield's switch does nothing. */
import { Component, type JSX } from "preact";

import type { ShieldView } from "../../browser/settings-core.ts";
import { EVERYWHERE, hasHost, removeHost, requestHost } from "../../browser/api.ts";
import { text } from "../../browser/messages.ts";

interface Props {
  readonly shield: ShieldView;
}

interface State {
  /** Undefined until the browser said it. */
  readonly isGiven?: boolean;
}

export class HeadersPermission extends Component<Props, State> {
  override state: State = {};

  override componentDidMount(): void {
    void this.#look();
  }

  override componentDidUpdate({ shield }: Props): void {
    if (shield !== this.props.shield) void this.#look();
  }

  override render({ shield }: Props, { isGiven }: State): JSX.Element {
    const isOff = shield.mode !== "on" && isGiven !== true;
    return (
      <div class="field" hidden={isGiven === undefined || isOff}>
        <p role="status">
          {isGiven !== undefined && text(isGiven ? "headersGiven" : "headersMissing")}
        </p>
        <button
          class="primary"
          type="button"
          hidden={isGiven === true}
          onClick={() => {
            // First, while the browser still counts this as the person's click.
            void requestHost(EVERYWHERE).then(() => this.#look());
          }}
        >
          {text("headersGive")}
        </button>
        <button
          class="quiet"
          type="button"
          hidden={isGiven !== true}
          onClick={() => void removeHost(EVERYWHERE).then(() => this.#look())}
        >
          {text("headersTakeBack")}
        </button>
      </div>
    );
  }

  async #look(): Promise<void> {
    this.setState({ isGiven: await hasHost(EVERYWHERE) });
  }
}
