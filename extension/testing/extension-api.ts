/**
 * A browser's extension API as far as Mantle uses it, in memory. `api()` of extension/browser/api.ts
 * finds it under `chrome`; each call of `fakeApi` begins anew.
 */

type Values = Record<string, unknown>;
type Rule = chrome.declarativeNetRequest.Rule;

export interface FakeArea {
  values: Values;
  /** Set to have every write fail, as a full disk does. */
  failure: Error | undefined;
}

export interface FakeApi {
  local: FakeArea;
  session: FakeArea;
  managed: Values;
  /** Host permissions the person gave. */
  granted: string[];
  /** Match patterns of the manifest's content scripts. */
  builtIn: string[];
  scripts: chrome.scripting.RegisteredContentScript[];
  rulesets: string[];
  dynamic: Rule[];
  sessionRules: Rule[];
  /** As a browser refuses a call with a rule it cannot take; undefined: it can. */
  refuses: (rule: Rule) => string | undefined;
  badges: { tabId: number; text: string }[];
  changed: ((changes: Values, area: string) => void)[];
}

function area(fake: FakeApi, name: "local" | "session"): object {
  const own = fake[name];
  const tell = (keys: string[]): void => {
    for (const listener of fake.changed) {
      listener(Object.fromEntries(keys.map((key) => [key, {}])), name);
    }
  };
  return {
    get: async (keys: string | string[] | null) => {
      const wanted = keys === null ? Object.keys(own.values) : [keys].flat();
      const found = wanted.filter((key) => key in own.values);
      return structuredClone(Object.fromEntries(found.map((key) => [key, own.values[key]])));
    },
    getKeys: async () => Object.keys(own.values),
    set: async (values: Values) => {
      if (own.failure !== undefined) throw own.failure;
      Object.assign(own.values, structuredClone(values));
      tell(Object.keys(values));
    },
    remove: async (keys: string | string[]) => {
      for (const key of [keys].flat()) delete own.values[key];
      tell([keys].flat());
    },
  };
}

interface RuleChange {
  removeRuleIds?: number[];
  addRules?: Rule[];
}

/** All or nothing, as browsers do it. */
function changedRules(fake: FakeApi, present: Rule[], change: RuleChange): Rule[] {
  const left = present.filter(({ id }) => change.removeRuleIds?.includes(id) !== true);
  for (const rule of change.addRules ?? []) {
    const why = fake.refuses(rule);
    if (why !== undefined) throw new Error(why);
    if (left.some(({ id }) => id === rule.id)) throw new Error(`Rule ${rule.id} is there already.`);
    left.push(structuredClone(rule));
  }
  return left;
}

export function fakeApi(): FakeApi {
  const fake: FakeApi = {
    local: { values: {}, failure: undefined },
    session: { values: {}, failure: undefined },
    managed: {},
    granted: [],
    builtIn: [],
    scripts: [],
    rulesets: [],
    dynamic: [],
    sessionRules: [],
    refuses: () => undefined,
    badges: [],
    changed: [],
  };
  const held = new Map<string, Promise<unknown>>();
  const locks = {
    request: (name: string, task: () => Promise<unknown>) => {
      const next = (held.get(name) ?? Promise.resolve()).then(task, task);
      held.set(
        name,
        next.catch(() => undefined),
      );
      return next;
    },
  };
  const chrome = {
    runtime: {
      id: "mantle",
      getManifest: () => ({ content_scripts: [{ matches: fake.builtIn }] }),
    },
    storage: {
      local: area(fake, "local"),
      session: area(fake, "session"),
      managed: { get: async () => fake.managed },
      onChanged: { addListener: (listener: never) => fake.changed.push(listener) },
    },
    permissions: {
      getAll: async () => ({ origins: fake.granted }),
      contains: async ({ origins }: { origins: string[] }) =>
        origins.every((origin) => fake.granted.includes(origin)),
    },
    scripting: {
      getRegisteredContentScripts: async () => structuredClone(fake.scripts),
      registerContentScripts: async (scripts: FakeApi["scripts"]) => {
        fake.scripts.push(...structuredClone(scripts));
      },
      unregisterContentScripts: async ({ ids }: { ids: string[] }) => {
        fake.scripts = fake.scripts.filter(({ id }) => !ids.includes(id));
      },
    },
    action: {
      setBadgeText: async (badge: { tabId: number; text: string }) => void fake.badges.push(badge),
      setBadgeBackgroundColor: async () => undefined,
    },
    declarativeNetRequest: {
      getEnabledRulesets: async () => [...fake.rulesets],
      updateEnabledRulesets: async (change: {
        enableRulesetIds: string[];
        disableRulesetIds: string[];
      }) => {
        fake.rulesets = fake.rulesets
          .filter((id) => !change.disableRulesetIds.includes(id))
          .concat(change.enableRulesetIds);
      },
      getDynamicRules: async () => structuredClone(fake.dynamic),
      getSessionRules: async () => structuredClone(fake.sessionRules),
      updateDynamicRules: async (change: RuleChange) => {
        fake.dynamic = changedRules(fake, fake.dynamic, change);
      },
      updateSessionRules: async (change: RuleChange) => {
        fake.sessionRules = changedRules(fake, fake.sessionRules, change);
      },
    },
  };
  Object.defineProperty(globalThis, "chrome", { value: chrome, configurable: true });
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
  return fake;
}
