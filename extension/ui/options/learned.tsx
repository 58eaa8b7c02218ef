/** Hosts that sites and their servers named as third parties: what the network rules stop besides. */
import type { JSX } from "preact";

import { type LearnedHost, forgetLearned } from "../../browser/learned.ts";
import type { SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { Listed } from "../shared/listed.tsx";
import { nameOf } from "../shared/shields.ts";
import { isSame, learnedLines } from "./learned-lines.ts";

export function Learned({
  learned,
  shields,
}: {
  readonly learned: readonly LearnedHost[];
  readonly shields: SettingsView["shields"];
}): JSX.Element {
  return (
    <Listed
      id="learned"
      title={text("learned")}
      isEmpty={learned.length === 0}
      hint={text("learnedText")}
      lines={learnedLines(learned).map((entry) => {
        const { host, site, shield } = entry;
        const named = shields.find(({ id }) => id === shield) ?? { id: shield, name: shield };
        return (
          <li key={`${host} ${site} ${shield}`}>
            <span>{text("learnedHost", host, site, nameOf(named))}</span>
            <button
              class="quiet"
              type="button"
              aria-label={text("learnedForgetOf", host)}
              onClick={() => void forgetLearned((other) => isSame(other, entry))}
            >
              {text("learnedForget")}
            </button>
          </li>
        );
      })}
    >
      <button class="secondary" type="button" onClick={() => void forgetLearned(() => true)}>
        {text("learnedForgetAll")}
      </button>
    </Listed>
  );
}
