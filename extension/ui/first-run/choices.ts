/** What the page of the first run offers, and what each choice changes. */
import { AGREED, isConsentLocked } from "../../browser/consent.ts";
import type { MessageName } from "../../browser/messages.ts";
import type { Profile, SettingChange, SettingsView } from "../../browser/settings-core.ts";

export interface Choice {
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

export interface Offer {
  readonly choice: Choice;
  readonly changes: readonly SettingChange[];
  /** What the button says; undefined where nothing is left to agree to. */
  readonly agree: MessageName | undefined;
  readonly isMain: boolean;
}

/** What the organisation decided is agreed to, or not; there is nothing else to choose. */
export function offersOf(settings: Pick<SettingsView, "profile" | "general">): Offer[] {
  const { value, locked: isDecided } = settings.profile;
  const offered = isDecided ? CHOICES.filter(({ id }) => id === value) : CHOICES;
  return offered.map((choice) => {
    const changes: SettingChange[] = [];
    if (!isConsentLocked(settings)) changes.push(AGREED);
    if (!isDecided && choice.profile !== null) {
      changes.push({ type: "profile", profile: choice.profile });
    }
    const agree = isDecided ? "welcomeAgree" : choice.agree;
    return {
      choice,
      changes,
      agree: isDecided && changes.length === 0 ? undefined : agree,
      isMain: isDecided || choice.id === "recommended",
    };
  });
}
