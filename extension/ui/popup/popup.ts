/**
 * The toolbar popup: what happened on this page, what needs the person, and every shield with its
 * switch. What happened is on the screen before the Rust module, which only the shields need, is
 * asked for.
 */
import { describeSettings } from "../../browser/settings-core.ts";
import {
  type Ledger,
  type PageCounts,
  clearLedger,
  isHandled,
  readLedger,
} from "../../browser/ledger.ts";
import {
  type Tab,
  activeTab,
  isToolbarPopup,
  onStorageChanged,
  openOptionsPage,
  tabById,
} from "../../browser/api.ts";
import { readMessages, text } from "../../browser/messages.ts";
import { readSettings, watchSettings } from "../../browser/settings-store.ts";
import { type Site, addedSites } from "../../browser/sites.ts";
import { changeSetting, changeSites } from "../shared/setting-change.ts";
import { part } from "../shared/dom.ts";
import { type Families, showFamilies } from "../shared/family.ts";
import { showCheckUp } from "./check-up-card.ts";
import { happenedCard } from "./happened.ts";
import { type PauseCard, pauseCard } from "./pause-card.ts";
import { type PageCondition, examine } from "./page-state.ts";
import { shieldSearch } from "../shared/shield-search.ts";
import { forgetLearned } from "../../browser/learned.ts";
import { refusedRules, watchRuleProblems } from "../../browser/rule-problems.ts";
import { problemsOf, showProblems } from "../shared/problems.ts";
import { showOwnName } from "./name-card.ts";
import { showRooms } from "./rooms-card.ts";
import type { ShieldCounts } from "../shared/shield-row.ts";
import { showSites } from "../shared/site-list.ts";
import { showState } from "./state-card.ts";
import { showWelcome } from "../shared/welcome-card.ts";

/** How long the shields wait for what happened to be shown; a page may be slow to say how it is. */
const FIRST_SHOWN_TIMEOUT_MS = 300;

let families: Families | undefined;
/** Where the page is one of Element's: its pause. */
let pause: PauseCard | undefined;
let isLocked: boolean | undefined;
const happened = happenedCard(part("happened"));
/** Counts as they are now, once it is known which page they are of. */
let refreshCounts: () => Promise<void> = () => Promise.resolve();

const siteActions = {
  remember: (site: Site) => changeSites((sites) => [...sites, site.url]),
  forget: (site: Site) => changeSites((sites) => sites.filter((url) => url !== site.url)),
};

async function showSettings(): Promise<void> {
  const texts = await readSettings();
  const settings = await describeSettings(texts);
  if (families === undefined) {
    const look = { isOpen: (index: number) => index === 0, isBrief: true };
    families = showFamilies(part("families"), settings, changeSetting, look);
    shieldSearch(part("find"), part("families"));
  }
  families.update(settings);
  isLocked = settings.shields.some(({ locked }) => locked);
  pause?.setLocked(isLocked);
  const names = settings.shields.find(({ id }) => id === "device-name");
  happened.nameSessions(names?.mode === "on" ? settings.deviceName.value : undefined);
  showProblems(part("problems"), await problemsOf(settings, await refusedRules()));
  showWelcome(part("welcome"), settings);
  showSites(part("sites"), await addedSites(texts), [], () => void showSettings());
}

async function showCounts(tab: Tab | undefined, condition: PageCondition): Promise<void> {
  const ledger = await readLedger();
  const page = pageIn(ledger, tab, condition);
  const handled = ledger.rows.filter((row) => isHandled(row.action));
  const isHere = condition.relay !== undefined;
  const isKept = ledger.days !== 0;
  happened.show(isHere ? (page?.rows ?? []) : handled, { isHere, isKept });
  for (const [id, row] of families?.rows ?? []) {
    row.count(countsOf(ledger, id, page, condition.relay));
  }
}

function pageIn(
  ledger: Ledger,
  tab: Tab | undefined,
  { relay }: PageCondition,
): PageCounts | undefined {
  return ledger.pages.find((known) => known.tab === tab?.id && known.relay === relay);
}

function countsOf(
  ledger: Ledger,
  shield: string,
  page: PageCounts | undefined,
  relay: string | undefined,
): ShieldCounts {
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

async function showPage(): Promise<void> {
  const tab = await tabInQuestion();
  part("host").textContent = hostShown(tab);
  const condition = await examine(tab, await readSettings());
  showState(part("state"), condition, tab?.id, siteActions);
  if (tab?.url !== undefined && condition.relay !== undefined) {
    pause = pauseCard(part("pause"), part("state"), new URL(tab.url).hostname, (inForce) => {
      const isStale = inForce === undefined && part("state").dataset["kind"] === "paused";
      if (isStale) showState(part("state"), condition, tab.id, siteActions);
    });
    if (isLocked !== undefined) pause.setLocked(isLocked);
  }
  await showCounts(tab, condition);
  // Profiles of the first painting, and the popup's spec, look for the two marks.
  performance.mark("happened");
  refreshCounts = () => showCounts(tab, condition);
  onStorageChanged((area, keys) => {
    if (area !== "managed" && keys.includes("ledger")) {
      void refreshCounts();
    }
  });
  if (tab !== undefined && condition.kind === "protected") {
    void showRooms(part("rooms"), tab.id);
    void showOwnName(part("own-name"), tab.id);
    void showCheckUp(part("check-up"), part("open-check-up"), tab.id);
  }
}

async function start(): Promise<void> {
  await readMessages();
  // A telephone's screen is narrower than the window would like to be.
  document.documentElement.classList.toggle("toolbar", isToolbarPopup() && screen.width >= 400);
  part("state").textContent = text("loading");
  part("needs").setAttribute("aria-label", text("needsYou"));
  part("shields").setAttribute("aria-label", text("shieldsTitle"));
  const clear = part("clear");
  clear.textContent = text("clearCounts");
  clear.addEventListener("click", () => {
    void clearLedger();
    void forgetLearned(() => true);
  });
  part("ledger").textContent = text("ledgerLink");
  const options = part("options");
  options.textContent = text("allSettings");
  options.addEventListener("click", () => void openOptionsPage());
  const page = showPage().catch(() => {
    part("state").textContent = text("settingsUnreadable");
  });
  await Promise.race([page.then(painted), after(FIRST_SHOWN_TIMEOUT_MS)]);
  await showSettings();
  watchSettings(() => void showSettings());
  watchRuleProblems(() => void showSettings());
  await page;
  await refreshCounts();
}

/** Once what is there now is on the screen; a tab in the background paints nothing. */
function painted(): Promise<void> {
  const drawn = new Promise<void>((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve, 0));
  });
  return Promise.race([drawn, after(50)]);
}

function after(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function hostShown(tab: Tab | undefined): string {
  return tab?.url !== undefined && /^https?:/.test(tab.url) ? new URL(tab.url).host : "";
}

start().catch(() => {
  showProblems(part("problems"), [text("settingsUnreadable")]);
});
