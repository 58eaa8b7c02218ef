/** What of several was pressed, and the radio buttons for it. */
import { Component, type JSX } from "preact";

interface Props<Value> {
  /** Another one once the settings were read anew. */
  readonly of: unknown;
  /** What is in force by them. */
  readonly value: Value;
  /** Rejects where the choice was not taken. */
  readonly choose: (value: Value) => Promise<void>;
  readonly draw: (pressed: Value, press: (value: Value) => void) => JSX.Element;
}

interface State<Value> {
  /** What was shown last. */
  readonly seen?: unknown;
  /** Shown until the settings say what is in force. */
  readonly pressed?: Value | undefined;
}

export class Pressed<Value> extends Component<Props<Value>, State<Value>> {
  override state: State<Value> = {};

  static override getDerivedStateFromProps(
    { of }: Props<unknown>,
    { seen }: State<unknown>,
  ): State<unknown> | null {
    return of === seen ? null : { seen: of, pressed: undefined };
  }

  override render({ value, draw }: Props<Value>, { pressed = value }: State<Value>): JSX.Element {
    return draw(pressed, this.#press);
  }

  readonly #press = (value: Value): void => {
    this.setState({ pressed: value });
    this.props.choose(value).catch(() => this.setState({ pressed: undefined }));
  };
}

interface RadioProps {
  readonly name: string;
  readonly value: string;
  readonly title?: string;
  readonly isChecked: boolean;
  readonly onPress: () => void;
}

export function Radio({ name, value, title, isChecked, onPress }: RadioProps): JSX.Element {
  return (
    <input
      type="radio"
      name={name}
      // Preact leaves out what a radio button is worth by itself, which is "on".
      ref={(radio) => radio?.setAttribute("value", value)}
      {...(title === undefined ? {} : { title })}
      checked={isChecked}
      onChange={onPress}
    />
  );
}
