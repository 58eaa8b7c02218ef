import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { LearnedHost } from "../browser/learned.ts";
import { fakeApi, type FakeApi } from "../testing/extension-api.ts";
import { applyRules, wantedRules, type RuleInput } from "./rules.ts";

const SITE = "chat.example.org";
const COMMON = {
  system: "Windows",
  userAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0.0.0",
  languages: ["de-DE", "de", "en-US", "en"],
} as const;

interface Given {
  modes?: Record<string, string>;
  allow?: Record<string, string[]>;
  learned?: Partial<LearnedHost>[];
  builtIn?: string[];
  added?: string[];
  common?: boolean;
  paused?: string[];
}

function wanted(given: Given): ReturnType<typeof wantedRules> {
  const shields = Object.entries(given.modes ?? {}).map(([id, mode]) => ({ id, mode }));
  return wantedRules({
    settings: { shields, allow: given.allow ?? {} },
    builtInHosts: given.builtIn ?? [SITE],
    addedHosts: given.added ?? [],
    learned: (given.learned ?? []).map((entry) => ({
      site: SITE,
      part: "",
      isPrivate: false,
      shield: "integrations",
      host: "manager.example.net",
      pathPrefix: "",
      ...entry,
    })),
    paused: given.paused ?? [],
    ownHost: "own-extension-id",
    common: given.common === true ? { ...COMMON, languages: [...COMMON.languages] } : undefined,
  } as unknown as RuleInput);
}

const conditions = (rules: readonly { condition: object }[]): Record<string, unknown>[] =>
  rules.map(({ condition }) => condition as Record<string, unknown>);

