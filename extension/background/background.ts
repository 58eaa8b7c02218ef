/**
 * The background: listeners at top level, no memory of its own. The browser may kill it between
 * any two steps; whatever it does is read from storage, done whole, and harmless when repeated.
 */
import { commonBrowser } from "./common-browser.ts";
import { writeCommonBrowser } from "../browser/common-browser-store.ts";
import { type SettingsView, changedSettings, describeSettings } from "../browser/settings-core.ts";
import { type PageCounts, addBatch, keepLedgerFor, notePage, totalOf } from "../browser/ledger.ts";
import { learn, readLearned } from "./learned.ts";
import {
  type EffectBatch,
  type PageReport,
  type Receipt,
  readBackgroundMessage,
} from "../protocol/relay-background.ts";
import { type LearnedEffect } from "../protocol/reports.ts";
import { moduleBytes } from "./modules.ts";
import {
  EVERYWHERE,
  type Sender,
  hasHost,
  onHostsAdded,
  onHostsRemoved,
  onInstalled,
  onMessage,
  onStartup,
  readStorage,
  setBadge,
  writeStorage,
} from "../browser/api.ts";
import { probe } from "./media-probe.ts";
import { applyRules, wantedRules } from "./rules.ts";
import { readSettings, watchSettings, writeSettings } from "../browser/settings-store.ts";
import {
  addedSites,
  builtInHosts,
  registerAddedSites,
  siteHosts,
  storedSites,
} from "../browser/sites.ts";

const CALM = "#3b5bdb";
const ALARM = "#c92a2a";
/** In session storage: rules and scripts were brought up to date since the browser's start. */
const CHECKED = "checked";

onInstalled(() => void reconcile());
onStartup(() => void reconcile());
onHostsAdded(() => void reconcile());
onHostsRemoved((patterns) => void forgetSites(patterns));
watchSettings(() => void reconcile());
onMessage((message, sender) => {
  const known = readBackgroundMessage(message);
  switch (known?.kind) {
    case "effect-batch":
      return takeEffects(known, sender);
    case "page-report":
      return takeReport(known, sender);
    case "module-query":
      return moduleBytes(known.name);
    case "probe-query":
      return probe(known.urls);
    default:
      return undefined;
  }
});
void reconcileOnce();

async function takeEffects(message: EffectBatch, sender: Sender): Promise<Receipt> {
  // Before the receipt: a batch that is delivered again must not lose what it taught.
  await takeLearned(message, sender);
  const page = await addBatch(message, sender.tabId, sender.frameId === 0);
  if (page !== undefined) {
    await showBadge(page);
  }
  return { kind: "receipt", relay: message.relay, batch: message.batch };
}

async function takeLearned(message: EffectBatch, sender: Sender): Promise<void> {
  const learned = message.effects.filter((effect): effect is LearnedEffect => {
    return effect.type === "learned";
  });
  const site = hostOf(sender.origin);
  if (learned.length === 0 || site === undefined) {
    return;
  }
  if ((await siteHosts(await readSettings())).includes(site) && (await learn(site, learned))) {
    await reconcile();
  }
}

async function takeReport(message: PageReport, sender: Sender): Promise<undefined> {
  if (sender.tabId !== undefined && sender.frameId === 0) {
    await showBadge(await notePage(sender.tabId, message.relay, message.status));
  }
}

async function showBadge(page: PageCounts): Promise<void> {
  const total = totalOf(page);
  const broken = page.status === "trapped" || page.status === "no-wasm";
  const label = broken ? "!" : total === 0 ? "" : total > 999 ? "1k+" : String(total);
  try {
    await setBadge(page.tab, label, broken ? ALARM : CALM);
  } catch {
    // The tab was closed meanwhile.
  }
}

async function forgetSites(patterns: string[]): Promise<void> {
  const texts = await readSettings();
  const sites = storedSites(texts.stored);
  const left = sites.filter((site) => !patterns.includes(site.permission));
  if (left.length < sites.length) {
    await writeSettings(
      changedSettings(texts, { type: "sites", sites: left.map((site) => site.url) }),
    );
  }
  await reconcile();
}

/** After an update, a restart or a change: rules and content scripts as the settings say. */
async function reconcile(): Promise<void> {
  await navigator.locks.request("reconcile", async () => {
    const texts = await readSettings();
    const settings = describeSettings(texts);
    for (const problem of settings.problems) {
      // For administrators; the options page shows the same.
      console.warn(problem);
    }
    const added = await addedSites(texts);
    const wanted = wantedRules({
      settings,
      builtInHosts: builtInHosts(),
      addedHosts: [...new Set(added.map((site) => site.host))],
      learned: await readLearned(),
      common: (await hasHost(EVERYWHERE))
        ? commonBrowser(navigator.userAgent, navigator.languages)
        : undefined,
    });
    await Promise.all([registerAddedSites(texts), keepLedger(settings), applyRules(wanted)]);
    // Pages follow what requests do.
    await writeCommonBrowser(wanted.told);
    await writeStorage("session", { [CHECKED]: true });
  });
}

async function keepLedger(settings: SettingsView): Promise<void> {
  const days = settings.general.find((option) => option.key === "ledgerDays")?.value;
  if (typeof days === "number") {
    await keepLedgerFor(days);
  }
}

/** A browser that wakes us by a message has not always told us of its start. */
async function reconcileOnce(): Promise<void> {
  if ((await readStorage("session", CHECKED)) !== true) {
    await reconcile();
  }
}

/** Opaque origins ("null") are no site. */
function hostOf(origin: string | undefined): string | undefined {
  return origin !== undefined && URL.canParse(origin) ? new URL(origin).hostname : undefined;
}
