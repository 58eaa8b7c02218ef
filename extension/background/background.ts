/**
 * The background: listeners at top level, no memory of its own. The browser may kill it between
 * any two steps; whatever it does is read from storage, done whole, and harmless when repeated.
 */
import { commonBrowser } from "./common-browser.ts";
import { readCommonBrowser, writeCommonBrowser } from "../browser/common-browser-store.ts";
import { type SettingsView, changedSettings, describeSettings } from "../browser/settings-core.ts";
import {
  type PageCounts,
  addBatch,
  forgetPrivateLedger,
  keepLedgerFor,
  notePage,
  totalOf,
} from "../browser/ledger.ts";
import { forgetLearned, learn, readLearned, watchLearned } from "../browser/learned.ts";
import { forgetPart, forgetPrivatePages, loadForPage, putForPage } from "../browser/page-store.ts";
import {
  type EffectBatch,
  type PageReport,
  type PauseAnswer,
  type PrivateAnswer,
  type PrivateQuery,
  type Receipt,
  type SignedOut,
  readBackgroundMessage,
} from "../protocol/relay-background.ts";
import {
  type CallServerAsked,
  type CallServerCheck,
  type CallServerQuery,
  type CallServerVerdict,
} from "../protocol/call-server.ts";
import { type LearnedEffect } from "../protocol/reports.ts";
import { whyOf } from "../protocol/shapes.ts";
import { browserRun } from "./browser-run.ts";
import { moduleBytes } from "./modules.ts";
import {
  EVERYWHERE,
  type Sender,
  hasHost,
  isInstalledByPolicy,
  onAlarm,
  onHostsAdded,
  onHostsRemoved,
  onInstalled,
  onMessage,
  onPrivateWindowsGone,
  onStartup,
  openPage,
  ownHost,
  sendToTab,
  setAlarm,
  setBadge,
} from "../browser/api.ts";
import { probe } from "./media-probe.ts";
import { noteRefusedRules } from "../browser/rule-problems.ts";
import { applyRules, wantedRules } from "./rules.ts";
import { isFirstRunWanted } from "./first-run.ts";
import { isDone, untilDone } from "./unfinished.ts";
import { endPause, pauseOf, pausesInForce, watchPauses } from "../browser/pauses.ts";
import { writePageTexts } from "../browser/page-texts.ts";
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

onInstalled((isNew) => {
  void reconcile();
  if (isNew) void welcome();
});
onStartup(() => void reconcile());
onHostsAdded(() => void reconcile());
onHostsRemoved((patterns) => void forgetSites(patterns));
watchSettings(() => void reconcile());
watchLearned(() => void reconcile());
watchPauses(() => void reconcile());
onAlarm(() => void reconcile());
onPrivateWindowsGone(() => void forgetPrivate());
onMessage((message, sender) => {
  const known = readBackgroundMessage(message);
  switch (known?.kind) {
    case "effect-batch":
      return takeEffects(known, sender);
    case "page-report":
      return takeReport(known, sender);
    case "module-query":
      return moduleBytes(known.name);
    case "run-query":
      return browserRun().then((run) => ({ kind: "browser-run", run }));
    case "probe-query":
      return readCommonBrowser().then((common) => probe(known.urls, common));
    case "pause-query":
      return answerPause(sender);
    case "private-store":
    case "private-load":
      return takePrivate(known, sender);
    case "call-server-query":
      return passQuestion(known, sender);
    case "call-server-check":
      return passCheck(known, sender);
    case "call-server-verdict":
      return passVerdict(known, sender);
    case "signed-out":
      return forgetSession(known, sender);
    default:
      return undefined;
  }
});
void reconcileOnce();

async function takeEffects(message: EffectBatch, sender: Sender): Promise<Receipt> {
  // Before the receipt: a batch that is delivered again must not lose what it taught.
  await takeLearned(message, sender);
  const page = await addBatch(message, {
    tab: sender.tabId,
    isTop: sender.frameId === 0,
    isPrivate: sender.isPrivate,
  });
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
  if (site === undefined || (learned.length === 0 && message.inUse.length === 0)) {
    return;
  }
  const { part = "", inUse } = message;
  const from = { site, part, inUse, isPrivate: sender.isPrivate };
  if (!(await siteHosts(await readSettings())).includes(site)) return;
  if (await learn(from, learned)) await reconcile();
}

/** Whether Mantle is paused where the page is, and until when. */
async function answerPause(sender: Sender): Promise<PauseAnswer> {
  const host = hostOf(sender.origin);
  const settings = await describeSettings(await readSettings());
  const pause = host === undefined ? undefined : await pauseOf(host);
  if (pause === undefined || isLocked(settings)) {
    // What is over may still have its rules.
    await reconcile();
    return { kind: "pause-answer", settings: null, until: null };
  }
  const shields = Object.fromEntries(settings.shields.map(({ id }) => [id, "off"]));
  return {
    kind: "pause-answer",
    settings: JSON.stringify({ version: 1, shields }),
    until: pause.until ?? null,
  };
}

/** Where the organisation locks a shield, nobody pauses it with all others. */
function isLocked({ shields }: SettingsView): boolean {
  return shields.some(({ locked }) => locked);
}

