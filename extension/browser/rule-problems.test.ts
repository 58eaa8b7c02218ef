import assert from "node:assert/strict";
import { test } from "node:test";

import { fakeApi } from "../testing/extension-api.ts";
import { noteRefusedRules, ruleProblems, watchRuleProblems } from "./rule-problems.ts";

test("rules that a browser refused are told, and no longer once it takes them", async () => {
  const api = fakeApi();
  let told = 0;
  watchRuleProblems(() => (told += 1));
  assert.deepEqual(await ruleProblems(), []);
  await noteRefusedRules(0);
  assert.deepEqual(api.session.values, {});
  await noteRefusedRules(2);
  assert.deepEqual(await ruleProblems(), ["rulesRefused"]);
  await noteRefusedRules(2);
  assert.equal(told, 1);
  await noteRefusedRules(0);
  assert.deepEqual(await ruleProblems(), []);
  assert.equal(told, 2);
});
