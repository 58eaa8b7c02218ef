/** Puts the page's half of reactions and replies together and into the hooks. */
import { runningClient } from "../room-state/element/client.ts";
import { RelationReader } from "./reader.ts";
import { RemovedReactions } from "./removed.ts";
import type { RelationsClient } from "./sdk.ts";

/** The result is to be called before each request of the page. */
export function installRelations(): () => void {
  const reader = new RelationReader(new RemovedReactions());
  return () => {
    try {
      reader.attach(runningClient() as unknown as RelationsClient | undefined);
    } catch {
      // Relations are then read as matrix-js-sdk reads them.
    }
  };
}
