/** Puts the page's half of reactions and replies together and into the hooks. */
import { registerHandler } from "../intercept/handlers.ts";
import { runningClient } from "../room-state/element/client.ts";
import { RelationReader } from "./reader.ts";
import { RemovedReactions } from "./removed.ts";
import type { RelationsClient } from "./sdk.ts";
import { RelationWriter } from "./writer.ts";

/** The result is to be called before each request of the page. */
export function installRelations(): () => void {
  const reader = new RelationReader(new RemovedReactions());
  const client = (): RelationsClient | undefined =>
    runningClient() as unknown as RelationsClient | undefined;
  registerHandler("relations", new RelationWriter(reader, client));
  return () => {
    try {
      reader.attach(client());
    } catch {
      // Relations are then read as matrix-js-sdk reads them.
    }
  };
}
