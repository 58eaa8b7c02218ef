/** The options page: every setting, who set it, and what could not be read. */
import { type JSX, render } from "preact";

import { type SettingsView, describeSettings } from "../../browser/settings-core.ts";
import { readLedger } from "../../browser/ledger.ts";
import { onStorageChanged } from "../../browser/api.ts";
import { readMessages, text } from "../../browser/messages.ts";
import { type RememberedAnswer, rememberedAnswers } from "../../browser/page-store.ts";
import { readSettings, watchSettings } from "../../browser/settings-store.ts";
import { type Site, addedSites, sitesToAllow, storedSites } from "../../browser/sites.ts";
import { type LearnedHost, readLearned, watchLearned } from "../../browser/learned.ts";
import { refusedRules, watchRuleProblems } from "../../browser/rule-problems.ts";
import { clearCounts } from "../shared/clear-counts.ts";
import { Families } from "../shared/families.tsx";
import { latest } from "../shared/latest.ts";
import { Problems, problemsOf } from "../shared/problems.tsx";
import { Search } from "../shared/search.tsx";
import { changeSetting } from "../shared/setting-change.ts";
import { handledByShield } from "../shared/shield-counts.ts";
import { Sites, type WantedSite } from "../shared/sites.tsx";
import { Welcome } from "../shared/welcome.tsx";
import { Answers, isAnswerName } from "./answers.tsx";
import { General } from "./general.tsx";
import { Learned } from "./learned.tsx";
import { ProfileField } from "./profile-field.tsx";
import { Transfer } from "./transfer.tsx";

/** What stands in the settings and beside them; undefined until it was read. */
interface Read {
  readonly settings: SettingsView;
  /** An organisation has a say. */
  readonly isManaged: boolean;
  readonly problems: readonly string[];
  readonly learned: readonly LearnedHost[];
  readonly sites: readonly Site[];
  readonly wanted: readonly WantedSite[];
}

interface State {
  readonly read?: Read;
  /** By shield: what it stopped or changed. */
  readonly totals?: ReadonlyMap<string, number>;
  readonly answers: readonly RememberedAnswer[];
  /** What the person looks for. */
  readonly query: string;
  readonly isUnreadable?: true;
}

let state: State = { answers: [], query: "" };

function show(change: Partial<State>): void {
  state = { ...state, ...change };
  render(<Page {...state} />, document.body);
}

function Page({ read, totals, answers, query, isUnreadable }: State): JSX.Element {
  const settings = read?.settings;
  return (
    <>
      <header>
        <img src="icons/mantle-32.png" alt="" width="24" height="24" />
        <h1 id="title">{text(isUnreadable === true ? "settingsUnreadable" : "optionsTitle")}</h1>
      </header>
      <main>
        <p id="managed" class="lock" hidden={read?.isManaged !== true}>
          {text("optionsManaged")}
        </p>
        <Problems problems={read?.problems ?? []} />
        <Welcome settings={settings} />
        <section id="profile">
          {settings !== undefined && (
            <ProfileField profile={settings.profile} change={changeSetting} />
          )}
        </section>
        <section id="find">
          {settings !== undefined && <Search settings={settings} query={query} search={search} />}
        </section>
        <section id="shields">
          {settings !== undefined && (
            <>
              <h2>{text("shieldsTitle")}</h2>
              <Families
                settings={settings}
                query={query}
                change={changeSetting}
                countsOf={(shield) => totals && { here: undefined, total: totals.get(shield) ?? 0 }}
                isOpen={() => true}
                isBrief={false}
              />
            </>
          )}
        </section>
        <section id="general">
          {settings !== undefined && <General options={settings.general} change={changeSetting} />}
        </section>
        <Answers answers={answers} changed={() => void readAnswers()} />
        <Sites
          sites={read?.sites ?? []}
          wanted={read?.wanted ?? []}
          changed={() => void readAll()}
        />
        <Learned learned={read?.learned ?? []} shields={settings?.shields ?? []} />
        <section id="transfer">{settings !== undefined && <Transfer />}</section>
      </main>
      <footer>
        <button id="clear" class="quiet" type="button" onClick={clearCounts}>
          {text("clearCounts")}
        </button>
      </footer>
    </>
  );
}

function search(query: string): void {
  show({ query });
}

const readAll = latest(
  async (): Promise<Read> => {
    const texts = await readSettings();
    const settings = await describeSettings(texts);
    const ofPolicy = storedSites(texts.managed).map((site) => site.url);
    const wanted = (await sitesToAllow(texts)).map((site) => ({
      ...site,
      isOwn: !ofPolicy.includes(site.url),
    }));
    return {
      settings,
      isManaged: texts.managed !== null,
      problems: await problemsOf(settings, await refusedRules()),
      learned: await readLearned(),
      sites: await addedSites(texts),
      wanted,
    };
  },
  (read) => show({ read }),
);

async function readCounts(): Promise<void> {
  show({ totals: handledByShield((await readLedger()).rows) });
}

async function readAnswers(): Promise<void> {
  show({ answers: await rememberedAnswers() });
}

async function start(): Promise<void> {
  await readMessages();
  document.title = text("optionsTitle");
  show({});
  await readAll();
  await readCounts();
  await readAnswers();
  watchSettings(() => void readAll());
  watchLearned(() => void readAll());
  watchRuleProblems(() => void readAll());
  onStorageChanged((area, keys) => {
    if (area !== "managed" && keys.includes("ledger")) void readCounts();
    if (area === "local" && keys.some(isAnswerName)) void readAnswers();
  });
}

start().catch(() => show({ isUnreadable: true }));
