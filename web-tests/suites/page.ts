/** The page's side of suites.spec.ts: bundled and loaded into a page of the client's origin. */
import { beaconCases } from "./beacon.ts";
import { fetchCases } from "./fetch.ts";
import { describeError, Trial } from "./kit.ts";
import { responseCases } from "./response.ts";
import { urlCases } from "./url.ts";
import { xhrCases } from "./xhr.ts";

const all = [...fetchCases, ...responseCases, ...xhrCases, ...beaconCases, ...urlCases];

/** What the spec calls in the page. */
export interface Suites {
  readonly names: readonly string[];
  /**
   * What the page saw in the first of these cases, one after the other, as JSON text each: as many as
   * take no longer than a call may.
   */
  run(indices: readonly number[]): Promise<string[]>;
}

/** Nothing here takes a tenth of that, on a machine four times slower. */
const TIMEOUT_MS = 30_000;
const CALL_MS = 10_000;

async function observed(index: number): Promise<string> {
  const suite = all[index];
  if (suite === undefined) return '"no such case"';
  let timer = 0;
  const late = new Promise<string>((resolve) => {
    timer = window.setTimeout(() => resolve("too late"), TIMEOUT_MS);
  });
  const work = suite
    .run(new Trial(index, suite.way))
    .catch((error: unknown) => ({ caseFailed: describeError(error) }));
  const seen = await Promise.race([work, late]);
  clearTimeout(timer);
  return JSON.stringify(seen ?? "undefined");
}

const suites: Suites = {
  names: all.map(({ name }) => name),
  run: async (indices) => {
    const end = performance.now() + CALL_MS;
    const seen: string[] = [];
    for (const index of indices) {
      seen.push(await observed(index));
      if (performance.now() > end) break;
    }
    return seen;
  },
};
Object.assign(window, { suites });
