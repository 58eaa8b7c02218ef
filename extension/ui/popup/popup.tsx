/**
 * The toolbar popup: what happened on this page, what needs the person, and every shield with its
 * switch. What happened is on the screen before the Rust module, which only the shields need, is
 * asked for.
 */
import { type JSX, render } from "preact";

import { type SettingsView, describeSettings } from "../../browser/settings-core.ts";
import { readLedger } from "../../browser/ledger.ts";
import {
  type Tab,
  activeTab,
  isToolbarPopup,
  onStorageChanged,
  openOptionsPage,
  tabById,
} from "../../browser/api.ts";
import { readMessages, text } from "../../browser/messages.ts";
import type { Pause } from "../../browser/pauses.ts";
import { readSettings, watchSettings } from "../../browser/settings-store.ts";
import { type Site, addedSites } from "../../browser/sites.ts";
import type { RoomsSurvey } from "../../protocol/rooms.ts";
import { clearCounts } from "../shared/clear-counts.ts";
import { changeSetting, changeSites } from "../shared/setting-change.ts";
import { Families } from "../shared/families.tsx";
import { latest } from "../shared/latest.ts";
import { refusedRules, watchRuleProblems } from "../../browser/rule-problems.ts";
import { Problems, problemsOf } from "../shared/problems.tsx";
import { Search } from "../shared/search.tsx";
import { Sites } from "../shared/sites.tsx";
import { Welcome } from "../shared/welcome.tsx";
import { CheckUpCard, lastFound, openCheckUp } from "./check-up-card.tsx";
import { type Counts, countsIn, shieldCounts } from "./counts.ts";
import { HappenedCard } from "./happened-card.tsx";
import { NameFields, type OfferedName, offeredName } from "./name-card.tsx";
import { type PageCondition, examine } from "./page-state.ts";
import { PauseOffer, Paused, followPause } from "./pause-card.tsx";
import { RoomsCard, surveyRooms } from "./rooms-card.tsx";
import { type SiteActions, StateCard, toneOf } from "./state-card.tsx";

/** How long the shields wait for what happened to be shown; a page may be slow to say how it is. */
const FIRST_SHOWN_TIMEOUT_MS = 300;

/** What stands in the settings and beside them. */
interface Read {
  readonly settings: SettingsView;
  readonly problems: readonly string[];
  readonly sites: readonly Site[];
}

/** All that is not always there is undefined until it is known. */
interface State {
  readonly tab?: Tab | undefined;
  readonly condition?: PageCondition;
  /** How the page is could not be found out. */
  readonly isUnreadable?: true;
  readonly read?: Read;
  /** The settings could not be read. */
  readonly isBroken?: true;
  readonly counts?: Counts;
  readonly pause?: Pause | undefined;
  readonly rooms?: RoomsSurvey | undefined;
  readonly name?: OfferedName | undefined;
  /** How much the last check-up found. */
  readonly found?: number | undefined;
  /** What the person looks for. */
  readonly query: string;
}

let state: State = { query: "" };

function show(change: Partial<State>): void {
  state = { ...state, ...change };
  render(<Popup {...state} />, document.body);
}

const siteActions: SiteActions = {
  remember: (site) => changeSites((sites) => [...sites, site.url]),
  forget: (site) => changeSites((sites) => sites.filter((url) => url !== site.url)),
};

function Popup(view: State): JSX.Element {
  const { tab, condition, read, counts, rooms, name, query } = view;
  const settings = read?.settings;
  const isLocked = settings?.shields.some(({ locked }) => locked);
  // Where the organisation locks a shield, there is no pause.
  const pause = isLocked === true ? undefined : view.pause;
  const host = pausableHost(view);
  const isProtected = tab !== undefined && condition?.kind === "protected";
  const open = (): void => {
    if (tab !== undefined) openCheckUp(tab.id);
  };
  return (
    <>
      <header>
        <img src="icons/mantle-32.png" alt="" width="24" height="24" />
        <h1>{document.title}</h1>
        <span id="host">{hostShown(tab)}</span>
      </header>
      <main>
        <PageState {...view} pause={pause} />
        <HappenedCard
          rows={counts?.rows}
          isHere={condition?.relay !== undefined}
          isKept={counts?.isKept === true}
          sessions={sessionName(settings)}
        />
        <section id="needs" aria-label={text("needsYou")}>
          <section id="asking" class="card bad" hidden={condition?.isAsking !== true}>
            {condition?.isAsking === true && <Asking />}
          </section>
          <Problems
            problems={view.isBroken ? [text("settingsUnreadable")] : (read?.problems ?? [])}
          />
          <Welcome settings={settings} />
          <section
            id="rooms"
            class="card plain"
            data-shown={rooms?.shown}
            hidden={rooms === undefined}
          >
            {tab !== undefined && rooms !== undefined && (
              <RoomsCard tabId={tab.id} survey={rooms} />
            )}
          </section>
          <section id="own-name" class="card plain" hidden={name === undefined}>
            {tab !== undefined && name !== undefined && (
              <NameFields tabId={tab.id} offered={name} />
            )}
          </section>
          <CheckUpCard found={view.found ?? 0} open={open} />
        </section>
        <section
          id="pause"
          hidden={host === undefined || isLocked === undefined || pause !== undefined}
        >
          {host !== undefined && isLocked !== undefined && pause === undefined && (
            <PauseOffer host={host} isLocked={isLocked} />
          )}
        </section>
        <section id="shields" aria-label={text("shieldsTitle")}>
          <div id="find">
            {settings !== undefined && <Search settings={settings} query={query} search={search} />}
          </div>
          <div id="families">
            {settings !== undefined && (
              <Families
                settings={settings}
                query={query}
                change={changeSetting}
                countsOf={(shield) => counts && shieldCounts(counts, shield)}
                isOpen={isFirst}
                isBrief={true}
              />
            )}
          </div>
        </section>
        <Sites sites={read?.sites ?? []} wanted={[]} changed={() => void readAll()} />
      </main>
      <footer>
        <a id="ledger" href="ledger.html" target="_blank">
          {text("ledgerLink")}
        </a>
        <button id="options" class="quiet" type="button" onClick={() => void openOptionsPage()}>
          {text("allSettings")}
        </button>
        <button id="open-check-up" class="quiet" type="button" hidden={!isProtected} onClick={open}>
          {text("checkupTitle")}
        </button>
        <button id="clear" class="quiet" type="button" onClick={clearCounts}>
          {text("clearCounts")}
        </button>
      </footer>
    </>
  );
}

