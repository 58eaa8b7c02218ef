/** Sites beside those built in: the person's own, and those the organisation names. */
import { removeHost, requestHost } from "../../browser/api.ts";
import { text } from "../../browser/messages.ts";
import type { Site } from "../../browser/sites.ts";
import { button, element } from "./dom.ts";
import { changeSites } from "./setting-change.ts";

/** A site that is named, but that Mantle may not work in yet. */
export interface WantedSite extends Site {
  /** The person may take it out: the organisation does not name it. */
  readonly isOwn: boolean;
}

export function showSites(
  section: HTMLElement,
  sites: readonly Site[],
  wanted: readonly WantedSite[],
  changed: () => void,
): void {
  section.hidden = sites.length === 0 && wanted.length === 0;
  const list = element("ul");
  for (const site of sites) {
    const remove = button(text("sitesRemove"), "quiet", () => {
      // The background takes scripts, rules and the setting away with the permission.
      void removeHost(site.permission).then(changed);
    });
    remove.setAttribute("aria-label", text("sitesRemoveOf", site.url));
    list.append(element("li", {}, element("span", { text: site.url }), remove));
  }
  for (const site of wanted) {
    const allow = button(text("actionAllow"), "primary", () => {
      // First, while the browser still counts this as the person's click.
      void requestHost(site.permission).then(changed);
    });
    allow.setAttribute("aria-label", text("sitesAllowOf", site.url));
    const name = element("span", { text: text("sitesWanted", site.url) });
    const line = element("li", { "data-wanted": site.url }, name, allow);
    if (site.isOwn) {
      const remove = button(text("sitesRemove"), "quiet", () => {
        void changeSites((own) => own.filter((url) => url !== site.url)).then(changed);
      });
      remove.setAttribute("aria-label", text("sitesRemoveOf", site.url));
      line.append(remove);
    }
    list.append(line);
  }
  section.replaceChildren(element("h2", { text: text("sites") }), list);
}
