/** What was stopped or changed, over time and by host. */
import type { JSX } from "preact";

import type { DayRow } from "../../browser/ledger.ts";
import { inDigits, language, text } from "../../browser/messages.ts";
import { type Bar, barsOf, hostsOf, stepsUpTo } from "./selection.ts";

const MAX_HOSTS = 8;

export function Charts({
  rows,
  first,
  last,
}: {
  readonly rows: readonly DayRow[];
  /** Days, as 2026-01-31. */
  readonly first: string;
  readonly last: string;
}): JSX.Element {
  const bars = barsOf(rows, first, last);
  return (
    <section id="charts" hidden={bars.every(({ count }) => count === 0)}>
      <div>
        <h2>{text("ledgerByDay")}</h2>
        <Days bars={bars} last={last} />
      </div>
      <div>
        <h2>{text("ledgerByHost")}</h2>
        <Hosts rows={rows} />
      </div>
    </section>
  );
}

function Days({
  bars,
  last,
}: {
  readonly bars: readonly Bar[];
  readonly last: string;
}): JSX.Element {
  const date = new Intl.DateTimeFormat(language(), { dateStyle: "medium" });
  const named = (day: string): string => date.format(new Date(`${day}T12:00:00`));
  const none: Bar = { from: last, to: last, count: 0 };
  const busiest = bars.reduce((a, b) => (b.count > a.count ? b : a), bars[0] ?? none);
  const share = (count: number): string => `${(100 * count) / Math.max(1, busiest.count)}%`;
  return (
    <>
      <div
        class="days"
        role="img"
        aria-label={text("ledgerChartSays", named(busiest.from), inDigits(busiest.count))}
      >
        {stepsUpTo(busiest.count).map((step) => (
          <span key={step} class="step" style={{ bottom: share(step) }}>
            {inDigits(step)}
          </span>
        ))}
        {bars.map(({ from, to, count }) => {
          const span = from === to ? named(from) : `${named(from)} – ${named(to)}`;
          return (
            <i key={from} title={`${span}: ${inDigits(count)}`} style={{ height: share(count) }} />
          );
        })}
      </div>
      <p class="span">
        <span>{named(bars[0]?.from ?? busiest.from)}</span>
        <span>{bars.length > 1 ? named(bars.at(-1)?.to ?? busiest.to) : ""}</span>
      </p>
    </>
  );
}

function Hosts({ rows }: { readonly rows: readonly DayRow[] }): JSX.Element {
  const hosts = hostsOf(rows, MAX_HOSTS);
  const most = hosts[0]?.[1] ?? 1;
  return (
    <ul class="hosts">
      {hosts.map(([host, count]) => (
        <li key={host}>
          <span title={host}>{host}</span>
          <b>{inDigits(count)}</b>
          <i style={{ width: `${(100 * count) / most}%` }} />
        </li>
      ))}
    </ul>
  );
}
