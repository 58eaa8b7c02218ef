/** What narrows the ledger down. */
import type { JSX } from "preact";

import { counted, text } from "../../browser/messages.ts";
import type { Query } from "./selection.ts";
import type { Choice, Choices } from "./words.ts";

/** In days; 0: all there is. */
const PERIODS = [14, 1, 7, 30, 0] as const;

export function Filters({
  query,
  choices,
  choose,
}: {
  readonly query: Query;
  readonly choices: Choices;
  readonly choose: (chosen: Partial<Query>) => void;
}): JSX.Element {
  const periods = PERIODS.map((days): Choice => {
    return {
      value: String(days),
      name: days === 0 ? text("ledgerEver") : counted("ledgerDays", days),
    };
  });
  return (
    <section id="filters">
      <label>
        {text("ledgerSearch")}
        <input
          type="search"
          placeholder={text("ledgerSearchHint")}
          value={query.search}
          onInput={({ currentTarget }) => choose({ search: currentTarget.value })}
        />
      </label>
      <label>
        {text("ledgerShield")}
        <Select
          value={query.shield}
          choices={[{ value: "", name: text("ledgerAnyShield") }, ...choices.shields]}
          choose={(shield) => choose({ shield })}
        />
      </label>
      <label>
        {text("ledgerHost")}
        <Select
          value={query.host}
          choices={[{ value: "", name: text("ledgerAnyHost") }, ...choices.hosts]}
          choose={(host) => choose({ host })}
        />
      </label>
      <label>
        {text("ledgerPeriod")}
        <Select
          value={String(query.days)}
          choices={periods}
          choose={(days) => choose({ days: Number(days) })}
        />
      </label>
    </section>
  );
}

function Select({
  value,
  choices,
  choose,
}: {
  readonly value: string;
  readonly choices: readonly Choice[];
  readonly choose: (value: string) => void;
}): JSX.Element {
  return (
    <select value={value} onChange={({ currentTarget }) => choose(currentTarget.value)}>
      {choices.map((choice) => (
        <option key={choice.value} value={choice.value}>
          {choice.name}
        </option>
      ))}
    </select>
  );
}
