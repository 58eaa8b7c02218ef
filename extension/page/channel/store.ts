/** What the page's handlers keep over reloads, in the extension's storage on this device. */
import { NativeError, own } from "../primordials/primordials.ts";
import { askRelay } from "./relay-requests.ts";
import { MAX_KEY_LENGTH, MAX_VALUE_LENGTH } from "../../protocol/requests.ts";
import type { StoreArea } from "../../protocol/requests.ts";
import { text } from "../texts/texts.ts";

/** A disk may be slow; a page without a relay must not wait for ever. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Kept per origin of the page. Values are opaque: what is secret is encrypted before. */
export const store = {
  /**
   * Resolves once the value (at most 1 MB of text; null removes it) is on disk; rejects with a
   * sentence otherwise.
   */
  async put(area: StoreArea, key: string, value: string | null): Promise<void> {
    if (key === "" || key.length > MAX_KEY_LENGTH) {
      throw new NativeError(text("entryName"));
    }
    if (value !== null && value.length > MAX_VALUE_LENGTH) {
      throw new NativeError(text("entrySize"));
    }
    await askRelay({ kind: "store", area, key, value }, ANSWER_TIMEOUT_MS);
  },

  /** Everything under an area. */
  async load(area: StoreArea): Promise<Record<string, string>> {
    const answer = await askRelay({ kind: "load", area }, ANSWER_TIMEOUT_MS);
    if (answer.kind !== "loaded") throw new NativeError(text("unexpected"));
    return own(answer.entries);
  },
};
