/** The card on top: what Mantle does in this page, and the one thing a person can do about it. */
import { reloadTab, requestHost } from "../../browser/api.ts";
import { type MessageName, text } from "../../browser/messages.ts";
import type { Site } from "../../browser/sites.ts";
import { button, element } from "../shared/dom.ts";
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

export function showState(
  card: HTMLElement,
  condition: PageCondition,
  tabId: number | undefined,
  actions: SiteActions,
): void {
  const { heading, about, tone } = TEXTS[condition.kind];
  card.className = `card ${tone}`;
  card.dataset["kind"] = condition.kind;
  card.replaceChildren(
    element("h2", { text: text(heading) }),
    ...(about === undefined
      ? []
      : [element("p", { text: text(about, condition.site?.host ?? "") })]),
  );
  if (tabId === undefined) {
    return;
  }
  switch (condition.kind) {
    case "starting":
    case "trapped":
    case "reload":
      card.append(reloadButton(tabId));
      break;
    case "not-allowed":
      addButton(card, condition, tabId, "actionAllow", "primary", undefined);
      break;
    case "looks-like-element":
      addButton(card, condition, tabId, "actionProtect", "primary", actions);
      break;
    case "not-element":
      addButton(card, condition, tabId, "actionProtectAnyway", "quiet", actions);
      break;
    default:
  }
}

function reloadButton(tabId: number): HTMLButtonElement {
  return button(text("actionReload"), "primary", () => {
    void reloadTab(tabId).then(() => window.close());
  });
}

/** `actions` is absent where the site is known already and only the permission is missing. */
function addButton(
  card: HTMLElement,
  { site, folder }: PageCondition,
  tabId: number,
  label: MessageName,
  kind: string,
  actions: SiteActions | undefined,
): void {
  if (site === undefined) {
    return;
  }
  const narrow = element("input");
  narrow.type = "checkbox";
  const outcome = element("p", { role: "status" });
  const add = button(text(label), kind, () => {
    const chosen = folder !== undefined && narrow.checked ? folder : site;
    // First, while the browser still counts this as the person's click. Firefox may close the
    // popup over its own question, so the site is written down before the answer.
    const granted = requestHost(chosen.permission);
    const remembered = actions?.remember(chosen) ?? Promise.resolve();
    void Promise.all([granted, remembered]).then(
      async ([given]) => {
        outcome.textContent = text(given ? "siteAdded" : "siteRefused");
        if (given) {
          add.replaceWith(reloadButton(tabId));
        } else {
          await actions?.forget(chosen);
        }
      },
      (error: unknown) => {
        outcome.textContent = error instanceof Error ? error.message : String(error);
      },
    );
  });
  if (folder !== undefined && actions !== undefined) {
    const path = `${new URL(folder.url).pathname}/`;
    card.append(element("label", {}, narrow, document.createTextNode(text("onlyUnder", path))));
  }
  card.append(add, outcome);
}
