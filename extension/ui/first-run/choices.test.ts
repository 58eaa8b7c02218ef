import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { AGREED } from "../../browser/consent.ts";
import type { SettingsView } from "../../browser/settings-core.ts";
import { offersOf } from "./choices.ts";

type Decided = Parameters<typeof offersOf>[0];

/** With whatever an organisation locked. */
function settings(locked: { profile?: boolean; consent?: boolean } = {}): Decided {
  const profile = { value: "strict", locked: locked.profile === true } as SettingsView["profile"];
  const consent = { key: "consent", value: false, locked: locked.consent === true };
  return { profile, general: [consent] as unknown as SettingsView["general"] };
}

describe("the first run offers", () => {
  test("three choices, each of which agrees and two of which set the defaults", () => {
    const offers = offersOf(settings());
    assert.deepEqual(
      offers.map(({ choice, changes, isMain }) => [choice.id, changes, isMain]),
      [
        ["recommended", [AGREED, { type: "profile", profile: "recommended" }], true],
        ["strict", [AGREED, { type: "profile", profile: "strict" }], false],
        ["each", [AGREED], false],
      ],
    );
    assert.ok(offers.every(({ agree }) => agree?.endsWith("Agree")));
  });

  test("what an organisation decided, to be agreed to unless that is decided too", () => {
    const [only, ...more] = offersOf(settings({ profile: true }));
    assert.deepEqual(more, []);
    assert.equal(only?.choice.id, "strict");
    assert.deepEqual(only?.changes, [AGREED]);
    assert.equal(only?.agree, "welcomeAgree");
    const [decided] = offersOf(settings({ profile: true, consent: true }));
    assert.deepEqual(decided?.changes, []);
    assert.equal(decided?.agree, undefined);
  });
});
