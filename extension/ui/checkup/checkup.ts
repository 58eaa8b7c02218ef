/**
 * The check-up: what the account of a tab's Element shows already, and how it is taken back. Rust
 * judges and plans; Element's session in the tab asks its homeserver; this page shows.
 */
import { describeSettings } from "../../browser/settings-core.ts";
import { readSettings } from "../../browser/settings-store.ts";
import { type MessageName, counted, readMessages, text } from "../../browser/messages.ts";
import { pagesModule, withPages } from "../../browser/pages-module.ts";
import { button, element, part } from "../shared/dom.ts";
import type { CheckUp, Repair } from "../../generated/mantle_pages.js";
import type { CheckUpReport, Finding, FindingId } from "../../generated/types.ts";
import { type CheckUpOutcome, FOUND_KEY } from "../../protocol/check-up.ts";
import { ElementTab } from "./element-tab.ts";
import { type FindingCard, findingCard } from "./finding-card.ts";
import { type RepairCard, repairCard } from "./repair-card.ts";
import { type RepairPlace, RepairRun, answerIn, isRepairKey, methodOf } from "./repair-run.ts";
import { FINDINGS, UNREAD } from "./texts.ts";

/** What will be asked, before it is. */
const ASKS = [
  "checkupAsksSessions",
  "checkupAsksSync",
  "checkupAsksAccount",
  "checkupAsksAnybody",
] as const;

type Person = Extract<CheckUpOutcome, { is: "account" }>;

class Page {
  readonly #tab: ElementTab;
  readonly #user: string;
  /** For repairs. */
  readonly #runsIn: RepairPlace;
  readonly #repairs = new Map<FindingId, RepairCard>();
  #cards = new Map<FindingId, FindingCard>();
  #person: Person;
  #checkUp: CheckUp | undefined;
  #sessionName = "";

