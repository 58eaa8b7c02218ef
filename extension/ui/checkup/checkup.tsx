/**
 * The check-up: what the account of a tab's Element shows already, and how it is taken back. Rust
 * judges and plans; Element's session in the tab asks its homeserver; this page shows.
 */
import { Fragment, type JSX, render } from "preact";

import { describeSettings } from "../../browser/settings-core.ts";
import { readSettings } from "../../browser/settings-store.ts";
import { type MessageName, readMessages, text } from "../../browser/messages.ts";
import { pagesModule, withPages } from "../../browser/pages-module.ts";
import type { CheckUp, Repair } from "../../generated/mantle_pages.js";
import type { CheckUpReport, Finding, FindingId } from "../../generated/types.ts";
import { type CheckUpOutcome, FOUND_KEY } from "../../protocol/check-up.ts";
import { ElementTab } from "./element-tab.ts";
import { FindingCard, type Preview } from "./finding-card.tsx";
import { RepairCard } from "./repair-card.tsx";
import { type RepairPlace, RepairRun, answerIn, isRepairKey, methodOf } from "./repair-run.ts";
import { Asks, Summary, Unread } from "./report.tsx";
import { FINDINGS } from "./texts.ts";
import { planOf } from "./words.ts";

type Person = Extract<CheckUpOutcome, { is: "account" }>;

interface State {
  readonly said?: MessageName | undefined;
  /** Undefined until a session was found to ask by. */
  readonly page?: Page;
  readonly isChecking: boolean;
  /** How often it was checked, failures included. */
  readonly checks: number;
  readonly report?: CheckUpReport;
  readonly repairs: ReadonlyMap<FindingId, RepairRun>;
  readonly previews: ReadonlyMap<FindingId, Preview>;
}

let state: State = { isChecking: false, checks: 0, repairs: new Map(), previews: new Map() };

function show(change: Partial<State> = {}): void {
  state = { ...state, ...change };
  render(<View {...state} />, document.body);
}

function View({ said, page, isChecking, checks, report, repairs, previews }: State): JSX.Element {
  const findings = report?.findings ?? [];
  const alone = [...repairs].filter(([id]) => !findings.some((finding) => finding.id === id));
  const unread = report?.unread ?? [];
  return (
    <>
      <header>
        <img src="icons/mantle-32.png" alt="" width="24" height="24" />
        <h1 id="title">
          {page === undefined ? text("checkupTitle") : text("checkupTitleOf", page.user)}
        </h1>
      </header>
      <main>
        <p id="intro" class="soft">
          {text("checkupIntro")}
        </p>
        <section id="asks">{page !== undefined && <Asks homeserver={page.homeserver} />}</section>
        <div id="check-place" class="actions">
          {page !== undefined && (
            <button
              id="check"
              class="primary"
              type="button"
              disabled={isChecking}
              onClick={() => void page.check()}
            >
              {text(checks === 0 ? "checkupCheck" : "checkupCheckAgain")}
            </button>
          )}
        </div>
        <p id="state" role="status">
          {said !== undefined && text(said)}
        </p>
        <section id="repairs" hidden={alone.length === 0}>
          <h2>{text("checkupRepairsTitle")}</h2>
          {alone.map(([id, run]) => (
            <article key={id} class="finding" data-finding={id}>
              <h3 tabIndex={-1}>{text(FINDINGS[id].name)}</h3>
              <RepairCard run={run} forgotten={forgotten} />
            </article>
          ))}
        </section>
        <section id="summary" tabIndex={-1} hidden={report === undefined}>
          {report !== undefined && (
            <Fragment key={checks}>
              <Summary report={report} />
            </Fragment>
          )}
        </section>
        <section id="findings" aria-label={text("checkupFindingsTitle")}>
          {page !== undefined &&
            findings.map((finding) => {
              const run = repairs.get(finding.id);
              return (
                <FindingCard
                  // What was unfolded of an earlier check is not what this one found.
                  key={`${finding.id} ${checks}`}
                  finding={finding}
                  preview={previews.get(finding.id)}
                  // A new one may take the place of one that is over, but not the way back of another.
                  isFree={run?.isOver() ?? true}
                  open={(of) => void page.preview(of)}
                  start={(of) => page.start(of)}
                  cancel={cancel}
                >
                  {run !== undefined && <RepairCard run={run} forgotten={forgotten} />}
                </FindingCard>
              );
            })}
        </section>
        <section id="unread" class="card bad" hidden={unread.length === 0}>
          {unread.length > 0 && <Unread topics={unread} />}
        </section>
      </main>
    </>
  );
}

function cancel({ id }: Finding): void {
  show({ previews: without(state.previews, id) });
  focusOn(`[data-repair="${id}"]`);
}

function forgotten({ finding }: RepairRun): void {
  const hadFocus = document.activeElement?.closest(".repair") ?? null;
  const isIn = hadFocus?.closest("[data-finding]")?.getAttribute("data-finding") === finding;
  show({ repairs: without(state.repairs, finding), previews: new Map() });
  // The focus of what was taken away does not fall back to the beginning of the page.
  if (isIn) focusOn(`#finding-${finding}`, "#repairs .finding h3", "#check");
}

/** On the first of them that is there. */
function focusOn(...wanted: readonly string[]): void {
  for (const selector of wanted) {
    const found = document.querySelector<HTMLElement>(selector);
    if (found !== null) {
      found.focus();
      return;
    }
  }
}

