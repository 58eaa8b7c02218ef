/** One of several, each in a line of its own: a list that folds cuts off what they mean on a small screen. */
import { Component, type JSX } from "preact";

interface Props {
  readonly id: string;
  readonly title: string;
  /** By their value, with what they say. */
  readonly choices: readonly (readonly [value: string, label: string])[];
  readonly value: string;
  readonly isLocked: boolean;
  /** Rejects where the choice was not taken. */
  readonly choose: (value: string) => Promise<void>;
}

interface State {
  /** The value that was in force when the choice was last drawn. */
  readonly seen?: string;
  /** What was pressed, shown until the settings say what is in force. */
  readonly pressed?: string | undefined;
}

export class ChoiceLines extends Component<Props, State> {
  override state: State = {};

  static override getDerivedStateFromProps({ value }: Props, { seen }: State): State | null {
    return value === seen ? null : { seen: value, pressed: undefined };
  }

  override render(props: Props, { pressed = props.value }: State): JSX.Element {
    const { id, title, choices, isLocked } = props;
    return (
      <fieldset id={id} class="lines" disabled={isLocked}>
        <legend>{title}</legend>
        {choices.map(([value, label]) => (
          <label key={value}>
            <input
              type="radio"
              name={id}
              // Preact leaves out what a radio button is worth by itself, which is "on".
              ref={(radio) => radio?.setAttribute("value", value)}
              checked={value === pressed}
              onChange={() => this.#press(value)}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
    );
  }

  #press(value: string): void {
    this.setState({ pressed: value });
    this.props.choose(value).catch(() => this.setState({ pressed: undefined }));
  }
}
