/** What is wrong and what to do about it, one sentence each. */
import type { JSX } from "preact";

import { counted, text, translated } from "../../browser/messages.ts";
import type { SettingsView } from "../../browser/settings-core.ts";

export async function problemsOf(
  { problems }: SettingsView,
  refusedRules: number,
): Promise<string[]> {
  const said = await Promise.all(problems.map(translated));
  return refusedRules > 0 ? [...said, counted("rulesRefused", refusedRules)] : said;
}

export function Problems({ problems }: { readonly problems: readonly string[] }): JSX.Element {
  return (
    <section id="problems" role="alert" hidden={problems.length === 0}>
      {problems.length > 0 && <h2>{text("problems")}</h2>}
      {problems.map((problem, at) => (
        <p key={at}>{problem}</p>
      ))}
    </section>
  );
}
