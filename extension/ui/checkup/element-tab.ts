/** The tab with the Element whose account is looked at. */
import {
  type CheckUpKeeping,
  type CheckUpOutcome,
  type CheckUpQuery,
  type CheckUpTask,
  readCheckUpOutcome,
} from "../../protocol/check-up.ts";
import { readPageState } from "../../protocol/popup-relay.ts";
import { allTabs, sendToTab } from "../../browser/api.ts";

export class ElementTab {
  readonly #id: number;

  private constructor(id: number) {
    this.#id = id;
  }

  /** The tab of this id, or any with Mantle in it where that shows no Element any more. */
  static async find(wanted: number | undefined): Promise<ElementTab | undefined> {
    const ids = (await allTabs()).map(({ id }) => id);
    if (wanted !== undefined) ids.unshift(wanted);
    for (const id of ids) {
      if (await hasMantle(id)) return new ElementTab(id);
    }
    return undefined;
  }

  /** undefined: the tab is gone or being reloaded, or does not answer. */
  async run(task: CheckUpTask | CheckUpKeeping): Promise<CheckUpOutcome | undefined> {
    const query: CheckUpQuery = { kind: "check-up-query", task };
    try {
      return readCheckUpOutcome(await sendToTab(this.#id, query));
    } catch {
      return undefined;
    }
  }
}

async function hasMantle(id: number): Promise<boolean> {
  try {
    return readPageState(await sendToTab(id, { kind: "page-query" })) !== undefined;
  } catch {
    return false;
  }
}
