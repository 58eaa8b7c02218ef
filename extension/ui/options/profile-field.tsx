/** Which defaults hold where the person chose nothing. */
import { Component, type JSX } from "preact";

import type { Profile, SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { ChoiceLines } from "../shared/choice-lines.tsx";
import { type ChangeSetting, changeTelling } from "../shared/setting-change.ts";

const PROFILES: readonly Profile[] = ["recommended", "strict"];

interface Props {
  readonly profile: SettingsView["profile"];
  readonly change: ChangeSetting;
}

interface State {
  /** Why the last choice was not taken. */
  readonly trouble: string;
}

export class ProfileField extends Component<Props, State> {
  override state: State = { trouble: "" };

  override render({ profile }: Props, { trouble }: State): JSX.Element {
    return (
      <div class="field">
        <ChoiceLines
          id="profile-choice"
          title={text("profile")}
          choices={PROFILES.map((one) => [one, text(`profile_${one}`)] as const)}
          value={profile.value}
          isLocked={profile.locked}
          choose={(value) => this.#choose(value)}
        />
        <span class="lock" hidden={!profile.locked}>
          {text("lockedByOrganisation")}
        </span>
        <p class="trouble" role="alert">
          {trouble}
        </p>
      </div>
    );
  }

  #choose(value: string): Promise<void> {
    const profile = PROFILES.find((one) => one === value) ?? null;
    const tell = (trouble: string): void => this.setState({ trouble });
    return changeTelling(this.props.change, { type: "profile", profile }, tell);
  }
}
