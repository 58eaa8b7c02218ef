/** Puts what the Rust half wants kept on disk. */
import { EntryError } from "../channel/store.ts";

export interface Entry {
  readonly key: string;
  /** Absent or null: taken out. */
  readonly value?: string | null | undefined;
}

/** Before these are on disk nothing is sent: sessions, and writes that wait for their room. */
const isVital = (key: string): boolean => key.startsWith("outbound/") || key.startsWith("pending/");

/**
 * Entries one after the other. One that can never be stored costs itself alone: the others are
 * stored, and it is read from the homeserver again after a reload. Rejects when the store does not
 * work, or when something is lost that sending hangs on.
 */
export async function putEntries(
  entries: readonly Entry[],
  put: (key: string, value: string | null) => Promise<void>,
): Promise<void> {
  let lost: unknown;
  for (let index = 0; index < entries.length; index += 1) {
    const { key, value } = entries[index] as Entry;
    try {
      await put(key, value ?? null);
    } catch (error) {
      if (!(error instanceof EntryError)) throw error;
      if (isVital(key)) lost ??= error;
    }
  }
  if (lost !== undefined) throw lost;
}
