/** A switch for off and on; a group of radio buttons where there are more modes. */
import { Component, type JSX } from "preact";

import type { ShieldView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { nameOf } from "./shields.ts";

type Mode = ShieldView["mode"];

interface Props {
  readonly shield: ShieldView;
  /** What a person loses by it. */
  readonly title: string;
  /** Rejects where the mode was not taken. */
  readonly choose: (mode: Mode) => Promise<void>;
}

interface State {
  /** The settings that were shown last. */
  readonly seen?: ShieldView;
  /** What was pressed, shown until the settings say what is in force. */
  readonly pressed?: Mode | undefined;
}

export class ModeSwitch extends Component<Props, State> {
  override state: State = {};

  static override getDerivedStateFromProps({ shield }: Props, { seen }: State): State | null {
    return shield === seen ? null : { seen: shield, pressed: undefined };
  }

  override render({ shield, title }: Props, { pressed = shield.mode }: State): JSX.Element {
    const { id, modes, locked } = shield;
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
          onClick={() => this.#press(isOn ? "off" : "on")}
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
            <input
              type="radio"
              name={`mode-${id}`}
              // Preact leaves out what a radio button is worth by itself, which is "on".
              ref={(radio) => radio?.setAttribute("value", mode)}
              title={text(`modeText_${mode}`)}
              checked={mode === pressed}
              onChange={() => this.#press(mode)}
            />
            <span>{text(`mode_${mode}`)}</span>
          </label>
        ))}
      </fieldset>
    );
  }

  #press(mode: Mode): void {
    this.setState({ pressed: mode });
    this.props.choose(mode).catch(() => this.setState({ pressed: undefined }));
  }
}