/** Hosts of the pauses in force; the alarm is for the end of the first. */
async function pausedHosts(settings: SettingsView): Promise<string[]> {
  const pauses = await pausesInForce();
  if (isLocked(settings)) {
    for (const { host } of pauses) await endPause(host);
    return [];
  }
  const ends = pauses.flatMap(({ until }) => until ?? []);
  await setAlarm("pause", ends.length === 0 ? undefined : Math.min(...ends));
  return pauses.map(({ host }) => host);
}

/** Entries of pages in private windows: this browser's memory has them, no disk. */
async function takePrivate(query: PrivateQuery, sender: Sender): Promise<PrivateAnswer> {
  const { origin, isPrivate } = sender;
  if (origin === undefined || !isPrivate) {
    return { kind: "private-refused", why: "This page is in no private window." };
  }
  const place = { origin, isPrivate, part: query.part };
  try {
    if (query.kind === "private-load") {
      return { kind: "private-entries", entries: await loadForPage(place, query.area) };
    }
    await putForPage(place, query.area, query.key, query.value);
    return { kind: "private-entries", entries: {} };
  } catch (error) {
    return { kind: "private-refused", why: whyOf(error) };
  }
}

/** To the window that the frame stands in; whether it is asked there. */
async function passQuestion(query: CallServerQuery, sender: Sender): Promise<boolean> {
  const { tabId, frameId: frame, origin } = sender;
  if (tabId === undefined || frame === undefined || origin === undefined) return false;
  const { relay, wish, host } = query;
  const asked: CallServerAsked = { kind: "call-server-asked", relay, wish, host, frame, origin };
  try {
    return (await sendToTab(tabId, asked)) === true;
  } catch {
    // The window around it is not Mantle's.
    return false;
  }
}

/** To the frame that asked; whether it is there and waits. */
async function passCheck(check: CallServerCheck, sender: Sender): Promise<boolean> {
  const { tabId, frameId } = sender;
  if (tabId === undefined || frameId !== 0) return false;
  return (await sendToTab(tabId, check, check.frame).catch(() => false)) === true;
}

/** To the frame that asked, from the window around it and from nobody else. */
async function passVerdict(verdict: CallServerVerdict, sender: Sender): Promise<boolean> {
  const { tabId, frameId } = sender;
  if (tabId === undefined || frameId !== 0) return false;
  // A frame that is gone needs no answer.
  await sendToTab(tabId, verdict, verdict.frame).catch(() => undefined);
  return true;
}

/** What belongs to a session that is over: the relay took out what lies on disk. */
async function forgetSession({ part }: SignedOut, sender: Sender): Promise<undefined> {
  const { origin, isPrivate } = sender;
  if (origin !== undefined && isPrivate) await forgetPart({ origin, isPrivate, part });
  const site = hostOf(origin);
  await forgetLearned((entry) => entry.site === site && ["", part].includes(entry.part));
}

async function forgetPrivate(): Promise<void> {
  await Promise.all([
    forgetPrivatePages(),
    forgetPrivateLedger(),
    forgetLearned((entry) => entry.isPrivate),
  ]);
}

async function takeReport(message: PageReport, sender: Sender): Promise<undefined> {
  if (sender.tabId !== undefined && sender.frameId === 0) {
    await showBadge(await notePage(sender.tabId, message.relay, message.status, sender.isPrivate));
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
    const sites = left.map((site) => site.url);
    await writeSettings(await changedSettings(texts, { type: "sites", sites }));
  }
  await reconcile();
}

/** After an update, a restart or a change: rules and content scripts as the settings say. */
async function reconcile(): Promise<void> {
  await untilDone(async () => {
    await navigator.locks.request("reconcile", reconcileNow);
  });
}

async function reconcileNow(): Promise<void> {
  const texts = await readSettings();
  const settings = await describeSettings(texts);
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
    paused: await pausedHosts(settings),
    ownHost: ownHost(),
    common: (await hasHost(EVERYWHERE))
      ? commonBrowser(navigator.userAgent, navigator.languages)
      : undefined,
  });
  const [refused] = await Promise.all([
    applyRules(wanted),
    registerAddedSites(texts),
    keepLedger(settings),
    writePageTexts(),
  ]);
  for (const { id, condition } of refused) {
    console.warn(`The browser does not take rule ${id}: ${JSON.stringify(condition)}`);
  }
  await noteRefusedRules(refused.length);
  // Pages follow what requests do.
  await writeCommonBrowser(wanted.told);
}

async function keepLedger(settings: SettingsView): Promise<void> {
  const days = settings.general.find((option) => option.key === "ledgerDays")?.value;
  if (typeof days === "number") {
    await keepLedgerFor(days);
  }
}

/**
 * Once, unless everything it asks was decided already. Who has Mantle from an organisation is told on
 * a card, since a browser may hand the policy over only later.
 */
async function welcome(): Promise<void> {
  if (await isInstalledByPolicy()) return;
  const settings = await readSettings().then(describeSettings, () => undefined);
  if (isFirstRunWanted(settings)) await openPage("first-run.html");
}

/** A browser that wakes us by a message has not always told us of its start. */
async function reconcileOnce(): Promise<void> {
  if (!(await isDone())) await reconcile();
}

/** Opaque origins ("null") are no site. */
function hostOf(origin: string | undefined): string | undefined {
  return origin !== undefined && URL.canParse(origin) ? new URL(origin).hostname : undefined;
}
