/**
 * The only file that touches the browser's extension API.
 *
 * Functions look the API up when called: a content script has only part of it, and after an
 * update or reload of the extension a page's old content script has none.
 */

type Api = typeof chrome;
type Rule = chrome.declarativeNetRequest.Rule;

export type DeclarativeRule = Rule;
export type RegisteredScript = chrome.scripting.RegisteredContentScript;

/** Who sent a message, as far as Mantle cares. */
export interface Sender {
  tabId: number | undefined;
  frameId: number | undefined;
  /** Origin of the document, absent where the browser does not say. */
  origin: string | undefined;
  /** In a private window: nothing of it may outlive that. */
  isPrivate: boolean;
}

export interface Tab {
  id: number;
  /** Absent where the extension may not see it. */
  url: string | undefined;
}

export type StorageArea = "local" | "managed" | "session";

function api(): Api {
  const { browser, chrome } = globalThis as { browser?: Api; chrome?: Api };
  const found = browser ?? chrome;
  if (found === undefined) {
    throw new Error("The browser offers no extension API here.");
  }
  return found;
}

// --- The extension itself ---

/** False in a content script whose extension was updated, reloaded or removed. */
export function contextIsValid(): boolean {
  try {
    return api().runtime?.id !== undefined;
  } catch {
    return false;
  }
}

/** `isNew`: the extension was not there before; else it, or the browser, is another version. */
export function onInstalled(listener: (isNew: boolean) => void): void {
  api().runtime.onInstalled.addListener(({ reason }) => listener(reason === "install"));
}

/** Whether an administrator put the extension here, and no person. */
export async function isInstalledByPolicy(): Promise<boolean> {
  // Of itself, an extension may know this without a permission.
  return (await api().management.getSelf()).installType === "admin";
}

export function onStartup(listener: () => void): void {
  api().runtime.onStartup.addListener(listener);
}

/** Of this extension's pages and background, which asks a homeserver for media. */
export function ownHost(): string {
  return new URL(api().runtime.getURL("")).hostname;
}

/** Match patterns of the manifest's own content scripts: the sites this build was made for. */
export function manifestMatches(): string[] {
  return (api().runtime.getManifest().content_scripts ?? []).flatMap(
    ({ matches }) => matches ?? [],
  );
}

export async function openOptionsPage(): Promise<void> {
  await api().runtime.openOptionsPage();
}

/** One of the extension's own pages, in a new tab. */
export async function openPage(path: string): Promise<void> {
  await api().tabs.create({ url: packagedUrl(path) });
}

/** Whether this page is the toolbar button's own window, which is as wide as what is in it. */
export function isToolbarPopup(): boolean {
  const { extension } = api() as Partial<Api>;
  return extension?.getViews?.({ type: "popup" }).includes(window) === true;
}

/** Address of a file of the package. */
export function packagedUrl(name: string): string {
  return api().runtime.getURL(name);
}

/** A file of the package. Not for content scripts, which may read none. */
export async function packagedFile(name: string): Promise<Uint8Array> {
  const response = await fetch(packagedUrl(name));
  return new Uint8Array(await response.arrayBuffer());
}

/** Whether this content script runs in a private window. */
export function isPrivateWindow(): boolean {
  const { extension } = api() as Partial<Api>;
  return extension?.inIncognitoContext === true;
}

/** Called after a window was closed and no private one is left. */
export function onPrivateWindowsGone(listener: () => void): void {
  // Firefox for Android has no windows to tell of.
  const { windows } = api() as Partial<Api>;
  windows?.onRemoved.addListener(() => {
    void windows.getAll().then((left) => {
      if (!left.some(({ incognito }) => incognito)) listener();
    });
  });
}

// --- Messages ---

export async function sendToBackground(message: unknown): Promise<unknown> {
  return api().runtime.sendMessage(message);
}

/** Asks the content script in a tab's top frame, or in another one; rejects when there is none. */
export async function sendToTab(tabId: number, message: unknown, frameId = 0): Promise<unknown> {
  return api().tabs.sendMessage(tabId, message, { frameId });
}

/**
 * Answers messages of this extension's own scripts. A listener returns `undefined` for messages
 * that are not its own, so that another listener can answer.
 */
export function onMessage(
  listener: (message: unknown, sender: Sender) => Promise<unknown> | undefined,
): void {
  const { runtime } = api();
  runtime.onMessage.addListener((message: unknown, from, respond) => {
    if (from.id !== runtime.id) {
      return false;
    }
    const answer = listener(message, {
      tabId: from.tab?.id,
      frameId: from.frameId,
      origin: from.origin ?? originOf(from.url),
      isPrivate: from.tab?.incognito === true,
    });
    if (answer === undefined) {
      return false;
    }
    answer.then(respond, () => respond(undefined));
    return true;
  });
}

function originOf(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url).origin : undefined;
}

// --- Alarms ---

/** What the background is woken for: a pause that ends, and work that it may not have ended. */
export type AlarmName = "pause" | "unfinished";

/** In milliseconds since 1970; undefined: none. */
export async function setAlarm(name: AlarmName, time: number | undefined): Promise<void> {
  const { alarms } = api();
  if (time === undefined) await alarms.clear(name);
  else await alarms.create(name, { when: time });
}

export function onAlarm(listener: () => void): void {
  api().alarms.onAlarm.addListener(listener);
}

// --- Storage ---

/** A stored value; `undefined` when it is absent or the area is not available. */
export async function readStorage(area: StorageArea, key: string): Promise<unknown> {
  return (await api().storage[area].get(key))[key];
}

