/** The ledger: what was counted, day by day, to be searched, exported and cleared. */
import { type JSX, render } from "preact";

import { onStorageChanged } from "../../browser/api.ts";
import { forgetLearned } from "../../browser/learned.ts";
import { type DayRow, clearLedger, dayOf, readDays } from "../../browser/ledger.ts";
import { readMessages, text } from "../../browser/messages.ts";
import { download } from "../shared/download.ts";
import { Charts } from "./charts.tsx";
import { Filters } from "./filters.tsx";
import { Row, Total } from "./rows.tsx";
import { type Query, EVERYTHING, asCsv, asJson, filterOf, selected } from "./selection.ts";
import { VirtualList } from "./virtual-list.tsx";
import { type Choices, choicesOf, stillOffered, wordsOf } from "./words.ts";

/** Undefined until it has been read. */
let rows: readonly DayRow[] | undefined;
let choices: Choices = { shields: [], hosts: [] };
let query: Query = EVERYTHING;

function draw(): void {
  const today = dayOf(Date.now());
  const filter = filterOf(query, today);
  const shown = selected(rows ?? [], filter, wordsOf);
  const first = filter.since === "" ? (shown.at(-1)?.day ?? today) : filter.since;
  render(
    <>
      <header>
        <img src="icons/mantle-32.png" alt="" width="24" height="24" />
        <h1 id="title">{text("ledgerTitle")}</h1>
      </header>
      <p id="about" class="hint">
        {text("ledgerAbout")}
      </p>
      <main>
        <Filters query={query} choices={choices} choose={choose} />
        <p id="status" role="status">
          {rows !== undefined && <Total isEmpty={rows.length === 0} shown={shown} />}
        </p>
        <Charts rows={shown} first={first} last={today} />
        <section id="entries">
          <VirtualList label={text("ledgerEntries")} items={shown} contentOf={contentOf} />
        </section>
      </main>
      <footer id="actions" class="buttons">
        <button
          id="export-json"
          class="secondary"
          type="button"
          disabled={shown.length === 0}
          onClick={() => download("mantle-ledger.json", "application/json", asJson(shown))}
        >
          {text("ledgerExportJson")}
        </button>
        <button
          id="export-csv"
          class="secondary"
          type="button"
          disabled={shown.length === 0}
          onClick={() => download("mantle-ledger.csv", "text/csv", asCsv(shown))}
        >
          {text("ledgerExportCsv")}
        </button>
        <button
          id="clear"
          class="quiet"
          type="button"
          disabled={rows === undefined || rows.length === 0}
          onClick={clear}
        >
          {text("clearCounts")}
        </button>
      </footer>
    </>,
    document.body,
  );
}

function contentOf(row: DayRow): JSX.Element {
  return <Row row={row} />;
}

function choose(chosen: Partial<Query>): void {
  query = { ...query, ...chosen };
  draw();
}

function clear(): void {
  if (!confirm(text("ledgerClearSure"))) return;
  void clearLedger();
  void forgetLearned(() => true);
}

async function read(): Promise<void> {
  rows = await readDays();
  choices = choicesOf(rows);
  query = stillOffered(query, choices);
  draw();
}

async function start(): Promise<void> {
  await readMessages();
  document.title = text("ledgerTitle");
  draw();
  onStorageChanged((area, keys) => {
    if (area !== "managed" && keys.includes("ledger")) void read();
  });
  await read();
  performance.mark("ledger");
}

void start();