  constructor(tab: ElementTab, person: Person) {
    this.#tab = tab;
    this.#person = person;
    this.#user = person.user;
    this.#runsIn = {
      tab,
      pages: {
        use: (call) => withPages(call),
        take: (text) => withPages((module) => module.Repair.fromText(text, person.user)),
      },
      user: person.user,
    };
  }

  async open(): Promise<void> {
    part("title").textContent = text("checkupTitleOf", this.#user);
    this.#showQuestions();
    const check = button(text("checkupCheck"), "primary", () => void this.#check(check));
    check.id = "check";
    part("check-place").replaceChildren(check);
    await this.#takeUpRepairs();
  }

  /** What will be asked, before it is. */
  #showQuestions(): void {
    const { homeserver } = this.#person;
    const host = URL.canParse(homeserver) ? new URL(homeserver).host : homeserver;
    part("asks").replaceChildren(
      element("h2", { text: text("checkupAsksTitle", host) }),
      element("ul", {}, ...ASKS.map((name) => element("li", { text: text(name) }))),
      element("p", { class: "soft", text: text("checkupAsksNobodyElse") }),
    );
  }

  /** Repairs that were begun here before, or are done and could be taken back. */
  async #takeUpRepairs(): Promise<void> {
    const kept = await this.#tab.run({ do: "load" });
    if (kept?.is !== "kept") return;
    const module = await pagesModule();
    for (const [key, value] of Object.entries(kept.entries)) {
      if (!isRepairKey(key)) continue;
      const repair = module.Repair.fromText(value, this.#user);
      if (repair !== undefined) this.#add(new RepairRun(repair, this.#runsIn, true));
    }
    this.#place();
  }

  async #check(pressed: HTMLButtonElement): Promise<void> {
    pressed.disabled = true;
    const state = part("state");
    state.textContent = text("checkupChecking");
    try {
      const report = await this.#ask();
      state.textContent = "";
      this.#show(report);
      part("summary").focus();
    } catch {
      state.textContent = text("checkupFailed");
    } finally {
      pressed.disabled = false;
      pressed.textContent = text("checkupCheckAgain");
    }
  }

  async #ask(): Promise<CheckUpReport> {
    const person = await this.#tab.run({ do: "account" });
    if (person?.is !== "account" || person.user !== this.#user) throw new Error("Another account.");
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
  #show({ findings, requests, unread }: CheckUpReport): void {
    const repairable = findings.filter((finding) => finding.repair !== null).length;
    part("summary").hidden = false;
    part("summary").replaceChildren(
      element("h2", {
        text:
          findings.length === 0
            ? text("checkupFoundNone")
            : counted("checkupFound", findings.length),
      }),
      element("p", {
        class: "soft",
        text: [
          ...(repairable === 0 ? [] : [counted("checkupRepairable", repairable)]),
          counted("checkupChecked", requests),
        ].join(" · "),
      }),
    );
    this.#cards = new Map(
      findings.map((finding) => {
        const card = findingCard(finding, {
          sessionName: this.#sessionName,
          preview: (of) => this.#preview(of),
          start: (of) => this.#start(of),
        });
        return [finding.id, card];
      }),
    );
    part("findings").replaceChildren(...[...this.#cards.values()].map(({ root }) => root));
    part("unread").hidden = unread.length === 0;
    part("unread").replaceChildren(
      element("h2", { text: text("checkupUnreadTitle") }),
      ...unread.map((topic) => {
        return element("p", { text: text(UNREAD[topic]) });
      }),
    );
    this.#place();
    const value = JSON.stringify({ count: findings.length });
    void this.#tab.run({ do: "keep", user: this.#user, key: FOUND_KEY, value });
  }

  async #preview({ id }: Finding): Promise<string[]> {
    if (id !== "readable-rooms") return [];
    const rooms = this.#person.convertible;
    const outcome = await this.#tab.run({ do: "preview", user: this.#user, rooms });
    return outcome?.is === "preview" ? outcome.lines : [];
  }

  #start({ id }: Finding): void {
    let repair: Repair | undefined;
    try {
      repair = this.#checkUp?.repair(id);
    } catch {
      // It went with a trap: the next check makes a new one.
      part("state").textContent = text("checkupFailed");
    }
    if (repair === undefined) return;
    const card = this.#add(new RepairRun(repair, this.#runsIn, false));
    this.#place();
    card.root.querySelector<HTMLElement>("button:not([hidden])")?.focus();
    void card.run.goOn();
  }

  #add(run: RepairRun): RepairCard {
    const card = repairCard(run, (hadFocus) => {
      this.#repairs.delete(run.finding);
      this.#place();
      if (hadFocus) this.#focusBy(run.finding);
    });
    this.#repairs.set(run.finding, card);
    return card;
  }

  /** The focus of what was taken away does not fall back to the beginning of the page. */
  #focusBy(id: FindingId): void {
    const next =
      this.#cards.get(id)?.heading ?? part("repairs").querySelector<HTMLElement>(".finding h3");
    (next ?? part("check")).focus();
  }

  /** Each repair with its finding, where that is shown, and else by itself. */
  #place(): void {
    const alone: HTMLElement[] = [];
    for (const [id, { root }] of this.#repairs) {
      const card = this.#cards.get(id);
      if (card === undefined) {
        const heading = element("h3", { text: text(FINDINGS[id].name), tabindex: "-1" });
        alone.push(element("article", { class: "finding", "data-finding": id }, heading, root));
      } else if (root.parentElement !== card.slot) {
        card.slot.replaceChildren(root);
      }
    }
    for (const [id, card] of this.#cards) {
      // A new one may take the place of one that is over, but not the way back of another.
      card.offer(this.#repairs.get(id)?.run.isOver() ?? true);
    }
    part("repairs").hidden = alone.length === 0;
    part("repairs").replaceChildren(element("h2", { text: text("checkupRepairsTitle") }), ...alone);
  }
}

async function start(): Promise<void> {
  await readMessages();
  document.title = text("checkupTitle");
  part("title").textContent = text("checkupTitle");
  part("intro").textContent = text("checkupIntro");
  part("findings").setAttribute("aria-label", text("checkupFindingsTitle"));
  const named = new URLSearchParams(location.search).get("tab");
  const tab = await ElementTab.find(named === null ? undefined : Number(named));
  if (tab === undefined) return say("checkupNoElement");
  const person = await tab.run({ do: "account" });
  if (person?.is === "nobody") return say("checkupNobody");
  if (person?.is !== "account") return say("checkupTabGone");
  await new Page(tab, person).open();
}

function say(name: MessageName): void {
  part("state").textContent = text(name);
}

start().catch(() => say("checkupFailed"));
