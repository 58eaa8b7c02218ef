/**
 * The backstop: declarative rules for what hooks in a page cannot see (service worker, frames,
 * images, preloads). Only requests that Element's pages start are touched.
 *
 * The static rulesets cover the sites this build was made for; dynamic rules add the person's own
 * sites, the hosts a site's configuration named, and exceptions for allowed hosts.
 */
import { acceptLanguage, isChromium } from "./common-browser.ts";
import type { SettingsView } from "../browser/settings-core.ts";
import declared from "../generated/rules.json";
import type { LearnedHost } from "../browser/learned.ts";
import type { CommonBrowser } from "../protocol/common-browser.ts";
import { isHost } from "../protocol/shapes.ts";
import {
  type DeclarativeRule,
  type RuleKind,
  enabledRulesets,
  presentRules,
  replaceRules,
  setRulesets,
} from "../browser/api.ts";

/** Rules of each shield that declares any, without initiator domains. Ruleset and shield share the id. */
const RULESETS = declared as unknown as Readonly<Record<string, readonly DeclarativeRule[]>>;

/** Stands for the hosts of the sites in rules about what these serve. */
const SITES = "{{sites}}";

/** Whoever writes a `.well-known` could name a homeserver as a manager; its API stays reachable. */
const MATRIX_API = "^https?://[^/?#]+(/[^?#]*)?/(_matrix/(client|media)|\\.well-known)/";

/** Above that of any rule of a shield, and of exceptions to it. */
const PAUSE_PRIORITY = 100;

/** What the background asks a homeserver for. */
const MEDIA_API = "^https?://[^/?#]+(/[^?#]*)?/_matrix/media/";

export interface RuleInput {
  settings: SettingsView;
  /** Hosts the build was made for: the static rulesets cover them. */
  builtInHosts: readonly string[];
  addedHosts: readonly string[];
  learned: readonly LearnedHost[];
  /** Hosts of sites on which nothing is stopped for now. */
  paused: readonly string[];
  /** Of the extension itself, whose requests look as those of pages do. */
  ownHost: string;
  /** What servers see in place of this browser, where it lets Mantle change requests to any host. */
  common: CommonBrowser | undefined;
}

export interface WantedRules {
  rulesets: string[];
  /** By the settings. */
  dynamic: DeclarativeRule[];
  /** By what was learned: never past the browser's end. */
  session: DeclarativeRule[];
  /** What the rules show servers in place of this browser; pages show it too. */
  told: CommonBrowser | null;
}

/** What the browser should hold for these settings and sites. */
export function wantedRules(given: RuleInput): WantedRules {
  const isActive = (host: string): boolean => !given.paused.includes(host);
  const input = {
    ...given,
    builtInHosts: given.builtInHosts.filter(isActive),
    addedHosts: given.addedHosts.filter(isActive),
  };
  const shields = input.settings.shields
    // What is asked about no rule names.
    .filter(({ id, mode }) => (mode === "on" || mode === "ask") && Object.hasOwn(RULESETS, id))
    .map((shield) => shield.id)
    .sort();
  const dynamic = shields.flatMap((shield) => [
    ...rulesForAddedSites(shield, input),
    ...exceptions(shield, input),
  ]);
  const session = [
    ...shields.flatMap((shield) => rulesForLearnedHosts(shield, input)),
    ...pauseRules(given),
  ];
  const isOn = (id: string): boolean =>
    input.settings.shields.some((shield) => shield.id === id && shield.mode === "on");
  if (isOn("third-party")) dynamic.push(...firstPartyOnly(input));
  const { common } = input;
  const told = isOn("request-headers") && common !== undefined ? common : null;
  if (told !== null) dynamic.push(...commonHeaders(told, input));
  return {
    rulesets: shields,
    dynamic: numbered(dynamic),
    session: numbered(session),
    told,
  };
}

/**
 * Brings the browser's rules to what is wanted; does nothing when they are so already. Gives the
 * rules that the browser refused: it refuses a call as a whole, so the others are set without them.
 */
export async function applyRules(wanted: WantedRules): Promise<DeclarativeRule[]> {
  const refused: DeclarativeRule[] = [];
  const enabled = await enabledRulesets();
  const enable = wanted.rulesets.filter((id) => !enabled.includes(id));
  const disable = enabled.filter((id) => !wanted.rulesets.includes(id));
  if (enable.length > 0 || disable.length > 0) {
    await setRulesets(enable, disable);
  }
  for (const kind of ["dynamic", "session"] as const) {
    const present = await presentRules(kind);
    if (fingerprint(present) === fingerprint(wanted[kind])) continue;
    const old = present.map((rule) => rule.id);
    refused.push(...(await setAlone(kind, old, wanted[kind])));
  }
  return refused;
}