describe("wanted rules", () => {
  test("follow the modes: off and watch have none", () => {
    const on = wanted({ modes: { identity: "on", integrations: "ask" }, added: ["a.example"] });
    assert.deepEqual(on.rulesets, ["identity", "integrations"]);
    assert.ok(on.dynamic.length > 0);
    const off = wanted({
      modes: { identity: "off", integrations: "flag", unknown: "on", toString: "on" },
      learned: [{}],
      added: ["a.example"],
    });
    assert.deepEqual(off, { rulesets: [], dynamic: [], session: [], told: null });
  });

  test("ids are one's own within each set", () => {
    const { dynamic, session } = wanted({
      modes: { identity: "on", integrations: "on", "third-party": "on" },
      allow: { identity: ["is.example"] },
      learned: [{ host: "a.example" }, { host: "b.example" }],
      added: ["a.example", "b.example"],
    });
    for (const rules of [dynamic, session]) {
      assert.equal(new Set(rules.map(({ id }) => id)).size, rules.length);
      assert.ok(rules.every(({ id }) => id >= 1));
    }
  });

  test("every dynamic rule says whose pages it is about", () => {
    const { dynamic, session } = wanted({
      modes: {
        identity: "on",
        integrations: "on",
        "third-party": "on",
        referrer: "on",
        "request-headers": "on",
      },
      allow: { identity: ["vector.im"] },
      learned: [{}],
      added: ["a.example"],
      common: true,
    });
    for (const condition of conditions([...dynamic, ...session])) {
      const about = condition["initiatorDomains"] ?? condition["requestDomains"];
      assert.ok(Array.isArray(about) && about.length > 0, JSON.stringify(condition));
      assert.ok(!JSON.stringify(condition).includes("{{"), JSON.stringify(condition));
    }
  });

  test("on a paused site nothing is stopped, and on every other all is", () => {
    const modes = {
      identity: "on",
      integrations: "on",
      "third-party": "on",
      referrer: "on",
      "request-headers": "on",
    };
    const given: Given = {
      modes,
      added: ["example.org", "other.example"],
      learned: [{}, { site: "example.org" }],
      common: true,
    };
    const over = wanted({ ...given, paused: ["example.org"] });
    const lifting = over.session.filter(({ priority }) => priority === 100);
    assert.deepEqual(conditions(lifting), [
      // A site below it is another site, and is not paused.
      { initiatorDomains: ["example.org"], excludedInitiatorDomains: [SITE] },
      {
        requestDomains: ["example.org"],
        excludedRequestDomains: [SITE],
        resourceTypes: ["main_frame", "sub_frame"],
      },
    ]);
    assert.ok(lifting.every(({ action }) => action.type === "allow"));
    const rest = [...over.dynamic, ...over.session.filter((rule) => !lifting.includes(rule))];
    assert.ok(rest.every(({ priority }) => (priority ?? 1) < 100));
    assert.equal(JSON.stringify(rest).includes('"example.org"'), false);
    assert.ok(JSON.stringify(rest).includes('"other.example"'));
    // Of the built-in sites, too, and where no site is left.
    const none = wanted({ modes, common: true, paused: [SITE] });
    for (const condition of conditions([...none.dynamic, ...none.session])) {
      const about = condition["initiatorDomains"] ?? condition["requestDomains"];
      assert.ok(Array.isArray(about) && about.length > 0, JSON.stringify(condition));
    }
    assert.ok(wanted(given).session.every(({ priority }) => (priority ?? 1) < 100));
  });

  test("what was learned is for its own site, and only while that is one", () => {
    const { session } = wanted({
      modes: { integrations: "on" },
      learned: [{}, { site: "gone.example" }, { shield: "identity", host: "other.example" }],
    });
    assert.deepEqual(conditions(session)[0], {
      urlFilter: "|https://manager.example.net^",
      initiatorDomains: [SITE],
    });
    assert.equal(session.length, 3);
  });

  test("what was learned is known with a dot at the end of its name, too", () => {
    for (const [host, dotted] of [
      ["a.example", "a.example."],
      ["a.xn--p1ai:8443", "a.xn--p1ai.:8443"],
      ["localhost:8080", "localhost.:8080"],
      ["192.0.2.1", undefined],
      ["192.0.2.1:8443", undefined],
      ["[2001:db8::a]", undefined],
      ["[2001:db8::a]:8443", undefined],
    ] as const) {
      const { session } = wanted({ modes: { integrations: "on" }, learned: [{ host }] });
      const filters = conditions(session).flatMap(({ urlFilter }) => urlFilter ?? []);
      const expected = dotted === undefined ? [host] : [host, dotted];
      assert.deepEqual(
        filters,
        expected.map((name) => `|https://${name}^`),
      );
      const named = conditions(session).at(-1)?.["requestDomains"];
      assert.deepEqual(
        named,
        expected.map((name) => name.replace(/:\d+$/, "")),
      );
    }
  });

  test("what the filter language cannot name exactly makes no rule, and costs no other", () => {
    const odd: Partial<LearnedHost>[] = [
      { host: "a%b" },
      { host: "a b" },
      { host: "" },
      { host: "*" },
      { host: "a.example|" },
      { host: "a.example^" },
      { host: "a.example/path" },
      { host: "user@a.example" },
      { host: "a.example:99999" },
      { host: "ünicode.example" },
      { pathPrefix: "/a|b" },
      { pathPrefix: "/*" },
      { pathPrefix: "/ä" },
      { pathPrefix: "/a b" },
    ];
    const { session } = wanted({ modes: { integrations: "on" }, learned: [...odd, {}] });
    assert.equal(session.length, 3);
    assert.equal(conditions(session)[0]?.["urlFilter"], "|https://manager.example.net^");
  });

  test("hosts with a port are named with it, and allowed without", () => {
    const learned = [{ host: "a.example:8443", pathPrefix: "/manager/" }];
    const { session } = wanted({ modes: { integrations: "on" }, learned });
    assert.equal(conditions(session)[0]?.["urlFilter"], "|https://a.example:8443/manager^");
    assert.deepEqual(conditions(session)[2]?.["requestDomains"], ["a.example", "a.example."]);
    const allow = { integrations: ["a.example:8443"] };
    assert.deepEqual(wanted({ modes: { integrations: "on" }, learned, allow }).session, []);
  });

  test("a host that is none on a list of hosts is left out alone", () => {
    const hosts = ["a%b", "a b", "", "*.example", "good.example"];
    const { dynamic } = wanted({
      modes: { "third-party": "on" },
      allow: { "third-party": hosts },
    });
    const [block] = conditions(dynamic);
    assert.deepEqual(block?.["excludedRequestDomains"], [SITE, "good.example"]);
  });

  test("pages are told of a common browser only when requests are", () => {
    assert.equal(wanted({ modes: { "request-headers": "on" } }).told, null);
    assert.equal(wanted({ modes: { "request-headers": "flag" }, common: true }).told, null);
    const { told, dynamic } = wanted({ modes: { "request-headers": "on" }, common: true });
    assert.equal(told?.system, "Windows");
    const [{ action, condition } = { action: {}, condition: {} }] = dynamic as never as {
      action: { requestHeaders: { header: string; operation: string; value?: string }[] };
      condition: Record<string, unknown>;
    }[];
    const headers = (action as { requestHeaders: { header: string; value?: string }[] })
      .requestHeaders;
    assert.deepEqual(
      headers.find(({ header }) => header === "accept-language")?.value,
      "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    );
    assert.deepEqual((condition as Record<string, unknown>)["initiatorDomains"], [SITE]);
  });
});

describe("applying rules", () => {
  let api: FakeApi;
  beforeEach(() => {
    api = fakeApi();
  });

  const three = { learned: [{ host: "a.example" }, { host: "b.example" }, { host: "c.example" }] };

  test("one that the browser refuses costs no other, and is given back", async () => {
    for (const bad of ["a.example", "b.example", "c.example"]) {
      api = fakeApi();
      api.refuses = (rule) =>
        rule.condition.urlFilter === `|https://${bad}^` ? "Invalid rule" : undefined;
      const all = wanted({ modes: { integrations: "on" }, added: ["x.example"], ...three });
      const refused = await applyRules(all);
      assert.equal(refused.length, 1, bad);
      assert.deepEqual(api.dynamic, all.dynamic);
      assert.equal(api.sessionRules.length, all.session.length - 1);
    }
  });

  test("what was there before does not stay in place of what is refused", async () => {
    await applyRules(wanted({ modes: { integrations: "on" }, ...three }));
    api.refuses = () => "Invalid rule";
    const refused = await applyRules(wanted({ modes: { integrations: "on" }, learned: [{}] }));
    assert.equal(refused.length, 3);
    assert.deepEqual(api.sessionRules, []);
  });

  test("rules of the settings are set where those of a learned host are refused", async () => {
    api.refuses = (rule) =>
      rule.condition.urlFilter?.startsWith("|https://manager") === true ? "no" : undefined;
    const all = wanted({ modes: { identity: "on" }, added: ["x.example"], learned: [{}] });
    await applyRules(all);
    assert.deepEqual(api.dynamic, all.dynamic);
    assert.deepEqual(api.rulesets, ["identity"]);
  });

  test("nothing is done twice", async () => {
    const all = wanted({ modes: { integrations: "on" }, added: ["x.example"], ...three });
    await applyRules(all);
    api.refuses = () => "called again";
    assert.deepEqual(await applyRules(all), []);
    assert.deepEqual(api.dynamic, all.dynamic);
  });

  test("rules that are not wanted any more go", async () => {
    await applyRules(wanted({ modes: { integrations: "on" }, added: ["x.example"], ...three }));
    await applyRules(wanted({}));
    assert.deepEqual([api.dynamic, api.sessionRules, api.rulesets], [[], [], []]);
  });
});
