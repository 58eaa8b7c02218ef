/** One option of a shield: a choice, a switch, a text, a number or a list. */
import { Component, type JSX } from "preact";

import type { OptionValue, OptionView } from "../../browser/settings-core.ts";
import { ofTables, text } from "../../browser/messages.ts";
import { ChoiceLines } from "./choice-lines.tsx";
import { enteredFor, valueOf } from "./option-value.ts";
import type { ChangeSetting } from "./setting-change.ts";

interface Props {
  /** "general" for what belongs to none. */
  readonly shield: string;
  readonly option: OptionView;
  readonly change: ChangeSetting;
}

interface State {
  /** Of the last change that was asked for; undefined again once somebody edits the value. */
  readonly isTaken?: boolean | undefined;
}

type Control = HTMLInputElement | HTMLTextAreaElement;

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
    const { key, kind, locked, value } = option;
    const { isTaken } = this.state;
    const title = ofTables(`option_${shield}_${key}`, this.props.option.title);
    if (kind !== "flag" && "choice" in kind) {
      return (
        <ChoiceLines
          id={id}
          title={title}
          choices={kind.choice.map(([choice, label]) => [
            choice,
            ofTables(`choice_${shield}_${key}_${choice}`, label),
          ])}
          value={String(value)}
          isLocked={locked}
          choose={(choice) => this.#store(choice)}
        />
      );
    }
    return (
      <>
        <label for={id}>{title}</label>
        {this.#entryWith(id, isTaken)}
      </>
    );
  }

  #entryWith(id: string, isTaken: boolean | undefined): JSX.Element {
    const { kind, locked } = this.props.option;
    const common = {
      id,
      disabled: locked,
      ref: this.#hold,
      ...(isTaken === undefined ? {} : { "aria-invalid": !isTaken }),
      onInput: this.#edited,
      ...(kind === "flag" ? { onChange: this.#set } : {}),
    };
    if (kind === "flag") return <input {...common} type="checkbox" />;
    if ("list" in kind) return <textarea {...common} rows={2} spellcheck={false} />;
    if ("number" in kind) {
      return <input {...common} type="number" min={kind.number.min} max={kind.number.max} />;
    }
    return <input {...common} type="text" maxLength={"text" in kind ? kind.text.max : undefined} />;
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

  readonly #edited = (): void => this.setState({ isTaken: undefined });

  readonly #set = (): void => {
    if (this.#control === null) return;
    const { value, checked = false } = this.#control as HTMLInputElement;
    this.#store(valueOf(this.props.option.kind, { value, checked })).catch(() => undefined);
  };

  async #store(value: OptionValue): Promise<void> {
    const { shield, option, change } = this.props;
    try {
      await change({ type: "option", shield, key: option.key, value });
      this.setState({ isTaken: true });
    } catch (error) {
      this.setState({ isTaken: false });
      throw error;
    }
  }
}

/** Applied at once, or by a button. */
function isImmediate({ kind }: OptionView): boolean {
  return kind === "flag" || "choice" in kind;
}
