/** One finding: who can see it, what it is, and what would be done about it. */
import { button, element } from "../shared/dom.ts";
import type { Finding, FoundItem } from "../../generated/types.ts";
import { counted, language, text } from "../../browser/messages.ts";
import { AUDIENCES, FINDINGS, GRADES, PARTS } from "./texts.ts";

/** Items shown in a list; a repair has them all. */
const SHOWN = 100;

export interface FindingActions {
  /** Lines about who will miss something, which the page alone knows. */
  preview(finding: Finding): Promise<string[]>;
  start(finding: Finding): void;
  sessionName: string;
}

export interface FindingCard {
  readonly root: HTMLElement;
  readonly heading: HTMLElement;
  /** Where its repair is shown. */
  readonly slot: HTMLElement;
  /** Whether a repair could be started now. */
  offer(isFree: boolean): void;
}

export function findingCard(finding: Finding, actions: FindingActions): FindingCard {
  const { id, count } = finding;
  const heading = element("h3", {
    id: `finding-${id}`,
    // What is closed below it leaves the focus here.
    tabindex: "-1",
    text: counted(FINDINGS[id].heading, count),
  });
  const slot = element("div");
  const preview = element("div", { class: "preview", role: "group" });
  preview.hidden = true;
  preview.setAttribute("aria-label", text("checkupPreviewTitle"));
  const repair = button(text("checkupRepair"), "secondary", () => void showPreview());
  repair.dataset["repair"] = id;
  repair.setAttribute("aria-label", text("checkupRepairOf", heading.textContent ?? ""));
  const offered = element("div", { class: "actions" }, repair);
  const root = element(
    "article",
    { class: "finding", "data-finding": id, "aria-labelledby": heading.id },
    element(
      "p",
      { class: "badges" },
      element("span", {
        class: `who ${finding.audience}`,
        text: text(AUDIENCES[finding.audience]),
      }),
      element("span", { class: `soft ${finding.grade}`, text: text(GRADES[finding.grade]) }),
    ),
    element(
      "div",
      { class: "body" },
      heading,
      element("p", { class: "soft", text: text(FINDINGS[id].about) }),
      ...(finding.since === null
        ? []
        : [element("p", { class: "soft", text: text("checkupSince", dateOf(finding.since)) })]),
      itemsOf(finding),
      offered,
      preview,
      slot,
    ),
  );
  offered.hidden = finding.repair === null;

  const close = (): void => {
    preview.hidden = true;
    offered.hidden = false;
  };
  const showPreview = async (): Promise<void> => {
    offered.hidden = true;
    preview.hidden = false;
    const wait = element("p", { role: "status", text: text("checkupPreviewLooking") });
    preview.replaceChildren(...(id === "readable-rooms" ? [wait] : []));
    const lines = [...planOf(finding, actions.sessionName), ...(await actions.preview(finding))];
    const start = button(text("checkupStart"), "primary", () => {
      preview.hidden = true;
      actions.start(finding);
    });
    const cancel = button(text("checkupCancel"), "quiet", () => {
      close();
      repair.focus();
    });
    preview.replaceChildren(
      element("h4", { text: text("checkupPreviewTitle") }),
      ...lines.map((line) => element("p", { text: line })),
      element("div", { class: "actions" }, start, cancel),
    );
    start.focus();
  };
  return {
    root,
    heading,
    slot,
    offer: (isFree) => {
      preview.hidden = true;
      offered.hidden = !isFree || finding.repair === null;
    },
  };
}

function planOf({ id, count, repair }: Finding, sessionName: string): string[] {
  const { plan } = FINDINGS[id];
  if (repair === null || plan === undefined) return [];
  const left = count - repair.steps;
  const isOne = id === "integration-manager" || id === "account-widgets";
  return [
    counted(plan, repair.steps, [sessionName]),
    // One change of account data takes them all out.
    ...(left === 0 || isOne ? [] : [counted("checkupPreviewRest", left)]),
    text(repair.undo ? "checkupPreviewUndo" : "checkupPreviewNoUndo"),
  ];
}

function itemsOf({ items, count, repair }: Finding): HTMLElement {
  const lines = items.slice(0, SHOWN).map((item) => {
    const line = element("li", { text: nameOf(item) });
    if (!item.repairable && repair !== null) {
      line.append(" ", element("span", { class: "soft", text: text("checkupNotRepairable") }));
    }
    return line;
  });
  const more = count - lines.length;
  return element(
    "details",
    {},
    element("summary", { text: counted("checkupWhich", count) }),
    element("ul", {}, ...lines),
    ...(more === 0
      ? []
      : [element("p", { class: "soft", text: counted("checkupMoreItems", more) })]),
  );
}

function nameOf({ name, of, parts }: FoundItem): string {
  const known = parts.flatMap((part) => {
    const known = PARTS[part];
    return known === undefined ? [] : [text(known)];
  });
  const about = [...(of === null ? [] : [of]), ...known].join(", ");
  return about === "" ? name : text("checkupItemOf", name, about);
}

function dateOf(time: number): string {
  return new Date(time).toLocaleDateString(language(), { dateStyle: "medium" });
}
