/** The toolbar popup: this page's state, and every shield with its switch. */
import { describeSettings } from "../../browser/settings-core.ts";
import { type Ledger, clearLedger, isHandled, readLedger } from "../../browser/ledger.ts";
import {
  type Tab,
  activeTab,
  onStorageChanged,
  openOptionsPage,
  tabById,
  text,
  textLanguage,
} from "../../browser/api.ts";
import { readSettings, watchSettings } from "../../browser/settings-store.ts";
import { type Site, addedSites } from "../../browser/sites.ts";
import { changeSetting, changeSites } from "../shared/setting-change.ts";
import { part } from "../shared/dom.ts";
import { type Families, showFamilies } from "../shared/family.ts";
import { type PageCondition, examine } from "./page-state.ts";
import { forgetLearned } from "../../browser/learned.ts";
import { ruleProblems, watchRuleProblems } from "../../browser/rule-problems.ts";
import { showProblems } from "../shared/problems.ts";
import { showRooms } from "./rooms-card.ts";
import type { ShieldCounts } from "../shared/shield-row.ts";
import { showSites } from "../shared/site-list.ts";
import { showState } from "./state-card.ts";
import { showWelcome } from "../shared/welcome-card.ts";

let families: Families | undefined;

const siteActions = {
  remember: (site: Site) => changeSites((sites) => [...sites, site.url]),
  forget: (site: Site) => changeSites((sites) => sites.filter((url) => url !== site.url)),
};

async function showSettings(): Promise<void> {
  const texts = await readSettings();
  const settings = await describeSettings(texts);
  families ??= showFamilies(part("families"), settings, changeSetting, (index) => index === 0);
  families.update(settings);
  showProblems(part("problems"), [...settings.problems, ...(await ruleProblems())]);
  showWelcome(part("welcome"), settings);
  showSites(part("sites"), await addedSites(texts), [], () => void showSettings());
}

async function showCounts(tab: Tab | undefined, condition: PageCondition): Promise<void> {
  const ledger = await readLedger();
  for (const [id, row] of families?.rows ?? []) {
    row.count(countsOf(ledger, id, tab?.id, condition.relay));
  }
}

function countsOf(
  ledger: Ledger,
  shield: string,
  tab: number | undefined,
  relay: string | undefined,
): ShieldCounts {
  const page = ledger.pages.find((known) => known.tab === tab && known.relay === relay);
  const total = ledger.rows
    .filter((row) => row.shield === shield && isHandled(row.action))
    .reduce((sum, row) => sum + row.count, 0);
  return { here: relay === undefined ? undefined : (page?.handled[shield] ?? 0), total };
}

/** Opened as a page of its own, the popup looks at the tab its address names (`?tab=1`). */
async function tabInQuestion(): Promise<Tab | undefined> {
  const named = new URLSearchParams(location.search).get("tab");
  try {
    return named === null ? await activeTab() : await tabById(Number(named));
  } catch {
    return undefined;
  }
}

async function start(): Promise<void> {
  document.documentElement.lang = textLanguage();
  part("state").textContent = text("loading");
  const clear = part("clear");
  clear.textContent = text("clearCounts");
  clear.addEventListener("click", () => {
    void clearLedger();
    void forgetLearned(() => true);
  });
  const options = part("options");
  options.textContent = text("allSettings");
  options.addEventListener("click", () => void openOptionsPage());
  await showSettings();
  const tab = await tabInQuestion();
  const condition = await examine(tab, await readSettings());
  part("host").textContent = hostShown(tab);
  showState(part("state"), condition, tab?.id, siteActions);
  await showCounts(tab, condition);
  if (tab !== undefined && condition.kind === "protected") {
    void showRooms(part("rooms"), tab.id);
  }
  watchSettings(() => void showSettings());
  watchRuleProblems(() => void showSettings());
  onStorageChanged((area, keys) => {
    if (area !== "managed" && keys.includes("ledger")) {
      void showCounts(tab, condition);
    }
  });
}

function hostShown(tab: Tab | undefined): string {
  return tab?.url !== undefined && /^https?:/.test(tab.url) ? new URL(tab.url).host : "";
}

start().catch(() => {
  part("state").textContent = text("settingsUnreadable");
});
