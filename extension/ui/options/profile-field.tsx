/** Which defaults hold where the person chose nothing. */
import { Component, type JSX } from "preact";

import type { Profile, SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
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
        <label for="profile-choice">{text("profile")}</label>
        <select
          id="profile-choice"
          value={profile.value}
          disabled={profile.locked}
          onChange={({ currentTarget }) => this.#choose(currentTarget.value)}
        >
          {PROFILES.map((one) => (
            <option key={one} value={one}>
              {text(`profile_${one}`)}
            </option>
          ))}
        </select>
        <span class="lock" hidden={!profile.locked}>
          {text("lockedByOrganisation")}
        </span>
        <p class="trouble" role="alert">
          {trouble}
        </p>
      </div>
    );
  }

  #choose(value: string): void {
    const profile = PROFILES.find((one) => one === value) ?? null;
    const tell = (trouble: string): void => this.setState({ trouble });
    changeTelling(this.props.change, { type: "profile", profile }, tell).catch(() => undefined);
  }
}
