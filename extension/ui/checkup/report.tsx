/** What will be asked, and what was found. */
import type { JSX } from "preact";

import { counted, text } from "../../browser/messages.ts";
import type { CheckUpReport, Topic } from "../../generated/types.ts";
import { UNREAD } from "./texts.ts";

/** What will be asked, before it is. */
const ASKS = [
  "checkupAsksSessions",
  "checkupAsksSync",
  "checkupAsksAccount",
  "checkupAsksAnybody",
] as const;

export function Asks({ homeserver }: { readonly homeserver: string }): JSX.Element {
  const host = URL.canParse(homeserver) ? new URL(homeserver).host : homeserver;
  return (
    <>
      <h2>{text("checkupAsksTitle", host)}</h2>
      <ul>
        {ASKS.map((name) => (
          <li key={name}>{text(name)}</li>
        ))}
      </ul>
      <p class="soft">{text("checkupAsksNobodyElse")}</p>
    </>
  );
}

export function Summary({ report }: { readonly report: CheckUpReport }): JSX.Element {
  const { findings, requests } = report;
  const repairable = findings.filter(({ repair }) => repair !== null).length;
  const said = [
    ...(repairable === 0 ? [] : [counted("checkupRepairable", repairable)]),
    counted("checkupChecked", requests),
  ];
  return (
    <>
      <h2>
        {findings.length === 0
          ? text("checkupFoundNone")
          : counted("checkupFound", findings.length)}
      </h2>
      <p class="soft">{said.join(" · ")}</p>
    </>
  );
}

export function Unread({ topics }: { readonly topics: readonly Topic[] }): JSX.Element {
  return (
    <>
      <h2>{text("checkupUnreadTitle")}</h2>
      {topics.map((topic) => (
        <p key={topic}>{text(UNREAD[topic])}</p>
      ))}
    </>
  );
}
