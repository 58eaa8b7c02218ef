import assert from "node:assert/strict";
import { test } from "node:test";

import type { SettingsView } from "../browser/settings-core.ts";
import { isFirstRunWanted } from "./first-run.ts";

type Asked = Pick<SettingsView, "general" | "profile">;

/** With what decides put in; the rest is as it is without settings. */
function settings(consent: boolean, locked: boolean): Asked {
  const kind = "flag" as const;
  const general = [
    { key: "consent", title: "", kind, value: consent, source: "default", locked: false, why: "" },
  ];
  return {
    general,
    profile: { value: "recommended", source: "default", locked },
  } as unknown as Asked;
}

test("whoever installs Mantle is asked, unless it was decided", () => {
  assert.equal(isFirstRunWanted(settings(false, false)), true);
  assert.equal(isFirstRunWanted(settings(true, false)), false, "agreed");
  assert.equal(isFirstRunWanted(settings(false, true)), false, "the organisation's profile");
  assert.equal(isFirstRunWanted(undefined), true, "settings that cannot be read");
});
