/** Shields by what they are about: a fold with a heading for each family. */
import { Component, type JSX, createRef } from "preact";

import type { SettingsView } from "../../browser/settings-core.ts";
import { inDigits, text } from "../../browser/messages.ts";
import type { ChangeSetting } from "./setting-change.ts";
import { type ShieldCounts, ShieldRow } from "./shield-row.tsx";
import { type Family, familiesOf, foundBy } from "./shields.ts";

interface Props {
  readonly settings: SettingsView;
  /** What the person looks for; empty: nothing. */
  readonly query: string;
  readonly change: ChangeSetting;
  readonly countsOf: (shield: string) => ShieldCounts | undefined;
  /** How each fold begins. */
  readonly isOpen: (index: number) => boolean;
  /** See `ShieldRow`. */
  readonly isBrief: boolean;
}

export function Families(props: Props): JSX.Element {
  const { settings, query, isOpen } = props;
  const found = foundBy(query, settings.shields);
  return (
    <>
      {familiesOf(settings.shields).map((family, index) => (
        <Fold
          {...props}
          key={family.name}
          family={family}
          found={found}
          isFirstOpen={isOpen(index)}
        />
      ))}
    </>
  );
}

interface FoldProps extends Props {
  readonly family: Family;
  /** Undefined where nothing is looked for. */
  readonly found: ReadonlySet<string> | undefined;
  readonly isFirstOpen: boolean;
}

/** Whether it is open is the person's, but for what a search finds in it. */
class Fold extends Component<FoldProps> {
  readonly #fold = createRef<HTMLDetailsElement>();
  /** Whether it was open before a search began. */
  #before: boolean | undefined;

  override componentDidMount(): void {
    if (this.#fold.current !== null) this.#fold.current.open = this.props.isFirstOpen;
  }

  override componentDidUpdate({ query }: FoldProps): void {
    const fold = this.#fold.current;
    if (fold === null || query === this.props.query) return;
    if (this.props.found === undefined) {
      fold.open = this.#before ?? fold.open;
      this.#before = undefined;
    } else {
      this.#before ??= fold.open;
      fold.open = !this.#isEmpty();
    }
  }

  override render({ family, settings, change, countsOf, found, isBrief }: FoldProps): JSX.Element {
    const { name, members, acting } = family;
    return (
      <details class="family" data-family={name} hidden={this.#isEmpty()} ref={this.#fold}>
        <summary>
          <h2>{text(name)}</h2>
          <span class="tally">
            {text("familyTally", inDigits(acting), inDigits(members.length))}
          </span>
          <span class="lock" hidden={!members.some(({ locked }) => locked)}>
            {text("lockedByOrganisation")}
          </span>
        </summary>
        {members.map((shield) => (
          <ShieldRow
            key={shield.id}
            shield={shield}
            settings={settings}
            change={change}
            counts={countsOf(shield.id)}
            isBrief={isBrief}
            isHidden={found?.has(shield.id) === false}
          />
        ))}
      </details>
    );
  }

  #isEmpty(): boolean {
    const { family, found } = this.props;
    return found !== undefined && !family.members.some(({ id }) => found.has(id));
  }
}
