/** The ledger: what was counted, day by day, to be searched, exported and cleared. */
import { download } from "../shared/download.ts";
import { onStorageChanged } from "../../browser/api.ts";
import { forgetLearned } from "../../browser/learned.ts";
import { type DayRow, clearLedger, dayOf, isHandled, readDays } from "../../browser/ledger.ts";
import {
  type MessageName,
  counted,
  inDigits,
  language,
  readMessages,
  text,
} from "../../browser/messages.ts";
import { button, element, part } from "../shared/dom.ts";
import {
  type Bar,
  asCsv,
  asJson,
  barsOf,
  daysBack,
  handledIn,
  hostsOf,
  nameOf,
  selected,
} from "./selection.ts";
import { virtualList } from "./virtual-list.ts";

/** In days; 0: all there is. */
const PERIODS = [14, 1, 7, 30, 0] as const;
const MAX_HOSTS = 8;
/** Stands for the number in a text, so that it can be set apart wherever a language puts it. */
const MARK = "\u0001";

const ACTIONS: Readonly<Record<DayRow["action"], MessageName>> = {
  blocked: "action_blocked",
  answered: "action_answered",
  rewritten: "action_rewritten",
  flagged: "action_flagged",
  asked: "action_asked",
  unknown: "action_unknown",
};

let rows: DayRow[] = [];
let shown: DayRow[] = [];
/** What is searched of a row, lower case. */
const words = new WeakMap<DayRow, string>();

function wordsOf(row: DayRow): string {
  const known = words.get(row);
  if (known !== undefined) return known;
  const made = [nameOf(row.shield), row.shield, text(ACTIONS[row.action]), row.host, row.endpoint]
    .join(" ")
    .toLowerCase();
  words.set(row, made);
  return made;
}

function start(): void {
  document.title = text("ledgerTitle");
  part("title").textContent = text("ledgerTitle");
  part("about").textContent = text("ledgerAbout");
  const search = element("input");
  search.type = "search";
  search.placeholder = text("ledgerSearchHint");
  const shield = element("select");
  const host = element("select");
  const period = element("select");
  for (const days of PERIODS) {
    period.append(
      choice(String(days), days === 0 ? text("ledgerEver") : counted("ledgerDays", days)),
    );
  }
  const labelled: readonly (readonly [MessageName, HTMLElement])[] = [
    ["ledgerSearch", search],
    ["ledgerShield", shield],
    ["ledgerHost", host],
    ["ledgerPeriod", period],
  ];
  for (const [name, control] of labelled) {
    const label = element("label", {}, document.createTextNode(text(name)), control);
    part("filters").append(label);
  }
  const time = new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" });
  const list = virtualList<DayRow>(text("ledgerEntries"), (row) => rowOf(row, time));
  part("entries").append(list.root);

  const select = (): void => {
    const days = Number(period.value);
    const today = dayOf(Date.now());
    shown = selected(
      rows,
      {
        words: search.value.toLowerCase().split(/\s+/).filter(Boolean),
        shield: shield.value,
        host: host.value,
        since: days === 0 ? "" : daysBack(today, days),
      },
      wordsOf,
    );
    const first = days === 0 ? (shown.at(-1)?.day ?? today) : daysBack(today, days);
    showTotal();
    showCharts(barsOf(shown, first, today));
    list.show(shown);
    for (const one of document.querySelectorAll<HTMLButtonElement>("#actions button")) {
      one.disabled = one.id === "clear" ? rows.length === 0 : shown.length === 0;
    }
  };
  const read = async (): Promise<void> => {
    rows = await readDays();
    fill(
      shield,
      text("ledgerAnyShield"),
      namesIn(
        rows.map((row) => row.shield),
        nameOf,
      ),
    );
    fill(
      host,
      text("ledgerAnyHost"),
      namesIn(
        rows.map((row) => row.host),
        (name) => name,
      ),
    );
    select();
  };
  search.addEventListener("input", select);
  for (const one of [shield, host, period]) one.addEventListener("change", select);
  addActions();
  onStorageChanged((area, keys) => {
    if (area !== "managed" && keys.includes("ledger")) void read();
  });
  void read().then(() => performance.mark("ledger"));
}

/** With what a person calls them, in their order. */
function namesIn(values: string[], called: (value: string) => string): [string, string][] {
  const known = [...new Set(values)].filter((value) => value !== "");
  const named = known.map((value): [string, string] => [value, called(value)]);
  return named.sort(([, a], [, b]) => a.localeCompare(b, language()));
}

