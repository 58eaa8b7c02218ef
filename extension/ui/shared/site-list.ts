/** Sites beside those built in: the person's own, and those the organisation names. */
import { removeHost, requestHost } from "../../browser/api.ts";
import { text } from "../../browser/messages.ts";
import type { Site } from "../../browser/sites.ts";
import { button, element } from "./dom.ts";

/** `wanted` are sites of the organisation that Mantle may not work in yet. */
export function showSites(
  section: HTMLElement,
  sites: readonly Site[],
  wanted: readonly Site[],
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
    list.append(element("li", { "data-wanted": site.url }, name, allow));
  }
  section.replaceChildren(element("h2", { text: text("sites") }), list);
}
