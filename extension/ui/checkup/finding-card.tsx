/** One finding: who can see it, what it is, and what would be done about it. */
import { Component, type ComponentChildren, type JSX } from "preact";

import { counted, language, text } from "../../browser/messages.ts";
import type { Finding } from "../../generated/types.ts";
import { AUDIENCES, FINDINGS, GRADES } from "./texts.ts";
import { SHOWN, nameOf } from "./words.ts";

/** What a repair would do: shown before it is begun. */
export interface Preview {
  /** Undefined while it is looked up. */
  readonly lines: readonly string[] | undefined;
}

export interface FindingCardProps {
  readonly finding: Finding;
  /** Undefined where none is open. */
  readonly preview: Preview | undefined;
  /** Whether a repair could be started now. */
  readonly isFree: boolean;
  readonly open: (finding: Finding) => void;
  readonly start: (finding: Finding) => void;
  readonly cancel: (finding: Finding) => void;
  /** Its repair. */
  readonly children: ComponentChildren;
}

export function FindingCard(props: FindingCardProps): JSX.Element {
  const { finding, preview, isFree, open, children } = props;
  const { id, since } = finding;
  const heading = counted(FINDINGS[id].heading, finding.count);
  return (
    <article class="finding" data-finding={id} aria-labelledby={`finding-${id}`}>
      <p class="badges">
        <span class={`who ${finding.audience}`}>{text(AUDIENCES[finding.audience])}</span>
        <span class={`soft ${finding.grade}`}>{text(GRADES[finding.grade])}</span>
      </p>
      <div class="body">
        {/* What is closed below it leaves the focus here. */}
        <h3 id={`finding-${id}`} tabIndex={-1}>
          {heading}
        </h3>
        <p class="soft">{text(FINDINGS[id].about)}</p>
        {since !== null && <p class="soft">{text("checkupSince", dateOf(since))}</p>}
        <Items finding={finding} />
        <div class="actions" hidden={finding.repair === null || !isFree || preview !== undefined}>
          <button
            class="secondary"
            type="button"
            data-repair={id}
            aria-label={text("checkupRepairOf", heading)}
            onClick={() => open(finding)}
          >
            {text("checkupRepair")}
          </button>
        </div>
        <div
          class="preview"
          role="group"
          aria-label={text("checkupPreviewTitle")}
          hidden={preview === undefined}
        >
          {preview !== undefined && <Lines {...props} lines={preview.lines} />}
        </div>
        <div>{children}</div>
      </div>
    </article>
  );
}

function Lines({ finding, lines, start, cancel }: FindingCardProps & Preview): JSX.Element | false {
  if (lines === undefined) {
    return finding.id === "readable-rooms" && <p role="status">{text("checkupPreviewLooking")}</p>;
  }
  return (
    <>
      <h4>{text("checkupPreviewTitle")}</h4>
      {lines.map((line, at) => (
        <p key={at}>{line}</p>
      ))}
      <div class="actions">
        <button class="primary" type="button" onClick={() => start(finding)}>
          {text("checkupStart")}
        </button>
        <button class="quiet" type="button" onClick={() => cancel(finding)}>
          {text("checkupCancel")}
        </button>
      </div>
    </>
  );
}

/** Their items are the person's own name and picture. */
const OF_PROFILE: readonly Finding["id"][] = ["public-profile", "open-media"];

/** Each step of a repair draws the page anew; these lists, which may be long, it does not touch. */
class Items extends Component<{ readonly finding: Finding }> {
  override shouldComponentUpdate({ finding }: { readonly finding: Finding }): boolean {
    return finding !== this.props.finding;
  }

  override render({ finding }: { readonly finding: Finding }): JSX.Element {
    const { id, items, count, repair } = finding;
    const shown = items.slice(0, SHOWN);
    const more = count - shown.length;
    return (
      <details>
        <summary>{counted("checkupWhich", count)}</summary>
        <ul>
          {shown.map((item, at) => (
            <li key={at}>
              {nameOf(item, OF_PROFILE.includes(id))}
              {!item.repairable && repair !== null && (
                <>
                  {" "}
                  <span class="soft">{text("checkupNotRepairable")}</span>
                </>
              )}
            </li>
          ))}
        </ul>
        {more !== 0 && <p class="soft">{counted("checkupMoreItems", more)}</p>}
      </details>
    );
  }
}

function dateOf(time: number): string {
  return new Date(time).toLocaleDateString(language(), { dateStyle: "medium" });
}