/** Sets all of the rules, or halves until those the browser refuses are by themselves. */
async function setAlone(
  kind: RuleKind,
  old: number[],
  rules: DeclarativeRule[],
): Promise<DeclarativeRule[]> {
  try {
    await replaceRules(kind, old, rules);
    return [];
  } catch {
    if (rules.length <= 1) {
      // What was there before must not stay in place of it.
      if (old.length > 0) await replaceRules(kind, old, []);
      return rules;
    }
  }
  const middle = Math.ceil(rules.length / 2);
  const refused = await setAlone(kind, old, rules.slice(0, middle));
  return [...refused, ...(await setAlone(kind, [], rules.slice(middle)))];
}

function numbered(rules: DeclarativeRule[]): DeclarativeRule[] {
  return rules.map((rule, index) => ({ ...rule, id: index + 1 }));
}

function rulesForAddedSites(shield: string, input: RuleInput): DeclarativeRule[] {
  return input.addedHosts.length === 0
    ? []
    : rulesOf(shield).map((rule) => forSites(rule, input.addedHosts));
}

function rulesForLearnedHosts(shield: string, input: RuleInput): DeclarativeRule[] {
  const sites = [...input.builtInHosts, ...input.addedHosts];
  return input.learned
    .filter((entry) => entry.shield === shield && sites.includes(entry.site))
    .filter((entry) => !allowedHosts(shield, input).includes(hostnameOf(entry.host)))
    .flatMap((entry) => {
      // With a dot at its end a name leads to the same server.
      const hosts = [...new Set([entry.host, withDot(entry.host)])];
      const filters = hosts.flatMap((host) => filterOf({ ...entry, host }) ?? []);
      return filters.length === 0
        ? []
        : [
            ...filters.map(
              (urlFilter) =>
                ({
                  id: 0,
                  priority: 1,
                  action: { type: "block" },
                  condition: { urlFilter, initiatorDomains: [entry.site] },
                }) as DeclarativeRule,
            ),
            {
              id: 0,
              priority: 2,
              action: { type: "allow" },
              condition: {
                regexFilter: MATRIX_API,
                requestDomains: hosts.map(hostnameOf),
                initiatorDomains: [entry.site],
              },
            } as DeclarativeRule,
          ];
    });
}

/**
 * Over all others, for what a paused site's pages start and for what it serves. Of the session, so
 * that a pause outlives no browser that does not bring the rules up to date.
 */
function pauseRules({ paused, builtInHosts, addedHosts }: RuleInput): DeclarativeRule[] {
  return paused.flatMap((host) => {
    // A rule about a host is about its subdomains too, which may be sites of their own.
    const others = [...builtInHosts, ...addedHosts].filter((site) => site.endsWith(`.${host}`));
    const rule = (condition: object): DeclarativeRule =>
      ({
        id: 0,
        priority: PAUSE_PRIORITY,
        action: { type: "allow" },
        condition,
      }) as unknown as DeclarativeRule;
    const but = (name: string): object => (others.length === 0 ? {} : { [name]: others });
    return [
      rule({ initiatorDomains: [host], ...but("excludedInitiatorDomains") }),
      rule({
        requestDomains: [host],
        ...but("excludedRequestDomains"),
        resourceTypes: ["main_frame", "sub_frame"],
      }),
    ];
  });
}

/** An exception stands just above each rule it excepts from, and covers no more than that rule. */
function exceptions(shield: string, input: RuleInput): DeclarativeRule[] {
  const allowed = allowedHosts(shield, input);
  return rulesOf(shield).flatMap((rule) => {
    const covered = rule.condition.requestDomains;
    const hosts = covered === undefined ? allowed : allowed.filter((host) => within(host, covered));
    return hosts.length === 0
      ? []
      : [
          startedBy(
            {
              ...rule,
              priority: (rule.priority ?? 1) + 1,
              action: { type: "allow" } as DeclarativeRule["action"],
              condition: { ...rule.condition, requestDomains: hosts },
            },
            [...input.builtInHosts, ...input.addedHosts],
          ),
        ];
  });
}

/**
 * The hooks decide on what scripts fetch, word by word; this is for what elements load. Which
 * homeserver it is nobody knows here, so Matrix paths pass.
 */
