/** The name that new sessions carry. */
import { Component, type JSX, createRef } from "preact";

import type { SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import type { ChangeSetting } from "./setting-change.ts";

interface Props {
  readonly name: SettingsView["deviceName"];
  readonly change: ChangeSetting;
}

interface State {
  readonly isSaved: boolean;
}

export class DeviceNameField extends Component<Props, State> {
  override state: State = { isSaved: false };
  readonly #input = createRef<HTMLInputElement>();
  #shown: string | undefined;

  override componentDidMount(): void {
    this.#put();
  }

  override componentDidUpdate(): void {
    this.#put();
  }

  override render({ name }: Props, { isSaved }: State): JSX.Element {
    return (
      <div class="field">
        <label for="device-name">{text("deviceName")}</label>
        <input
          id="device-name"
          aria-describedby="device-name-hint"
          type="text"
          maxLength={100}
          autocomplete="off"
          disabled={name.locked}
          ref={this.#input}
          // What is typed now is not what was saved.
          onInput={() => this.setState({ isSaved: false })}
          onKeyDown={({ key, isComposing }) => {
            if (key === "Enter" && !isComposing) this.#storeTyped();
          }}
        />
        <p class="hint" id="device-name-hint">
          {text("deviceNameHint")}
        </p>
        <div class="buttons">
          <button
            class="secondary"
            type="button"
            disabled={name.locked}
            onClick={() => this.#storeTyped()}
          >
            {text("save")}
          </button>
          <button
            class="quiet"
            type="button"
            hidden={name.locked || name.source === "default"}
            onClick={() => this.#store(null)}
          >
            {text("useDefault", name.default)}
          </button>
          <span class="outcome" role="status">
            {isSaved && text("saved")}
          </span>
        </div>
      </div>
    );
  }

  /** What the person is typing stays until the stored value itself changes. */
  #put(): void {
    const { value } = this.props.name;
    if (this.#input.current === null || value === this.#shown) return;
    this.#shown = value;
    this.#input.current.value = value;
  }

  #storeTyped(): void {
    if (this.#input.current !== null) this.#store(this.#input.current.value);
  }

  #store(value: string | null): void {
    this.setState({ isSaved: false });
    this.props.change({ type: "deviceName", value }).then(
      () => this.setState({ isSaved: true }),
      () => undefined,
    );
  }
}