function fill(select: HTMLSelectElement, any: string, choices: [string, string][]): void {
  const before = select.value;
  select.replaceChildren(choice("", any), ...choices.map(([value, name]) => choice(value, name)));
  select.value = choices.some(([value]) => value === before) ? before : "";
}

function choice(value: string, name: string): HTMLOptionElement {
  const made = element("option", { text: name });
  made.value = value;
  return made;
}

function showTotal(): void {
  const total = handledIn(shown);
  const [before = "", after = ""] = counted("ledgerTotal", total, [], MARK).split(MARK);
  part("status").replaceChildren(
    ...(rows.length === 0
      ? [document.createTextNode(text("ledgerEmpty"))]
      : shown.length === 0
        ? [document.createTextNode(text("ledgerNoneFound"))]
        : [
            document.createTextNode(before),
            element("b", { text: inDigits(total) }),
            document.createTextNode(after),
          ]),
  );
}

function showCharts(bars: readonly Bar[]): void {
  const highest = Math.max(1, ...bars.map(({ count }) => count));
  const date = new Intl.DateTimeFormat(language(), { dateStyle: "medium" });
  const named = (day: string): string => date.format(new Date(`${day}T12:00:00`));
  const busiest = bars.reduce((a, b) => (b.count > a.count ? b : a), bars[0] ?? NO_BAR);
  const days = element("div", {
    class: "days",
    role: "img",
    "aria-label": text("ledgerChartSays", named(busiest.from), inDigits(busiest.count)),
  });
  for (const { from, to, count } of bars) {
    const span = from === to ? named(from) : `${named(from)} – ${named(to)}`;
    const bar = element("i", { title: `${span}: ${inDigits(count)}` });
    bar.style.height = `${(100 * count) / highest}%`;
    days.append(bar);
  }
  const ends = element(
    "p",
    { class: "span" },
    element("span", { text: named(bars[0]?.from ?? busiest.from) }),
    element("span", { text: bars.length > 1 ? named(bars.at(-1)?.to ?? busiest.to) : "" }),
  );
  const hosts = element("ul", { class: "hosts" });
  const most = hostsOf(shown, MAX_HOSTS);
  for (const [host, count] of most) {
    const bar = element("i");
    bar.style.width = `${(100 * count) / (most[0]?.[1] ?? 1)}%`;
    hosts.append(
      element(
        "li",
        {},
        element("span", { text: host, title: host }),
        element("b", { text: inDigits(count) }),
        bar,
      ),
    );
  }
  const charts = part("charts");
  charts.hidden = handledIn(shown) === 0;
  charts.replaceChildren(
    element("div", {}, element("h2", { text: text("ledgerByDay") }), days, ends),
    element("div", {}, element("h2", { text: text("ledgerByHost") }), hosts),
  );
}

const NO_BAR: Bar = { from: dayOf(Date.now()), to: dayOf(Date.now()), count: 0 };

function rowOf(row: DayRow, time: Intl.DateTimeFormat): HTMLElement {
  const done = text(ACTIONS[row.action]);
  return element(
    "div",
    { role: "row", "data-done": String(isHandled(row.action)) },
    element("span", { role: "cell", class: "when", text: time.format(row.last) }),
    element(
      "span",
      { role: "cell" },
      document.createTextNode(`${nameOf(row.shield)}: ${done}`),
      element("small", { text: row.endpoint }),
    ),
    element("span", { role: "cell", class: "to", text: row.host, title: row.host }),
    element("span", {
      role: "cell",
      class: "times",
      text: text("ledgerTimes", inDigits(row.count)),
    }),
  );
}

function addActions(): void {
  const json = button(text("ledgerExportJson"), "secondary", () => {
    download("mantle-ledger.json", "application/json", asJson(shown));
  });
  const csv = button(text("ledgerExportCsv"), "secondary", () => {
    download("mantle-ledger.csv", "text/csv", asCsv(shown));
  });
  json.id = "export-json";
  csv.id = "export-csv";
  const clear = button(text("clearCounts"), "quiet", () => {
    if (!confirm(text("ledgerClearSure"))) return;
    void clearLedger();
    void forgetLearned(() => true);
  });
  clear.id = "clear";
  part("actions").append(json, csv, clear);
}

void readMessages().then(start);
