import assert from "node:assert/strict";
import { test } from "node:test";

import type { LearnedHost } from "../../browser/learned.ts";
import { isSame, learnedLines } from "./learned-lines.ts";

const host = (more: Partial<LearnedHost>): LearnedHost => ({
  site: "chat.example.org",
  part: "a",
  isPrivate: false,
  shield: "maps",
  host: "maps.example.net",
  pathPrefix: "",
  ...more,
});

test("a host that was named more than once has one line for a site and a shield", () => {
  const all = [
    host({}),
    host({ part: "b", isPrivate: true }),
    host({ pathPrefix: "/tiles" }),
    host({ site: "other.example.org" }),
    host({ shield: "calls" }),
    host({ host: "calls.example.net" }),
  ];
  assert.deepEqual(learnedLines(all), [all[0], all[3], all[4], all[5]]);
  // With its line all of them go.
  assert.equal(all.filter((other) => isSame(other, host({}))).length, 3);
});
