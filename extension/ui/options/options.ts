/** The options page: every setting, who set it, and what could not be read. */
import { type SettingsView, describeSettings } from "../../browser/settings-core.ts";
import { clearLedger, isHandled, readLedger } from "../../browser/ledger.ts";
import { onStorageChanged } from "../../browser/api.ts";
import { ofTables, readMessages, text } from "../../browser/messages.ts";
import { readSettings, watchSettings } from "../../browser/settings-store.ts";
import { addedSites, sitesToAllow, storedSites } from "../../browser/sites.ts";
import { element, part } from "../shared/dom.ts";
import { type Families, showFamilies } from "../shared/family.ts";
import { type OptionField, optionField } from "../shared/option-field.ts";
import { showSites } from "../shared/site-list.ts";
import { showWelcome } from "../shared/welcome-card.ts";
import { forgetLearned, watchLearned } from "../../browser/learned.ts";
import { refusedRules, watchRuleProblems } from "../../browser/rule-problems.ts";
import { problemsOf, showProblems } from "../shared/problems.ts";
import { changeSetting } from "../shared/setting-change.ts";
import { isAnswerName, showAnswers } from "./answer-list.ts";
import { profileField } from "./profile-field.ts";
import { shieldSearch } from "../shared/shield-search.ts";
import { showLearned } from "./learned-list.ts";
import { showTransfer } from "./transfer.ts";

/** Asked once on a card of its own. */
const CARD = "consent";

let families: Families | undefined;
const fields: OptionField[] = [];

function build(settings: SettingsView): void {
  const profile = profileField(changeSetting);
  fields.push(profile);
  part("profile").append(profile.root);

  part("shields").append(element("h2", { text: text("shieldsTitle") }));
  families = showFamilies(part("shields"), settings, changeSetting, {
    isOpen: () => true,
    isBrief: false,
  });
  shieldSearch(part("find"), part("shields"));

  part("general").append(element("h2", { text: text("general") }));
  const trouble = element("p", { class: "trouble", role: "alert" });
  for (const option of settings.general.filter(({ key }) => key !== CARD)) {
    const field = optionField("general", option, async (setting) => {
      try {
        await changeSetting(setting);
        trouble.textContent = "";
      } catch (error) {
        trouble.textContent = error instanceof Error ? error.message : String(error);
        throw error;
      }
    });
    fields.push(field);
    part("general").append(
      field.root,
      element("p", { class: "hint", text: ofTables(`why_general_${option.key}`, option.why) }),
    );
  }
  part("general").append(trouble);
}

async function showSettings(): Promise<void> {
  const texts = await readSettings();
  const settings = await describeSettings(texts);
  if (families === undefined) {
    build(settings);
  }
  families?.update(settings);
  for (const field of fields) {
    field.update(settings);
  }
  part("managed").hidden = texts.managed === null;
  showProblems(part("problems"), await problemsOf(settings, await refusedRules()));
  showWelcome(part("welcome"), settings);
  await showLearned(part("learned"), settings);
  const ofPolicy = storedSites(texts.managed).map((site) => site.url);
  const wanted = (await sitesToAllow(texts)).map((site) => ({
    ...site,
    isOwn: !ofPolicy.includes(site.url),
  }));
  showSites(part("sites"), await addedSites(texts), wanted, () => {
    void showSettings();
  });
}

async function showCounts(): Promise<void> {
  const ledger = await readLedger();
  for (const [id, row] of families?.rows ?? []) {
    const total = ledger.rows
      .filter((known) => known.shield === id && isHandled(known.action))
      .reduce((sum, known) => sum + known.count, 0);
    row.count({ here: undefined, total });
  }
}

async function start(): Promise<void> {
  await readMessages();
  document.title = text("optionsTitle");
  part("title").textContent = text("optionsTitle");
  part("managed").textContent = text("optionsManaged");
  const clear = part("clear");
  clear.textContent = text("clearCounts");
  clear.addEventListener("click", () => {
    void clearLedger();
    void forgetLearned(() => true);
  });
  await showSettings();
  await showCounts();
  await showAnswers(part("answers"));
  showTransfer(part("transfer"));
  watchSettings(() => void showSettings());
  watchLearned(() => void showSettings());
  watchRuleProblems(() => void showSettings());
  onStorageChanged((area, keys) => {
    if (area !== "managed" && keys.includes("ledger")) {
      void showCounts();
    }
    if (area === "local" && keys.some(isAnswerName)) {
      void showAnswers(part("answers"));
    }
  });
}

start().catch(() => {
  part("title").textContent = text("settingsUnreadable");
});