function firstPartyOnly(input: RuleInput): DeclarativeRule[] {
  const sites = [...input.builtInHosts, ...input.addedHosts];
  if (sites.length === 0) return [];
  const lists = input.settings.shields.flatMap(({ id }) => allowedHosts(id, input));
  return [
    {
      id: 0,
      priority: 1,
      action: { type: "block" },
      condition: {
        initiatorDomains: sites,
        excludedRequestDomains: [...new Set([...sites, ...lists])],
        excludedResourceTypes: ["main_frame", "xmlhttprequest"],
      },
    } as DeclarativeRule,
    {
      id: 0,
      priority: 2,
      action: { type: "allow" },
      condition: { regexFilter: MATRIX_API, initiatorDomains: sites },
    } as DeclarativeRule,
  ];
}

/**
 * A site's own server knows the browser from the page's own loading. What the extension itself asks
 * names besides no origin, which in Firefox is another in each profile.
 */
function commonHeaders(common: CommonBrowser, input: RuleInput): DeclarativeRule[] {
  const sites = [...input.builtInHosts, ...input.addedHosts];
  const set = (header: string, value: string): object => ({ header, operation: "set", value });
  const remove = (header: string): object => ({ header, operation: "remove" });
  const headers = [
    set("accept-language", acceptLanguage(common)),
    set("user-agent", common.userAgent),
    ...(isChromium(common)
      ? [set("sec-ch-ua-platform", `"${common.system}"`), ...SYSTEM_HINTS.map(remove)]
      : []),
  ];
  const rule = (requestHeaders: object[], condition: object): DeclarativeRule =>
    ({
      id: 0,
      priority: 1,
      action: { type: "modifyHeaders", requestHeaders },
      condition,
    }) as unknown as DeclarativeRule;
  return [
    ...(sites.length === 0
      ? []
      : [rule(headers, { initiatorDomains: sites, excludedRequestDomains: sites })]),
    rule([...headers, remove("origin")], {
      initiatorDomains: [input.ownHost],
      regexFilter: MEDIA_API,
    }),
  ];
}

/** Client hints that only a server which asked gets, and that tell the true system. */
const SYSTEM_HINTS = ["arch", "bitness", "model", "platform-version", "full-version-list"].map(
  (name) => `sec-ch-ua-${name}`,
);

function rulesOf(shield: string): readonly DeclarativeRule[] {
  return RULESETS[shield] ?? [];
}

/** A rule names the sites it is for, or else is about what their pages start. */
function forSites(rule: DeclarativeRule, hosts: readonly string[]): DeclarativeRule {
  return rule.condition.requestDomains?.includes(SITES) === true
    ? { ...rule, condition: { ...rule.condition, requestDomains: [...hosts] } }
    : startedBy(rule, hosts);
}

/**
 * Without types a rule covers everything but navigation of the tab. Their names differ between the
 * browsers, and Firefox refuses a rule with one that it does not know.
 */
function startedBy(rule: DeclarativeRule, hosts: readonly string[]): DeclarativeRule {
  const { resourceTypes: _, ...condition } = rule.condition;
  return { ...rule, condition: { ...condition, initiatorDomains: [...hosts] } };
}

/** Without their ports, which rules cannot name; what is no host is left out alone. */
function allowedHosts(shield: string, input: RuleInput): string[] {
  const allow: Record<string, string[]> = input.settings.allow;
  return (allow[shield] ?? []).filter((host) => host !== "" && isHost(host)).map(hostnameOf);
}

function hostnameOf(host: string): string {
  return host.replace(/:\d+$/, "");
}

/** Addresses have none. */
function withDot(host: string): string {
  return host.replace(/([a-z][a-z0-9-]*)(:\d+)?$/, "$1.$2");
}

function within(host: string, domains: readonly string[]): boolean {
  return domains.some((domain) => host === domain || host.endsWith(`.${domain}`));
}

/** `undefined` where the filter language cannot name the place exactly. */
function filterOf({ host, pathPrefix }: LearnedHost): string | undefined {
  const place = `${host}${pathPrefix.replace(/\/+$/, "")}`;
  return host === "" || !isHost(host) || /[*|^]|[^!-~]/.test(place)
    ? undefined
    : `|https://${place}^`;
}

/** Equal for equal rules, whatever order of keys or empty fields a browser hands back. */
function fingerprint(rules: readonly DeclarativeRule[]): string {
  const inOrder = [...rules].sort((a, b) => a.id - b.id);
  return JSON.stringify(inOrder, (_key, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return value;
    }
    const entries = Object.entries(value).filter(([, field]) => field !== null);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
