/** One of several, each in a line of its own: a list that folds cuts off what they mean on a small screen. */
import type { JSX } from "preact";

import { Pressed, Radio } from "./pressed.tsx";

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

export function ChoiceLines(props: Props): JSX.Element {
  const { id, title, choices, isLocked, value: inForce, choose } = props;
  return (
    <Pressed
      of={inForce}
      value={inForce}
      choose={choose}
      draw={(pressed, press) => (
        <fieldset id={id} class="lines" disabled={isLocked}>
          <legend>{title}</legend>
          {choices.map(([value, label]) => (
            <label key={value}>
              <Radio
                name={id}
                value={value}
                isChecked={value === pressed}
                onPress={() => press(value)}
              />
              <span>{label}</span>
            </label>
          ))}
        </fieldset>
      )}
    />
  );
}
