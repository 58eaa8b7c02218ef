/** Sites beside those built in: the person's own, and those the organisation names. */
import type { JSX } from "preact";

import { removeHost, requestHost } from "../../browser/api.ts";
import { text } from "../../browser/messages.ts";
import type { Site } from "../../browser/sites.ts";
import { Listed } from "./listed.tsx";
import { changeSites } from "./setting-change.ts";

/** A site that is named, but that Mantle may not work in yet. */
export interface WantedSite extends Site {
  /** The person may take it out: the organisation does not name it. */
  readonly isOwn: boolean;
}

interface Props {
  readonly sites: readonly Site[];
  readonly wanted: readonly WantedSite[];
  readonly changed: () => void;
}

export function Sites({ sites, wanted, changed }: Props): JSX.Element {
  return (
    <Listed
      id="sites"
      title={text("sites")}
      isEmpty={sites.length === 0 && wanted.length === 0}
      lines={[
        ...sites.map((site) => (
          <li key={`added ${site.url}`}>
            <span>{site.url}</span>
            <Remove
              site={site}
              // The background takes scripts, rules and the setting away with the permission.
              remove={() => void removeHost(site.permission).then(changed)}
            />
          </li>
        )),
        ...wanted.map((site) => (
          <li key={`wanted ${site.url}`} data-wanted={site.url}>
            <span>{text("sitesWanted", site.url)}</span>
            <button
              class="primary"
              type="button"
              aria-label={text("sitesAllowOf", site.url)}
              onClick={() => {
                // First, while the browser still counts this as the person's click.
                void requestHost(site.permission).then(changed);
              }}
            >
              {text("actionAllow")}
            </button>
            {site.isOwn && (
              <Remove
                site={site}
                remove={() => {
                  void changeSites((own) => own.filter((url) => url !== site.url)).then(changed);
                }}
              />
            )}
          </li>
        )),
      ]}
    />
  );
}

function Remove({
  site,
  remove,
}: {
  readonly site: Site;
  readonly remove: () => void;
}): JSX.Element {
  return (
    <button
      class="quiet"
      type="button"
      aria-label={text("sitesRemoveOf", site.url)}
      onClick={remove}
    >
      {text("sitesRemove")}
    </button>
  );
}
