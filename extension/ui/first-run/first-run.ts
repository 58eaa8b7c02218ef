/**
 * Opened once, after installation: what Mantle does with what it sees, and which settings it begins
 * with. Whoever closes the page has the recommended ones, and is told in the popup until they agree.
 */
import { openOptionsPage } from "../../browser/api.ts";
import { AGREED, isConsentLocked } from "../../browser/consent.ts";
import { type MessageName, readMessages, text } from "../../browser/messages.ts";
import {
  type Profile,
  type SettingChange,
  type SettingsView,
  describeSettings,
} from "../../browser/settings-core.ts";
import { readSettings, watchSettings } from "../../browser/settings-store.ts";
import { button, element, part } from "../shared/dom.ts";
import { changeSettings } from "../shared/setting-change.ts";

const TOLD: readonly MessageName[] = [
  "firstRunSees",
  "firstRunKeeps",
  "firstRunSends",
  "firstRunEnds",
];

interface Choice {
  readonly id: "recommended" | "strict" | "each";
  readonly name: MessageName;
  readonly about: MessageName;
  readonly agree: MessageName;
  readonly profile: Profile | null;
}

const CHOICES: readonly Choice[] = [
  {
    id: "recommended",
    name: "firstRunRecommended",
    about: "firstRunRecommendedText",
    agree: "firstRunRecommendedAgree",
    profile: "recommended",
  },
  {
    id: "strict",
    name: "firstRunStrict",
    about: "firstRunStrictText",
    agree: "firstRunStrictAgree",
    profile: "strict",
  },
  {
    id: "each",
    name: "firstRunEach",
    about: "firstRunEachText",
    agree: "firstRunEachAgree",
    // The defaults it begins with stay what they are.
    profile: null,
  },
];

/** What the person chose here; the page then says so instead of asking. */
let chosen: Choice | undefined;

function showTold(): void {
  const title = element("h2", { id: "told-title", text: text("firstRunTold") });
  const lines = TOLD.map((name) => element("li", { text: text(name) }));
  part("told").replaceChildren(title, element("ul", {}, ...lines));
}

function showChoices(settings: SettingsView): void {
  const section = part("choices");
  section.hidden = chosen !== undefined;
  if (chosen !== undefined) return;
  const { profile } = settings;
  const title = element("h2", {
    id: "choices-title",
    text: text(profile.locked ? "firstRunDecided" : "firstRunChoose"),
  });
  const trouble = element("p", { class: "trouble", role: "alert" });
  // What the organisation decided is agreed to, or not; there is nothing else to choose.
  const offered = profile.locked ? CHOICES.filter(({ id }) => id === profile.value) : CHOICES;
  const cards = offered.map((choice) => {
    const changes: SettingChange[] = [];
    if (!isConsentLocked(settings)) changes.push(AGREED);
    if (!profile.locked && choice.profile !== null) {
      changes.push({ type: "profile", profile: choice.profile });
    }
    return card(choice, profile.locked, changes, trouble);
  });
  const lock = profile.locked
    ? [element("p", { class: "lock", text: text("lockedByOrganisation") })]
    : [];
  section.replaceChildren(
    title,
    ...lock,
    ...cards,
    trouble,
    element("p", { text: text(profile.locked ? "firstRunRefuse" : "firstRunClose") }),
  );
}

function card(
  choice: Choice,
  isDecided: boolean,
  changes: readonly SettingChange[],
  trouble: HTMLElement,
): HTMLElement {
  const agree = button(
    text(isDecided ? "welcomeAgree" : choice.agree),
    choice.id === "recommended" || isDecided ? "primary" : "secondary",
    () => {
      take(choice, changes).catch((error: unknown) => {
        chosen = undefined;
        trouble.textContent = error instanceof Error ? error.message : String(error);
      });
    },
  );
  return element(
    "article",
    { class: `card ${choice.id}`, "data-choice": choice.id },
    element("h3", { text: text(choice.name) }),
    element("p", { text: text(choice.about) }),
    ...(isDecided && changes.length === 0 ? [] : [agree]),
  );
}

async function take(choice: Choice, changes: readonly SettingChange[]): Promise<void> {
  chosen = choice;
  await changeSettings(changes);
  part("choices").hidden = true;
  showChosen(choice);
  if (choice.id === "each") await openOptionsPage();
}

function showChosen({ name }: Choice): void {
  const section = part("chosen");
  section.hidden = false;
  section.replaceChildren(
    element("h2", { id: "chosen-title", text: text("firstRunChosen", text(name)) }),
    element("p", { text: text("firstRunNext") }),
    button(text("allSettings"), "secondary", () => void openOptionsPage()),
  );
  section.setAttribute("aria-labelledby", "chosen-title");
  // The pressed button went; whoever uses a keyboard or a screen reader goes on here.
  section.focus();
}

async function show(): Promise<void> {
  showChoices(await describeSettings(await readSettings()));
}

async function start(): Promise<void> {
  await readMessages();
  document.title = text("firstRunTitle");
  part("title").textContent = text("firstRunTitle");
  part("intro").textContent = text("firstRunIntro");
  showTold();
  await show();
  // A browser may hand the policy over late.
  watchSettings(() => void show());
}

start().catch(() => {
  part("intro").textContent = text("settingsUnreadable");
});
