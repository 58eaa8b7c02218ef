import "../../testing/page.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import type { ShieldSettings } from "./guarded-core.ts";
import { connectShieldSettings, shieldSettings } from "./shield-settings.ts";

const strict: ShieldSettings = { mode: "on", options: { trust: "cross-signed" }, allow: [] };

test("what the core said last stays in force when it says nothing more", () => {
  assert.equal(shieldSettings("encrypted-state"), undefined);
  connectShieldSettings((shield) => (shield === "encrypted-state" ? strict : undefined));
  assert.deepEqual(shieldSettings("encrypted-state"), strict);
  connectShieldSettings(() => undefined);
  assert.deepEqual(shieldSettings("encrypted-state"), strict);
  for (const other of ["nothing", "__proto__", "constructor"]) {
    assert.equal(shieldSettings(other), undefined, other);
  }
  connectShieldSettings(() => ({ ...strict, mode: "off" }));
  assert.equal(shieldSettings("encrypted-state")?.mode, "off");
});
