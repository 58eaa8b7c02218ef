/** A switch for off and on; a group of radio buttons where there are more modes. */
import type { JSX } from "preact";

import type { ShieldView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { Pressed, Radio } from "./pressed.tsx";
import { nameOf } from "./shields.ts";

type Mode = ShieldView["mode"];

interface Props {
  readonly shield: ShieldView;
  /** What a person loses by it. */
  readonly title: string;
  /** Rejects where the mode was not taken. */
  readonly choose: (mode: Mode) => Promise<void>;
}

export function ModeSwitch({ shield, title, choose }: Props): JSX.Element {
  const { id, modes, locked } = shield;
  const draw = (pressed: Mode, press: (mode: Mode) => void): JSX.Element => {
    if (modes.length === 2 && modes.every((mode) => mode === "on" || mode === "off")) {
      const isOn = pressed === "on";
      return (
        <button
          class="switch"
          type="button"
          role="switch"
          aria-labelledby={`name-${id}`}
          aria-describedby={`purpose-${id}`}
          aria-checked={isOn}
          title={title}
          disabled={locked}
          onClick={() => press(isOn ? "off" : "on")}
        >
          {text(isOn ? "mode_on" : "mode_off")}
        </button>
      );
    }
    return (
      <fieldset class="modes" aria-describedby={`purpose-${id}`} title={title} disabled={locked}>
        <legend>{text("modeOf", nameOf(shield))}</legend>
        {modes.map((mode) => (
          <label key={mode} title={text(`modeText_${mode}`)}>
            <Radio
              name={`mode-${id}`}
              value={mode}
              title={text(`modeText_${mode}`)}
              isChecked={mode === pressed}
              onPress={() => press(mode)}
            />
            <span>{text(`mode_${mode}`)}</span>
          </label>
        ))}
      </fieldset>
    );
  };
  return <Pressed of={shield} value={shield.mode} choose={choose} draw={draw} />;
}
