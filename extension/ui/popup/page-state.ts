/** How Mantle stands in the tab the popup was opened on. */
import { looksLikeElement } from "./detect.ts";
import { readPageState } from "../../protocol/popup-relay.ts";
import { type Tab, hasHost, sendToTab } from "../../browser/api.ts";
import type { SettingsTexts } from "../../browser/settings-store.ts";
import { type Site, parseSite, siteHosts, sitesToAllow } from "../../browser/sites.ts";

export type PageKind =
  | "protected"
  | "starting"
  | "trapped"
  | "no-wasm"
  | "reload"
  | "not-allowed"
  | "looks-like-element"
  | "not-element"
  | "http"
  | "impossible";

export interface PageCondition {
  kind: PageKind;
  /** Id of the top frame's relay, where there is one. */
  relay?: string;
  /** It waits for an answer of the person. */
  isAsking?: boolean;
  /** The whole origin, where the person could add it or allow it. */
  site?: Site;
  /** The same origin with the page's folder, where that is not the root. */
  folder?: Site;
}

export async function examine(tab: Tab | undefined, texts: SettingsTexts): Promise<PageCondition> {
  if (tab === undefined) {
    return { kind: "impossible" };
  }
  const answered = await askRelay(tab.id);
  if (answered !== undefined) {
    return answered;
  }
  if (tab.url === undefined || !URL.canParse(tab.url)) {
    return { kind: "not-element" };
  }
  const url = new URL(tab.url);
  const site = parseSite(url.origin);
  if (site === undefined) {
    return { kind: url.protocol === "http:" ? "http" : "impossible" };
  }
  const wanted = (await sitesToAllow(texts)).map((known) => known.host);
  if ([...(await siteHosts(texts)), ...wanted].includes(site.host)) {
    return { kind: (await hasHost(site.permission)) ? "reload" : "not-allowed", site };
  }
  const folderPath = url.pathname.slice(0, url.pathname.lastIndexOf("/"));
  const folder = folderPath === "" ? undefined : parseSite(url.origin + folderPath);
  const kind = (await looksLikeElement(tab.id)) ? "looks-like-element" : "not-element";
  return folder === undefined ? { kind, site } : { kind, site, folder };
}

async function askRelay(tabId: number): Promise<PageCondition | undefined> {
  try {
    const state = readPageState(await sendToTab(tabId, { kind: "page-query" }));
    if (state === undefined) {
      return undefined;
    }
    const kinds = { running: "protected", trapped: "trapped", "no-wasm": "no-wasm" } as const;
    const kind = state.status === undefined ? "starting" : kinds[state.status];
    return { kind, relay: state.relay, isAsking: state.isAsking };
  } catch {
    // No content script of ours in that tab.
    return undefined;
  }
}
