/** Choices that belong to no shield. */
import { Component, Fragment, type JSX } from "preact";

import type { OptionView } from "../../browser/settings-core.ts";
import { ofTables, text } from "../../browser/messages.ts";
import { OptionField } from "../shared/option-field.tsx";
import { type ChangeSetting, changeTelling } from "../shared/setting-change.ts";

interface Props {
  readonly options: readonly OptionView[];
  readonly change: ChangeSetting;
}

interface State {
  /** Why the last change was not taken. */
  readonly trouble: string;
}

/** Asked once on a card of its own. */
const CARD = "consent";

export class General extends Component<Props, State> {
  override state: State = { trouble: "" };

  override render({ options }: Props, { trouble }: State): JSX.Element {
    return (
      <>
        <h2>{text("general")}</h2>
        {options
          .filter(({ key }) => key !== CARD)
          .map((option) => (
            <Fragment key={option.key}>
              <OptionField shield="general" option={option} change={this.#change} />
              <p class="hint">{ofTables(`why_general_${option.key}`, option.why)}</p>
            </Fragment>
          ))}
        <p class="trouble" role="alert">
          {trouble}
        </p>
      </>
    );
  }

  readonly #change: ChangeSetting = (setting) =>
    changeTelling(this.props.change, setting, (trouble) => this.setState({ trouble }));
}