/** Every value of the administrator's policy. Firefox rejects where there is no policy. */
export async function readManaged(): Promise<Record<string, unknown>> {
  return api().storage.managed.get(null);
}

export async function writeStorage(
  area: "local" | "session",
  values: Record<string, unknown>,
): Promise<void> {
  await api().storage[area].set(values);
}

/** Every stored value whose name is wanted. */
export async function readStorageWhere(
  area: "local" | "session",
  isWanted: (name: string) => boolean,
): Promise<Record<string, unknown>> {
  const names = await storedNames(area, isWanted);
  const values = names?.length === 0 ? {} : await api().storage[area].get(names ?? null);
  return Object.fromEntries(Object.entries(values).filter(([name]) => isWanted(name)));
}

/** Newer browsers list names alone; what is large and not asked for then stays on disk. */
async function storedNames(
  area: "local" | "session",
  isWanted: (name: string) => boolean,
): Promise<string[] | undefined> {
  const store = api().storage[area] as Partial<chrome.storage.StorageArea>;
  return (await store.getKeys?.())?.filter(isWanted);
}

/** Takes out every value whose name is unwanted; the names. */
export async function removeStorageWhere(
  area: "local" | "session",
  isUnwanted: (name: string) => boolean,
): Promise<string[]> {
  const names =
    (await storedNames(area, isUnwanted)) ??
    Object.keys(await api().storage[area].get(null)).filter(isUnwanted);
  if (names.length > 0) await api().storage[area].remove(names);
  return names;
}

export async function removeStorage(area: "local" | "session", name: string): Promise<void> {
  await api().storage[area].remove(name);
}

export function onStorageChanged(listener: (area: string, keys: string[]) => void): void {
  api().storage.onChanged.addListener((changes, area) => listener(area, Object.keys(changes)));
}

// --- Tabs ---

export async function activeTab(): Promise<Tab | undefined> {
  const [tab] = await api().tabs.query({ active: true, currentWindow: true });
  return tab?.id === undefined ? undefined : { id: tab.id, url: tab.url };
}

export async function tabById(id: number): Promise<Tab | undefined> {
  const tab = await api().tabs.get(id);
  return { id, url: tab.url };
}

/** Every tab there is; their addresses only where the extension may see them. */
export async function allTabs(): Promise<Tab[]> {
  const tabs = await api().tabs.query({});
  return tabs.flatMap(({ id, url }) => (id === undefined ? [] : [{ id, url }]));
}

export async function reloadTab(id: number): Promise<void> {
  await api().tabs.reload(id);
}

/** Empty text: no badge. */
export async function setBadge(tabId: number, label: string, colour: string): Promise<void> {
  const { action } = api();
  await action.setBadgeText({ tabId, text: label });
  if (label !== "") {
    await action.setBadgeBackgroundColor({ tabId, color: colour });
  }
}

// --- Permissions and content scripts ---

/** Every site: what browsers want before an extension may change a request's headers. */
export const EVERYWHERE = "https://*/*";

/** Must be called in the very run of a person's click. */
export function requestHost(pattern: string): Promise<boolean> {
  return api().permissions.request({ origins: [pattern] });
}

export async function removeHost(pattern: string): Promise<boolean> {
  return api().permissions.remove({ origins: [pattern] });
}

export async function hasHost(pattern: string): Promise<boolean> {
  return api().permissions.contains({ origins: [pattern] });
}

export async function grantedHosts(): Promise<string[]> {
  return (await api().permissions.getAll()).origins ?? [];
}

export function onHostsAdded(listener: () => void): void {
  api().permissions.onAdded.addListener(() => listener());
}

export function onHostsRemoved(listener: (patterns: string[]) => void): void {
  api().permissions.onRemoved.addListener((removed) => listener(removed.origins ?? []));
}

export async function registeredScripts(): Promise<RegisteredScript[]> {
  return api().scripting.getRegisteredContentScripts();
}

export async function registerScripts(scripts: RegisteredScript[]): Promise<void> {
  await api().scripting.registerContentScripts(scripts);
}

export async function unregisterScripts(ids: string[]): Promise<void> {
  await api().scripting.unregisterContentScripts({ ids });
}

/** Runs a function that closes over nothing in the page's own world and gives its plain result. */
export async function runInPage<Result>(tabId: number, probe: () => Result): Promise<unknown> {
  const [first] = await api().scripting.executeScript({
    target: { tabId },
    world: "MAIN",
    func: probe,
  });
  return first?.result;
}

// --- Declarative rules ---

export async function enabledRulesets(): Promise<string[]> {
  return api().declarativeNetRequest.getEnabledRulesets();
}

export async function setRulesets(enable: string[], disable: string[]): Promise<void> {
  await api().declarativeNetRequest.updateEnabledRulesets({
    enableRulesetIds: enable,
    disableRulesetIds: disable,
  });
}

/** dynamic: kept over the browser's restarts; session: not. */
export type RuleKind = "dynamic" | "session";

export async function presentRules(kind: RuleKind): Promise<Rule[]> {
  const { declarativeNetRequest } = api();
  return kind === "dynamic"
    ? declarativeNetRequest.getDynamicRules()
    : declarativeNetRequest.getSessionRules();
}

/** One step: the browser never sees a state between. */
export async function replaceRules(
  kind: RuleKind,
  removeRuleIds: number[],
  addRules: Rule[],
): Promise<void> {
  const { declarativeNetRequest } = api();
  const change = { removeRuleIds, addRules };
  if (kind === "dynamic") await declarativeNetRequest.updateDynamicRules(change);
  else await declarativeNetRequest.updateSessionRules(change);
}