/** Whoever opens the popup over a question may not have seen that it waits for them. */
function Asking(): JSX.Element {
  return (
    <>
      <h2>{text("asking")}</h2>
      <p>{text("askingText")}</p>
      <button class="primary" type="button" onClick={() => window.close()}>
        {text("askingShow")}
      </button>
    </>
  );
}

/** How Mantle stands in the page, or that it is paused there. */
function PageState({ tab, condition, pause, isUnreadable }: State): JSX.Element {
  if (pause !== undefined) {
    return (
      <section id="state" aria-live="polite" class="card bad" data-kind="paused">
        <Paused pause={pause} />
      </section>
    );
  }
  if (condition === undefined) {
    return (
      <section id="state" aria-live="polite">
        {text(isUnreadable === true ? "settingsUnreadable" : "loading")}
      </section>
    );
  }
  return (
    <section
      id="state"
      aria-live="polite"
      class={`card ${toneOf(condition.kind)}`}
      data-kind={condition.kind}
    >
      <StateCard condition={condition} tabId={tab?.id} actions={siteActions} />
    </section>
  );
}

function search(query: string): void {
  show({ query });
}

function isFirst(index: number): boolean {
  return index === 0;
}

function hostShown(tab: Tab | undefined): string {
  return tab?.url !== undefined && /^https?:/.test(tab.url) ? new URL(tab.url).host : "";
}

/** Of a page that is one of Element's. */
function pausableHost({ tab, condition }: State): string | undefined {
  if (tab?.url === undefined || condition?.relay === undefined) return undefined;
  return new URL(tab.url).hostname;
}

/** What new sessions are called, while something keeps their names plain. */
function sessionName(settings: SettingsView | undefined): string | undefined {
  const names = settings?.shields.find(({ id }) => id === "device-name");
  return names?.mode === "on" ? settings?.deviceName.value : undefined;
}

const readAll = latest(
  async (): Promise<Read> => {
    const texts = await readSettings();
    const settings = await describeSettings(texts);
    const problems = await problemsOf(settings, await refusedRules());
    return { settings, problems, sites: await addedSites(texts) };
  },
  (read) => show({ read }),
);

/** Once it is known which page they are of. */
async function readCounts(): Promise<void> {
  const ledger = await readLedger();
  const { tab, condition } = state;
  if (condition !== undefined) show({ counts: countsIn(ledger, tab?.id, condition.relay) });
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

interface Seen {
  readonly tab: Tab | undefined;
  readonly condition: PageCondition;
  readonly counts: Counts;
}

/** Needs no text, so it is asked for before there are any. */
async function lookAtPage(): Promise<Seen> {
  const ledger = readLedger();
  const [tab, texts] = await Promise.all([tabInQuestion(), readSettings()]);
  const condition = await examine(tab, texts);
  return { tab, condition, counts: countsIn(await ledger, tab?.id, condition.relay) };
}

async function showPage(looking: Promise<Seen>): Promise<void> {
  const seen = await looking;
  show(seen);
  // Profiles of the first painting, and the popup's spec, look for the two marks.
  performance.mark("happened");
  const { tab, condition } = seen;
  const host = pausableHost(state);
  if (host !== undefined) followPause(host, (pause) => show({ pause }));
  onStorageChanged((area, keys) => {
    if (area !== "managed" && keys.includes("ledger")) void readCounts();
  });
  if (tab !== undefined && condition.kind === "protected") {
    void surveyRooms(tab.id).then((rooms) => show({ rooms }));
    void offeredName(tab.id).then((name) => show({ name }));
    void lastFound(tab.id).then((found) => show({ found }));
  }
}

async function start(): Promise<void> {
  const looking = lookAtPage();
  // Whether it could be found out is asked below.
  looking.catch(() => undefined);
  await readMessages();
  // A telephone's screen is narrower than the window would like to be.
  document.documentElement.classList.toggle("toolbar", isToolbarPopup() && screen.width >= 400);
  show({});
  const page = showPage(looking).catch(() => show({ isUnreadable: true }));
  await Promise.race([page.then(painted), after(FIRST_SHOWN_TIMEOUT_MS)]);
  await readAll();
  watchSettings(() => void readAll());
  watchRuleProblems(() => void readAll());
  await page;
  // What was counted before anybody listened.
  await readCounts();
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

start().catch(() => show({ isBroken: true }));
