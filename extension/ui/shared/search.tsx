/** The field that leaves only the shields whose texts hold every word a person typed. */
import type { JSX } from "preact";

import type { SettingsView } from "../../browser/settings-core.ts";
import { counted, inDigits, text } from "../../browser/messages.ts";
import { foundBy } from "./shields.ts";

export function Search({
  settings: { shields },
  query,
  search,
}: {
  readonly settings: SettingsView;
  readonly query: string;
  readonly search: (query: string) => void;
}): JSX.Element {
  const found = foundBy(query, shields);
  return (
    <>
      <label class="unseen" for="search">
        {text("findShield")}
      </label>
      <input
        id="search"
        type="search"
        autocomplete="off"
        spellcheck={false}
        placeholder={text("findShield")}
        onInput={({ currentTarget }) => search(currentTarget.value)}
      />
      <p role="status" class="hint">
        {found !== undefined && counted("found", found.size, [inDigits(shields.length)])}
      </p>
    </>
  );
}
