/** One shield: name, purpose, switch, counts, and what a person loses by it. */
import { Component, type JSX } from "preact";

import type { SettingsView, ShieldView } from "../../browser/settings-core.ts";
import { inDigits, ofTables, text } from "../../browser/messages.ts";
import { AllowList } from "./allow-list.tsx";
import { DeviceNameField } from "./device-name-field.tsx";
import { HeadersPermission } from "./headers-permission.tsx";
import { ModeSwitch } from "./mode-switch.tsx";
import { OptionField } from "./option-field.tsx";
import { type ChangeSetting, changeTelling } from "./setting-change.ts";
import { losesBy, nameOf, purposeOf } from "./shields.ts";

/** Stopped and changed requests, on this page and in all. `here` is absent off Element's pages. */
export interface ShieldCounts {
  readonly here: number | undefined;
  readonly total: number;
}

interface Props {
  readonly shield: ShieldView;
  readonly settings: SettingsView;
  readonly change: ChangeSetting;
  /** Undefined until they were read. */
  readonly counts: ShieldCounts | undefined;
  /** One line and the switch, all else in the details. */
  readonly isBrief: boolean;
  /** A search leaves it out. */
  readonly isHidden: boolean;
}

interface State {
  /** The settings that were shown last. */
  readonly seen?: SettingsView;
  /** Why the last change was not taken. */
  readonly trouble: string;
}

export class ShieldRow extends Component<Props, State> {
  override state: State = { trouble: "" };

  static override getDerivedStateFromProps({ settings }: Props, { seen }: State): State | null {
    return settings === seen ? null : { seen: settings, trouble: "" };
  }

  override render(props: Props, { trouble }: State): JSX.Element {
    const { shield, isBrief, isHidden } = props;
    const { id, locked } = shield;
    const title = nameOf(shield);
    const name = <h3 id={`name-${id}`}>{title}</h3>;
    const modes = (
      <ModeSwitch
        shield={shield}
        title={losesBy(shield)}
        choose={(mode) => this.#change({ type: "mode", shield: id, mode })}
      />
    );
    const lock = (
      <span class="lock" hidden={!locked}>
        {text("lockedByOrganisation")}
      </span>
    );
    const about = (
      <>
        <p id={`purpose-${id}`} class="purpose">
          {purposeOf(shield)}
        </p>
        <p class="tally" id={`tally-${id}`}>
          {tallyOf(props.counts)}
        </p>
      </>
    );
    const rest = (
      <>
        {shield.everywhere && <HeadersPermission shield={shield} />}
        <p class="trouble" role="alert">
          {trouble}
        </p>
      </>
    );
    return (
      <article
        class={isBrief ? "shield brief" : "shield"}
        data-shield={id}
        aria-labelledby={`name-${id}`}
        hidden={isHidden}
      >
        {isBrief ? (
          <>
            {modes}
            <details>
              <summary aria-label={text("detailsOf", title)}>{name}</summary>
              {about}
              {this.#deep()}
            </details>
            {lock}
            {rest}
          </>
        ) : (
          <>
            <div class="line">
              {name}
              {modes}
            </div>
            {lock}
            {about}
            {rest}
            <details>
              <summary aria-label={text("detailsOf", title)}>{text("details")}</summary>
              {this.#deep()}
            </details>
          </>
        )}
      </article>
    );
  }

  /** What not everybody wants to know or to set. */
  #deep(): JSX.Element {
    const { shield, settings } = this.props;
    const { id, allow, options } = shield;
    return (
      <>
        <p class="loses">{losesBy(shield)}</p>
        <p class="hint">{text(SOURCES[shield.source])}</p>
        <button
          class="quiet"
          type="button"
          hidden={shield.source !== "user"}
          onClick={() => {
            this.#change({ type: "mode", shield: id, mode: null }).catch(() => undefined);
          }}
        >
          {text("restoreMode", text(`mode_${shield.default}`))}
        </button>
        {id === "device-name" && (
          <DeviceNameField name={settings.deviceName} change={this.#change} />
        )}
        {options.map((option) => (
          <OptionField key={option.key} shield={id} option={option} change={this.#change} />
        ))}
        {allow !== null && (
          <AllowList
            shield={id}
            title={ofTables(`shield_${id}_allow`, allow)}
            hosts={settings.ownAllow[id] ?? []}
            isLocked={shield.locked}
            change={this.#change}
          />
        )}
      </>
    );
  }

  readonly #change: ChangeSetting = (setting) =>
    changeTelling(this.props.change, setting, (trouble) => this.setState({ trouble }));
}

const SOURCES = {
  policy: "lockedByOrganisation",
  user: "sourceUser",
  default: "sourceDefault",
} as const;

function tallyOf(counts: ShieldCounts | undefined): string {
  if (counts === undefined) return "";
  const { here, total } = counts;
  if (total === 0) return text("countNothing");
  if (here === undefined) return text("countTotal", inDigits(total));
  return text("countHere", inDigits(here), inDigits(total));
}
