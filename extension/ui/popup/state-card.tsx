/** The card on top: what Mantle does in this page, and the one thing a person can do about it. */
import { Component, type JSX, createRef } from "preact";

import { reloadTab, requestHost } from "../../browser/api.ts";
import { type MessageName, text } from "../../browser/messages.ts";
import type { Site } from "../../browser/sites.ts";
import { reasonOf } from "../shared/reason.ts";
import type { PageCondition, PageKind } from "./page-state.ts";

export interface SiteActions {
  /** Writes the site into the settings. */
  remember(site: Site): Promise<void>;
  /** Takes it out again. */
  forget(site: Site): Promise<void>;
}

interface StateTexts {
  readonly heading: MessageName;
  /** What is as it should be needs no sentence. */
  readonly about?: MessageName;
  readonly tone: "good" | "plain" | "bad";
}

const TEXTS: Record<PageKind, StateTexts> = {
  protected: { heading: "stateProtected", tone: "good" },
  starting: { heading: "stateStarting", about: "stateStartingText", tone: "bad" },
  trapped: { heading: "stateTrapped", about: "stateTrappedText", tone: "bad" },
  "no-wasm": { heading: "stateNoWasm", about: "stateNoWasmText", tone: "bad" },
  reload: { heading: "stateReload", about: "stateReloadText", tone: "bad" },
  "not-allowed": { heading: "stateNotAllowed", about: "stateNotAllowedText", tone: "bad" },
  "looks-like-element": {
    heading: "stateLooksLikeElement",
    about: "stateLooksLikeElementText",
    tone: "bad",
  },
  "not-element": { heading: "stateNotElement", about: "stateNotElementText", tone: "plain" },
  http: { heading: "stateHttp", about: "stateHttpText", tone: "plain" },
  impossible: { heading: "stateImpossible", about: "stateImpossibleText", tone: "plain" },
};

export function toneOf(kind: PageKind): StateTexts["tone"] {
  return TEXTS[kind].tone;
}

export function StateCard({
  condition,
  tabId,
  actions,
}: {
  readonly condition: PageCondition;
  readonly tabId: number | undefined;
  readonly actions: SiteActions;
}): JSX.Element {
  const { heading, about } = TEXTS[condition.kind];
  return (
    <>
      <h2>{text(heading)}</h2>
      {about !== undefined && <p>{text(about, condition.site?.host ?? "")}</p>}
      {tabId !== undefined && <Remedy condition={condition} tabId={tabId} actions={actions} />}
    </>
  );
}

interface RemedyProps {
  readonly condition: PageCondition;
  readonly tabId: number;
  readonly actions: SiteActions;
}

function Remedy({ condition, tabId, actions }: RemedyProps): JSX.Element | null {
  const { site, folder } = condition;
  switch (condition.kind) {
    case "starting":
    case "trapped":
    case "reload":
      return <Reload tabId={tabId} />;
    case "not-allowed":
      // The site is known already: only the permission is missing.
      return site === undefined ? null : (
        <AddSite tabId={tabId} site={site} label="actionAllow" kind="primary" />
      );
    case "looks-like-element":
    case "not-element": {
      const isElement = condition.kind === "looks-like-element";
      return site === undefined ? null : (
        <AddSite
          tabId={tabId}
          site={site}
          folder={folder}
          actions={actions}
          label={isElement ? "actionProtect" : "actionProtectAnyway"}
          kind={isElement ? "primary" : "quiet"}
        />
      );
    }
    default:
      return null;
  }
}

function Reload({ tabId }: { readonly tabId: number }): JSX.Element {
  return (
    <button
      class="primary"
      type="button"
      onClick={() => void reloadTab(tabId).then(() => window.close())}
    >
      {text("actionReload")}
    </button>
  );
}

interface AddSiteProps {
  readonly tabId: number;
  readonly site: Site;
  readonly folder?: Site | undefined;
  /** Absent where the settings are not to be changed. */
  readonly actions?: SiteActions;
  readonly label: MessageName;
  readonly kind: string;
}

interface AddSiteState {
  readonly isGiven: boolean;
  readonly outcome: string;
}

class AddSite extends Component<AddSiteProps, AddSiteState> {
  override state: AddSiteState = { isGiven: false, outcome: "" };
  readonly #narrow = createRef<HTMLInputElement>();

  override render(props: AddSiteProps, { isGiven, outcome }: AddSiteState): JSX.Element {
    const { tabId, folder, label, kind } = props;
    return (
      <>
        {folder !== undefined && (
          <label>
            <input type="checkbox" ref={this.#narrow} />
            {text("onlyUnder", `${new URL(folder.url).pathname}/`)}
          </label>
        )}
        {isGiven ? (
          <Reload tabId={tabId} />
        ) : (
          <button class={kind} type="button" onClick={() => this.#add()}>
            {text(label)}
          </button>
        )}
        <p role="status">{outcome}</p>
      </>
    );
  }

  #add(): void {
    const { site, folder, actions } = this.props;
    const isNarrow = folder !== undefined && this.#narrow.current?.checked === true;
    const chosen = isNarrow ? folder : site;
    // First, while the browser still counts this as the person's click. Firefox may close the
    // popup over its own question, so the site is written down before the answer.
    const granted = requestHost(chosen.permission);
    const remembered = actions?.remember(chosen) ?? Promise.resolve();
    void Promise.all([granted, remembered]).then(
      async ([isGiven]) => {
        this.setState({ isGiven, outcome: text(isGiven ? "siteAdded" : "siteRefused") });
        if (!isGiven) await actions?.forget(chosen);
      },
      (error: unknown) => this.setState({ outcome: reasonOf(error) }),
    );
  }
}
