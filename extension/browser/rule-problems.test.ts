import assert from "node:assert/strict";
import { test } from "node:test";

import { fakeApi } from "../testing/extension-api.ts";
import { noteRefusedRules, refusedRules, watchRuleProblems } from "./rule-problems.ts";

test("rules that a browser refused are told, and no longer once it takes them", async () => {
  const api = fakeApi();
  let told = 0;
  watchRuleProblems(() => (told += 1));
  assert.equal(await refusedRules(), 0);
  await noteRefusedRules(0);
  assert.deepEqual(api.session.values, {});
  await noteRefusedRules(2);
  assert.equal(await refusedRules(), 2);
  await noteRefusedRules(2);
  assert.equal(told, 1);
  await noteRefusedRules(0);
  assert.equal(await refusedRules(), 0);
  assert.equal(told, 2);
});