function without<Value>(
  all: ReadonlyMap<FindingId, Value>,
  id: FindingId,
): ReadonlyMap<FindingId, Value> {
  return new Map([...all].filter(([other]) => other !== id));
}

class Page {
  readonly user: string;
  readonly #tab: ElementTab;
  /** For repairs. */
  readonly #runsIn: RepairPlace;
  #person: Person;
  #checkUp: CheckUp | undefined;
  #sessionName = "";

  constructor(tab: ElementTab, person: Person) {
    this.#tab = tab;
    this.#person = person;
    this.user = person.user;
    this.#runsIn = {
      tab,
      pages: {
        use: (call) => withPages(call),
        take: (text) => withPages((module) => module.Repair.fromText(text, person.user)),
      },
      user: person.user,
    };
  }

  get homeserver(): string {
    return this.#person.homeserver;
  }

  /** Repairs that were begun here before, or are done and could be taken back. */
  async takeUpRepairs(): Promise<void> {
    const kept = await this.#tab.run({ do: "load" });
    if (kept?.is !== "kept") return;
    const module = await pagesModule();
    for (const [key, value] of Object.entries(kept.entries)) {
      if (!isRepairKey(key)) continue;
      const repair = module.Repair.fromText(value, this.user);
      if (repair !== undefined) this.#add(new RepairRun(repair, this.#runsIn, true));
    }
  }

  async check(): Promise<void> {
    show({ isChecking: true, said: "checkupChecking" });
    const checks = state.checks + 1;
    try {
      const report = await this.#ask();
      show({ said: undefined, report, checks, isChecking: false, previews: new Map() });
      focusOn("#summary");
      const value = JSON.stringify({ count: report.findings.length });
      void this.#tab.run({ do: "keep", user: this.user, key: FOUND_KEY, value });
    } catch {
      // What an earlier one found stays as it is.
      show({ said: "checkupFailed", checks, isChecking: false });
    }
  }

  async #ask(): Promise<CheckUpReport> {
    const person = await this.#tab.run({ do: "account" });
    if (person?.is !== "account" || person.user !== this.user) throw new Error("Another account.");
    this.#person = person;
    const settings = await describeSettings(await readSettings());
    const { user, device, convertible } = person;
    const sessionName = settings.deviceName.value;
    const account = { user, device, convertible, sessionName, now: Date.now() };
    const checkUp = await withPages((module) => new module.CheckUp(account));
    for (;;) {
      const next = await withPages(() => checkUp.nextInquiry());
      if (next === undefined) break;
      const { status, headers, body } = answerIn(
        await this.#tab.run(
          next.do === "judge"
            ? { do: "judge", user, backup: next.backup }
            : {
                do: "ask",
                user,
                request: { ...next.request, method: methodOf(next.request.method) },
              },
        ),
      );
      const wait = await withPages(() => checkUp.answer(status, headers, body));
      if (wait > 0) await new Promise((resume) => setTimeout(resume, wait));
    }
    const former = this.#checkUp;
    this.#checkUp = checkUp;
    try {
      former?.free();
    } catch {
      // It went with a trap.
    }
    this.#sessionName = sessionName;
    return withPages(() => checkUp.report());
  }

  /** What a repair would do, and who will miss something by it, which the page alone knows. */
  async preview(finding: Finding): Promise<void> {
    const { id } = finding;
    const looking: Preview = { lines: undefined };
    show({ previews: new Map([...state.previews, [id, looking]]) });
    const lines = [...planOf(finding, this.#sessionName), ...(await this.#missing(id))];
    // Closed in the meantime.
    if (state.previews.get(id) !== looking) return;
    show({ previews: new Map([...state.previews, [id, { lines }]]) });
    focusOn(`[data-finding="${id}"] .preview .primary`);
  }

  async #missing(id: FindingId): Promise<string[]> {
    if (id !== "readable-rooms") return [];
    const rooms = this.#person.convertible;
    const outcome = await this.#tab.run({ do: "preview", user: this.user, rooms });
    return outcome?.is === "preview" ? outcome.lines : [];
  }

  start({ id }: Finding): void {
    let repair: Repair | undefined;
    try {
      repair = this.#checkUp?.repair(id);
    } catch {
      // It went with a trap: the next check makes a new one.
      show({ said: "checkupFailed" });
    }
    if (repair === undefined) {
      show({ previews: without(state.previews, id) });
      return;
    }
    const run = new RepairRun(repair, this.#runsIn, false);
    this.#add(run);
    focusOn(`[data-finding="${id}"] .repair button:not([hidden])`);
    void run.goOn();
  }

  #add(run: RepairRun): void {
    run.changed = () => show();
    show({ repairs: new Map([...state.repairs, [run.finding, run]]), previews: new Map() });
  }
}

async function start(): Promise<void> {
  await readMessages();
  document.title = text("checkupTitle");
  show();
  const named = new URLSearchParams(location.search).get("tab");
  const tab = await ElementTab.find(named === null ? undefined : Number(named));
  if (tab === undefined) return show({ said: "checkupNoElement" });
  const person = await tab.run({ do: "account" });
  if (person?.is === "nobody") return show({ said: "checkupNobody" });
  if (person?.is !== "account") return show({ said: "checkupTabGone" });
  const page = new Page(tab, person);
  show({ page });
  await page.takeUpRepairs();
}

start().catch(() => show({ said: "checkupFailed" }));
