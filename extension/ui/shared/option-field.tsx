/** One option of a shield: a choice, a switch, a text, a number or a list. */
import { Component, type JSX } from "preact";

import type { OptionValue, OptionView } from "../../browser/settings-core.ts";
import { ofTables, text } from "../../browser/messages.ts";
import { enteredFor, valueOf } from "./option-value.ts";
import type { ChangeSetting } from "./setting-change.ts";

interface Props {
  /** "general" for what belongs to none. */
  readonly shield: string;
  readonly option: OptionView;
  readonly change: ChangeSetting;
}

interface State {
  /** Of the last change that was asked for. */
  readonly isTaken?: boolean;
}

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

export class OptionField extends Component<Props, State> {
  override state: State = {};
  #control: Control | null = null;
  #shown: string | undefined;
  readonly #hold = (control: Control | null): void => {
    this.#control = control;
  };

  override componentDidMount(): void {
    this.#put();
  }

  override componentDidUpdate(): void {
    this.#put();
  }

  override render({ shield, option }: Props, { isTaken }: State): JSX.Element {
    const id = `option-${shield}-${option.key}`;
    return (
      <div class="field">
        <label for={id}>{ofTables(`option_${shield}_${option.key}`, option.title)}</label>
        {this.#controlWith(id)}
        <div class="buttons">
          <button
            class="secondary"
            type="button"
            hidden={isImmediate(option)}
            disabled={option.locked}
            onClick={this.#set}
          >
            {text("save")}
          </button>
          <span class="outcome" role="status">
            {isTaken === true && text("saved")}
          </span>
        </div>
      </div>
    );
  }

  #controlWith(id: string): JSX.Element {
    const { shield, option } = this.props;
    const { key, kind, locked } = option;
    const { isTaken } = this.state;
    const common = {
      id,
      disabled: locked,
      ref: this.#hold,
      ...(isTaken === undefined ? {} : { "aria-invalid": !isTaken }),
      ...(isImmediate(option) ? { onChange: this.#set } : {}),
    };
    if (kind === "flag") return <input {...common} type="checkbox" />;
    if ("choice" in kind) {
      return (
        <select {...common}>
          {kind.choice.map(([value, label]) => (
            <option key={value} value={value}>
              {ofTables(`choice_${shield}_${key}_${value}`, label)}
            </option>
          ))}
        </select>
      );
    }
    if ("list" in kind) return <textarea {...common} rows={2} spellcheck={false} />;
    if ("number" in kind) {
      return <input {...common} type="number" min={kind.number.min} max={kind.number.max} />;
    }
    return <input {...common} type="text" maxLength={kind.text.max} />;
  }

  /** What a person is typing stays until the stored value changes. */
  #put(): void {
    const { kind, value } = this.props.option;
    const stored = JSON.stringify(value);
    if (this.#control === null || stored === this.#shown) return;
    this.#shown = stored;
    const entered = enteredFor(kind, value);
    if (kind === "flag") (this.#control as HTMLInputElement).checked = entered.checked;
    else this.#control.value = entered.value;
  }

  readonly #set = (): void => {
    const { shield, option, change } = this.props;
    if (this.#control === null) return;
    const { value, checked = false } = this.#control as HTMLInputElement;
    const entered: OptionValue = valueOf(option.kind, { value, checked });
    change({ type: "option", shield, key: option.key, value: entered }).then(
      () => this.setState({ isTaken: true }),
      () => this.setState({ isTaken: false }),
    );
  };
}

/** Applied at once, or by a button. */
function isImmediate({ kind }: OptionView): boolean {
  return kind === "flag" || "choice" in kind;
}
